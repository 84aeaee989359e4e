//! What the drain expects.

use super::*;

const SOME: Duration = Duration::from_millis(10);

/// A system that works, with its own time.
#[derive(Default)]
struct World {
    drain: Drain,
    now: Moment,
}

impl World {
    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// One at a time, with a pause between.
    fn trickle(&mut self, requests: u32, took: Duration, pause: Duration) {
        for _ in 0..requests {
            self.drain.begin(self.now);
            self.pass(took);
            self.drain.served(1, 1, self.now);
            self.drain.end(self.now);
            self.pass(pause);
        }
    }

    /// Never idle, with so many in flight.
    fn crowd(&mut self, in_flight: u32, requests: u32, each: Duration) {
        self.drain.begin(self.now);
        for _ in 0..requests {
            self.pass(each);
            self.drain.served(1, in_flight, self.now);
        }
    }
}

#[test]
fn who_is_asked_little_is_not_slow() {
    let mut world = World::default();
    world.trickle(20, SOME, Duration::from_secs(1));
    assert_eq!(world.drain.rate(), 100);
    let wait = world.drain.time_for(1_000);
    assert_eq!(wait, SOME * 2, "a thousand may be served as one batch, as far as is known");
}

#[test]
fn once_a_crowd_was_served_the_wait_is_the_crowd_over_the_rate() {
    let mut world = World::default();
    world.trickle(20, SOME, Duration::from_secs(1));
    world.crowd(50, 100, SOME);
    assert_eq!(world.drain.rate(), 100);
    assert_eq!(world.drain.time_for(50), Duration::from_millis(500));
    assert!(world.drain.time_for(1_000) <= Duration::from_secs(1));
}

#[test]
fn a_stall_is_expected_to_last_as_long_as_it_has_lasted() {
    let mut world = World::default();
    world.crowd(10, 100, SOME);
    for seconds in 1..5 {
        world.pass(Duration::from_secs(1));
        assert_eq!(world.drain.expected_wait(1, world.now), Duration::from_secs(seconds));
    }
    world.drain.served(1, 10, world.now);
    assert!(world.drain.expected_wait(1, world.now) < Duration::from_millis(600));
}

#[test]
fn idle_time_is_no_stall() {
    let mut world = World::default();
    world.trickle(3, SOME, Duration::from_hours(1));
    world.drain.begin(world.now);
    assert_eq!(world.drain.stalled(world.now), Duration::ZERO);
}

#[test]
fn good_news_come_fast() {
    let mut world = World::default();
    world.crowd(100, 30, Duration::from_millis(100));
    assert_eq!(world.drain.rate(), 10);
    world.crowd(100, 310, Duration::from_millis(1));
    assert!(world.drain.rate() > 500, "{}", world.drain.rate());
}

#[test]
fn nobody_is_sent_away_for_less_than_a_second_or_more_than_thirty() {
    let after = |wait| (0..200).map(move |seed| retry_after(wait, seed).as_secs());
    let none = after(Duration::ZERO).collect::<Vec<_>>();
    assert_eq!((none.iter().min(), none.iter().max()), (Some(&1), Some(&2)));
    assert!(after(Duration::from_secs(29)).all(|seconds| (29..=30).contains(&seconds)));
    assert!(after(Duration::MAX).all(|seconds| seconds == 30));
}

#[test]
fn those_refused_together_are_spread_evenly() {
    let mut returns = [0; 9];
    for seed in 0..5_000 {
        let after = retry_after(Duration::from_secs(4), seed).as_secs();
        returns[usize::try_from(after).unwrap()] += 1;
    }
    assert_eq!(returns[..4], [0; 4]);
    assert!(returns[4..].iter().all(|count| (900..1_100).contains(count)), "{returns:?}");
}

#[test]
fn whoever_is_sent_away_comes_back_after_those_sent_away_before() {
    let mut world = World::default();
    assert_eq!(world.drain.promise(world.now), Duration::ZERO, "nothing is known yet");
    world.crowd(100, 100, SOME);
    let told: Vec<_> = (0..500).map(|_| world.drain.promise(world.now)).collect();
    let in_turn = (1..=500_u64).map(|place| Duration::from_secs(place.div_ceil(100)));
    assert!(told.iter().copied().eq(in_turn), "a hundred a second: {told:?}");
    world.pass(Duration::from_secs(4));
    assert_eq!(world.drain.promise(world.now), Duration::from_secs(2), "four seconds have passed");
}

#[test]
fn a_promise_reaches_thirty_seconds_ahead_and_no_longer_than_there_is_work() {
    let mut world = World::default();
    world.crowd(100, 100, SOME);
    let furthest = (0..10_000).map(|_| world.drain.promise(world.now)).max();
    assert_eq!(furthest, Some(RETRY_AFTER_MAX));
    world.drain.end(world.now);
    assert_eq!(world.drain.promise(world.now), Duration::from_secs(1));
}

/// A commit takes long or short whatever is in it: its time belongs to all of it.
#[test]
fn the_first_of_a_large_batch_does_not_make_the_system_look_slow() {
    let drain = Drain::new();
    let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
    drain.begin(at(0));
    drain.served(1, 67, at(5)); // Alone in the first batch.
    (0..66).for_each(|_| drain.served(1, 66, at(305)));
    (0..66).for_each(|_| drain.served(1, 66, at(605)));
    assert!(drain.expected_wait(66, at(605)) < Duration::from_secs(1), "{drain:?}");
}
