//! The breaker compared with a naive one that keeps a list of all its calls.

use std::{collections::VecDeque, time::Duration};

use platform_resilience::{
    breaker::{BreakerConfig, CallOutcome, Mode, Permit, State},
    time::Moment,
};
use proptest::prelude::*;

use super::caller::{Caller, ms};

/// Small numbers, so that short sequences reach everything.
const CONFIG: BreakerConfig = BreakerConfig {
    failures_in_a_row: 4,
    timeouts_in_a_row: 2,
    minimum_calls: 6,
    failure_rate_percent: 50,
    slow_call_rate_percent: 60,
    slow_after: ms(30),
    window: ms(100),
    open_for: ms(50),
    open_max: ms(400),
    half_open_calls: 3,
    half_open_max: ms(80),
    ramp: ms(40),
    seed: 7,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter,
    Record { which: usize, outcome: CallOutcome, retry_after: Option<u64> },
    Drop { which: usize },
    Wait { millis: u64 },
    WaitOpen,
    SetMode(Mode),
    Reset,
}

fn outcomes() -> impl Strategy<Value = CallOutcome> {
    prop_oneof![
        8 => Just(CallOutcome::Success),
        4 => Just(CallOutcome::Failure),
        2 => Just(CallOutcome::Timeout),
        2 => Just(CallOutcome::Overload),
        1 => Just(CallOutcome::Cancelled),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let retry_after = prop_oneof![4 => Just(None), 1 => (0_u64..1_000).prop_map(Some)];
    let mode = prop_oneof![
        4 => Just(Mode::Auto),
        1 => Just(Mode::ForcedOpen),
        1 => Just(Mode::ForcedClosed),
        1 => Just(Mode::MetricsOnly),
    ];
    prop_oneof![
        40 => Just(Step::Enter),
        40 => (0_usize..8, outcomes(), retry_after)
            .prop_map(|(which, outcome, retry_after)| Step::Record { which, outcome, retry_after }),
        5 => (0_usize..8).prop_map(|which| Step::Drop { which }),
        15 => (0_u64..45).prop_map(|millis| Step::Wait { millis }),
        8 => Just(Step::WaitOpen),
        1 => (1_000_u64..100_000).prop_map(|millis| Step::Wait { millis }),
        1 => mode.prop_map(Step::SetMode),
        1 => Just(Step::Reset),
    ]
}

struct Call {
    generation: u64,
    at: u64,
    failed: bool,
    slow: bool,
}

/// As the breaker, in milliseconds, with lists.
struct Model {
    mode: Mode,
    state: State,
    /// When Closed began; when the others end.
    at: u64,
    generation: u64,
    taken: u16,
    succeeded: u16,
    ramp_calls: u64,
    calls: Vec<Call>,
    failures: u32,
    timeouts: u32,
    doublings: u32,
}

/// A call in flight, as the model sees it.
#[derive(Clone, Copy)]
struct Flight {
    generation: u64,
    probe: bool,
    started: u64,
}

fn millis(duration: Duration) -> u64 {
    duration.as_secs() * 1_000 + u64::from(duration.subsec_millis())
}

impl Model {
    const fn new() -> Self {
        Self {
            mode: Mode::Auto,
            state: State::Closed,
            at: 0,
            generation: 0,
            taken: 0,
            succeeded: 0,
            ramp_calls: 0,
            calls: Vec::new(),
            failures: 0,
            timeouts: 0,
            doublings: 0,
        }
    }

    fn to(&mut self, state: State, now: u64) {
        if (self.state, state) != (State::Ramping, State::Closed) {
            self.generation += 1;
            (self.failures, self.timeouts) = (0, 0);
        }
        if state == State::Open {
            if self.state == State::Closed && now - self.at >= millis(CONFIG.window) {
                self.doublings = 0;
            }
            self.doublings += 1;
        }
        (self.taken, self.succeeded, self.ramp_calls) = (0, 0, 0);
        self.state = state;
        self.at = match state {
            State::Closed => now,
            State::Open => u64::MAX, // Random: the test reads it from the breaker.
            State::HalfOpen => now + millis(CONFIG.half_open_max),
            State::Ramping => now + millis(CONFIG.ramp),
        };
    }

    /// A new generation, even where Closed would go on with the counts of Ramping.
    fn begin_generation(&mut self) {
        self.generation += 1;
        (self.failures, self.timeouts) = (0, 0);
    }

    fn move_on(&mut self, now: u64) {
        while self.mode == Mode::Auto && self.state != State::Closed && now >= self.at {
            let next = match self.state {
                State::HalfOpen if self.taken > self.succeeded => State::Open,
                State::HalfOpen if self.succeeded > 0 => State::Ramping,
                State::Open | State::HalfOpen => State::HalfOpen,
                State::Ramping | State::Closed => State::Closed,
            };
            self.to(next, now);
        }
    }

    fn enter(&mut self, now: u64) -> Option<Flight> {
        self.move_on(now);
        let flight = |probe| Some(Flight { generation: self.generation, probe, started: now });
        match (self.mode, self.state) {
            (Mode::ForcedOpen, _) | (_, State::Open) => None,
            (_, State::Closed) => flight(false),
            (_, State::HalfOpen) if self.taken == CONFIG.half_open_calls => None,
            (_, State::HalfOpen) => {
                let flight = flight(true);
                self.taken += 1;
                flight
            }
            (_, State::Ramping) => {
                let quarter = (millis(CONFIG.ramp) - (self.at - now)) * 4 / millis(CONFIG.ramp);
                let every = [10, 4, 2, 1][usize::try_from(quarter).unwrap()];
                let flight = flight(false);
                self.ramp_calls += 1;
                // Evenly spread, the first one always.
                (self.ramp_calls - 1).is_multiple_of(every).then_some(flight).flatten()
            }
        }
    }

    fn end(&mut self, flight: Flight, outcome: CallOutcome, now: u64) {
        if flight.generation != self.generation || self.mode == Mode::ForcedClosed {
            return;
        }
        if outcome == CallOutcome::Cancelled {
            self.taken -= u16::from(flight.probe);
            return;
        }
        let (failed, slow) =
            (outcome != CallOutcome::Success, now - flight.started >= millis(CONFIG.slow_after));
        self.calls.push(Call { generation: self.generation, at: now, failed, slow });
        match outcome {
            CallOutcome::Success => (self.failures, self.timeouts) = (0, 0),
            CallOutcome::Failure => (self.failures, self.timeouts) = (self.failures + 1, 0),
            CallOutcome::Timeout => {
                (self.failures, self.timeouts) = (self.failures + 1, self.timeouts + 1);
            }
            CallOutcome::Overload | CallOutcome::Cancelled => {}
        }
        if flight.probe {
            self.succeeded += u16::from(!(failed || slow));
            if failed || slow {
                self.to(State::Open, now);
            } else if self.succeeded == CONFIG.half_open_calls {
                self.to(State::Ramping, now);
            }
        } else if self.mode == Mode::Auto && (failed || slow) && self.should_open(now) {
            self.to(State::Open, now);
        }
    }

    fn should_open(&self, now: u64) -> bool {
        let (calls, failed, slow) = self.counts(now);
        self.failures >= CONFIG.failures_in_a_row
            || self.timeouts >= CONFIG.timeouts_in_a_row
            || calls >= CONFIG.minimum_calls && (failed * 2 >= calls || slow * 10 >= calls * 6)
    }

    fn counts(&self, now: u64) -> (u32, u32, u32) {
        let bucket = |at: u64| at / (millis(CONFIG.window) / 10);
        let recent = self.calls.iter().filter(|call| {
            call.generation == self.generation && bucket(call.at) + 10 > bucket(now)
        });
        recent.fold((0, 0, 0), |(calls, failed, slow), call| {
            (calls + 1, failed + u32::from(call.failed), slow + u32::from(call.slow))
        })
    }
}

/// Both breakers.
struct Both {
    caller: Caller,
    model: Model,
    flights: VecDeque<(Permit, Flight)>,
    now: u64,
}

impl Both {
    fn step(&mut self, step: Step) {
        match step {
            Step::Enter => match (self.caller.enter(), self.model.enter(self.now)) {
                (Ok(permit), Some(flight)) => {
                    assert_eq!(permit.is_probe(), flight.probe);
                    self.flights.push_back((permit, flight));
                }
                (Err(_), None) => {}
                (real, _) => panic!("the breaker decided {real:?}, the model the opposite"),
            },
            Step::Record { which, outcome, retry_after } => {
                if let Some((permit, flight)) = self.take(which) {
                    permit.record(outcome, retry_after.map(ms), self.caller.now);
                    self.model.end(flight, outcome, self.now);
                }
            }
            Step::Drop { which } => {
                if let Some((permit, flight)) = self.take(which) {
                    drop(permit);
                    self.model.end(flight, CallOutcome::Cancelled, self.now);
                }
            }
            Step::Wait { millis } => self.wait(millis),
            Step::WaitOpen if self.model.state == State::Open && self.model.mode == Mode::Auto => {
                self.wait(self.model.at.saturating_sub(self.now));
            }
            Step::WaitOpen => {}
            Step::SetMode(mode) => {
                self.caller.breaker.set_mode(mode, self.caller.now);
                self.set_mode(mode);
            }
            Step::Reset => {
                self.caller.breaker.reset(self.caller.now);
                self.set_mode(Mode::Auto);
                self.model.begin_generation();
                self.model.to(State::Closed, self.now);
                self.model.doublings = 0;
            }
        }
        self.learn_open();
        self.compare();
    }

    fn set_mode(&mut self, mode: Mode) {
        if self.model.mode != mode {
            self.model.mode = mode;
            self.model.begin_generation();
            let forced = mode == Mode::ForcedOpen;
            self.model.to(if forced { State::Open } else { State::Closed }, self.now);
            self.model.doublings = 0;
        }
    }

    fn take(&mut self, which: usize) -> Option<(Permit, Flight)> {
        self.flights.remove(which)
    }

    fn wait(&mut self, millis: u64) {
        self.now += millis;
        self.caller.wait(ms(millis));
    }

    /// The open time is random; the model takes it if it is in the valid range.
    fn learn_open(&mut self) {
        if self.model.state == State::Open
            && self.model.mode == Mode::Auto
            && self.model.at == u64::MAX
        {
            let wait = self.caller.breaker.check(self.caller.now).unwrap_err().retry_after;
            let doubled = CONFIG.open_for * 2_u32.pow(self.model.doublings.min(10) - 1);
            let least = doubled.min(CONFIG.open_max) * 8 / 10;
            assert!((least..=CONFIG.open_max * 12 / 10).contains(&wait), "{wait:?} < {least:?}");
            self.model.at = self.now + millis(wait);
        }
    }

    fn compare(&self) {
        let snapshot = self.caller.breaker.snapshot(self.caller.now);
        let model = &self.model;
        assert_eq!(
            (snapshot.buffered_calls, snapshot.failed_calls, snapshot.slow_calls),
            model.counts(self.now),
        );
        assert_eq!(
            (snapshot.failures_in_a_row, snapshot.timeouts_in_a_row),
            (model.failures, model.timeouts),
        );
        assert_eq!(snapshot.mode, model.mode);
        if self.now < model.at || model.state == State::Closed {
            assert_eq!(snapshot.state, model.state);
        }
        let out = self
            .flights
            .iter()
            .filter(|(_, f)| f.probe && f.generation == model.generation)
            .count();
        assert_eq!(usize::from(snapshot.probes_out), out);
        assert!(out <= usize::from(CONFIG.half_open_calls));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_naive_breaker_does(steps in prop::collection::vec(steps(), 0..120)) {
        let caller = Caller::with(CONFIG);
        let now = millis(caller.now.since(Moment::default()));
        let mut both = Both { caller, model: Model::new(), flights: VecDeque::new(), now };
        for step in steps {
            both.step(step);
        }
        both.flights.clear();
        both.model.taken = both.model.succeeded;
        both.compare();
    }
}
