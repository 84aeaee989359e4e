//! Failures and timeouts in a row, in one word with the generation that they belong to.

use crate::sync::{AtomicU64, Ordering};

use super::Answer;

const COUNT_BITS: u32 = 22;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const GENERATION_SHIFT: u32 = 2 * COUNT_BITS;

/// The longest row that can be counted.
pub(super) const STREAK_MAX: u32 = (1 << COUNT_BITS) - 1;

/// generation (20 bits) | failures (22) | timeouts (22)
#[derive(Debug)]
pub(super) struct Streaks(AtomicU64);

/// The rows as they are after an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) failures: u32,
    pub(super) timeouts: u32,
}

impl Streaks {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The rows of that generation.
    pub(super) fn rows(&self, generation: u32) -> Rows {
        let seen = self.0.load(Ordering::Acquire);
        if seen >> GENERATION_SHIFT == u64::from(generation) { rows(seen) } else { Rows::default() }
    }

    /// Counts an answer of that generation, unless `still` says that it is over.
    pub(super) fn count(
        &self,
        generation: u32,
        answer: Answer,
        still: impl Fn() -> bool,
    ) -> Option<Rows> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let mine = seen >> GENERATION_SHIFT == u64::from(generation);
            if !mine && !still() {
                return None;
            }
            let now = if mine { rows(seen) } else { Rows::default() };
            let then = next(now, answer);
            if mine && then == now {
                return Some(now); // Where all is well, this is all that happens: a load.
            }
            let word = u64::from(generation) << GENERATION_SHIFT
                | u64::from(then.failures) << COUNT_BITS
                | u64::from(then.timeouts);
            match self.0.compare_exchange_weak(seen, word, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(then),
                Err(newer) => seen = newer,
            }
        }
    }
}

fn rows(word: u64) -> Rows {
    let count = |bits: u64| u32::try_from(bits & COUNT_MASK).unwrap_or(0);
    Rows { failures: count(word >> COUNT_BITS), timeouts: count(word) }
}

fn next(rows: Rows, answer: Answer) -> Rows {
    let more = |count: u32| (count + 1).min(STREAK_MAX);
    match answer {
        Answer::Success => Rows::default(),
        Answer::Failure => Rows { failures: more(rows.failures), timeouts: 0 },
        Answer::Timeout => Rows { failures: more(rows.failures), timeouts: more(rows.timeouts) },
        // Who answers "too much" is alive; but whether all else is well is not known.
        Answer::Overload | Answer::Cancelled => rows,
    }
}
