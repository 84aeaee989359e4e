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
mod state;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    breaker::circuit::{Call, Circuit},
    config::GuardConfigError,
    time::Moment,
};

pub use crate::breaker::{
    circuit::EVENTS_MAX,
    config::BreakerConfig,
    state::{
        BreakerEvent, BreakerSnapshot, CallOutcome, CallTotals, Cause, Change, CircuitOpenError,
        Mode, State,
    },
};

/// A circuit breaker, shared by all callers of one endpoint.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    circuit: Mutex<Circuit>,
}

impl Breaker {
    /// A closed breaker in [`Mode::Auto`].
    pub fn new(config: BreakerConfig) -> Result<Self, GuardConfigError> {
        config.validate()?;
        Ok(Self { config, circuit: Mutex::new(Circuit::new(config)) })
    }

    /// Permits a call, or says when to retry. The permit keeps the breaker alive.
    pub fn enter(self: &Arc<Self>, now: Moment) -> Result<Permit, CircuitOpenError> {
        let call = self.circuit.lock().enter(now)?;
        let ended = (CallOutcome::Cancelled, None, now);
        Ok(Permit { breaker: Arc::clone(self), call, ended })
    }

    /// Whether a call would be permitted now. Reserves nothing and counts nothing: the call may still be
    /// refused.
    pub fn check(&self, now: Moment) -> Result<(), CircuitOpenError> {
        self.circuit.lock().check(now)
    }

    /// The state that the next call would find.
    pub fn state(&self, now: Moment) -> State {
        self.circuit.lock().state(now)
    }

    /// The configuration that it was made with.
    pub const fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// Everything that metrics show.
    pub fn snapshot(&self, now: Moment) -> BreakerSnapshot {
        self.circuit.lock().snapshot(now)
    }

    /// The last [`EVENTS_MAX`] events, oldest first.
    pub fn events(&self) -> Vec<BreakerEvent> {
        self.circuit.lock().events()
    }

    /// Lets an operator decide, or the breaker again. A new mode begins closed (or forced open) with
    /// nothing counted; setting the current mode changes nothing.
    pub fn set_mode(&self, mode: Mode, now: Moment) {
        self.circuit.lock().set_mode(mode, now);
    }

    /// Closes with nothing counted, clears the doublings of the open time, and returns to
    /// [`Mode::Auto`].
    pub fn reset(&self, now: Moment) {
        self.circuit.lock().reset(now);
    }
}

/// A permitted call. [`Permit::record`] counts how it ended; a permit that is dropped counts as
/// [`CallOutcome::Cancelled`], and another probe may take its turn.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a cancelled call"]
pub struct Permit {
    breaker: Arc<Breaker>,
    call: Call,
    ended: (CallOutcome, Option<Duration>, Moment),
}

impl Permit {
    /// Counts how the call ended; `retry_after` is what the endpoint asked for, if it did.
    pub fn record(mut self, outcome: CallOutcome, retry_after: Option<Duration>, now: Moment) {
        self.ended = (outcome, retry_after, now);
    }

    /// Whether this call decides if the breaker closes again.
    pub const fn is_probe(&self) -> bool {
        self.call.is_probe
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (outcome, retry_after, now) = self.ended;
        self.breaker.circuit.lock().record(self.call, outcome, retry_after, now);
    }
}
