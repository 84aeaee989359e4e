//! The URL of NATS: `nats://HOST:PORT`, optionally with the name of the stream as path.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The stream, and the first token of every subject, unless the URL names another.
const STREAM: &str = "anticorona";

/// Where NATS listens.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl {
    /// `nats://HOST:PORT`.
    pub(crate) server: String,
    /// A user and a password, or a token alone.
    pub(crate) credentials: Option<(String, Option<String>)>,
    /// The name of the stream.
    pub(crate) stream: String,
}

/// The text is not the URL of NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be nats://HOST:PORT or nats://HOST:PORT/STREAM (letters, digits, - and _)")]
pub struct NatsUrlError;

impl FromStr for NatsUrl {
    type Err = NatsUrlError;

    fn from_str(text: &str) -> Result<Self, NatsUrlError> {
        let rest = text.strip_prefix("nats://").ok_or(NatsUrlError)?;
        // A password may contain any character; after the last @ there is only an address.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let credentials = credentials.map(|credentials| match credentials.split_once(':') {
            Some((user, password)) => (user.to_owned(), Some(password.to_owned())),
            None => (credentials.to_owned(), None),
        });
        let (server, stream) = rest.split_once('/').unwrap_or((rest, ""));
        let stream = if stream.is_empty() { STREAM } else { stream };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if server.is_empty() || !stream.chars().all(is_name) {
            return Err(NatsUrlError);
        }
        Ok(Self { server: format!("nats://{server}"), credentials, stream: stream.to_owned() })
    }
}

/// Shows everything but credentials.
impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NATS at {}, stream {}", self.server, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_name_the_stream_and_credentials() {
        let url: NatsUrl = "nats://user:secret@nats:4222/stream-2".parse().unwrap();
        assert_eq!(format!("{url:?}"), "NATS at nats://nats:4222, stream stream-2");
        let credentials = Some(("user".to_owned(), Some("se@cret".to_owned())));
        let url: NatsUrl = "nats://user:se@cret@nats:4222".parse().unwrap();
        assert_eq!((url.server.as_str(), url.credentials), ("nats://nats:4222", credentials));
        let url: NatsUrl = "nats://127.0.0.1:4222".parse().unwrap();
        assert_eq!(url.stream, STREAM);
        for wrong in ["", "nats://", "http://nats:4222", "nats://nats:4222/a.b", "nats://nats/*"] {
            assert_eq!(wrong.parse::<NatsUrl>(), Err(NatsUrlError), "{wrong}");
        }
    }
}
