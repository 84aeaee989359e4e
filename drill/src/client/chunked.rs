//! Bodies in chunks.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Status};

use super::{Error, REPLY_BYTES_MAX};

/// How many trailer lines are read over; then [`Error::Malformed`].
const TRAILERS_MAX: usize = 16;

/// A piece of a chunked body; `length` is how many bytes it takes with its framing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Chunk { data: Range<usize>, length: usize },
    End { length: usize },
}

/// None while the end of the part has not arrived.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Part>, Error> {
    let (data_at, size) = match httparse::parse_chunk_size(bytes) {
        Ok(Status::Complete(found)) => found,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Error::Malformed("a chunk without a size")),
    };
    match usize::try_from(size) {
        Ok(0) => end(&bytes[data_at..], data_at),
        Ok(size) if size <= REPLY_BYTES_MAX => chunk(bytes, data_at..data_at + size),
        Ok(_) | Err(_) => Err(Error::TooLarge),
    }
}

fn chunk(bytes: &[u8], data: Range<usize>) -> Result<Option<Part>, Error> {
    match bytes.get(data.end..data.end + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some(Part::Chunk { length: data.end + 2, data })),
        Some(_) => Err(Error::Malformed("a chunk longer than its size")),
    }
}

fn end(trailers: &[u8], trailers_at: usize) -> Result<Option<Part>, Error> {
    match httparse::parse_headers(trailers, &mut [EMPTY_HEADER; TRAILERS_MAX]) {
        Ok(Status::Complete((length, _))) => Ok(Some(Part::End { length: trailers_at + length })),
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(Error::Malformed("broken trailers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_its_data_without_the_framing() {
        let part = parse(b"5;note=x\r\nhello\r\n0\r\n\r\n").expect("a valid chunk");
        assert_eq!(part, Some(Part::Chunk { data: 10..15, length: 17 }));
    }

    #[test]
    fn the_end_includes_its_trailers() {
        let part = parse(b"0\r\nchecksum: 1\r\n\r\n").expect("a valid end");
        assert_eq!(part, Some(Part::End { length: 18 }));
    }

    #[test]
    fn every_prefix_asks_for_more() {
        for whole in [&b"5\r\nhello\r\n"[..], b"0\r\n\r\n", b"0\r\na: b\r\n\r\n"] {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end]).expect("a valid beginning"), None);
            }
            assert!(parse(whole).expect("a valid part").is_some());
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        assert!(matches!(parse(b"x\r\n"), Err(Error::Malformed("a chunk without a size"))));
        assert!(matches!(parse(b"1\r\nab\r\n"), Err(Error::Malformed(_))));
        assert!(matches!(parse(b"fffffffffffffff0\r\n"), Err(Error::TooLarge)));
    }
}
