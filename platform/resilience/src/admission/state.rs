//! What callers and operators see of an admission: rejections and snapshots.

use std::time::Duration;

use thiserror::Error;

use crate::wait_queue::CLASSES;

/// Rejected: nothing was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{reason}; retry in {} s", retry_after.as_secs())]
pub struct ShedError {
    /// Why.
    pub reason: ShedReason,
    /// When to retry: whole seconds, spread so that not all clients retry together.
    pub retry_after: Duration,
}

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ShedReason {
    /// As many requests wait as may.
    #[error("the queue is full")]
    Full,
    /// The expected wait is longer than the time left, or than any request should wait.
    #[error("the wait would be too long")]
    Wait,
    /// It has waited for too long in the queue.
    #[error("the queue does not move")]
    Codel,
    /// No time is left.
    #[error("the deadline has passed")]
    Expired,
}

impl ShedReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Full, Self::Wait, Self::Codel, Self::Expired];

    /// The index in [`ShedReason::ALL`].
    #[expect(clippy::as_conversions, reason = "ALL is in the order of the declaration")]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Wait => "wait",
            Self::Codel => "codel",
            Self::Expired => "expired",
        }
    }
}

/// Upper bounds of the buckets of [`AdmissionSnapshot::waits`], in milliseconds; one more bucket has
/// longer waits.
pub const WAIT_BOUNDS_MS: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 200];

/// An admission at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionSnapshot {
    /// Items allowed in flight.
    pub limit: u32,
    /// Items in flight.
    pub in_flight: u32,
    /// Requests in the queue, by [`Priority::index`](crate::wait_queue::Priority::index).
    pub waiting: [usize; CLASSES],
    /// Requests admitted since the start, by priority.
    pub admitted: [u64; CLASSES],
    /// Requests rejected since the start, by [`ShedReason::index`].
    pub shed: [u64; ShedReason::ALL.len()],
    /// How many requests left the queue (admitted, dropped or expired) after how long: one count for
    /// each of [`WAIT_BOUNDS_MS`], and one for longer waits. Requests that did not wait are not in it.
    pub waits: [u64; WAIT_BOUNDS_MS.len() + 1],
    /// The sum of these waits.
    pub waited: Duration,
    /// Items that are served per second while there are any.
    pub throughput: u64,
    /// How long a request that comes now would take, queue and work together.
    pub expected_wait: Duration,
}

impl AdmissionSnapshot {
    pub(super) fn record_wait(&mut self, wait: Duration) {
        self.waits[WAIT_BOUNDS_MS.partition_point(|ms| Duration::from_millis(*ms) < wait)] += 1;
        self.waited = self.waited.saturating_add(wait);
    }
}
