//! The head of a response: what the client must know to read the rest. Strict, since a drill also tests
//! the server.

use std::str::FromStr;

use httparse::{EMPTY_HEADER, Header, Status};

use crate::response::RequestError;

/// How many header lines a response may have; then [`RequestError::Malformed`].
const HEADERS_MAX: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Of the head itself, in bytes.
    pub(super) length: usize,
    pub(super) status: u16,
    pub(super) body: Body,
    /// Whether the server keeps the connection.
    pub(super) is_kept: bool,
    pub(super) retry_after_seconds: Option<u64>,
}

/// How the end of the body is found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(usize),
    Chunked,
}

impl Head {
    /// None while the end of the head has not arrived.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, RequestError> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(RequestError::Malformed("not an HTTP/1.1 head")),
        };
        let (mut content_length, mut is_chunked) = (None, false);
        let (mut is_kept, mut retry_after_seconds) = (response.version == Some(1), None);
        for Header { name, value } in &*response.headers {
            // Lengths first: most names are ruled out without comparing letters.
            match name.len() {
                10 if name.eq_ignore_ascii_case("connection") => {
                    let mut tokens = value.split(|&byte| byte == b',');
                    is_kept &=
                        !tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
                }
                11 if name.eq_ignore_ascii_case("retry-after") => {
                    retry_after_seconds = number(value);
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let length = number(value)
                        .ok_or(RequestError::Malformed("content-length is not a number"))?;
                    if content_length.replace(length).is_some_and(|before| before != length) {
                        return Err(RequestError::Malformed("two content-lengths"));
                    }
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    if !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(RequestError::Malformed("unknown transfer-encoding"));
                    }
                    is_chunked = true;
                }
                _ => {}
            }
        }
        let status = response.code.unwrap_or_default();
        let body = match (status, is_chunked, content_length) {
            (_, true, Some(_)) => {
                return Err(RequestError::Malformed("both chunked and content-length"));
            }
            (204 | 304, ..) => Body::Length(0),
            (_, true, None) => Body::Chunked,
            (_, false, Some(length)) => Body::Length(length),
            (_, false, None) => {
                return Err(RequestError::Malformed("neither chunked nor content-length"));
            }
        };
        Ok(Some(Self { length, status, body, is_kept, retry_after_seconds }))
    }
}

/// Digits only: `parse` alone would accept a sign.
fn number<T: FromStr>(value: &[u8]) -> Option<T> {
    let digits = str::from_utf8(value).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Head {
        Head::parse(head.as_bytes()).expect("a valid head").expect("a complete head")
    }

    fn refusal(head: &str) -> String {
        Head::parse(head.as_bytes()).expect_err("a broken head").to_string()
    }

    #[test]
    fn a_response_with_a_length_is_read_and_its_connection_kept() {
        let head = parsed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let body = Body::Length(5);
        let expected =
            Head { length: 38, status: 200, body, is_kept: true, retry_after_seconds: None };
        assert_eq!(head, expected);
    }

    #[test]
    fn every_prefix_of_a_head_needs_more_bytes() {
        let head =
            b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(Head::parse(&head[..end]).expect("a valid beginning"), None);
        }
        assert!(Head::parse(head).expect("a valid head").is_some());
    }

    #[test]
    fn connection_close_is_found_among_other_tokens_and_in_any_case() {
        let head = parsed("HTTP/1.1 200 OK\r\nconnection: te, Close\r\ncontent-length: 0\r\n\r\n");
        assert!(!head.is_kept);
    }

    #[test]
    fn a_connection_of_http_1_0_is_not_kept() {
        assert!(!parsed("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").is_kept);
    }

    #[test]
    fn retry_after_is_read_in_seconds_only() {
        for (value, seconds) in [("12", Some(12)), ("Wed, 21 Oct 2015 07:28:00 GMT", None)] {
            let head = parsed(&format!(
                "HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n"
            ));
            assert_eq!(head.retry_after_seconds, seconds);
        }
    }

    #[test]
    fn a_response_without_content_has_no_body() {
        assert_eq!(parsed("HTTP/1.1 204 No Content\r\n\r\n").body, Body::Length(0));
    }

    #[test]
    fn broken_framing_is_refused() {
        let chunked = "transfer-encoding: chunked\r\n";
        for (fields, why) in [
            ("content-length: +5\r\n", "content-length is not a number"),
            ("content-length: 5\r\ncontent-length: 6\r\n", "two content-lengths"),
            ("transfer-encoding: gzip\r\n", "unknown transfer-encoding"),
            (&format!("content-length: 5\r\n{chunked}"), "both chunked and content-length"),
            ("", "neither chunked nor content-length"),
        ] {
            let refusal = refusal(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            assert_eq!(refusal, format!("the response is malformed: {why}"));
        }
        assert_eq!(refusal("hello\r\n\r\n"), "the response is malformed: not an HTTP/1.1 head");
    }
}
