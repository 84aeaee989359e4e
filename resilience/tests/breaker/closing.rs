//! How it closes again, and that nothing keeps it from doing so.

use std::time::Duration;

use resilience::breaker::{Answer, BreakerConfig, Cause, State};

use super::caller::{Caller, ms};

#[test]
fn it_is_open_for_as_long_as_it_says_and_then_asks() {
    let mut caller = Caller::new();
    caller.open();
    let wait = caller.enter().unwrap_err().retry_after;
    assert!((ms(800)..=ms(1_200)).contains(&wait), "{wait:?}");
    caller.wait(wait.saturating_sub(ms(1)));
    assert!(!caller.call(Answer::Success));
    caller.wait(ms(1));
    assert!(caller.enter().unwrap().is_probe());
}

#[test]
fn all_probes_must_succeed_before_it_ramps_and_closes() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    assert_eq!(caller.calls(Answer::Success, 4), 4);
    assert_eq!(caller.state(), State::HalfOpen);
    caller.call(Answer::Success);
    assert_eq!(caller.state(), State::Ramping);
    caller.wait(ms(1_000));
    assert!(caller.call(Answer::Success));
    assert_eq!(caller.state(), State::Closed);
    assert_eq!(
        caller.causes(),
        [Cause::FailuresInARow, Cause::OpenEnded, Cause::ProbesSucceeded, Cause::RampEnded],
    );
}

#[test]
fn half_open_never_lets_through_more_than_it_wants() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    let permits: Vec<_> = (0..100).filter_map(|_| caller.enter().ok()).collect();
    assert_eq!(permits.len(), 5);
    assert!(permits.iter().all(resilience::breaker::Permit::is_probe));
    assert!(caller.breaker.check(caller.now).is_err());
}

#[test]
fn a_probe_that_is_cancelled_makes_room_for_another() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    for _ in 0..1_000 {
        drop(caller.enter().unwrap());
    }
    assert_eq!(caller.breaker.snapshot(caller.now).probes_out, 0);
    assert_eq!(caller.calls(Answer::Success, 5), 5);
    assert_eq!(caller.state(), State::Ramping);
}

#[test]
fn probes_that_never_come_back_do_not_keep_it_half_open() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    let hung: Vec<_> = (0..5).filter_map(|_| caller.enter().ok()).collect();
    caller.wait(ms(4_999));
    assert!(!caller.call(Answer::Success));
    caller.wait(ms(1));
    assert!(!caller.call(Answer::Success), "it opened again");
    assert_eq!(caller.causes().last(), Some(&Cause::ProbesLost));
    caller.heal();
    for permit in hung {
        permit.record(Answer::Timeout, None, caller.now); // Of another generation by now.
    }
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn few_calls_are_enough_to_close_where_few_come() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    assert!(caller.call(Answer::Success));
    caller.wait(ms(5_000));
    assert!(caller.call(Answer::Success));
    assert_eq!(caller.state(), State::Ramping);
}

#[test]
fn half_open_where_nobody_calls_waits_for_somebody() {
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
        assert!(caller.call(Answer::Failure));
        assert_eq!(caller.state(), State::Open);
    }
}

#[test]
fn a_probe_that_meets_an_overload_or_is_slow_has_failed() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.call(Answer::Overload);
    assert_eq!(caller.state(), State::Open);
    caller.wait_open();
    caller.slow_call(Answer::Success, ms(1_500));
    assert_eq!(caller.state(), State::Open);
}

#[test]
fn a_healthy_while_makes_the_next_opening_a_short_one_again() {
    let mut caller = Caller::new();
    caller.open();
    caller.heal();
    caller.open();
    let doubled = caller.enter().unwrap_err().retry_after;
    assert!(doubled >= ms(1_600), "{doubled:?}: it was closed for no time");
    caller.heal();
    caller.wait(ms(10_000));
    caller.open();
    let first = caller.enter().unwrap_err().retry_after;
    assert!(first <= ms(1_200), "{first:?}");
}

#[test]
fn the_ramp_lets_through_a_tenth_a_quarter_a_half_and_then_all() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.calls(Answer::Success, 5);
    let mut shares = Vec::new();
    for _ in 0..4 {
        shares.push(caller.calls(Answer::Success, 200));
        caller.wait(ms(250));
    }
    assert_eq!(shares, [20, 50, 100, 200]);
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn the_first_call_in_a_ramp_is_let_through() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.calls(Answer::Success, 5);
    assert_eq!(caller.state(), State::Ramping);
    assert!(caller.call(Answer::Success));
    assert!(!caller.call(Answer::Success));
}

#[test]
fn a_ramp_that_goes_badly_opens_it_for_longer() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.calls(Answer::Success, 5);
    caller.wait(ms(750));
    caller.calls(Answer::Failure, 5);
    assert_eq!(caller.state(), State::Open);
    assert!(caller.enter().unwrap_err().retry_after >= ms(1_600));
}

#[test]
fn what_hangs_in_the_ramp_still_counts_once_it_is_closed() {
    let mut caller = Caller::new();
    caller.open();
    caller.wait_open();
    caller.calls(Answer::Success, 5);
    caller.wait(ms(750));
    let hung: Vec<_> = (0..2).filter_map(|_| caller.enter().ok()).collect();
    caller.wait(ms(3_000));
    assert!(caller.call(Answer::Success));
    assert_eq!(caller.state(), State::Closed);
    for permit in hung {
        permit.record(Answer::Timeout, None, caller.now);
    }
    assert_eq!(caller.causes().last(), Some(&Cause::TimeoutsInARow));
}

#[test]
fn late_answers_of_before_the_outage_count_for_nothing() {
    let mut caller = Caller::new();
    let mut late: Vec<_> = (0..50).filter_map(|_| caller.enter().ok()).collect();
    caller.open();
    caller.wait_open();
    for permit in late.drain(..25) {
        permit.record(Answer::Timeout, None, caller.now);
    }
    assert_eq!(caller.state(), State::HalfOpen);
    caller.calls(Answer::Success, 5);
    caller.wait(ms(1_000));
    for permit in late {
        permit.record(Answer::Timeout, None, caller.now);
    }
    assert_eq!(caller.state(), State::Closed);
    assert_eq!(caller.breaker.snapshot(caller.now).failed_calls, 0);
}

#[test]
fn it_heeds_retry_after_but_not_for_longer_than_the_longest() {
    let mut caller = Caller::new();
    caller.calls(Answer::Failure, 4);
    caller.enter().unwrap().record(Answer::Failure, Some(ms(7_000)), caller.now);
    assert_eq!(caller.enter().unwrap_err().retry_after, ms(7_000));
    caller.wait_open();
    let probe = caller.enter().unwrap();
    probe.record(Answer::Overload, Some(Duration::from_hours(5)), caller.now);
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
fn a_ramp_of_no_time_closes_at_once() {
    let mut caller =
        Caller::with(BreakerConfig { ramp: Duration::ZERO, ..BreakerConfig::default() });
    caller.open();
    caller.heal();
    assert_eq!(caller.calls(Answer::Success, 100), 100);
}

#[test]
fn breakers_of_other_seeds_do_not_come_back_together() {
    let waits: std::collections::BTreeSet<_> = (0..20)
        .map(|seed| {
            let caller = Caller::with(BreakerConfig { seed, ..BreakerConfig::default() });
            caller.open();
            caller.enter().unwrap_err().retry_after
        })
        .collect();
    assert!(waits.len() > 15, "{waits:?}");
}
