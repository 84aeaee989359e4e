//! The only place that reads the time: handlers put it into the command.

use jiff::Timestamp;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
