//! Every interleaving of a few threads on the atomics of the cores, within a bound of preemptions.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p resilience --release --test loom --target-dir target/loom
//! ```

#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{sync::Arc, time::Duration};

use loom::{model::Builder, thread};
use resilience::{
    breaker::{Answer, Breaker, BreakerConfig, State},
    budget::{Budget, BudgetConfig},
    time::Moment,
};

/// Enough to find every race of two threads that is known in practice, and quick.
const PREEMPTIONS_MAX: usize = 3;

fn explore(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(test);
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An hour after the origin of the clock.
fn start() -> Moment {
    Moment::default().after(Duration::from_hours(1))
}

/// After every first opening has ended.
fn after_open() -> Moment {
    start().after(ms(1_300))
}

fn breaker(config: BreakerConfig) -> Arc<Breaker> {
    Arc::new(Breaker::new(config).unwrap())
}

/// Opens on the first failure and closes on the first success.
fn hasty() -> BreakerConfig {
    BreakerConfig {
        failures_in_a_row: 1,
        half_open_calls: 1,
        ramp: Duration::ZERO,
        ..BreakerConfig::default()
    }
}

fn opened(config: BreakerConfig) -> Arc<Breaker> {
    let breaker = breaker(config);
    for _ in 0..config.failures_in_a_row {
        breaker.enter(start()).unwrap().record(Answer::Failure, None, start());
    }
    assert_eq!(breaker.state(start()), State::Open);
    breaker
}

fn spawn<T: 'static>(
    breaker: &Arc<Breaker>,
    act: impl FnOnce(&Arc<Breaker>) -> T + 'static,
) -> thread::JoinHandle<T> {
    let breaker = Arc::clone(breaker);
    thread::spawn(move || act(&breaker))
}

#[test]
fn failures_at_the_same_time_open_it_once_and_none_is_lost() {
    explore(|| {
        let breaker = breaker(BreakerConfig { failures_in_a_row: 2, ..hasty() });
        let fail = |breaker: &Arc<Breaker>| {
            breaker.enter(start()).map(|call| call.record(Answer::Failure, None, start())).is_ok()
        };
        let threads = [spawn(&breaker, fail), spawn(&breaker, fail)];
        let admitted = threads.into_iter().map(|one| one.join().unwrap());
        assert_eq!(admitted.filter(|admitted| *admitted).count(), 2);
        assert_eq!(breaker.state(start()), State::Open);
        assert_eq!(breaker.events(0).len(), 1);
        assert_eq!(breaker.snapshot(start()).totals.failure, 2);
    });
}

#[test]
fn calls_at_the_same_time_are_all_counted() {
    explore(|| {
        let breaker = breaker(BreakerConfig::default());
        let call = |answer| {
            move |breaker: &Arc<Breaker>| {
                breaker.enter(start()).unwrap().record(answer, None, start());
            }
        };
        let threads =
            [spawn(&breaker, call(Answer::Success)), spawn(&breaker, call(Answer::Overload))];
        call(Answer::Success)(&breaker);
        threads.into_iter().for_each(|one| one.join().unwrap());
        let snapshot = breaker.snapshot(start());
        assert_eq!((snapshot.buffered_calls, snapshot.failed_calls), (3, 1));
    });
}

#[test]
fn a_success_beside_a_trip_counts_in_its_generation_or_not_at_all() {
    explore(|| {
        let breaker = breaker(hasty());
        let success = spawn(&breaker, |breaker| {
            if let Ok(call) = breaker.enter(start()) {
                call.record(Answer::Success, None, start());
            }
        });
        breaker.enter(start()).unwrap().record(Answer::Failure, None, start());
        success.join().unwrap();
        assert_eq!(breaker.state(start()), State::Open);
        assert_eq!(breaker.snapshot(start()).buffered_calls, 0);
    });
}

#[test]
fn half_open_lets_through_one_of_three_at_the_same_time() {
    explore(|| {
        let breaker = opened(hasty());
        let enter = |breaker: &Arc<Breaker>| breaker.enter(after_open()).ok();
        let threads = [spawn(&breaker, enter), spawn(&breaker, enter)];
        let mine = enter(&breaker);
        let others = threads.into_iter().map(|one| one.join().unwrap());
        let permits: Vec<_> = others.chain([mine]).flatten().collect();
        assert_eq!(permits.len(), 1);
        assert!(permits.iter().all(|permit| permit.is_probe()));
        drop(permits);
        assert_eq!(breaker.snapshot(after_open()).probes_out, 0);
    });
}

#[test]
fn a_place_that_is_given_back_is_taken_once() {
    explore(|| {
        let breaker = opened(hasty());
        let probe = breaker.enter(after_open()).unwrap();
        let enter = |breaker: &Arc<Breaker>| breaker.enter(after_open()).ok();
        let threads = [spawn(&breaker, enter), spawn(&breaker, enter)];
        drop(probe);
        let permits: Vec<_> = threads.into_iter().filter_map(|one| one.join().unwrap()).collect();
        assert!(permits.len() <= 1);
        assert_eq!(usize::from(breaker.snapshot(after_open()).probes_out), permits.len());
    });
}

#[test]
fn probes_that_end_at_the_same_time_begin_the_ramp_once() {
    explore(|| {
        let breaker = opened(BreakerConfig { half_open_calls: 2, ramp: ms(100), ..hasty() });
        let succeed = |breaker: &Arc<Breaker>| {
            let probe = breaker.enter(after_open()).unwrap();
            probe.record(Answer::Success, None, after_open());
        };
        let threads = [spawn(&breaker, succeed), spawn(&breaker, succeed)];
        threads.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(breaker.state(after_open()), State::Ramping);
        assert_eq!(breaker.events(0).len(), 3);
    });
}

#[test]
fn a_probe_that_fails_beside_one_that_succeeds_opens_it() {
    explore(|| {
        let breaker = opened(BreakerConfig { half_open_calls: 2, ..hasty() });
        let [well, badly] = [0, 1].map(|_| breaker.enter(after_open()).unwrap());
        let other = thread::spawn(move || well.record(Answer::Success, None, after_open()));
        badly.record(Answer::Failure, None, after_open());
        other.join().unwrap();
        assert_eq!(breaker.state(after_open()), State::Open);
    });
}

#[test]
fn a_late_record_of_an_earlier_generation_does_not_count() {
    explore(|| {
        let breaker = breaker(hasty());
        let late = breaker.enter(start()).unwrap();
        breaker.enter(start()).unwrap().record(Answer::Failure, None, start());
        let thread = thread::spawn(move || late.record(Answer::Failure, None, after_open()));
        let probe = breaker.enter(after_open()).unwrap();
        probe.record(Answer::Success, None, after_open());
        breaker.enter(after_open()).unwrap().record(Answer::Success, None, after_open());
        thread.join().unwrap();
        assert_eq!(breaker.state(after_open()), State::Closed);
        let snapshot = breaker.snapshot(after_open());
        assert_eq!((snapshot.failed_calls, snapshot.failures_in_a_row), (0, 0));
        assert_eq!(snapshot.buffered_calls, 1);
    });
}

#[test]
fn a_retry_is_never_paid_twice_with_one_credit() {
    explore(|| {
        let config = BudgetConfig { percent: 100, per_second: 0, ..BudgetConfig::default() };
        let budget = Arc::new(Budget::new(config).unwrap());
        budget.call(start());
        let other = Arc::clone(&budget);
        // The next bucket: the two must see each other across the border.
        let thread = thread::spawn(move || other.try_retry(start().after(ms(1_000))));
        let mine = budget.try_retry(start());
        let both = [mine, thread.join().unwrap()];
        assert!(both != [true, true]);
        // Whoever was refused left nothing behind.
        let spent = both != [false, false];
        assert_eq!(budget.try_retry(start().after(ms(1_000))), !spent);
    });
}
