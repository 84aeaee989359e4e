//! What a page of metrics shows of a breaker.

use crate::sync::{AtomicU64, Ordering};

use super::{Answer, Mode, State, window::Counts};

/// A breaker at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// The state as the next call would find it.
    pub state: State,
    /// The mode.
    pub mode: Mode,
    /// Changes of state so far, modulo 2^20.
    pub generation: u32,
    /// Calls in the window.
    pub buffered_calls: u32,
    /// Those that failed, timed out, or met an overload.
    pub failed_calls: u32,
    /// Those that were slow.
    pub slow_calls: u32,
    /// Those that were slow and failed.
    pub slow_failed_calls: u32,
    /// Failed calls in percent; `None` below the minimum of calls.
    pub failure_rate: Option<f64>,
    /// Slow calls in percent; `None` below the minimum of calls.
    pub slow_call_rate: Option<f64>,
    /// Hard failures without a success between them.
    pub failures_in_a_row: u32,
    /// Timeouts without another answer between them.
    pub timeouts_in_a_row: u32,
    /// Probes that have not come back.
    pub probes_out: u16,
    /// All calls ever, by what came of them.
    pub totals: Totals,
}

/// Calls ever, by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Answered well.
    pub success: u64,
    /// Failed hard.
    pub failure: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// Answered that it is too much.
    pub overload: u64,
    /// Given up by the caller.
    pub cancelled: u64,
    /// Not let through.
    pub refused: u64,
}

/// The counters of [`Totals`].
#[derive(Debug)]
pub(super) struct Counters {
    success: AtomicU64,
    failure: AtomicU64,
    timeout: AtomicU64,
    overload: AtomicU64,
    cancelled: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    pub(super) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            success: zero(),
            failure: zero(),
            timeout: zero(),
            overload: zero(),
            cancelled: zero(),
            refused: zero(),
        }
    }

    pub(super) fn count(&self, answer: Answer) {
        let counter = match answer {
            Answer::Success => &self.success,
            Answer::Failure => &self.failure,
            Answer::Timeout => &self.timeout,
            Answer::Overload => &self.overload,
            Answer::Cancelled => &self.cancelled,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            success: self.success.load(Ordering::Relaxed),
            failure: self.failure.load(Ordering::Relaxed),
            timeout: self.timeout.load(Ordering::Relaxed),
            overload: self.overload.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
            refused: self.refused(),
        }
    }
}

/// A share of the calls in percent.
pub(super) fn rate(counts: Counts, part: u32, minimum: u32) -> Option<f64> {
    let enough = counts.calls > 0 && counts.calls >= minimum;
    enough.then(|| f64::from(part) * 100.0 / f64::from(counts.calls))
}
