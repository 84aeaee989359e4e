//! The headers of a request for a booking: `Idempotency-Key`, and `Prefer: respond-async` (RFC 7240).

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, request::Parts},
};
use platform_rest::{headers::Attempt, problem::Problem};

/// The longest `Idempotency-Key`, in characters.
const KEY_MAX: usize = 255;

/// The headers of a request for a booking.
pub(super) struct BookingHeaders {
    /// The `Idempotency-Key`, if there is one.
    pub(super) key: Option<String>,
    /// Whether a ticket is preferred. Then there is a key, which the ticket is found by.
    pub(super) respond_async: bool,
    /// The attempt that the edge has given it.
    pub(super) attempt: Option<Attempt>,
}

impl<S: Send + Sync> FromRequestParts<S> for BookingHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let wrong = |detail| Problem::malformed(detail).field("Idempotency-Key");
        let respond_async = prefers_async(&parts.headers);
        let key = match parts.headers.get("idempotency-key").map(HeaderValue::to_str) {
            None if respond_async => {
                return Err(wrong(
                    "with Prefer: respond-async there must be an Idempotency-Key".to_owned(),
                ));
            }
            None => None,
            Some(Ok(key)) if is_key(key) => Some(key.to_owned()),
            Some(Ok(_) | Err(_)) => {
                return Err(wrong(format!(
                    "the Idempotency-Key must be 1 to {KEY_MAX} visible ASCII characters"
                )));
            }
        };
        Ok(Self { key, respond_async, attempt: Attempt::of(&parts.headers) })
    }
}

fn is_key(text: &str) -> bool {
    (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Quoted text is the value of another preference.
fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences =
        values.flat_map(|value| value.split('"').step_by(2)).flat_map(|plain| plain.split(','));
    preferences.any(|preference| {
        let name = preference.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("respond-async")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        let prefers = |values: &[&'static str]| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            prefers_async(&values.map(|value| ("prefer".parse().expect("a name"), value)).collect())
        };
        assert!(prefers(&["respond-async"]));
        assert!(prefers(&["return=minimal, Respond-Async; x=1, wait=10"]));
        assert!(prefers(&["return=minimal", "respond-async"]));
        assert!(prefers(&[r#"note="a, b",respond-async"#]));
        assert!(!prefers(&[]));
        assert!(!prefers(&["respond-asynchronously"]));
        assert!(!prefers(&[r#"note="a, respond-async, b""#]));
    }
}
