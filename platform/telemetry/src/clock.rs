//! The only place that reads the wall clock: handlers put the time into the command.
//!
//! It is read once. From then on the monotonic clock counts, so that a step of the wall clock, by an operator or by
//! NTP, makes nothing older or younger while the process runs.

use std::{sync::LazyLock, time::Instant};

use jiff::Timestamp;

/// When the process first asked, by both clocks.
static START: LazyLock<(Timestamp, Instant)> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
    let wall = Timestamp::now();
    (wall, Instant::now())
});

/// The current time; never before an earlier one of this process.
pub fn now() -> Timestamp {
    let (wall, start) = *START;
    wall + start.elapsed()
}
