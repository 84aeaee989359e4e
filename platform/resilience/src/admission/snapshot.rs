//! An admission at one moment, for metrics.

use std::time::Duration;

use crate::{admission::shed::ShedReason, wait_queue::CLASSES};

/// Upper bounds of the buckets of [`AdmissionSnapshot::waits`]; one more bucket has longer waits.
pub const WAIT_BOUNDS: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
];

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
    /// each of [`WAIT_BOUNDS`], and one for longer waits. Requests that did not wait are not in it.
    pub waits: [u64; WAIT_BOUNDS.len() + 1],
    /// The sum of these waits.
    pub waited: Duration,
    /// Items that are served per second while there are any.
    pub throughput: u64,
    /// How long a request that comes now would take, queue and work together.
    pub expected_wait: Duration,
}

impl AdmissionSnapshot {
    pub(super) fn record_wait(&mut self, wait: Duration) {
        self.waits[WAIT_BOUNDS.partition_point(|bound| *bound < wait)] += 1;
        self.waited = self.waited.saturating_add(wait);
    }
}
