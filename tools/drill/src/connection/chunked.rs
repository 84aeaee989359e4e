//! Bodies in chunks, without trailers.

use std::ops::Range;

use httparse::Status;

use crate::response::{RESPONSE_BYTES_MAX, RequestError};

/// A piece of a body. The last one has no data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) data: Range<usize>,
    /// In bytes, with the framing.
    pub(super) length: usize,
}

/// None while the end of the chunk has not arrived.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Chunk>, RequestError> {
    let (from, size) = match httparse::parse_chunk_size(bytes) {
        Ok(Status::Complete(found)) => found,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(RequestError::Malformed("a chunk without a size")),
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > RESPONSE_BYTES_MAX {
        return Err(RequestError::TooLarge);
    }
    let data = from..from + size;
    match bytes.get(data.end..data.end + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some(Chunk { length: data.end + 2, data })),
        Some(_) => Err(RequestError::Malformed("a chunk longer than its size, or trailers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_its_data_without_the_framing() {
        let chunk = parse(b"5;note=x\r\nhello\r\n0\r\n\r\n").expect("a valid chunk");
        assert_eq!(chunk, Some(Chunk { data: 10..15, length: 17 }));
    }

    #[test]
    fn every_prefix_needs_more_bytes() {
        for whole in [&b"5\r\nhello\r\n"[..], b"0\r\n\r\n"] {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end]).expect("a valid beginning"), None);
            }
            assert!(parse(whole).expect("a valid chunk").is_some());
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        for broken in [&b"x\r\n"[..], b"1\r\nab\r\n", b"0\r\nchecksum: 1\r\n\r\n"] {
            assert!(matches!(parse(broken), Err(RequestError::Malformed(_))));
        }
        assert!(matches!(parse(b"fffffffffffffff0\r\n"), Err(RequestError::TooLarge)));
    }
}
