//! How the breaker closes again, and that nothing keeps it from doing so.

use std::time::Duration;

use platform_resilience::breaker::{BreakerConfig, CallOutcome, Cause, State};

use super::caller::{Caller, ms};

#[test]
fn it_is_open_until_retry_after_and_then_permits_a_probe() {
    let mut caller = Caller::new();
    caller.open();
    let wait = caller.enter().unwrap_err().retry_after;
    assert!((ms(800)..=ms(1_200)).contains(&wait), "{wait:?}");
    caller.wait(wait.saturating_sub(ms(1)));
    assert!(!caller.call(CallOutcome::Success));
    caller.wait(ms(1));
    assert!(caller.enter().unwrap().is_probe());
}

#[test]
fn all_probes_must_succeed_before_it_ramps_and_closes() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    assert_eq!(caller.calls(CallOutcome::Success, 4), 4);
    assert_eq!(caller.state(), State::HalfOpen);
    caller.call(CallOutcome::Success);
    assert_eq!(caller.state(), State::Ramping);
    caller.wait(ms(1_000));
    assert!(caller.call(CallOutcome::Success));
    assert_eq!(caller.state(), State::Closed);
    assert_eq!(
        caller.causes(),
        [Cause::FailuresInARow, Cause::OpenEnded, Cause::ProbesSucceeded, Cause::RampEnded],
    );
}

#[test]
fn half_open_never_permits_more_probes_than_configured() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    let permits: Vec<_> = (0..100).filter_map(|_| caller.enter().ok()).collect();
    assert_eq!(permits.len(), 5);
    assert!(permits.iter().all(platform_resilience::breaker::Permit::is_probe));
    assert!(caller.breaker.check(caller.now).is_err());
}

#[test]
fn a_cancelled_probe_makes_room_for_another() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    for _ in 0..1_000 {
        drop(caller.enter().unwrap());
    }
    assert_eq!(caller.breaker.snapshot(caller.now).probes_out, 0);
    assert_eq!(caller.calls(CallOutcome::Success, 5), 5);
    assert_eq!(caller.state(), State::Ramping);
}

#[test]
fn probes_that_never_end_do_not_keep_it_half_open() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    let hung: Vec<_> = (0..5).filter_map(|_| caller.enter().ok()).collect();
    caller.wait(ms(4_999));
    assert!(!caller.call(CallOutcome::Success));
    caller.wait(ms(1));
    assert!(!caller.call(CallOutcome::Success), "it opened again");
    assert_eq!(caller.causes().last(), Some(&Cause::ProbesLost));
    caller.close();
    for permit in hung {
        permit.record(CallOutcome::Timeout, None, caller.now); // Of another generation by now.
    }
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn fewer_probes_are_enough_where_fewer_calls_come() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    assert!(caller.call(CallOutcome::Success));
    caller.wait(ms(5_000));
    assert!(caller.call(CallOutcome::Success));
    assert_eq!(caller.state(), State::Ramping);
}

#[test]
fn half_open_without_calls_waits_for_a_call() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    drop(caller.enter());
    caller.wait(Duration::from_hours(24));
    assert!(caller.enter().unwrap().is_probe());
    assert_eq!(caller.causes().last(), Some(&Cause::NoProbes));
}

#[test]
fn a_probe_that_fails_opens_it_for_twice_as_long() {
    let mut caller = Caller::new();
    caller.open();
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        let base = Duration::from_secs(seconds);
        let wait = caller.wait_open();
        assert!((base * 8 / 10..=base * 12 / 10).contains(&wait), "{wait:?} for {base:?}");
        assert!(caller.call(CallOutcome::Failure));
        assert_eq!(caller.state(), State::Open);
    }
}

#[test]
fn a_probe_that_meets_an_overload_or_is_slow_has_failed() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.call(CallOutcome::Overload);
    assert_eq!(caller.state(), State::Open);
    caller.wait_open();
    caller.slow_call(CallOutcome::Success, ms(1_500));
    assert_eq!(caller.state(), State::Open);
}

#[test]
fn after_a_healthy_window_the_next_opening_is_short_again() {
    let mut caller = Caller::new();
    caller.open();
    caller.close();
    caller.open();
    let doubled = caller.enter().unwrap_err().retry_after;
    assert!(doubled >= ms(1_600), "{doubled:?}: it was closed for no time");
    caller.close();
    caller.wait(ms(10_000));
    caller.open();
    let first = caller.enter().unwrap_err().retry_after;
    assert!(first <= ms(1_200), "{first:?}");
}

#[test]
fn the_ramp_permits_a_tenth_a_quarter_a_half_and_then_all() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.calls(CallOutcome::Success, 5);
    let mut shares = Vec::new();
    for _ in 0..4 {
        shares.push(caller.calls(CallOutcome::Success, 200));
        caller.wait(ms(250));
    }
    assert_eq!(shares, [20, 50, 100, 200]);
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn the_first_call_in_a_ramp_is_permitted() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.calls(CallOutcome::Success, 5);
    assert_eq!(caller.state(), State::Ramping);
    assert!(caller.call(CallOutcome::Success));
    assert!(!caller.call(CallOutcome::Success));
}

#[test]
fn failures_in_a_ramp_open_it_for_longer() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.calls(CallOutcome::Success, 5);
    caller.wait(ms(750));
    caller.calls(CallOutcome::Failure, 5);
    assert_eq!(caller.state(), State::Open);
    assert!(caller.enter().unwrap_err().retry_after >= ms(1_600));
}

#[test]
fn a_call_that_hangs_in_the_ramp_still_counts_after_it_is_closed() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.calls(CallOutcome::Success, 5);
    caller.wait(ms(750));
    let hung: Vec<_> = (0..2).filter_map(|_| caller.enter().ok()).collect();
    caller.wait(ms(3_000));
    assert!(caller.call(CallOutcome::Success));
    assert_eq!(caller.state(), State::Closed);
    for permit in hung {
        permit.record(CallOutcome::Timeout, None, caller.now);
    }
    assert_eq!(caller.causes().last(), Some(&Cause::TimeoutsInARow));
}

#[test]
fn late_outcomes_from_before_the_outage_do_not_count() {
    let mut caller = Caller::new();
    let mut late: Vec<_> = (0..50).filter_map(|_| caller.enter().ok()).collect();
    caller.open();
    caller.wait_open();
    for permit in late.drain(..25) {
        permit.record(CallOutcome::Timeout, None, caller.now);
    }
    assert_eq!(caller.state(), State::HalfOpen);
    caller.calls(CallOutcome::Success, 5);
    caller.wait(ms(1_000));
    for permit in late {
        permit.record(CallOutcome::Timeout, None, caller.now);
    }
    assert_eq!(caller.state(), State::Closed);
    assert_eq!(caller.breaker.snapshot(caller.now).failed_calls, 0);
}

#[test]
fn it_obeys_retry_after_up_to_open_max() {
    let mut caller = Caller::new();
    caller.calls(CallOutcome::Failure, 4);
    caller.enter().unwrap().record(CallOutcome::Failure, Some(ms(7_000)), caller.now);
    assert_eq!(caller.enter().unwrap_err().retry_after, ms(7_000));
    caller.wait_open();
    let probe = caller.enter().unwrap();
    probe.record(CallOutcome::Overload, Some(Duration::from_hours(5)), caller.now);
    assert_eq!(caller.enter().unwrap_err().retry_after, Duration::from_secs(30));
}

#[test]
fn it_is_not_open_for_hours_when_the_clock_jumps() {
    let mut caller = Caller::new();
    caller.open();
    let before = caller.now;
    caller.wait(Duration::from_hours(10_000));
    assert!(caller.enter().unwrap().is_probe(), "a long suspend");
    caller.breaker.reset(caller.now);
    caller.open();
    caller.now = before;
    assert!(caller.enter().unwrap().is_probe(), "a clock that went back");
}

#[test]
fn a_ramp_of_zero_closes_at_once() {
    let mut caller =
        Caller::with(BreakerConfig { ramp: Duration::ZERO, ..BreakerConfig::default() });
    caller.open();
    caller.close();
    assert_eq!(caller.calls(CallOutcome::Success, 100), 100);
}

#[test]
fn breakers_of_other_seeds_do_not_retry_together() {
    let waits: std::collections::BTreeSet<_> = (0..20)
        .map(|seed| {
            let caller = Caller::with(BreakerConfig { seed, ..BreakerConfig::default() });
            caller.open();
            caller.enter().unwrap_err().retry_after
        })
        .collect();
    assert!(waits.len() > 15, "{waits:?}");
}
