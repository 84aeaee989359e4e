//! What the limiter learns, and from what it does not. Each is somebody's complaint about another.

use proptest::prelude::*;

use super::*;

const FAST: Duration = Duration::from_millis(5);
const NEAR: Duration = Duration::from_millis(200);
const SLOW: Duration = Duration::from_millis(300);

/// A limiter with its own time.
struct World {
    limiter: Arc<Limiter>,
    now: Moment,
}

impl World {
    fn new(min: u32, initial: u32, max: u32) -> Self {
        let config = LimiterConfig { min, max, initial, ..LimiterConfig::default() };
        let now = Moment::from_nanos(1_000_000_000);
        Self { limiter: Arc::new(Limiter::new(config).unwrap()), now }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// So many at once, all of which end like this after that time; then the next window.
    fn round(&mut self, requests: u32, sample: Sample, took: Duration) {
        let take = |_| self.limiter.try_acquire(1, self.now).unwrap();
        let slots: Vec<_> = (0..requests).map(take).collect();
        self.pass(took);
        for slot in slots {
            slot.finish(sample, self.now);
        }
        self.pass(self.limiter.config().window);
    }

    fn limit(&self) -> u32 {
        self.limiter.limit()
    }
}

#[test]
fn constant_time_outs_lower_the_limit_to_its_minimum_and_never_raise_it() {
    let mut world = World::new(20, 200, 1_000);
    let mut before = world.limit();
    for _ in 0..50 {
        world.round(before, Sample::Overloaded, Duration::from_secs(3));
        assert!(world.limit() <= before);
        before = world.limit();
    }
    assert_eq!(before, 20);
}

#[test]
fn at_its_maximum_it_stays_and_nothing_is_lowered_to_measure_something() {
    let mut world = World::new(20, 200, 400);
    let mut before = 200;
    for _ in 0..1_000 {
        world.round(before, Sample::Answered, FAST);
        assert!(world.limit() >= before);
        before = world.limit();
    }
    assert_eq!(before, 400);
}

#[test]
fn it_doubles_while_answers_are_fast_and_creeps_when_they_near_the_target() {
    let mut world = World::new(20, 100, 10_000);
    world.round(100, Sample::Answered, FAST);
    world.round(100, Sample::Answered, FAST);
    assert_eq!(
        world.limit(),
        400,
        "the first sixteen said it for one window, the rest for another"
    );
    let mut world = World::new(20, 640, 10_000);
    world.round(640, Sample::Answered, NEAR);
    assert_eq!(world.limit(), 660);
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    let mut world = World::new(20, 200, 1_000);
    for _ in 0..100 {
        world.round(90, Sample::Answered, FAST);
    }
    assert_eq!(world.limit(), 200);
}

#[test]
fn a_handful_of_slow_answers_says_nothing() {
    let mut world = World::new(20, 200, 1_000);
    world.round(15, Sample::Answered, SLOW);
    assert_eq!(world.limit(), 200);
}

#[test]
fn one_late_answer_among_many_is_no_overload() {
    let mut world = World::new(20, 100, 1_000);
    let slow = world.limiter.try_acquire(1, world.now).unwrap();
    world.pass(SLOW);
    world.round(14, Sample::Answered, FAST);
    slow.finish(Sample::Answered, world.now);
    world.round(60, Sample::Answered, FAST);
    assert_eq!(world.limit(), 200);
}

#[test]
fn what_was_refused_or_cancelled_teaches_nothing() {
    let mut world = World::new(20, 100, 1_000);
    for _ in 0..50 {
        world.round(100, Sample::Ignored, SLOW);
        let full = world.limiter.try_acquire(100, world.now).unwrap();
        assert!((0..100).all(|_| world.limiter.try_acquire(1, world.now).is_none()));
        drop(full);
    }
    assert_eq!((world.limit(), world.limiter.in_flight()), (100, 0));
}

#[test]
fn a_limit_is_judged_only_by_those_who_were_admitted_under_it() {
    let mut world = World::new(20, 100, 1_000);
    let take = |_| world.limiter.try_acquire(1, world.now).unwrap();
    let mut early: Vec<_> = (0..100).map(take).collect();
    let late = early.split_off(50);
    for (slots, limit) in [(early, 80), (late, 80)] {
        world.pass(SLOW);
        for slot in slots {
            slot.finish(Sample::Answered, world.now);
        }
        assert_eq!(world.limit(), limit);
    }
}

#[test]
fn far_above_what_is_used_it_comes_down_to_what_matters_at_once() {
    let mut world = World::new(20, 8_000, 8_000);
    world.round(100, Sample::Answered, SLOW);
    assert_eq!(world.limit(), 160);
}

#[test]
fn a_large_one_gets_in_alone() {
    let world = World::new(20, 100, 1_000);
    let large = world.limiter.try_acquire(5_000, world.now).unwrap();
    assert!(world.limiter.try_acquire(1, world.now).is_none());
    drop(large);
    assert!(world.limiter.try_acquire(1, world.now).is_some());
}

#[test]
fn bounds_that_cannot_hold_are_refused() {
    let with = |min, initial, max| {
        Limiter::new(LimiterConfig { min, max, initial, ..LimiterConfig::default() }).unwrap_err()
    };
    assert_eq!(with(0, 1, 1), InvalidLimits::Bounds { min: 0, initial: 1, max: 1 });
    assert!(with(9, 8, 10).to_string().contains("min 9, initial 8, max 10"));
    let none = LimiterConfig { target: Duration::ZERO, ..LimiterConfig::default() };
    assert_eq!(Limiter::new(none).unwrap_err(), InvalidLimits::NoTime);
}

proptest! {
    /// Whatever comes, goes and becomes of it.
    #[test]
    fn nobody_gets_in_beyond_the_limit_and_all_is_given_back(
        steps in prop::collection::vec((0_u8..4, 1_u32..40, 0_u64..400), 1..400),
    ) {
        let mut world = World::new(10, 40, 200);
        let mut slots = Vec::new();
        for (step, items, ms) in steps {
            world.pass(Duration::from_millis(ms) / 8);
            let before = world.limiter.in_flight();
            match step {
                0 | 1 => {
                    let slot = world.limiter.try_acquire(items, world.now);
                    let fits = before == 0 || before + items <= world.limit();
                    prop_assert_eq!(slot.is_some(), fits);
                    slots.extend(slot);
                }
                2 if !slots.is_empty() => {
                    let sample = if ms % 7 == 0 { Sample::Overloaded } else { Sample::Answered };
                    slots.remove(0).finish(sample, world.now);
                }
                _ => drop(slots.pop()),
            }
            let held: u32 = slots.iter().map(Slot::items).sum();
            prop_assert_eq!(world.limiter.in_flight(), held);
            prop_assert!((10..=200).contains(&world.limit()));
        }
        slots.clear();
        prop_assert_eq!(world.limiter.in_flight(), 0);
    }
}
