//! A breaker at one moment, for metrics.

use crate::breaker::state::{CallOutcome, Mode, State};

/// A breaker at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSnapshot {
    /// The state that the next call would find.
    pub state: State,
    /// Who decides about calls.
    pub mode: Mode,
    /// How often counting began anew; it wraps around.
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
    /// Probes that have not ended.
    pub probes_out: u16,
    /// All calls since the start.
    pub totals: CallTotals,
}

/// Calls since the start, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTotals {
    /// [`CallOutcome::Success`]
    pub success: u64,
    /// [`CallOutcome::Failure`]
    pub failure: u64,
    /// [`CallOutcome::Timeout`]
    pub timeout: u64,
    /// [`CallOutcome::Overload`]
    pub overload: u64,
    /// [`CallOutcome::Cancelled`]
    pub cancelled: u64,
    /// Refused by the breaker.
    pub refused: u64,
}

impl CallTotals {
    pub(super) fn record(&mut self, outcome: CallOutcome) {
        let total = match outcome {
            CallOutcome::Success => &mut self.success,
            CallOutcome::Failure => &mut self.failure,
            CallOutcome::Timeout => &mut self.timeout,
            CallOutcome::Overload => &mut self.overload,
            CallOutcome::Cancelled => &mut self.cancelled,
        };
        *total += 1;
    }
}
