//! A circuit breaker by the published rules of Resilience4j (its documentation, "`CircuitBreaker`"):
//! a count-based window, two rates, a fixed time open, a fixed number of calls half-open.
//!
//! In its favour, answers to calls of an earlier state do not count.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// `slidingWindowSize` and `minimumNumberOfCalls`: their defaults.
const WINDOW: usize = 100;

/// `failureRateThreshold`: the default.
const FAILURE_PERCENT: usize = 50;

/// `slowCallRateThreshold`. By default it is 100.
const SLOW_PERCENT: usize = 50;

/// `slowCallDurationThreshold`: a third of what a citizen is given. By default it is 60 s, which
/// no call here lasts.
const SLOW: Duration = Duration::from_secs(1);

/// `waitDurationInOpenState`. By default it is 60 s, which would last longer than the measurement;
/// ours opens for as long at first.
const OPEN_FOR: Duration = Duration::from_secs(1);

/// `permittedNumberOfCallsInHalfOpenState`: the default.
const HALF_OPEN_CALLS: usize = 10;

/// What a call came to.
#[derive(Clone, Copy)]
pub(super) struct Called {
    pub(super) failed: bool,
    pub(super) took: Duration,
}

/// A call that was let through, in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permit(u64);

#[derive(Default)]
pub(super) struct Breaker(Mutex<Circuit>);

/// Counts its states, so that late answers are told apart.
#[derive(Default)]
struct Circuit {
    number: u64,
    state: State,
    window: VecDeque<Called>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    HalfOpen {
        /// How many calls may still be tried.
        left: usize,
    },
}

impl Breaker {
    /// None while it is open, and while as many calls are being tried as may be.
    pub(super) fn enter(&self, now: Instant) -> Option<Permit> {
        let mut circuit = self.circuit();
        match &mut circuit.state {
            State::Closed => {}
            State::Open { until } if now < *until => return None,
            State::Open { .. } => circuit.turn(State::HalfOpen { left: HALF_OPEN_CALLS - 1 }),
            State::HalfOpen { left: 0 } => return None,
            State::HalfOpen { left } => *left -= 1,
        }
        Some(Permit(circuit.number))
    }

    pub(super) fn record(&self, permit: Permit, called: Called, now: Instant) {
        let mut circuit = self.circuit();
        if permit.0 != circuit.number {
            return;
        }
        let size = match circuit.state {
            State::Closed => WINDOW,
            State::HalfOpen { .. } => HALF_OPEN_CALLS,
            State::Open { .. } => return,
        };
        circuit.window.push_back(called);
        if circuit.window.len() > size {
            circuit.window.pop_front();
        }
        if circuit.window.len() < size {
            return;
        }
        if circuit.is_bad() {
            circuit.turn(State::Open { until: now + OPEN_FOR });
        } else if let State::HalfOpen { .. } = circuit.state {
            circuit.turn(State::Closed);
        }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn turn(&mut self, state: State) {
        self.state = state;
        self.number += 1;
        self.window.clear();
    }

    fn is_bad(&self) -> bool {
        let share = |counts: fn(&Called) -> bool| {
            self.window.iter().filter(|called| counts(called)).count() * 100 / self.window.len()
        };
        share(|called| called.failed) >= FAILURE_PERCENT
            || share(|called| called.took > SLOW) >= SLOW_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Called = Called { failed: false, took: Duration::ZERO };
    const FAILED: Called = Called { failed: true, took: Duration::ZERO };
    const LATE: Called = Called { failed: false, took: Duration::from_millis(1_001) };

    /// How many of so many calls are let through.
    fn call(breaker: &Breaker, count: usize, called: Called, now: Instant) -> usize {
        let passed = (0..count).filter_map(|_| breaker.enter(now));
        passed.map(|permit| breaker.record(permit, called, now)).count()
    }

    #[test]
    fn it_opens_when_half_of_a_full_window_failed_or_was_slow() {
        for bad in [FAILED, LATE] {
            let (breaker, now) = (Breaker::default(), Instant::now());
            assert_eq!(call(&breaker, 50, GOOD, now), 50);
            assert_eq!(call(&breaker, 49, bad, now), 49);
            assert!(breaker.enter(now).is_some(), "99 calls are no window yet");
            assert_eq!(call(&breaker, 10, bad, now), 1);
            assert_eq!(breaker.enter(now + OPEN_FOR.mul_f64(0.99)), None);
        }
    }

    #[test]
    fn it_tries_ten_calls_and_closes_or_opens_again() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        call(&breaker, WINDOW, FAILED, now);
        let later = now + OPEN_FOR;
        assert_eq!(call(&breaker, 50, FAILED, later), HALF_OPEN_CALLS);
        assert_eq!(breaker.enter(later), None);
        let later = later + OPEN_FOR;
        let tried: Vec<_> = (0..50).filter_map(|_| breaker.enter(later)).collect();
        assert_eq!(tried.len(), HALF_OPEN_CALLS);
        for permit in tried {
            breaker.record(permit, GOOD, later);
        }
        assert_eq!(call(&breaker, 50, GOOD, later), 50);
    }

    #[test]
    fn answers_to_calls_of_an_earlier_state_do_not_count() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let early: Vec<_> = (0..50).filter_map(|_| breaker.enter(now)).collect();
        call(&breaker, WINDOW, FAILED, now);
        let later = now + OPEN_FOR;
        let tried: Vec<_> = (0..50).filter_map(|_| breaker.enter(later)).collect();
        for permit in early {
            breaker.record(permit, FAILED, later);
        }
        for permit in tried {
            breaker.record(permit, GOOD, later);
        }
        assert!(breaker.enter(later).is_some());
    }
}
