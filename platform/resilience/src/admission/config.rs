//! The settings of an admission, and which of them are invalid.

use std::time::Duration;

use thiserror::Error;

use crate::{
    codel, deadline,
    limiter::{LimiterConfig, LimiterConfigError},
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
    /// What must be left of a request's time after its expected wait.
    pub margin: Duration,
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
            margin: deadline::MARGIN,
            codel_target: codel::TARGET,
            codel_interval: codel::INTERVAL,
        }
    }
}

/// The most that may be configured as [`AdmissionConfig::waiting_max`].
pub const WAITING_MAX: usize = 32_767;

/// A configuration with which an admission could not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AdmissionConfigError {
    /// The limiter's configuration is invalid.
    #[error(transparent)]
    Limiter(#[from] LimiterConfigError),
    /// The queue is longer than it may be.
    #[error("at most {WAITING_MAX} requests may wait, not {0}")]
    WaitingMax(usize),
    /// The times of the queue are not in order.
    #[error("codel_target must not be longer than codel_interval")]
    Codel,
}

impl AdmissionConfig {
    pub(super) fn validate(&self) -> Result<(), AdmissionConfigError> {
        if self.waiting_max > WAITING_MAX {
            return Err(AdmissionConfigError::WaitingMax(self.waiting_max));
        }
        if self.codel_target > self.codel_interval {
            return Err(AdmissionConfigError::Codel);
        }
        Ok(())
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
