//! What an admission has done, counted.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{admission::Reason, line::CLASSES, time::nanos};

/// Upper bounds of the buckets of [`Snapshot::waits`]; one more bucket has what is beyond.
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

const BUCKETS: usize = WAIT_BOUNDS.len() + 1;

/// How an admission stands. The numbers are read one after the other while others go on counting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Items allowed in flight.
    pub limit: u32,
    /// Items in flight.
    pub in_flight: u32,
    /// Requests in the line, by [`Priority::index`](crate::line::Priority::index).
    pub waiting: [usize; CLASSES],
    /// Requests let in so far, by priority.
    pub admitted: [u64; CLASSES],
    /// Requests refused so far, by [`Reason::index`].
    pub shed: [u64; Reason::ALL.len()],
    /// How many left the line (called, cut or expired) after how long: one count for each of
    /// [`WAIT_BOUNDS`], and one for those beyond. Who did not wait is not in it.
    pub waits: [u64; BUCKETS],
    /// How long all of these waited together.
    pub waited: Duration,
    /// Items that drain per second while there are any.
    pub drain_rate: u64,
    /// How long a request that comes now would take, line and work together.
    pub expected_wait: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    admitted: [AtomicU64; CLASSES],
    shed: [AtomicU64; Reason::ALL.len()],
    waits: [AtomicU64; BUCKETS],
    waited: AtomicU64,
}

impl Counts {
    pub(super) fn admitted(&self, class: usize) {
        self.admitted[class].fetch_add(1, Relaxed);
    }

    pub(super) fn shed(&self, reason: Reason) {
        self.shed[reason.index()].fetch_add(1, Relaxed);
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.waits[WAIT_BOUNDS.partition_point(|bound| *bound < wait)].fetch_add(1, Relaxed);
        self.waited.fetch_add(nanos(wait), Relaxed);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let read = |count: &AtomicU64| count.load(Relaxed);
        Snapshot {
            limit: 0,
            in_flight: 0,
            waiting: [0; CLASSES],
            admitted: array::from_fn(|at| read(&self.admitted[at])),
            shed: array::from_fn(|at| read(&self.shed[at])),
            waits: array::from_fn(|at| read(&self.waits[at])),
            waited: Duration::from_nanos(read(&self.waited)),
            drain_rate: 0,
            expected_wait: Duration::ZERO,
        }
    }
}
