//! Requests. Paths and bodies are neither checked nor escaped: a drill may send invalid ones on purpose.

use std::fmt::Display;

use hyper::Method;

use crate::target::Target;

/// A request in readable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As in the request line.
    pub method: Method,
    /// Path and query, as in the request line.
    pub path: String,
    /// Names and values besides Host, Content-Length and Connection, which follow from the rest.
    pub headers: Vec<(String, String)>,
    /// Any bytes.
    pub body: Vec<u8>,
}

/// When a connection of a load is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Only after the server has closed it.
    Never,
    /// After each response; the request announces that (`connection: close`), as siege's do.
    EachRequest,
}

/// A request as bytes, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) bytes: Vec<u8>,
    pub(crate) reconnect: Reconnect,
}

impl Request {
    /// Reads `path`.
    pub fn get(path: &str) -> Self {
        let (method, path) = (Method::GET, path.to_owned());
        Self { method, path, headers: Vec::new(), body: Vec::new() }
    }

    /// Posts a body declared as JSON: a `serde_json::Value`, or a `str` that may be invalid JSON.
    pub fn post_json(path: &str, body: &(impl Display + ?Sized)) -> Self {
        Self::json(Method::POST, path, body)
    }

    /// As [`Self::post_json`].
    pub fn put_json(path: &str, body: &(impl Display + ?Sized)) -> Self {
        Self::json(Method::PUT, path, body)
    }

    /// As [`Self::post_json`].
    pub fn patch_json(path: &str, body: &(impl Display + ?Sized)) -> Self {
        Self::json(Method::PATCH, path, body)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Renders the bytes, once for any number of sends.
    pub fn prepare(&self, target: &Target, reconnect: Reconnect) -> Prepared {
        let mut head =
            format!("{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.path, target.authority());
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !self.body.is_empty() || self.method != Method::GET {
            head.extend(["content-length: ", &self.body.len().to_string(), "\r\n"]);
        }
        head += match reconnect {
            Reconnect::EachRequest => "connection: close\r\n\r\n",
            Reconnect::Never => "\r\n",
        };
        Prepared { bytes: [head.as_bytes(), &self.body].concat(), reconnect }
    }

    fn json(method: Method, path: &str, body: &(impl Display + ?Sized)) -> Self {
        let body = body.to_string().into_bytes();
        Self { method, body, ..Self::get(path) }.header("content-type", "application/json")
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
    fn a_get_has_only_the_required_headers() {
        let bytes = rendered(&Request::get("/vaccines?page=2"), Reconnect::Never);
        assert_eq!(bytes, "GET /vaccines?page=2 HTTP/1.1\r\nhost: 127.0.0.1:81\r\n\r\n");
    }

    #[test]
    fn a_post_has_its_headers_its_length_and_connection_close() {
        let request = Request::post_json("/bookings", &serde_json::json!({ "userId": 7 }))
            .header("idempotency-key", "k1");
        assert_eq!(
            rendered(&request, Reconnect::EachRequest),
            "POST /bookings HTTP/1.1\r\nhost: 127.0.0.1:81\r\ncontent-type: application/json\r\n\
             idempotency-key: k1\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"userId\":7}"
        );
    }

    #[test]
    fn an_empty_put_or_patch_has_content_length_zero() {
        for (request, method) in
            [(Request::put_json("/x", ""), "PUT"), (Request::patch_json("/x", ""), "PATCH")]
        {
            let bytes = rendered(&request, Reconnect::Never);
            assert!(bytes.starts_with(method) && bytes.ends_with("content-length: 0\r\n\r\n"));
        }
    }
}
