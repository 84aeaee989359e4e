//! Errors of any type, and how they are printed.

use std::error::Error;

/// Any error that can be sent to another thread.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error and all its sources in one line.
pub fn error_chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use super::*;

    #[derive(Debug)]
    struct WriteError(io::Error);

    impl fmt::Display for WriteError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the batch was not written")
        }
    }

    impl Error for WriteError {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_is_printed_with_all_its_sources() {
        let error = WriteError(io::Error::other(WriteError(io::Error::other("disk full"))));
        // What `io::Error::other` wraps is its message, not its source.
        assert_eq!(
            error_chain(&error),
            "the batch was not written: the batch was not written: disk full"
        );
    }
}
