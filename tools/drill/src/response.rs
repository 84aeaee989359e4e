//! Responses, and why there is none.

use std::{borrow::Cow, io, time::Duration};

use hyper::HeaderMap;

use crate::target::Target;

/// The time limit of a response, from connecting to its last byte, unless a load has a shorter one.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The size limit of a response in bytes; then [`RequestError::TooLarge`].
pub const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A complete response of any status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 200, 404, 503 and so on.
    pub status: u16,
    /// Of Retry-After; None also where it is a date.
    pub retry_after_seconds: Option<u64>,
    /// From connecting, or the first byte sent, to the last byte received.
    pub took: Duration,
    /// The part of it until the connection was made; zero on a kept connection, and for [`crate::send`].
    pub connecting: Duration,
    /// Without framing.
    pub body: Vec<u8>,
    /// Of responses to [`crate::send`]; a load keeps none but Retry-After.
    pub headers: HeaderMap,
}

/// Why there is no complete response.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The target refused the connection or did not accept it in time, or this machine has no port left.
    #[error("cannot connect to {target}")]
    Connect {
        /// Where the connection was to go.
        target: Target,
        /// The operating system's error.
        source: io::Error,
    },
    /// The server may or may not have processed the request: a retry is the caller's decision.
    #[error("the connection was closed before any byte of the response")]
    Closed,
    /// The connection was closed after the first byte of the response.
    #[error("the connection was closed in the middle of the response")]
    CutShort,
    /// See [`RESPONSE_TIMEOUT`].
    #[error("no complete response within {} s", within.as_secs_f64())]
    TimedOut {
        /// The limit that applied.
        within: Duration,
    },
    /// See [`RESPONSE_BYTES_MAX`].
    #[error("the response is larger than {RESPONSE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not HTTP/1.1, or against its rules.
    #[error("the response is malformed: {0}")]
    Malformed(&'static str),
    /// Another failure of the socket.
    #[error("the socket failed")]
    Socket(#[source] io::Error),
    /// Another failure of hyper, for [`crate::send`].
    #[error("the exchange failed")]
    Http(#[source] hyper::Error),
    /// A request that hyper does not send.
    #[error("the request is invalid")]
    Request(#[source] hyper::http::Error),
}

impl RequestError {
    /// Whether no connection was made within the time limit of the response.
    pub(crate) fn is_connect_timeout(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == io::ErrorKind::TimedOut)
    }
}

impl Response {
    /// The value of the first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The URL of the created resource.
    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    /// The body, read as JSON.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// The body, read as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}
