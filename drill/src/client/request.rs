//! What is sent. Nothing is checked or escaped: a drill may want to send nonsense.

use std::fmt::Display;

use super::target::Target;

/// A request in readable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Path and query, as they stand in the request line.
    pub path: String,
    /// Names and values besides Host, Content-Length and Connection, which follow from the rest.
    pub headers: Vec<(String, String)>,
    /// Any bytes.
    pub body: Vec<u8>,
}

/// The methods that the system knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Replaces.
    Put,
    /// Changes in part.
    Patch,
    /// Removes.
    Delete,
}

/// When a connection is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Kept as long as the server keeps it.
    Never,
    /// Closed after each answer, and the request says so in advance, as siege does it.
    EachRequest,
}

/// A request as bytes, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) bytes: Vec<u8>,
    pub(super) reconnect: Reconnect,
}

impl Request {
    /// Reads `path`.
    pub fn get(path: &str) -> Self {
        Self::new(Method::Get, path)
    }

    /// Posts a body that says it is JSON; a `serde_json::Value` is, a `str` may be anything.
    pub fn post_json(path: &str, body: &(impl Display + ?Sized)) -> Self {
        Self::new(Method::Post, path).json(body)
    }

    /// As [`Self::post_json`].
    pub fn put_json(path: &str, body: &(impl Display + ?Sized)) -> Self {
        Self::new(Method::Put, path).json(body)
    }

    /// As [`Self::post_json`].
    pub fn patch_json(path: &str, body: &(impl Display + ?Sized)) -> Self {
        Self::new(Method::Patch, path).json(body)
    }

    /// Removes `path`.
    pub fn delete(path: &str) -> Self {
        Self::new(Method::Delete, path)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Renders the bytes, once for any number of sends.
    pub fn prepare(&self, target: &Target, reconnect: Reconnect) -> Prepared {
        let mut bytes = Vec::with_capacity(self.body.len() + 256);
        let mut line = |parts: &[&str]| {
            for part in parts {
                bytes.extend_from_slice(part.as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
        };
        line(&[self.method.name(), " ", &self.path, " HTTP/1.1"]);
        line(&["host: ", target.authority()]);
        for (name, value) in &self.headers {
            line(&[name, ": ", value]);
        }
        if let Some(length) = self.content_length() {
            line(&["content-length: ", &length.to_string()]);
        }
        if reconnect == Reconnect::EachRequest {
            line(&["connection: close"]);
        }
        line(&[]);
        bytes.extend_from_slice(&self.body);
        Prepared { bytes, reconnect }
    }

    fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    fn json(mut self, body: &(impl Display + ?Sized)) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    /// None where there is no body and none is expected.
    fn content_length(&self) -> Option<usize> {
        match self.method {
            Method::Get | Method::Delete if self.body.is_empty() => None,
            Method::Get | Method::Post | Method::Put | Method::Patch | Method::Delete => {
                Some(self.body.len())
            }
        }
    }
}

impl Method {
    /// As it stands in the request line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(request: &Request, reconnect: Reconnect) -> String {
        let target = Target::parse("http://127.0.0.1:81").expect("loopback");
        String::from_utf8(request.prepare(&target, reconnect).bytes).expect("text")
    }

    #[test]
    fn a_get_has_no_more_than_it_needs() {
        let bytes = rendered(&Request::get("/vaccines?page=2"), Reconnect::Never);
        assert_eq!(bytes, "GET /vaccines?page=2 HTTP/1.1\r\nhost: 127.0.0.1:81\r\n\r\n");
    }

    #[test]
    fn a_post_carries_its_headers_its_length_and_the_wish_to_close() {
        let request = Request::post_json("/bookings", &serde_json::json!({ "userId": 7 }))
            .header("idempotency-key", "k1");
        assert_eq!(
            rendered(&request, Reconnect::EachRequest),
            "POST /bookings HTTP/1.1\r\nhost: 127.0.0.1:81\r\ncontent-type: application/json\r\n\
             idempotency-key: k1\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"userId\":7}"
        );
    }

    #[test]
    fn an_empty_put_says_that_it_is_empty() {
        let bytes = rendered(&Request::put_json("/x", ""), Reconnect::Never);
        assert!(bytes.ends_with("content-length: 0\r\n\r\n"));
    }

    #[test]
    fn every_method_is_named() {
        let requests = [
            Request::get("/"),
            Request::post_json("/", ""),
            Request::put_json("/", ""),
            Request::patch_json("/", ""),
            Request::delete("/"),
        ];
        let names = requests.map(|request| request.method.name());
        assert_eq!(names, ["GET", "POST", "PUT", "PATCH", "DELETE"]);
    }
}
