//! Modes, reset, events and snapshots, for operators.

use platform_resilience::breaker::{BreakerEvent, CallOutcome, CallTotals, Change, Mode, State};

use super::caller::{Caller, ms};

#[test]
fn forced_open_refuses_every_call_until_the_mode_is_changed() {
    let mut caller = Caller::new();
    caller.breaker.set_mode(Mode::ForcedOpen, caller.now);
    caller.wait(ms(3_600_000));
    assert_eq!(caller.calls(CallOutcome::Success, 10), 0);
    assert!(caller.breaker.check(caller.now).is_err());
    assert_eq!(caller.state(), State::Open);
    caller.breaker.set_mode(Mode::Auto, caller.now);
    assert_eq!(caller.calls(CallOutcome::Success, 10), 10);
}

#[test]
fn forced_closed_permits_every_call() {
    let caller = Caller::new();
    caller.open();
    caller.breaker.set_mode(Mode::ForcedClosed, caller.now);
    assert_eq!(caller.calls(CallOutcome::Timeout, 1_000), 1_000);
    let snapshot = caller.breaker.snapshot(caller.now);
    assert_eq!((snapshot.state, snapshot.buffered_calls), (State::Closed, 0));
    assert_eq!(snapshot.totals.timeout, 1_000);
}

#[test]
fn metrics_only_counts_and_never_opens() {
    let caller = Caller::new();
    caller.breaker.set_mode(Mode::MetricsOnly, caller.now);
    assert_eq!(caller.calls(CallOutcome::Failure, 1_000), 1_000);
    let snapshot = caller.breaker.snapshot(caller.now);
    assert_eq!((snapshot.buffered_calls, snapshot.failure_rate), (1_000, Some(100.0)));
}

#[test]
fn probes_from_before_a_change_of_mode_do_not_count_after_it() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    let probe = caller.enter().unwrap();
    caller.breaker.set_mode(Mode::ForcedClosed, caller.now);
    caller.breaker.set_mode(Mode::Auto, caller.now);
    probe.record(CallOutcome::Failure, None, caller.now);
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn a_reset_closes_with_nothing_counted() {
    let caller = Caller::new();
    caller.calls(CallOutcome::Failure, 4);
    caller.breaker.reset(caller.now);
    caller.calls(CallOutcome::Failure, 4);
    assert_eq!(caller.state(), State::Closed);
    caller.open();
    caller.breaker.reset(caller.now);
    assert!(caller.call(CallOutcome::Success));
    caller.breaker.set_mode(Mode::ForcedOpen, caller.now);
    caller.breaker.reset(caller.now);
    let snapshot = caller.breaker.snapshot(caller.now);
    assert_eq!((snapshot.mode, snapshot.state), (Mode::Auto, State::Closed));
}

#[test]
fn refusals_are_counted_and_part_of_the_next_event() {
    let mut caller = Caller::new();
    caller.open();
    caller.calls(CallOutcome::Success, 7);
    assert!(caller.breaker.check(caller.now).is_err()); // Is not counted.
    let wait = caller.wait_open(); // One more.
    caller.call(CallOutcome::Success);
    let events = caller.breaker.events();
    assert_eq!(events[1].refused, 8);
    assert_eq!(events[1].at.since(events[0].at), wait);
    let expected = CallTotals { success: 1, failure: 5, refused: 8, ..CallTotals::default() };
    assert_eq!(caller.breaker.snapshot(caller.now).totals, expected);
}

#[test]
fn the_last_hundred_events_are_kept_in_order_without_a_gap() {
    let mut caller = Caller::new();
    for _ in 0..100 {
        for mode in [Mode::ForcedOpen, Mode::Auto] {
            caller.wait(ms(1));
            caller.breaker.set_mode(mode, caller.now);
        }
    }
    let events = caller.breaker.events();
    let ago = |event: &BreakerEvent| caller.now.since(event.at);
    assert!(events.iter().map(ago).eq((0..100).rev().map(ms)));
    let last = Change::Mode { from: Mode::ForcedOpen, to: Mode::Auto };
    assert_eq!(events[99].change, last);
}

#[test]
fn rates_are_shown_once_there_are_enough_calls() {
    let caller = Caller::new();
    caller.calls(CallOutcome::Overload, 3);
    caller.calls(CallOutcome::Success, 16);
    assert_eq!(caller.breaker.snapshot(caller.now).failure_rate, None);
    caller.call(CallOutcome::Success);
    assert_eq!(caller.breaker.snapshot(caller.now).failure_rate, Some(15.0));
}

#[test]
fn a_full_bucket_keeps_the_rate() {
    let caller = Caller::new();
    caller.breaker.set_mode(Mode::MetricsOnly, caller.now);
    for _ in 0..300_000 {
        caller.calls(CallOutcome::Success, 3);
        caller.call(CallOutcome::Failure);
    }
    let snapshot = caller.breaker.snapshot(caller.now);
    let rate = snapshot.failure_rate.unwrap();
    assert!((24.9..25.1).contains(&rate), "{rate}");
    assert_eq!(snapshot.totals.success + snapshot.totals.failure, 1_200_000);
}
