//! The last hundred changes of a breaker.

use std::collections::VecDeque;

use crate::{
    breaker::state::{Mode, State},
    time::Moment,
};

/// Events that are kept.
pub const EVENTS_MAX: usize = 100;

/// A change of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerEvent {
    /// Counts up from 1 without a gap, so that a reader can ask for the events after the last one
    /// it has seen.
    pub sequence: u64,
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

#[derive(Debug, Default)]
pub(super) struct EventLog {
    events: VecDeque<BreakerEvent>,
    sequence: u64,
    /// The total of refused calls at the last event.
    refused: u64,
}

impl EventLog {
    /// Appends a change; `refused` is the total of refused calls so far.
    pub(super) fn append(&mut self, change: Change, refused: u64, now: Moment) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.sequence += 1;
        let since = refused.saturating_sub(self.refused);
        self.refused = refused;
        let event = BreakerEvent { sequence: self.sequence, at: now, change, refused: since };
        self.events.push_back(event);
    }

    /// The kept events after that sequence number, oldest first; 0 for all.
    pub(super) fn after(&self, sequence: u64) -> Vec<BreakerEvent> {
        self.events.iter().filter(|event| event.sequence > sequence).copied().collect()
    }
}
