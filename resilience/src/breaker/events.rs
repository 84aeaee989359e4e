//! What happened to a breaker: the last hundred changes.

use std::collections::VecDeque;

use crate::time::Moment;

use super::{Mode, State};

/// Events that are kept.
pub const EVENTS_MAX: usize = 100;

/// Something that happened to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts up from 1 without a gap: who has seen `n` asks for what came after it.
    pub sequence: u64,
    /// When, on the clock of the calls.
    pub at: Moment,
    /// What.
    pub change: Change,
    /// Calls that were refused between the event before and this one.
    pub refused: u64,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The state.
    State {
        /// Before.
        from: State,
        /// After.
        to: State,
        /// Why.
        cause: Cause,
    },
    /// The mode, by an operator.
    Mode {
        /// Before.
        from: Mode,
        /// After.
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
    /// It was open for as long as it should be.
    OpenEnded,
    /// A probe failed, or was slow.
    ProbeFailed,
    /// Probes did not come back in time.
    ProbesLost,
    /// No probe was tried in time, or all were cancelled: it waits for others.
    NoProbes,
    /// The probes succeeded.
    ProbesSucceeded,
    /// The ramp is over.
    RampEnded,
    /// An operator asked for it.
    Operator,
}

/// The ring, and what else only changes with the state.
#[derive(Debug)]
pub(super) struct Journal {
    events: VecDeque<Event>,
    sequence: u64,
    refused: u64,
    /// Openings since it was last well: each doubles the next.
    pub(super) doublings: u32,
    /// Openings ever: the dice of the next.
    pub(super) openings: u64,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            events: VecDeque::with_capacity(EVENTS_MAX),
            sequence: 0,
            refused: 0,
            doublings: 0,
            openings: 0,
        }
    }

    /// Notes a change; `refused` is the total so far.
    pub(super) fn note(&mut self, change: Change, refused: u64, now: Moment) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.sequence += 1;
        let since = refused.saturating_sub(self.refused);
        self.refused = refused;
        self.events.push_back(Event { sequence: self.sequence, at: now, change, refused: since });
    }

    /// What is kept of what came after that number; 0 for all.
    pub(super) fn after(&self, sequence: u64) -> Vec<Event> {
        self.events.iter().filter(|event| event.sequence > sequence).copied().collect()
    }
}
