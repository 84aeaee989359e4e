//! How much time a request has left, from its first hop to its last.
//!
//! Hops pass on the time that is left, never a time of day: clocks of two machines differ.

use std::{str, time::Duration};

use crate::time::Moment;

/// The header that carries the time left, in whole milliseconds.
pub const HEADER: &str = "x-request-deadline-ms";

/// The time of a request without the header, and the most that any request has.
pub const CAP: Duration = Duration::from_secs(3);

/// What each hop keeps for itself, so that its own answer still arrives in time.
pub const MARGIN: Duration = Duration::from_millis(50);

/// The moment after which no caller waits for the answer any more.
///
/// ```
/// use std::time::Duration;
/// use platform_resilience::{deadline::Deadline, time::Moment};
///
/// let arrived = Moment::from_nanos(0);
/// let deadline = Deadline::from_header(Some(b"1200"), arrived);
/// assert_eq!(deadline.left(arrived), Duration::from_millis(1_200));
/// let later = arrived.after(Duration::from_millis(400));
/// assert_eq!(deadline.left(later), Duration::from_millis(800));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Moment);

impl Deadline {
    /// At that moment.
    pub const fn at(moment: Moment) -> Self {
        Self(moment)
    }

    /// That much time from now on, [`CAP`] at most.
    pub fn within(left: Duration, now: Moment) -> Self {
        Self(now.after(left.min(CAP)))
    }

    /// The time in the header, [`CAP`] at most; [`CAP`] too if there is no header or its value is
    /// invalid.
    pub fn from_header(value: Option<&[u8]>, now: Moment) -> Self {
        Self::within(value.and_then(millis).unwrap_or(CAP), now)
    }

    /// The time left; zero once it has passed.
    pub const fn left(self, now: Moment) -> Duration {
        self.0.since(now)
    }

    /// Whether no time is left.
    pub fn has_passed(self, now: Moment) -> bool {
        now >= self.0
    }
}

fn millis(value: &[u8]) -> Option<Duration> {
    // Unlike `parse`, no sign is accepted.
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
    str::from_utf8(digits).ok()?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_nanos(5_000_000_000);

    #[test]
    fn no_request_has_more_time_than_the_cap() {
        for value in
            [Some(&b"3001"[..]), Some(b"9999999999999999999"), Some(b"99999999999999999999"), None]
        {
            assert_eq!(Deadline::from_header(value, NOW).left(NOW), CAP);
        }
    }

    #[test]
    fn an_invalid_header_counts_as_no_header() {
        for value in ["", "-5", "+5", "1.5", " 7", "soon", "\u{ff15}"] {
            assert_eq!(Deadline::from_header(Some(value.as_bytes()), NOW).left(NOW), CAP);
        }
    }

    #[test]
    fn zero_milliseconds_have_passed_at_once() {
        assert!(Deadline::from_header(Some(b"0"), NOW).has_passed(NOW));
    }
}
