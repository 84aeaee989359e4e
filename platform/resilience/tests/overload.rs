//! Admission in front of a store that commits in batches, under open-loop load: what is admitted is
//! served in time. Time is simulated; a run is the same each time.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot run fails the test")]

#[path = "overload/simulation.rs"]
mod simulation;

use std::time::Duration;

use platform_resilience::wait_queue::Priority;
use simulation::{Load, Outcome, Store, percentile, run};

/// A store that commits at most some 1,000 items a second.
const SLOW: Store = Store { each_commit: ms(20), each_item: Duration::from_millis(1) };

/// What it serves at most, behind an admission: measured over loads up to its capacity.
fn peak() -> usize {
    let served =
        |rate| run(SLOW, &[Load::new(Priority::Book, rate, 0, 6_000)]).served(2_000, 6_000);
    [700, 800, 900, 1_000].into_iter().map(served).max().unwrap()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn ten_times_the_load_keeps_the_goodput_and_the_latency() {
    let peak = peak();
    for times in [2, 5, 10] {
        let rate = u64::try_from(peak / 4).unwrap() * times;
        let run = run(SLOW, &[Load::new(Priority::Book, rate, 0, 8_000)]);
        let served = run.served(2_000, 6_000);
        let accepted = percentile(run.latencies(), 99);
        let rejected = percentile(run.rejections(), 99);
        println!(
            "{times} times: {served} of {peak} served, p99 {accepted:?}, rejected in {rejected:?}"
        );
        assert!(served * 10 >= peak * 9, "{times} times the load: {served} of {peak}");
        assert!(accepted <= ms(1_000), "{times} times the load: accepted in {accepted:?}");
        assert!(rejected <= ms(20), "{times} times the load: rejected in {rejected:?}");
        assert_eq!(run.count(|outcome| matches!(outcome, Outcome::Late)), 0);
    }
}

#[test]
fn two_seconds_after_a_load_spike_every_request_is_admitted() {
    let spike = Load::new(Priority::Book, 9_000, 0, 5_000);
    let normal = Load::new(Priority::Book, 500, 5_000, 9_000);
    let run = run(SLOW, &[spike, normal]);
    assert_eq!(run.rejected(7_000, 9_000), 0);
}

#[test]
fn a_burst_after_idle_is_not_rejected() {
    let trickle = Load::new(Priority::Book, 10, 0, 5_000);
    let burst = Load::new(Priority::Book, 900_000, 5_000, 5_001);
    let fast = Store { each_commit: ms(4), each_item: Duration::from_micros(20) };
    let run = run(fast, &[trickle, burst]);
    assert_eq!(run.rejected(0, 6_000), 0);
}

#[test]
fn cancels_are_served_while_bookings_are_rejected() {
    let book = Load::new(Priority::Book, 8_000, 0, 8_000);
    let cancel = Load::new(Priority::Cancel, 40, 0, 8_000);
    let run = run(SLOW, &[book, cancel]);
    let of = |class, what: fn(Outcome) -> bool| {
        run.all(1_000, 8_000)
            .filter(|arrival| arrival.class == class && what(arrival.outcome))
            .count()
    };
    let served = of(Priority::Cancel, |outcome| matches!(outcome, Outcome::Served(_)));
    let rejected = of(Priority::Cancel, |outcome| matches!(outcome, Outcome::Rejected(_)));
    // Seven of eight bookings are rejected.
    assert!(rejected * 10 <= served, "{rejected} rejected, {served} served");
}

#[test]
fn requests_are_rejected_during_a_stall_and_admitted_after_it() {
    let load = Load::new(Priority::Book, 2_000, 0, 10_000);
    let fast = Store { each_commit: ms(4), each_item: Duration::from_micros(100) };
    let run = simulation::run_with_stall(fast, &[load], ms(3_000)..ms(6_000));
    let (before, stalled) = (run.served(1_000, 3_000) / 2, run.all(3_600, 6_000));
    let rejected =
        stalled.filter(|arrival| matches!(arrival.outcome, Outcome::Rejected(_))).count();
    assert!(rejected >= 2_000 * 24 / 10 * 9 / 10, "{rejected} rejected while nothing is served");
    let after = run.served(7_000, 8_000);
    println!("before {before}, after {after}");
    assert!(after * 100 >= before * 95, "{before} a second before, {after} after");
    assert_eq!(run.rejected(8_000, 10_000), 0);
}
