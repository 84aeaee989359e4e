//! Headers between services, besides the deadline. The public edge sets them itself, and removes them from what
//! clients send and get.

use axum::http::HeaderMap;
use uuid::Uuid;

/// On a request: `https` if the client's connection to the edge, or to a proxy before it, is encrypted.
pub const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// On a request: the path below which a proxy before the edge publishes everything.
pub const FORWARDED_PREFIX: &str = "x-forwarded-prefix";

/// On a 503: admission shed the request before anything was begun, for the reason that it names.
pub const SHED: &str = "x-shed";

/// On a `POST` through the edge: which attempt it belongs to, so that it may be repeated when its connection
/// breaks. A UUID of version 7, which begins with the time; ` again` follows where it was sent before.
pub const ATTEMPT: &str = "x-attempt";

/// The attempt of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: Uuid,
    /// Whether the request may have been received before.
    pub is_repeated: bool,
}

/// How a repeated attempt ends.
const AGAIN: &str = " again";

impl Attempt {
    /// A new one.
    pub fn first() -> Self {
        Self { id: Uuid::now_v7(), is_repeated: false }
    }

    /// As the value of [`ATTEMPT`].
    pub fn header(self) -> String {
        let again = if self.is_repeated { AGAIN } else { "" };
        format!("{}{again}", self.id)
    }

    /// The attempt of a request; none, without a valid header.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(ATTEMPT)?.to_str().ok()?;
        let (id, is_repeated) = match value.strip_suffix(AGAIN) {
            Some(id) => (id, true),
            None => (value, false),
        };
        let id = Uuid::parse_str(id).ok().filter(|id| id.get_version_num() == 7)?;
        Some(Self { id, is_repeated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_read_as_it_is_written() {
        let first = Attempt::first();
        for attempt in [first, Attempt { is_repeated: true, ..first }] {
            let value = attempt.header().parse().expect("a header");
            assert_eq!(
                Attempt::of(&HeaderMap::from_iter([(
                    axum::http::HeaderName::from_static(ATTEMPT),
                    value,
                )])),
                Some(attempt)
            );
        }
    }

    #[test]
    fn what_is_no_attempt_is_ignored() {
        for wrong in ["", "1", "again", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"] {
            let value = wrong.parse().expect("a header");
            let headers =
                HeaderMap::from_iter([(axum::http::HeaderName::from_static(ATTEMPT), value)]);
            assert_eq!(Attempt::of(&headers), None, "{wrong}");
        }
    }
}
