//! The state machine of the breaker. Takes the time as an argument; knows no lock and no clock.

use std::{collections::VecDeque, time::Duration};

use fastrand::Rng;

use crate::{
    breaker::{
        config::BreakerConfig,
        counts::Counts,
        state::{
            BreakerEvent, BreakerSnapshot, CallOutcome, CallTotals, Cause, Change,
            CircuitOpenError, Mode, State,
        },
    },
    time::{Moment, nanos},
    window::Window,
};

/// Events that are kept.
pub const EVENTS_MAX: usize = 100;

/// An open time is spread over ± this share of it, so that callers do not retry at the same moment.
const JITTER_PERCENT: u64 = 20;

/// More doublings than this exceed every valid `open_max`.
const DOUBLINGS_MAX: u32 = 31;

/// A permitted call, as the circuit needs it when the call ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) generation: u32,
    pub(super) is_probe: bool,
    pub(super) started_at: Moment,
}

#[derive(Debug)]
pub(super) struct Circuit {
    config: BreakerConfig,
    mode: Mode,
    state: State,
    entered_at: Moment,
    /// When the state ends by itself; means nothing for Closed.
    ends_at: Moment,
    /// Calls of an earlier generation are not counted.
    generation: u32,
    window: Window<Counts>,
    failures_in_a_row: u32,
    timeouts_in_a_row: u32,
    probes_started: u16,
    probes_succeeded: u16,
    /// Calls while ramping, permitted or not.
    ramp_calls: u64,
    /// Openings since the circuit was closed for a whole window: each doubles the open time.
    doublings: u32,
    /// The latest `Retry-After` of the endpoint: the next opening lasts at least until then.
    retry_not_before: Moment,
    totals: CallTotals,
    events: VecDeque<BreakerEvent>,
    /// The total of refused calls at the last event.
    refused_before: u64,
    rng: Rng,
}

impl Circuit {
    pub(super) fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            mode: Mode::Auto,
            state: State::Closed,
            entered_at: Moment::default(),
            ends_at: Moment::default(),
            generation: 0,
            window: Window::new(config.window),
            failures_in_a_row: 0,
            timeouts_in_a_row: 0,
            probes_started: 0,
            probes_succeeded: 0,
            ramp_calls: 0,
            doublings: 0,
            retry_not_before: Moment::default(),
            totals: CallTotals::default(),
            events: VecDeque::new(),
            refused_before: 0,
            rng: Rng::with_seed(config.seed),
        }
    }

    /// Permits a call or refuses it, having changed to the state that is due.
    pub(super) fn enter(&mut self, now: Moment) -> Result<Call, CircuitOpenError> {
        if self.mode == Mode::Auto {
            while self.remaining(now).is_none() {
                self.move_on(now);
            }
        }
        if let Err(refused) = self.check(now) {
            return Err(self.refused(refused));
        }
        if self.state == State::Ramping && !self.is_in_ramp_share(now) {
            return Err(self.refused(CircuitOpenError { retry_after: self.ends_at.since(now) }));
        }
        let is_probe = self.state == State::HalfOpen;
        self.probes_started += u16::from(is_probe);
        Ok(Call { generation: self.generation, is_probe, started_at: now })
    }

    /// Whether a call would be permitted. A ramp counts as yes: the share is decided when the call
    /// comes, and callers that only check must not stop calling.
    pub(super) fn check(&self, now: Moment) -> Result<(), CircuitOpenError> {
        if self.mode == Mode::ForcedOpen {
            return Err(CircuitOpenError { retry_after: self.config.open_max });
        }
        match (self.state, self.remaining(now)) {
            (State::Open, Some(retry_after)) => Err(CircuitOpenError { retry_after }),
            (State::HalfOpen, Some(remaining))
                if self.probes_started >= self.config.half_open_calls =>
            {
                // The probes decide soon: callers need not wait for the end of half-open.
                Err(CircuitOpenError { retry_after: remaining.min(self.config.open_for) })
            }
            (State::Closed | State::Open | State::HalfOpen | State::Ramping, _) => Ok(()),
        }
    }

    /// Counts a refused call.
    fn refused(&mut self, error: CircuitOpenError) -> CircuitOpenError {
        self.totals.refused += 1;
        error
    }

    /// Counts how a call ended; `retry_after` is what the endpoint asked for, if it did.
    pub(super) fn record(
        &mut self,
        call: Call,
        outcome: CallOutcome,
        retry_after: Option<Duration>,
        now: Moment,
    ) {
        self.totals.record(outcome);
        if call.generation != self.generation || self.mode == Mode::ForcedClosed {
            return;
        }
        match outcome {
            CallOutcome::Cancelled => {
                self.probes_started -= u16::from(call.is_probe);
                return;
            }
            CallOutcome::Success => (self.failures_in_a_row, self.timeouts_in_a_row) = (0, 0),
            CallOutcome::Failure => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                self.timeouts_in_a_row = 0;
            }
            CallOutcome::Timeout => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                self.timeouts_in_a_row = self.timeouts_in_a_row.saturating_add(1);
            }
            // An endpoint that answers "overloaded" is alive, but not known to be healthy.
            CallOutcome::Overload => {}
        }
        let failed = outcome != CallOutcome::Success;
        let slow = now.since(call.started_at) >= self.config.slow_after;
        self.window.current(now).record(failed, slow);
        if failed || slow {
            self.obey(retry_after, now);
            if call.is_probe {
                self.change(State::Open, Cause::ProbeFailed, now);
            } else if self.mode == Mode::Auto
                && let Some(cause) = self.reason_to_open(now)
            {
                self.change(State::Open, cause, now);
            }
        } else if call.is_probe {
            self.probes_succeeded += 1;
            if self.probes_succeeded >= self.config.half_open_calls {
                self.change(State::Ramping, Cause::ProbesSucceeded, now);
            }
        }
    }

    pub(super) fn set_mode(&mut self, mode: Mode, now: Moment) {
        if self.mode == mode {
            return;
        }
        let change = Change::Mode { from: self.mode, to: mode };
        self.mode = mode;
        self.state = if mode == Mode::ForcedOpen { State::Open } else { State::Closed };
        (self.entered_at, self.ends_at) = (now, now);
        self.doublings = 0;
        self.begin_generation();
        self.append(change, now);
    }

    pub(super) fn reset(&mut self, now: Moment) {
        self.set_mode(Mode::Auto, now);
        self.doublings = 0;
        self.change(State::Closed, Cause::Operator, now);
    }

    /// The state that the next call would find.
    pub(super) fn state(&self, now: Moment) -> State {
        match (self.mode, self.state, self.remaining(now)) {
            (Mode::Auto, State::Open, None) => State::HalfOpen,
            (Mode::Auto, State::Ramping, None) => State::Closed,
            (_, state, _) => state,
        }
    }

    pub(super) fn events(&self) -> Vec<BreakerEvent> {
        self.events.iter().copied().collect()
    }

    pub(super) fn snapshot(&self, now: Moment) -> BreakerSnapshot {
        let counts = self.counts(now);
        let minimum = self.config.minimum_calls;
        BreakerSnapshot {
            state: self.state(now),
            mode: self.mode,
            generation: self.generation,
            buffered_calls: counts.calls,
            failed_calls: counts.failed,
            slow_calls: counts.slow,
            slow_failed_calls: counts.slow_failed,
            failure_rate: counts.rate(counts.failed, minimum),
            slow_call_rate: counts.rate(counts.slow, minimum),
            failures_in_a_row: self.failures_in_a_row,
            timeouts_in_a_row: self.timeouts_in_a_row,
            probes_out: self.probes_started - self.probes_succeeded,
            totals: self.totals,
        }
    }

    fn counts(&self, now: Moment) -> Counts {
        self.window.recent(now).fold(Counts::default(), |sum, counts| sum + counts)
    }

    /// How long the state lasts; `None` when it is over. Closed does not end by itself. A state
    /// that would last more than twice as long as it can was entered by a clock that has since gone
    /// back: it is over too, or it would last for as long as the clock went back.
    fn remaining(&self, now: Moment) -> Option<Duration> {
        let longest = match self.state {
            State::Closed => return Some(Duration::ZERO),
            State::Open => self.config.open_max * 12 / 10,
            State::HalfOpen => self.config.half_open_max,
            State::Ramping => self.config.ramp,
        };
        let remaining = self.ends_at.since(now);
        (!remaining.is_zero() && remaining <= longest * 2).then_some(remaining)
    }

    /// The state is over: changes to the next one.
    fn move_on(&mut self, now: Moment) {
        let (to, cause) = match self.state {
            State::Closed => return,
            State::Open => (State::HalfOpen, Cause::OpenEnded),
            State::Ramping => (State::Closed, Cause::RampEnded),
            State::HalfOpen if self.probes_started > self.probes_succeeded => {
                (State::Open, Cause::ProbesLost)
            }
            // Few calls come, and all that came succeeded.
            State::HalfOpen if self.probes_succeeded > 0 => {
                (State::Ramping, Cause::ProbesSucceeded)
            }
            State::HalfOpen => (State::HalfOpen, Cause::NoProbes),
        };
        self.change(to, cause, now);
    }

    fn reason_to_open(&self, now: Moment) -> Option<Cause> {
        let config = &self.config;
        if self.failures_in_a_row >= config.failures_in_a_row {
            return Some(Cause::FailuresInARow);
        }
        if self.timeouts_in_a_row >= config.timeouts_in_a_row {
            return Some(Cause::TimeoutsInARow);
        }
        let counts = self.counts(now);
        if counts.calls < config.minimum_calls {
            None
        } else if counts.reaches(counts.failed, config.failure_rate_percent) {
            Some(Cause::FailureRate)
        } else if counts.reaches(counts.slow, config.slow_call_rate_percent) {
            Some(Cause::SlowCallRate)
        } else {
            None
        }
    }

    /// Remembers the `Retry-After` of the endpoint, up to `open_max`.
    fn obey(&mut self, retry_after: Option<Duration>, now: Moment) {
        if let Some(wait) = retry_after {
            let until = now.after(wait.min(self.config.open_max));
            self.retry_not_before = self.retry_not_before.max(until);
        }
    }

    fn change(&mut self, to: State, cause: Cause, now: Moment) {
        let from = self.state;
        // Closed goes on with the counts of the ramp, or a server that hangs would be noticed late.
        if cause != Cause::RampEnded {
            self.begin_generation();
        }
        self.ends_at = match to {
            State::Closed => now,
            State::Open => self.open_until(now),
            State::HalfOpen => now.after(self.config.half_open_max),
            State::Ramping => now.after(self.config.ramp),
        };
        self.entered_at = now;
        self.state = to;
        self.ramp_calls = 0;
        self.append(Change::State { from, to, cause }, now);
    }

    fn append(&mut self, change: Change, now: Moment) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        let refused = self.totals.refused - self.refused_before;
        self.refused_before = self.totals.refused;
        self.events.push_back(BreakerEvent { at: now, change, refused });
    }

    fn begin_generation(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.window.clear();
        (self.failures_in_a_row, self.timeouts_in_a_row) = (0, 0);
        (self.probes_started, self.probes_succeeded) = (0, 0);
    }

    /// When the opening that begins now ends.
    fn open_until(&mut self, now: Moment) -> Moment {
        let config = self.config;
        if self.state == State::Closed && now.since(self.entered_at) >= config.window {
            self.doublings = 0;
        }
        let doubled = config.open_for.saturating_mul(1 << self.doublings);
        self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
        let open_for = jittered(doubled.min(config.open_max), &mut self.rng);
        let retry_not_before = self.retry_not_before.min(now.after(config.open_max));
        now.after(open_for).max(retry_not_before)
    }

    /// Whether this call is in the share that a ramp permits: evenly spread, the first one always.
    fn is_in_ramp_share(&mut self, now: Moment) -> bool {
        let remaining = nanos(self.ends_at.since(now));
        let percent = match (remaining * 4).div_ceil(nanos(self.config.ramp).max(1)) {
            0 | 1 => 100,
            2 => 50,
            3 => 25,
            _ => 10,
        };
        let before = self.ramp_calls;
        self.ramp_calls += 1;
        (self.ramp_calls * percent).div_ceil(100) > (before * percent).div_ceil(100)
    }
}

/// That time ± [`JITTER_PERCENT`], in whole milliseconds.
fn jittered(time: Duration, rng: &mut Rng) -> Duration {
    let ms = nanos(time) / 1_000_000;
    let spread = ms * JITTER_PERCENT / 100;
    Duration::from_millis(rng.u64(ms - spread..=ms + spread))
}
