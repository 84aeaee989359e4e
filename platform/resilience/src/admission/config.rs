//! The settings of an admission, and which of them are valid.

use std::time::Duration;

use crate::{
    codel,
    config::{GuardConfigError, in_range},
    limiter::LimiterConfig,
    wait_queue::Priority,
};

/// The settings of an [`Admission`](crate::admission::Admission).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// The limit on the items in flight. Up to its minimum, no request is rejected for its expected
    /// wait: with a few requests, a slow system and an overloaded one cannot be distinguished.
    pub limiter: LimiterConfig,
    /// How many requests may wait in the queue.
    pub waiting_max: usize,
    /// The longest expected wait, queue and work together, with which a request is admitted.
    pub wait_max: Duration,
    /// How long a request may wait in a standing queue.
    pub codel_target: Duration,
    /// How long a queue may go without having been empty before it counts as standing.
    pub codel_interval: Duration,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            limiter: LimiterConfig::default(),
            waiting_max: 256,
            wait_max: Duration::from_millis(500),
            codel_target: codel::TARGET,
            codel_interval: codel::INTERVAL,
        }
    }
}

/// The most that may be configured as [`AdmissionConfig::waiting_max`].
const WAITING_MAX: usize = 32_767;

impl AdmissionConfig {
    pub(super) fn validate(&self) -> Result<(), GuardConfigError> {
        in_range("waiting_max", self.waiting_max, 0..=WAITING_MAX)?;
        in_range("codel_target", self.codel_target, Duration::ZERO..=self.codel_interval)
    }
}

/// The part of `whole` that a class may use: reads leave an eighth to the others, and bookings a
/// sixteenth.
pub const fn share(priority: Priority, whole: u32) -> u32 {
    match priority {
        Priority::Operator | Priority::Cancel => whole,
        Priority::Book => whole - whole / 16,
        Priority::Read => whole - whole / 8,
    }
}
