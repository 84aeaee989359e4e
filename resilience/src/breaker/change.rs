//! The changes of state. All happen under the lock of the journal, and only if the state is still
//! the one that was seen.

use std::{sync::PoisonError, time::Duration};

use crate::{
    sync::{MutexGuard, Ordering},
    time::Moment,
};

use super::{
    Breaker, Mode, State,
    events::{Cause, Change, Event, Journal},
    permit::Pass,
    streaks::Rows,
    word::{Word, millis},
};

/// An open time is spread over ± this share of it, so that callers do not come back together.
const JITTER_PERCENT: u64 = 20;

/// More doublings than this reach every `open_max` there can be.
const DOUBLINGS_MAX: u32 = 32;

impl Breaker {
    /// Lets an operator decide, or the breaker again. A change begins closed (or forced open), with
    /// nothing counted; the mode that is set already changes nothing.
    pub fn set_mode(&self, mode: Mode, now: Moment) {
        let mut journal = self.journal();
        let word = self.word();
        if word.mode() == mode {
            return;
        }
        journal.doublings = 0;
        let state = if mode == Mode::ForcedOpen { State::Open } else { State::Closed };
        self.begin(Word::new(mode, state, word.generation() + 1, millis(now)));
        journal.note(Change::Mode { from: word.mode(), to: mode }, self.counters.refused(), now);
    }

    /// Closes, with nothing counted and every opening forgotten; back to [`Mode::Auto`].
    pub fn reset(&self, now: Moment) {
        self.set_mode(Mode::Auto, now);
        let mut journal = self.journal();
        let word = self.word();
        if word.mode() == Mode::Auto {
            journal.doublings = 0;
            self.change(&mut journal, word, (State::Closed, Cause::Operator), now);
        }
    }

    /// What is kept of the events after that sequence number, oldest first; 0 for all.
    pub fn events(&self, after: u64) -> Vec<Event> {
        self.journal().after(after)
    }

    /// The longest that it can be open, chance included.
    pub(super) const fn open_longest_ms(&self) -> u64 {
        self.limits.open_max_ms + self.limits.open_max_ms * JITTER_PERCENT / 100
    }

    /// The state that was seen is over: on to the next.
    pub(super) fn move_on(&self, seen: Word, now: Moment) {
        let mut journal = self.journal();
        if self.word() != seen {
            return;
        }
        let tally = self.probes.tally(seen.generation());
        let (to, cause) = match seen.state() {
            State::Closed => return,
            State::Open => (State::HalfOpen, Cause::OpenEnded),
            State::Ramping => (State::Closed, Cause::RampEnded),
            State::HalfOpen if tally.out() > 0 => (State::Open, Cause::ProbesLost),
            // Few calls come; those that did were answered.
            State::HalfOpen if tally.succeeded > 0 => (State::Ramping, Cause::ProbesSucceeded),
            State::HalfOpen => (State::HalfOpen, Cause::NoProbes),
        };
        self.change(&mut journal, seen, (to, cause), now);
    }

    /// A probe is back: one that failed opens again, the last that succeeded begins the ramp.
    pub(super) fn settle_probe(
        &self,
        pass: Pass,
        failed: bool,
        retry_after: Option<Duration>,
        now: Moment,
    ) {
        if failed {
            self.heed(retry_after, now);
            self.leave(pass.generation, State::Open, Cause::ProbeFailed, now);
        } else if self.probes.succeed(pass.generation) >= Some(self.config.half_open_calls) {
            self.leave(pass.generation, State::Ramping, Cause::ProbesSucceeded, now);
        }
    }

    /// A call failed or was slow: opens if that is one too many.
    pub(super) fn judge(&self, pass: Pass, rows: Rows, retry_after: Option<Duration>, now: Moment) {
        self.heed(retry_after, now);
        if self.mode() != Mode::Auto {
            return;
        }
        let config = &self.config;
        let cause = if rows.failures >= config.failures_in_a_row {
            Cause::FailuresInARow
        } else if rows.timeouts >= config.timeouts_in_a_row {
            Cause::TimeoutsInARow
        } else {
            let counts = self.window.sum(pass.generation, now);
            if counts.calls < config.minimum_calls {
                return;
            } else if counts.reach(counts.failed, config.failure_rate_percent) {
                Cause::FailureRate
            } else if counts.reach(counts.slow, config.slow_call_rate_percent) {
                Cause::SlowCallRate
            } else {
                return;
            }
        };
        self.leave(pass.generation, State::Open, cause, now);
    }

    /// Remembers until when the other side wants to be left alone, as far as that is believed.
    fn heed(&self, retry_after: Option<Duration>, now: Moment) {
        if let Some(wait) = retry_after {
            let until = now.after(wait.min(self.config.open_max));
            self.alone_until_ms.fetch_max(millis(until), Ordering::AcqRel);
        }
    }

    /// On to another state, if that generation still lasts.
    fn leave(&self, generation: u32, to: State, cause: Cause, now: Moment) {
        let mut journal = self.journal();
        let word = self.word();
        if word.generation() == generation && word.mode() == Mode::Auto && word.state() != to {
            self.change(&mut journal, word, (to, cause), now);
        }
    }

    fn change(&self, journal: &mut Journal, from: Word, (to, cause): (State, Cause), now: Moment) {
        let now_ms = millis(now);
        let ramped =
            from.state() == State::Ramping && to == State::Closed && cause != Cause::Operator;
        let generation = if ramped { from.generation() } else { from.generation() + 1 };
        let at_ms = match to {
            State::Closed => now_ms,
            State::Open => self.open_until(journal, from, now_ms),
            State::HalfOpen => now_ms.saturating_add(self.limits.half_open_ms),
            State::Ramping => now_ms.saturating_add(self.limits.ramp_ms),
        };
        self.begin(Word::new(Mode::Auto, to, generation, at_ms));
        let change = Change::State { from: from.state(), to, cause };
        journal.note(change, self.counters.refused(), now);
    }

    /// Publishes the word, after what its readers rely on.
    fn begin(&self, word: Word) {
        match word.state() {
            State::HalfOpen => self.probes.begin(word.generation()),
            State::Ramping => self.tickets.store(0, Ordering::Relaxed),
            State::Open | State::Closed => {}
        }
        self.word.store(word.0, Ordering::Release);
    }

    /// When the opening that begins now ends.
    fn open_until(&self, journal: &mut Journal, from: Word, now_ms: u64) -> u64 {
        let well_ms = now_ms.saturating_sub(from.at_ms());
        if from.state() == State::Closed && well_ms >= self.limits.window_ms {
            journal.doublings = 0;
        }
        let doubled = self.limits.open_ms.saturating_mul(1 << journal.doublings.min(DOUBLINGS_MAX));
        journal.doublings = (journal.doublings + 1).min(DOUBLINGS_MAX);
        journal.openings += 1;
        let open_ms =
            jittered(doubled.min(self.limits.open_max_ms), self.config.seed, journal.openings);
        let alone_ms = self.alone_until_ms.load(Ordering::Acquire);
        let believed = now_ms.saturating_add(self.limits.open_max_ms);
        now_ms.saturating_add(open_ms.max(1)).max(alone_ms.min(believed))
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        // Whoever panicked while holding it left a journal that is at worst short of one event.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That time, give or take up to [`JITTER_PERCENT`], by a throw that the seed and the count of
/// openings decide.
fn jittered(ms: u64, seed: u64, throw: u64) -> u64 {
    let spread = ms * JITTER_PERCENT / 100;
    let least = ms - spread;
    least + dice(seed, throw) % (2 * spread + 1)
}

/// `SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
fn dice(seed: u64, throw: u64) -> u64 {
    let state = seed.wrapping_add(throw.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}
