//! Rejections, and their reasons.

use std::time::Duration;

use thiserror::Error;

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
    pub const fn index(self) -> usize {
        match self {
            Self::Full => 0,
            Self::Wait => 1,
            Self::Codel => 2,
            Self::Expired => 3,
        }
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
