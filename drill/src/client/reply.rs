//! What came back.

use std::{borrow::Cow, fmt, time::Duration};

/// A complete answer of any status.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// 200, 404, 503 and so on.
    pub status: u16,
    /// The promise of Retry-After; None also where it is a date, which nothing here sends.
    pub retry_after_seconds: Option<u64>,
    /// From the first byte sent (or the connecting before it) to the last byte received.
    pub took: Duration,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The head as it came. Headers are looked up when asked for, so that load pays for none.
    pub(super) head: Vec<u8>,
}

impl Reply {
    /// The value of the first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.split(|&byte| byte == b'\n').skip(1);
        let (_, value) = lines
            .filter_map(|line| line.split_at_checked(line.iter().position(|&byte| byte == b':')?))
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(value[1..].trim_ascii()).ok()
    }

    /// Where the created thing is.
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

/// Readable in the message of a failed assertion.
impl fmt::Debug for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = String::from_utf8_lossy(&self.head);
        write!(out, "Reply({}{}; took {:?})", head.replace("\r\n", "\n"), self.text(), self.took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Reply {
        let head = b"HTTP/1.1 201 Created\r\nLocation:  /bookings/7\r\nodd:\r\nt: a:b\r\n\r\n";
        Reply { head: head.to_vec(), body: b"{\"id\":7}".to_vec(), ..Reply::default() }
    }

    #[test]
    fn a_header_is_found_in_any_case_and_without_its_margins() {
        assert_eq!(reply().location(), Some("/bookings/7"));
        assert_eq!(reply().header("ODD"), Some(""));
        assert_eq!(reply().header("t"), Some("a:b"));
        assert_eq!(reply().header("etag"), None);
    }

    #[test]
    fn a_body_reads_as_text_and_as_json() {
        assert_eq!(reply().text(), "{\"id\":7}");
        assert_eq!(reply().json().expect("JSON")["id"], 7);
        assert!(Reply::default().json().is_err());
    }
}
