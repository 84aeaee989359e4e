//! The circuit breaker: stops calling an endpoint that does not answer, and finds out when it
//! answers again.
//!
//! ```text
//!        failures in a row, rates         open time ended               all probes succeeded
//!  Closed ───────────────▶ Open ───────────────▶ HalfOpen ───────────────▶ Ramping ──▶ Closed
//!                           ▲ ▲                      │                        │   ramp ended
//!                           │ └──── a probe failed ──┘                        │
//!                           └──────────── failures in a row, rates ───────────┘
//! ```
//!
//! No timer changes the state: every call derives it from the moment at which it comes, so it
//! cannot stay open because a task died.
//!
//! Each change to Open, `HalfOpen` or Ramping begins a generation, and the outcome of a call counts
//! only in the generation in which it began: calls from before an outage say nothing about the time
//! after it. Closed goes on with the generation of Ramping.
//!
//! Two kinds of signal, because each misses what the other detects: failures in a row detect an
//! outage within a few calls, rates detect a server that fails every other call and would never
//! fail five in a row.

mod circuit;
mod config;
mod counts;
mod events;
mod snapshot;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    breaker::circuit::{Call, Circuit},
    sync::lock,
    time::Moment,
};

pub use crate::breaker::{
    config::{
        BreakerConfig, BreakerConfigError, DURATION_MAX, DURATION_MIN, HALF_OPEN_CALLS_MAX,
        WINDOW_MIN,
    },
    events::{BreakerEvent, Cause, Change, EVENTS_MAX},
    snapshot::{BreakerSnapshot, CallTotals},
    state::{CallOutcome, CircuitOpenError, Mode, State},
};

/// A circuit breaker, shared by all callers of one endpoint.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    circuit: Mutex<Circuit>,
}

impl Breaker {
    /// A closed breaker in [`Mode::Auto`].
    pub fn new(config: BreakerConfig) -> Result<Self, BreakerConfigError> {
        config.validate()?;
        Ok(Self { config, circuit: Mutex::new(Circuit::new(config)) })
    }

    /// Permits a call, or says when to retry. The permit keeps the breaker alive.
    pub fn enter(self: &Arc<Self>, now: Moment) -> Result<Permit, CircuitOpenError> {
        let call = lock(&self.circuit).enter(now)?;
        Ok(Permit { breaker: Arc::clone(self), call, recorded: false })
    }

    /// Whether a call would be permitted now. Reserves nothing, so the call may still be refused; a
    /// refusal here counts as a refused call.
    pub fn check(&self, now: Moment) -> Result<(), CircuitOpenError> {
        let mut circuit = lock(&self.circuit);
        circuit.check(now).map_err(|error| circuit.refused(error))
    }

    /// As [`Breaker::check`], but counts nothing.
    pub fn admits(&self, now: Moment) -> bool {
        lock(&self.circuit).check(now).is_ok()
    }

    /// The state that the next call would find.
    pub fn state(&self, now: Moment) -> State {
        lock(&self.circuit).state(now)
    }

    /// Who decides about calls.
    pub fn mode(&self) -> Mode {
        lock(&self.circuit).mode()
    }

    /// The configuration that it was made with.
    pub const fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// Everything that metrics show.
    pub fn snapshot(&self, now: Moment) -> BreakerSnapshot {
        lock(&self.circuit).snapshot(now)
    }

    /// The kept events after that sequence number, oldest first; 0 for all.
    pub fn events(&self, after: u64) -> Vec<BreakerEvent> {
        lock(&self.circuit).events(after)
    }

    /// Lets an operator decide, or the breaker again. A new mode begins closed (or forced open) with
    /// nothing counted; setting the current mode changes nothing.
    pub fn set_mode(&self, mode: Mode, now: Moment) {
        lock(&self.circuit).set_mode(mode, now);
    }

    /// Closes with nothing counted, clears the doublings of the open time, and returns to
    /// [`Mode::Auto`].
    pub fn reset(&self, now: Moment) {
        lock(&self.circuit).reset(now);
    }
}

/// A permitted call. [`Permit::record`] counts how it ended; a permit that is dropped counts as
/// [`CallOutcome::Cancelled`], and another probe may take its turn.
#[must_use = "a permit that is dropped counts as a cancelled call"]
pub struct Permit {
    breaker: Arc<Breaker>,
    call: Call,
    recorded: bool,
}

impl Permit {
    /// Counts how the call ended; `retry_after` is what the endpoint asked for, if it did.
    pub fn record(mut self, outcome: CallOutcome, retry_after: Option<Duration>, now: Moment) {
        self.recorded = true;
        lock(&self.breaker.circuit).record(self.call, outcome, retry_after, now);
    }

    /// Whether this call decides if the breaker closes again.
    pub const fn is_probe(&self) -> bool {
        self.call.is_probe
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.recorded {
            let now = self.call.started_at; // A cancelled call is counted in no window.
            lock(&self.breaker.circuit).record(self.call, CallOutcome::Cancelled, None, now);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("call", &self.call).finish_non_exhaustive()
    }
}
