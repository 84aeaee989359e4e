//! The only place that reads the wall clock: handlers put the time into the command.

use jiff::Timestamp;

/// The current time.
#[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
