//! The breaker's state in one word, so that one load tells all that a call needs to know.
//!
//! From the top: mode (2 bits), state (2), generation (20), a moment in milliseconds (40, that is
//! 34 years). The moment is when the state ends; for Closed it is when it began.

use crate::time::Moment;

use super::{Mode, State};

const STATE_SHIFT: u32 = 60;
const MODE_SHIFT: u32 = 62;
const GENERATION_SHIFT: u32 = 40;
const AT_MASK: u64 = (1 << GENERATION_SHIFT) - 1;
const NANOS_IN_MILLI: u64 = 1_000_000;

/// Generations are counted modulo this: a call would have to outlive a million changes of state
/// to be taken for a new one.
pub(super) const GENERATIONS: u32 = 1 << 20;

/// A moment in the word's unit.
pub(super) const fn millis(now: Moment) -> u64 {
    now.as_nanos() / NANOS_IN_MILLI
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    pub(super) fn new(mode: Mode, state: State, generation: u32, at_ms: u64) -> Self {
        let mode: u64 = match mode {
            Mode::Auto => 0,
            Mode::ForcedOpen => 1,
            Mode::ForcedClosed => 2,
            Mode::MetricsOnly => 3,
        };
        let state: u64 = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
            State::Ramping => 3,
        };
        let generation = u64::from(generation % GENERATIONS);
        Self(
            mode << MODE_SHIFT
                | state << STATE_SHIFT
                | generation << GENERATION_SHIFT
                | at_ms.min(AT_MASK),
        )
    }

    pub(super) const fn mode(self) -> Mode {
        match self.0 >> MODE_SHIFT {
            0 => Mode::Auto,
            1 => Mode::ForcedOpen,
            2 => Mode::ForcedClosed,
            _ => Mode::MetricsOnly,
        }
    }

    pub(super) const fn state(self) -> State {
        match self.0 >> STATE_SHIFT & 3 {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            _ => State::Ramping,
        }
    }

    pub(super) const fn generation(self) -> u32 {
        let bytes = (self.0 >> GENERATION_SHIFT).to_le_bytes();
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % GENERATIONS
    }

    /// When the state ends; when it began, for Closed.
    pub(super) const fn at_ms(self) -> u64 {
        self.0 & AT_MASK
    }

    /// Milliseconds until the state ends; `None` when it is over. A state that would last more
    /// than twice as long as it can was entered by a clock that has since gone back: it is over
    /// too, or it would last for as long as the clock went back.
    pub(super) const fn remaining_ms(self, now: Moment, longest_ms: u64) -> Option<u64> {
        match self.at_ms().checked_sub(millis(now)) {
            None | Some(0) => None,
            Some(remaining) if remaining > longest_ms.saturating_mul(2) => None,
            Some(remaining) => Some(remaining),
        }
    }
}
