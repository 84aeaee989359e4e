//! The circuit breaker: stops asking who does not answer, and finds out when it does again.
//!
//! ```text
//!           rows, rates                 open_for passed              all probes succeeded
//!  Closed ───────────────▶ Open ───────────────▶ HalfOpen ───────────────▶ Ramping ──▶ Closed
//!                           ▲ ▲                      │                        │   ramp passed
//!                           │ └──── a probe failed ──┘                        │
//!                           └───────────────────── rows, rates ───────────────┘
//! ```
//!
//! No timer moves it: every call derives the state from the moment it comes in, so it cannot stay
//! open because a task died. Nothing on the closed path takes a lock or allocates; changes of
//! state take one.
//!
//! Each change to Open, `HalfOpen` or Ramping begins a generation, and an answer counts only in the
//! generation that its call began in: what was asked before the outage says nothing about after.
//! Closed goes on with what Ramping has seen, or a server that hangs would be seen too late.
//!
//! Two kinds of signal, because each misses what the other sees: rows see an outage within a few
//! calls, rates see a server that fails every other call and would never fail five in a row.

mod change;
mod config;
mod events;
mod permit;
mod probes;
mod snapshot;
mod streaks;
mod window;
mod word;

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    sync::{AtomicU64, Mutex, Ordering},
    time::{Moment, nanos},
};

pub use config::{
    BreakerConfig, DURATION_MAX, DURATION_MIN, HALF_OPEN_CALLS_MAX, InvalidConfig, WINDOW_MIN,
};
pub use events::{Cause, Change, EVENTS_MAX, Event};
pub use permit::Permit;
pub use snapshot::{Snapshot, Totals};

use events::Journal;
use permit::Pass;
use probes::{Place, Probes};
use snapshot::Counters;
use streaks::Streaks;
use window::{Call, Window};
use word::Word;

/// Who decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The breaker.
    #[default]
    Auto,
    /// An operator: nobody is let through.
    ForcedOpen,
    /// An operator: everybody is let through, and only the totals count.
    ForcedClosed,
    /// An operator: everybody is let through; rates are counted and shown.
    MetricsOnly,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is let through.
    Closed,
    /// It is refused.
    Open,
    /// It is let through if it is one of the few that find out.
    HalfOpen,
    /// A growing share is let through.
    Ramping,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An answer, a refusal by the rules of the domain too ("sold out").
    Success,
    /// A hard failure: no connection, a broken one, a 5xx.
    Failure,
    /// No answer in time: a hard failure too.
    Timeout,
    /// The other side said that it is too much (429, 503): counts for the rate, not for a row.
    Overload,
    /// The caller gave up: says nothing about the other side.
    Cancelled,
}

/// The call was not let through; nothing was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the circuit is open; try again in {retry_after:?}")]
pub struct Refused {
    /// When it may be worth trying again.
    pub retry_after: Duration,
}

/// A circuit breaker. Shared by everybody who calls the same endpoint.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    limits: Limits,
    word: AtomicU64,
    streaks: Streaks,
    /// Until when the other side asked to be left alone, in milliseconds.
    alone_until_ms: AtomicU64,
    window: Window,
    probes: Probes,
    /// Calls that asked while it ramps.
    tickets: AtomicU64,
    counters: Counters,
    journal: Mutex<Journal>,
}

/// Durations of the configuration in the unit that they are compared in.
#[derive(Clone, Copy, Debug)]
struct Limits {
    slow_nanos: u64,
    window_ms: u64,
    open_ms: u64,
    open_max_ms: u64,
    half_open_ms: u64,
    ramp_ms: u64,
}

impl Breaker {
    /// A closed breaker in [`Mode::Auto`].
    pub fn new(config: BreakerConfig) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let limits = Limits {
            slow_nanos: nanos(config.slow_after),
            window_ms: ms(config.window),
            open_ms: ms(config.open_for),
            open_max_ms: ms(config.open_max),
            half_open_ms: ms(config.half_open_max),
            ramp_ms: ms(config.ramp),
        };
        Ok(Self {
            config,
            limits,
            word: AtomicU64::new(Word::new(Mode::Auto, State::Closed, 0, 0).0),
            streaks: Streaks::new(),
            alone_until_ms: AtomicU64::new(0),
            window: Window::new(nanos(config.window)),
            probes: Probes::new(),
            tickets: AtomicU64::new(0),
            counters: Counters::new(),
            journal: Mutex::new(Journal::new()),
        })
    }

    /// Lets a call through, or says when to come back. The permit keeps the breaker alive.
    #[inline]
    pub fn enter(self: &Arc<Self>, now: Moment) -> Result<Permit, Refused> {
        let pass = self.pass(now)?;
        Ok(Permit::new(Arc::clone(self), pass))
    }

    /// As [`Breaker::enter`], for callers that borrow the breaker.
    #[inline]
    pub fn enter_ref(&self, now: Moment) -> Result<Permit<&Self>, Refused> {
        let pass = self.pass(now)?;
        Ok(Permit::new(self, pass))
    }

    /// Whether a call would be let through now. Takes nothing, so the call may be refused after
    /// all; a refusal here counts as a refused call.
    #[inline]
    pub fn check(&self, now: Moment) -> Result<(), Refused> {
        self.forecast(now).inspect_err(|_| self.counters.refuse())
    }

    /// As [`Breaker::check`], for whoever only looks: nothing is counted.
    #[inline]
    pub fn admits(&self, now: Moment) -> bool {
        self.forecast(now).is_ok()
    }

    /// The state as the next call would find it.
    pub fn state(&self, now: Moment) -> State {
        let word = self.word();
        let over = |longest_ms| word.remaining_ms(now, longest_ms).is_none();
        match (word.mode(), word.state()) {
            (Mode::Auto, State::Open) if over(self.open_longest_ms()) => State::HalfOpen,
            (Mode::Auto, State::Ramping) if over(self.limits.ramp_ms) => State::Closed,
            (_, state) => state,
        }
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.word().mode()
    }

    /// What it was made with.
    pub const fn config(&self) -> &BreakerConfig {
        &self.config
    }

    /// Everything a page of metrics shows.
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let word = self.word();
        let generation = word.generation();
        let counts = self.window.sum(generation, now);
        let rows = self.streaks.rows(generation);
        let minimum = self.config.minimum_calls;
        Snapshot {
            state: self.state(now),
            mode: word.mode(),
            generation,
            buffered_calls: counts.calls,
            failed_calls: counts.failed,
            slow_calls: counts.slow,
            slow_failed_calls: counts.slow_failed,
            failure_rate: snapshot::rate(counts, counts.failed, minimum),
            slow_call_rate: snapshot::rate(counts, counts.slow, minimum),
            failures_in_a_row: rows.failures,
            timeouts_in_a_row: rows.timeouts,
            probes_out: self.probes.tally(generation).out(),
            totals: self.counters.totals(),
        }
    }

    #[inline]
    fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    #[inline]
    fn pass(&self, now: Moment) -> Result<Pass, Refused> {
        let word = self.word();
        if word.state() == State::Closed {
            return Ok(Pass { generation: word.generation(), probe: false, started: now });
        }
        self.pass_unless_open(now).inspect_err(|_| self.counters.refuse())
    }

    /// The other states: moves on if the clock says so, and decides.
    #[cold]
    fn pass_unless_open(&self, now: Moment) -> Result<Pass, Refused> {
        // Each turn decides or finds that the state has changed; a few changes at most lie
        // between Open and Closed.
        loop {
            let word = self.word();
            let generation = word.generation();
            let pass = |probe| Ok(Pass { generation, probe, started: now });
            if word.mode() == Mode::ForcedOpen {
                return Err(Refused { retry_after: self.config.open_max });
            }
            let Some(remaining) = self.remaining(word, now) else {
                self.move_on(word, now);
                continue;
            };
            match word.state() {
                State::Closed => return pass(false),
                State::HalfOpen => {
                    match self.probes.take(generation, self.config.half_open_calls) {
                        Place::Taken => return pass(true),
                        Place::Full => return Err(self.refused_by_probes(remaining)),
                        Place::Over => {}
                    }
                }
                State::Ramping if self.draws(remaining) => return pass(false),
                State::Open | State::Ramping => {
                    return Err(Refused { retry_after: remaining });
                }
            }
        }
    }

    /// As [`Breaker::pass`], but only looks.
    #[inline]
    fn forecast(&self, now: Moment) -> Result<(), Refused> {
        let word = self.word();
        if word.state() == State::Closed {
            return Ok(());
        }
        if word.mode() == Mode::ForcedOpen {
            return Err(Refused { retry_after: self.config.open_max });
        }
        match (word.state(), self.remaining(word, now)) {
            (State::Open, Some(remaining)) => Err(Refused { retry_after: remaining }),
            (State::HalfOpen, Some(remaining)) => {
                let taken = self.probes.tally(word.generation()).taken;
                if taken < self.config.half_open_calls {
                    Ok(())
                } else {
                    Err(self.refused_by_probes(remaining))
                }
            }
            // Ramping draws lots when the call comes: who only looks must not be told no, or
            // nobody would ever draw.
            _ => Ok(()),
        }
    }

    /// How long the state lasts; `None` when it is over. Closed does not end by itself.
    fn remaining(&self, word: Word, now: Moment) -> Option<Duration> {
        let longest_ms = match word.state() {
            State::Closed => return Some(Duration::ZERO),
            State::Open => self.open_longest_ms(),
            State::HalfOpen => self.limits.half_open_ms,
            State::Ramping => self.limits.ramp_ms,
        };
        word.remaining_ms(now, longest_ms).map(Duration::from_millis)
    }

    /// Probes are out and will decide soon: nobody need wait for the end of half-open.
    fn refused_by_probes(&self, remaining: Duration) -> Refused {
        Refused { retry_after: remaining.min(self.config.open_for) }
    }

    /// Whether this call is in the share that a ramp lets through: evenly spread, the first one
    /// always.
    fn draws(&self, remaining: Duration) -> bool {
        let remaining_ms = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        let quarters_left = (remaining_ms * 4).div_ceil(self.limits.ramp_ms.max(1));
        let percent = match quarters_left {
            0 | 1 => 100,
            2 => 50,
            3 => 25,
            _ => 10,
        };
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        ((ticket + 1) * percent).div_ceil(100) > (ticket * percent).div_ceil(100)
    }

    /// What came of a call.
    #[inline]
    fn settle(&self, pass: Pass, answer: Answer, retry_after: Option<Duration>, now: Moment) {
        if answer == Answer::Cancelled {
            return self.cancel(pass);
        }
        self.counters.count(answer);
        let word = self.word();
        if word.generation() != pass.generation || word.mode() == Mode::ForcedClosed {
            return;
        }
        let failed = answer != Answer::Success;
        let slow = now.as_nanos().saturating_sub(pass.started.as_nanos()) >= self.limits.slow_nanos;
        let still = || self.word().generation() == pass.generation;
        if !self.window.count(pass.generation, Call { failed, slow }, now, still) {
            return;
        }
        let Some(rows) = self.streaks.count(pass.generation, answer, still) else {
            return;
        };
        if pass.probe {
            self.settle_probe(pass, failed || slow, retry_after, now);
        } else if failed || slow {
            self.judge(pass, rows, retry_after, now);
        }
    }

    /// The caller gave up: a probe gives its place back.
    fn cancel(&self, pass: Pass) {
        self.counters.count(Answer::Cancelled);
        if pass.probe {
            self.probes.give_back(pass.generation);
        }
    }
}
