//! What is learned from served work, and when rejected clients retry.

use super::*;

const SOME: Duration = Duration::from_millis(10);

/// A system under load, with its own time.
#[derive(Default)]
struct TestSystem {
    throughput: Throughput,
    now: Moment,
}

impl TestSystem {
    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// One at a time, with a pause between.
    fn trickle(&mut self, requests: u32, took: Duration, pause: Duration) {
        for _ in 0..requests {
            self.throughput.begin(self.now);
            self.pass(took);
            self.throughput.record(1, 1, self.now);
            self.throughput.end(self.now);
            self.pass(pause);
        }
    }

    /// So many clients are rejected.
    fn promise(&mut self, clients: u32) {
        for _ in 0..clients {
            self.throughput.promise(self.now);
        }
    }

    /// Never idle, with so many in flight.
    fn busy(&mut self, in_flight: u32, requests: u32, each: Duration) {
        self.throughput.begin(self.now);
        for _ in 0..requests {
            self.pass(each);
            self.throughput.record(1, in_flight, self.now);
        }
    }
}

#[test]
fn a_system_with_few_requests_is_not_slow() {
    let mut system = TestSystem::default();
    system.trickle(20, SOME, Duration::from_secs(1));
    assert_eq!(system.throughput.rate(), 100);
    let wait = system.throughput.time_for(1_000);
    assert_eq!(wait, SOME * 2, "a thousand may be served as one batch, as far as is known");
}

#[test]
fn once_many_at_once_were_served_the_wait_is_their_number_over_the_rate() {
    let mut system = TestSystem::default();
    system.trickle(20, SOME, Duration::from_secs(1));
    system.busy(50, 100, SOME);
    assert_eq!(system.throughput.rate(), 100);
    assert_eq!(system.throughput.time_for(50), Duration::from_millis(500));
    assert!(system.throughput.time_for(1_000) <= Duration::from_secs(1));
}

#[test]
fn a_stall_is_expected_to_last_as_long_as_it_has_lasted() {
    let mut system = TestSystem::default();
    system.busy(10, 100, SOME);
    for seconds in 1..5 {
        system.pass(Duration::from_secs(1));
        assert_eq!(system.throughput.expected_wait(1, system.now), Duration::from_secs(seconds));
    }
    system.throughput.record(1, 10, system.now);
    assert!(system.throughput.expected_wait(1, system.now) < Duration::from_millis(600));
}

#[test]
fn idle_time_is_no_stall() {
    let mut system = TestSystem::default();
    system.trickle(3, SOME, Duration::from_hours(1));
    system.throughput.begin(system.now);
    assert_eq!(system.throughput.stalled(system.now), Duration::ZERO);
}

#[test]
fn the_rate_rises_fast() {
    let mut system = TestSystem::default();
    system.busy(100, 30, Duration::from_millis(100));
    assert_eq!(system.throughput.rate(), 10);
    system.busy(100, 310, Duration::from_millis(1));
    assert!(system.throughput.rate() > 500, "{}", system.throughput.rate());
}

#[test]
fn retry_after_is_one_to_thirty_seconds() {
    let mut rng = Rng::with_seed(7);
    let mut range = |wait| {
        let seconds: Vec<_> = (0..200).map(|_| retry_after(wait, &mut rng).as_secs()).collect();
        (seconds.iter().min().copied(), seconds.iter().max().copied())
    };
    assert_eq!(range(Duration::ZERO), (Some(1), Some(2)));
    assert_eq!(range(Duration::from_millis(3_200)), (Some(4), Some(8)));
    assert_eq!(range(Duration::from_secs(29)), (Some(29), Some(30)));
    assert_eq!(range(Duration::MAX), (Some(30), Some(30)));
}

#[test]
fn clients_rejected_together_are_spread_evenly() {
    let mut rng = Rng::with_seed(7);
    let mut returns = [0; 9];
    for _ in 0..5_000 {
        let after = retry_after(Duration::from_secs(4), &mut rng).as_secs();
        returns[usize::try_from(after).unwrap()] += 1;
    }
    assert_eq!(returns[..4], [0; 4]);
    assert!(returns[4..].iter().all(|count| (900..1_100).contains(count)), "{returns:?}");
}

#[test]
fn a_client_retries_after_those_rejected_before() {
    let mut system = TestSystem::default();
    assert_eq!(system.throughput.promise(system.now), Duration::ZERO, "nothing is known yet");
    system.busy(100, 100, SOME);
    let waits: Vec<_> = (0..500).map(|_| system.throughput.promise(system.now)).collect();
    let in_turn = (1..=500_u64).map(|position| Duration::from_secs(position.div_ceil(100)));
    assert!(waits.iter().copied().eq(in_turn), "a hundred a second: {waits:?}");
    system.pass(Duration::from_secs(4));
    assert_eq!(
        system.throughput.promise(system.now),
        Duration::from_secs(2),
        "four seconds have passed"
    );
}

#[test]
fn promises_reach_thirty_seconds_ahead_and_end_with_the_work() {
    let mut system = TestSystem::default();
    system.busy(100, 100, SOME);
    let furthest = (0..10_000).map(|_| system.throughput.promise(system.now)).max();
    assert_eq!(furthest, Some(RETRY_AFTER_MAX));
    system.throughput.end(system.now);
    assert_eq!(system.throughput.promise(system.now), Duration::from_secs(1));
}

#[test]
fn a_promise_counts_the_clients_rejected_before_at_the_current_rate() {
    let mut system = TestSystem::default();
    system.busy(100, 100, SOME);
    system.promise(500);
    let before = system.throughput.promise(system.now);
    system.throughput.rate /= 4;
    let slower = system.throughput.promise(system.now);
    assert_eq!((before.as_secs(), slower.as_secs()), (6, 21), "500 at 100 a second, then at 25");
    system.throughput.rate *= 40;
    assert_eq!(system.throughput.promise(system.now).as_secs(), 1, "500 at 1,000 a second");
}

#[test]
fn promises_at_short_intervals_are_served_meanwhile() {
    let mut system = TestSystem::default();
    system.busy(100, 100, SOME);
    system.promise(100);
    for _ in 0..200 {
        system.pass(SOME); // As often as one is served.
        assert!(system.throughput.promise(system.now) <= Duration::from_secs(2));
    }
    let waits = (0..1_000).map(|_| {
        system.now = system.now.after(Duration::from_nanos(1));
        system.throughput.promise(system.now)
    });
    assert_eq!(waits.last(), Some(Duration::from_secs(11)));
}

/// A commit takes long or short whatever is in it: its time belongs to all of it.
#[test]
fn the_first_of_a_large_batch_does_not_make_the_system_look_slow() {
    let mut throughput = Throughput::default();
    let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
    throughput.begin(at(0));
    throughput.record(1, 67, at(5)); // Alone in the first batch.
    (0..66).for_each(|_| throughput.record(1, 66, at(305)));
    (0..66).for_each(|_| throughput.record(1, 66, at(605)));
    assert!(throughput.expected_wait(66, at(605)) < Duration::from_secs(1), "{throughput:?}");
}
