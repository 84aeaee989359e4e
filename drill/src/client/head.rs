//! The head of an answer: what the client must know to read the rest. Strict, since a drill is
//! also a test of the server.

use httparse::{EMPTY_HEADER, Header, Status};

use super::{Error, request::Reconnect};

/// How many header lines an answer may have; then [`Error::Malformed`].
const HEADERS_MAX: usize = 64;

/// What the client must know of a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Of the head itself, in bytes.
    pub(super) length: usize,
    pub(super) status: u16,
    pub(super) framing: Framing,
    /// What the server wants with the connection.
    pub(super) reconnect: Reconnect,
    pub(super) retry_after_seconds: Option<u64>,
}

/// How the end of the body is found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Head {
    /// None while the end of the head has not arrived.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(malformed("too many headers")),
            Err(_) => return Err(malformed("not an HTTP/1.1 head")),
        };
        let status = response.code.ok_or(malformed("no status"))?;
        let mut fields = Fields::default();
        for header in &*response.headers {
            fields.take(header)?;
        }
        let kept_by_default = response.version == Some(1);
        let framing = fields.framing(status)?;
        let keeps = kept_by_default && !fields.says_close && framing != Framing::UntilClosed;
        Ok(Some(Self {
            length,
            status,
            framing,
            reconnect: if keeps { Reconnect::Never } else { Reconnect::EachRequest },
            retry_after_seconds: fields.retry_after_seconds,
        }))
    }

    /// "100 Continue" and its like: the answer proper comes after it.
    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }
}

/// The headers that decide how to read on.
#[derive(Default)]
struct Fields {
    content_length: Option<usize>,
    says_chunked: bool,
    says_close: bool,
    retry_after_seconds: Option<u64>,
}

impl Fields {
    fn take(&mut self, header: &Header<'_>) -> Result<(), Error> {
        let Header { name, value } = *header;
        // Lengths first: most names are told apart without a look at their letters.
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                self.says_close |= value
                    .split(|&byte| byte == b',')
                    .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
            11 if name.eq_ignore_ascii_case("retry-after") => {
                self.retry_after_seconds = number(value);
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = number(value).ok_or(malformed("content-length is no number"))?;
                if self.content_length.replace(length).is_some_and(|before| before != length) {
                    return Err(malformed("two content-lengths"));
                }
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(malformed("unknown transfer-encoding"));
                }
                self.says_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn framing(&self, status: u16) -> Result<Framing, Error> {
        match (status, self.says_chunked, self.content_length) {
            (_, true, Some(_)) => Err(malformed("both chunked and content-length")),
            (100..200 | 204 | 304, _, _) => Ok(Framing::Length(0)),
            (_, true, None) => Ok(Framing::Chunked),
            (_, false, Some(length)) => Ok(Framing::Length(length)),
            (_, false, None) => Ok(Framing::UntilClosed),
        }
    }
}

/// Digits only: `parse` alone would let a sign pass.
fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let digits = std::str::from_utf8(value).ok()?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn malformed(why: &'static str) -> Error {
    Error::Malformed(why)
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
    fn a_plain_answer_is_kept_and_has_a_length() {
        let head = parsed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let expected = Head {
            length: 38,
            status: 200,
            framing: Framing::Length(5),
            reconnect: Reconnect::Never,
            retry_after_seconds: None,
        };
        assert_eq!(head, expected);
    }

    #[test]
    fn every_prefix_of_a_head_asks_for_more() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(Head::parse(&head[..end]).expect("a valid beginning"), None);
        }
        assert!(Head::parse(head).expect("a valid head").is_some());
    }

    #[test]
    fn close_is_seen_among_other_tokens_and_in_any_case() {
        let head = parsed("HTTP/1.1 200 OK\r\nconnection: te, Close\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(head.reconnect, Reconnect::EachRequest);
    }

    #[test]
    fn http_1_0_is_not_kept() {
        let head = parsed("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(head.reconnect, Reconnect::EachRequest);
    }

    #[test]
    fn only_seconds_count_as_a_promise() {
        let seconds = parsed("HTTP/1.1 503 Busy\r\nretry-after: 12\r\n\r\n");
        assert_eq!(seconds.retry_after_seconds, Some(12));
        let date =
            parsed("HTTP/1.1 503 Busy\r\nretry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n");
        assert_eq!(date.retry_after_seconds, None);
    }

    #[test]
    fn an_answer_without_content_has_no_body() {
        assert_eq!(parsed("HTTP/1.1 204 No Content\r\n\r\n").framing, Framing::Length(0));
    }

    #[test]
    fn broken_framing_is_refused() {
        let chunked = "transfer-encoding: chunked\r\n";
        for (fields, why) in [
            ("content-length: +5\r\n", "content-length is no number"),
            ("content-length: 5\r\ncontent-length: 6\r\n", "two content-lengths"),
            ("transfer-encoding: gzip\r\n", "unknown transfer-encoding"),
            (&format!("content-length: 5\r\n{chunked}"), "both chunked and content-length"),
        ] {
            let refusal = refusal(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            assert_eq!(refusal, format!("the answer is malformed: {why}"));
        }
        assert_eq!(refusal("hello\r\n\r\n"), "the answer is malformed: not an HTTP/1.1 head");
    }
}
