//! What opens the breaker, and what does not.

use platform_resilience::breaker::{BreakerConfig, CallOutcome, Cause, State};

use super::caller::{Caller, ms};

#[test]
fn five_failures_in_a_row_open_it() {
    let caller = Caller::new();
    assert_eq!(caller.calls(CallOutcome::Failure, 4), 4);
    assert_eq!(caller.state(), State::Closed);
    assert!(caller.call(CallOutcome::Failure));
    assert_eq!(caller.state(), State::Open);
    assert!(!caller.call(CallOutcome::Success));
    assert_eq!(caller.causes(), [Cause::FailuresInARow]);
}

#[test]
fn a_success_ends_a_row_of_failures() {
    let caller = Caller::new();
    for _ in 0..3 {
        caller.calls(CallOutcome::Failure, 4);
        caller.call(CallOutcome::Success);
    }
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn two_timeouts_in_a_row_open_it() {
    let caller = Caller::new();
    caller.call(CallOutcome::Timeout);
    caller.call(CallOutcome::Failure);
    caller.call(CallOutcome::Timeout);
    assert_eq!(caller.state(), State::Closed);
    caller.call(CallOutcome::Timeout);
    assert_eq!(caller.causes(), [Cause::TimeoutsInARow]);
}

#[test]
fn timeouts_count_in_a_row_of_failures() {
    let caller = Caller::new();
    for outcome in
        [CallOutcome::Failure, CallOutcome::Timeout, CallOutcome::Failure, CallOutcome::Timeout]
    {
        caller.call(outcome);
    }
    caller.call(CallOutcome::Failure);
    assert_eq!(caller.causes(), [Cause::FailuresInARow]);
}

#[test]
fn every_other_call_failing_opens_it_by_the_rate() {
    let caller = Caller::new();
    for _ in 0..9 {
        caller.call(CallOutcome::Success);
        caller.call(CallOutcome::Failure);
    }
    caller.call(CallOutcome::Success);
    assert_eq!(caller.state(), State::Closed, "19 calls are too few to judge");
    caller.call(CallOutcome::Failure);
    assert_eq!(caller.causes(), [Cause::FailureRate]);
}

#[test]
fn a_rate_below_the_threshold_keeps_it_closed() {
    let caller = Caller::new();
    for _ in 0..1_000 {
        caller.calls(CallOutcome::Success, 4);
        caller.calls(CallOutcome::Failure, 3);
    }
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn overload_counts_for_the_rate_and_not_for_a_row() {
    let caller = Caller::new();
    caller.calls(CallOutcome::Overload, 19);
    assert_eq!(caller.state(), State::Closed);
    caller.call(CallOutcome::Overload);
    assert_eq!(caller.causes(), [Cause::FailureRate]);
}

#[test]
fn overload_between_failures_neither_ends_nor_extends_the_row() {
    let caller = Caller::new();
    for _ in 0..4 {
        caller.call(CallOutcome::Failure);
        caller.call(CallOutcome::Overload);
    }
    assert_eq!(caller.state(), State::Closed);
    caller.call(CallOutcome::Failure);
    assert_eq!(caller.causes(), [Cause::FailuresInARow]);
}

#[test]
fn slow_successes_open_it() {
    let mut caller = Caller::with(BreakerConfig { window: ms(60_000), ..BreakerConfig::default() });
    caller.calls(CallOutcome::Success, 4);
    for _ in 0..15 {
        caller.slow_call(CallOutcome::Success, ms(1_500));
    }
    assert_eq!(caller.state(), State::Closed);
    caller.slow_call(CallOutcome::Success, ms(1_500));
    assert_eq!(caller.causes(), [Cause::SlowCallRate]);
}

#[test]
fn a_call_just_below_slow_after_is_not_slow() {
    let mut caller =
        Caller::with(BreakerConfig { window: ms(3_600_000), ..BreakerConfig::default() });
    for _ in 0..100 {
        caller.slow_call(CallOutcome::Success, ms(1_499));
    }
    assert_eq!(caller.breaker.snapshot(caller.now).slow_calls, 0);
}

#[test]
fn cancelled_calls_do_not_count() {
    let caller = Caller::new();
    caller.calls(CallOutcome::Cancelled, 1_000);
    drop(caller.enter().unwrap());
    assert_eq!(caller.state(), State::Closed);
    let snapshot = caller.breaker.snapshot(caller.now);
    assert_eq!((snapshot.buffered_calls, snapshot.totals.cancelled), (0, 1_001));
}

#[test]
fn calls_older_than_the_window_do_not_count() {
    let mut caller = Caller::new();
    for _ in 0..9 {
        caller.call(CallOutcome::Failure);
        caller.call(CallOutcome::Success);
    }
    caller.wait(ms(9_000));
    assert_eq!(caller.breaker.snapshot(caller.now).buffered_calls, 18);
    caller.wait(ms(1_000));
    assert_eq!(caller.breaker.snapshot(caller.now).buffered_calls, 0);
    caller.call(CallOutcome::Failure);
    caller.call(CallOutcome::Failure);
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn a_burst_of_failures_keeps_its_weight_for_a_whole_window() {
    let mut caller = Caller::new();
    for _ in 0..15 {
        caller.call(CallOutcome::Overload);
    }
    caller.wait(ms(8_900));
    caller.calls(CallOutcome::Success, 14);
    caller.call(CallOutcome::Overload);
    assert_eq!(caller.causes(), [Cause::FailureRate]);
}
