//! Admission in front of a store that commits in groups, under open-loop load: nobody slows down
//! because others wait. Time is simulated; a run is the same each time.

#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a simulated world that breaks fails the test")]

#[path = "overload/world.rs"]
mod world;

use std::time::Duration;

use resilience::line::Priority;
use world::{Load, Outcome, Store, percentile, run};

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
fn ten_times_the_load_is_served_as_well_as_the_most_that_can_be() {
    let peak = peak();
    for times in [2, 5, 10] {
        let rate = u64::try_from(peak / 4).unwrap() * times;
        let run = run(SLOW, &[Load::new(Priority::Book, rate, 0, 8_000)]);
        let served = run.served(2_000, 6_000);
        let accepted = percentile(run.latencies(), 99);
        let refused = percentile(run.refusals(), 99);
        println!(
            "{times} times: {served} of {peak} served, p99 {accepted:?}, refused in {refused:?}"
        );
        assert!(served * 10 >= peak * 9, "{times} times the load: {served} of {peak}");
        assert!(accepted <= ms(1_000), "{times} times the load: accepted in {accepted:?}");
        assert!(refused <= ms(20), "{times} times the load: refused in {refused:?}");
        assert_eq!(run.count(|outcome| matches!(outcome, Outcome::Late)), 0);
    }
}

#[test]
fn two_seconds_after_the_load_has_fallen_everything_is_accepted_again() {
    let storm = Load::new(Priority::Book, 9_000, 0, 5_000);
    let calm = Load::new(Priority::Book, 500, 5_000, 9_000);
    let run = run(SLOW, &[storm, calm]);
    assert_eq!(run.refused(7_000, 9_000), 0);
}

#[test]
fn a_burst_after_idle_is_not_refused() {
    let trickle = Load::new(Priority::Book, 10, 0, 5_000);
    let burst = Load::new(Priority::Book, 900_000, 5_000, 5_001);
    let fast = Store { each_commit: ms(4), each_item: Duration::from_micros(20) };
    let run = run(fast, &[trickle, burst]);
    assert_eq!(run.refused(0, 6_000), 0);
}

#[test]
fn who_settles_is_served_while_those_who_book_are_refused() {
    let book = Load::new(Priority::Book, 8_000, 0, 8_000);
    let settle = Load::new(Priority::Settle, 40, 0, 8_000);
    let run = run(SLOW, &[book, settle]);
    let of = |class, what: fn(Outcome) -> bool| {
        run.all(1_000, 8_000)
            .filter(|arrival| arrival.class == class && what(arrival.outcome))
            .count()
    };
    let served = of(Priority::Settle, |outcome| matches!(outcome, Outcome::Served(_)));
    let refused = of(Priority::Settle, |outcome| matches!(outcome, Outcome::Refused(_)));
    // Of those who book seven of eight are refused.
    assert!(refused * 10 <= served, "{refused} refused, {served} served");
}

#[test]
fn a_stall_is_refused_by_itself_and_over_when_it_is_over() {
    let load = Load::new(Priority::Book, 2_000, 0, 10_000);
    let fast = Store { each_commit: ms(4), each_item: Duration::from_micros(100) };
    let run = world::run_with_stall(fast, &[load], ms(3_000)..ms(6_000));
    let (before, stalled) = (run.served(1_000, 3_000) / 2, run.all(3_600, 6_000));
    let refused = stalled.filter(|arrival| matches!(arrival.outcome, Outcome::Refused(_))).count();
    assert!(refused >= 2_000 * 24 / 10 * 9 / 10, "{refused} refused while nothing drains");
    let after = run.served(7_000, 8_000);
    println!("before {before}, after {after}");
    assert!(after * 100 >= before * 95, "{before} a second before, {after} after");
    assert_eq!(run.refused(8_000, 10_000), 0);
}
