//! The words of the breaker: modes, states, and outcomes of calls.

use std::time::Duration;

use thiserror::Error;

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
