//! The reply of a service, and how tests look at it.

use std::fmt;

use axum::{
    body::Bytes,
    http::{HeaderMap, Response, StatusCode},
};
use serde_json::Value;

/// The headers that snapshots show.
const SHOWN_HEADERS: [&str; 5] =
    ["location", "allow", "preference-applied", "retry-after", "content-type"];

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    headers: HeaderMap,
    body: String,
    service: &'static str,
}

impl Reply {
    pub(crate) fn new(response: Response<Bytes>, service: &'static str) -> Self {
        let (head, body) = response.into_parts();
        let body = String::from_utf8(body.to_vec()).expect("text");
        Self { status: head.status, headers: head.headers, body, service }
    }

    /// Its body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Its body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// A number of every item of a page: `numbers("bookings", "bookingId")`.
    pub fn numbers(&self, collection: &str, field: &str) -> Vec<i64> {
        let items = self.json()["_embedded"][collection].as_array().expect("a list").clone();
        items.iter().map(|item| item[field].as_i64().expect("a number")).collect()
    }

    /// The path of a link.
    pub fn link(&self, name: &str) -> Option<String> {
        let href = self.json()["_links"][name]["href"].as_str()?.to_owned();
        let origin = format!("http://{}.test", self.service);
        Some(href.strip_prefix(&origin).expect("a link to the same host").to_owned())
    }

    /// The status with the body, or of a problem its type, its field and its detail.
    pub fn in_short(&self) -> String {
        let status = self.status.as_u16();
        if self.header("content-type") != Some("application/problem+json") {
            return format!("{status} {}", self.body).trim_end().to_owned();
        }
        let problem = self.json();
        assert_eq!(problem["status"], status);
        let kind = problem["type"].as_str().expect("a type");
        let kind = kind.strip_prefix("urn:anticorona:").expect("a type of ours");
        let field = problem["field"].as_str().filter(|field| !field.is_empty());
        let field = field.map(|field| format!("{field}: ")).unwrap_or_default();
        format!("{status} {kind}; {field}{}", problem["detail"].as_str().unwrap_or_default())
    }
}

/// The status, the headers that matter, and the body.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for name in SHOWN_HEADERS {
            if let Some(value) = self.header(name) {
                // Randomised, so that not all clients retry at the same moment.
                let value = if name == "retry-after" { "(seconds)" } else { value };
                write!(f, "\n{name}: {value}")?;
            }
        }
        if !self.body.is_empty() {
            write!(f, "\n\n{}", self.body)?;
        }
        Ok(())
    }
}
