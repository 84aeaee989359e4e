//! Time as the state machines see it: a number that the caller passes in.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// A moment: nanoseconds since an origin that the clock chose. Moments of two clocks do not compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment that many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds after the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment that much later; the last one there is, at most.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }
}

/// A duration in nanoseconds; 584 years at most.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The clock of Tokio, which tests can pause, in nanoseconds: for latencies.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic {
    origin: Instant,
}

impl Monotonic {
    /// The moment now; never earlier than one read before.
    pub fn now(&self) -> Moment {
        Moment(nanos(self.origin.elapsed()))
    }
}

impl Default for Monotonic {
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

/// The system's clock as of its last tick (1 to 4 ms ago), which is cheaper to read: for times of
/// seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coarse;

impl Coarse {
    /// The moment now; never earlier than one read before.
    pub fn now(self) -> Moment {
        let now = clock_gettime(ClockId::MonotonicCoarse);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Moment(seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0))
    }
}
