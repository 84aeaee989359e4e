//! What callers and operators see of a breaker: modes, states, outcomes of calls, events and
//! snapshots.

use std::time::Duration;

use thiserror::Error;

use crate::time::Moment;

/// Who decides about calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The breaker.
    #[default]
    Auto,
    /// An operator: every call is refused.
    ForcedOpen,
    /// An operator: every call is permitted, and only the totals are counted.
    ForcedClosed,
    /// An operator: every call is permitted; rates are counted and shown.
    MetricsOnly,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is permitted.
    Closed,
    /// It is refused.
    Open,
    /// It is permitted if it is one of the few probes.
    HalfOpen,
    /// A growing share of calls is permitted.
    Ramping,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// An answer; a refusal by a rule of the domain ("sold out") is one too.
    Success,
    /// A hard failure: no connection, a broken connection, a 5xx.
    Failure,
    /// No answer in time: a hard failure too.
    Timeout,
    /// The endpoint reported overload (429, 503): counts for the rate, not for failures in a row.
    Overload,
    /// The caller cancelled: says nothing about the endpoint.
    Cancelled,
}

/// The call was refused; the endpoint was not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the circuit is open; retry in {retry_after:?}")]
pub struct CircuitOpenError {
    /// When a retry may be permitted.
    pub retry_after: Duration,
}

/// A change of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerEvent {
    /// On the clock of the calls.
    pub at: Moment,
    /// What changed.
    pub change: Change,
    /// Calls that were refused between the previous event and this one.
    pub refused: u64,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The state.
    State {
        /// The state before.
        from: State,
        /// The state after.
        to: State,
        /// Why it changed.
        cause: Cause,
    },
    /// The mode, by an operator.
    Mode {
        /// The mode before.
        from: Mode,
        /// The mode after.
        to: Mode,
    },
}

/// Why the state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Too many hard failures in a row.
    FailuresInARow,
    /// Too many timeouts in a row.
    TimeoutsInARow,
    /// Too large a share of the calls failed.
    FailureRate,
    /// Too large a share of the calls was slow.
    SlowCallRate,
    /// The open time ended.
    OpenEnded,
    /// A probe failed, or was slow.
    ProbeFailed,
    /// Probes did not end in time.
    ProbesLost,
    /// No call came in time, or all probes were cancelled: half-open begins again.
    NoProbes,
    /// The probes succeeded.
    ProbesSucceeded,
    /// The ramp ended.
    RampEnded,
    /// An operator reset the breaker.
    Operator,
}

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
