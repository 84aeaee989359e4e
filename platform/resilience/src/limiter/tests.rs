//! What the limiter learns, and from what it does not. Each is a reported problem of another limiter.

use proptest::prelude::*;

use super::*;

const FAST: Duration = Duration::from_millis(5);
const NEAR: Duration = Duration::from_millis(200);
const SLOW: Duration = Duration::from_millis(300);

/// A request in flight.
struct InFlight {
    items: u32,
    admitted_at: Moment,
}

/// A limiter with its own time.
struct TestSystem {
    limiter: Limiter,
    now: Moment,
}

impl TestSystem {
    fn new(min: u32, initial: u32, max: u32) -> Self {
        let config = LimiterConfig { min, max, initial, ..LimiterConfig::default() };
        let now = Moment::from_nanos(1_000_000_000);
        Self { limiter: Limiter::new(config).unwrap(), now }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    fn try_acquire(&mut self, items: u32) -> Option<InFlight> {
        let acquired = self.limiter.try_acquire(items, self.limit());
        acquired.then_some(InFlight { items, admitted_at: self.now })
    }

    fn finish(&mut self, request: &InFlight, sample: Sample) {
        self.limiter.learn(sample, request.admitted_at, self.now);
        self.limiter.release(request.items);
    }

    /// So many at once, all of which end like this after that time; then the next window.
    fn round(&mut self, requests: u32, sample: Sample, took: Duration) {
        let in_flight: Vec<_> = (0..requests).map(|_| self.try_acquire(1).unwrap()).collect();
        self.pass(took);
        for request in in_flight {
            self.finish(&request, sample);
        }
        self.pass(WINDOW);
    }

    fn limit(&self) -> u32 {
        self.limiter.limit()
    }
}

#[test]
fn constant_timeouts_lower_the_limit_to_its_minimum_and_never_raise_it() {
    let mut system = TestSystem::new(20, 200, 1_000);
    let mut before = system.limit();
    for _ in 0..50 {
        system.round(before, Sample::Overloaded, Duration::from_secs(3));
        assert!(system.limit() <= before);
        before = system.limit();
    }
    assert_eq!(before, 20);
}

#[test]
fn at_its_maximum_it_stays_and_is_never_lowered_to_measure_something() {
    let mut system = TestSystem::new(20, 200, 400);
    let mut before = 200;
    for _ in 0..1_000 {
        system.round(before, Sample::Answered, FAST);
        assert!(system.limit() >= before);
        before = system.limit();
    }
    assert_eq!(before, 400);
}

#[test]
fn it_doubles_while_answers_are_fast_and_grows_slowly_near_the_target() {
    let mut system = TestSystem::new(20, 100, 10_000);
    system.round(100, Sample::Answered, FAST);
    system.round(100, Sample::Answered, FAST);
    assert_eq!(system.limit(), 400, "the first sixteen fill one window, the rest another");
    let mut system = TestSystem::new(20, 640, 10_000);
    system.round(640, Sample::Answered, NEAR);
    assert_eq!(system.limit(), 660);
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    let mut system = TestSystem::new(20, 200, 1_000);
    for _ in 0..100 {
        system.round(90, Sample::Answered, FAST);
    }
    assert_eq!(system.limit(), 200);
}

#[test]
fn a_few_slow_answers_change_nothing() {
    let mut system = TestSystem::new(20, 200, 1_000);
    system.round(15, Sample::Answered, SLOW);
    assert_eq!(system.limit(), 200);
}

#[test]
fn one_late_answer_among_many_is_no_overload() {
    let mut system = TestSystem::new(20, 100, 1_000);
    let slow = system.try_acquire(1).unwrap();
    system.pass(SLOW);
    system.round(14, Sample::Answered, FAST);
    system.finish(&slow, Sample::Answered);
    system.round(60, Sample::Answered, FAST);
    assert_eq!(system.limit(), 200);
}

#[test]
fn nothing_is_learned_from_refused_or_cancelled_requests() {
    let mut system = TestSystem::new(20, 100, 1_000);
    for _ in 0..50 {
        system.round(100, Sample::Ignored, SLOW);
        let full = system.try_acquire(100).unwrap();
        assert!((0..100).all(|_| system.try_acquire(1).is_none()));
        system.finish(&full, Sample::Ignored);
    }
    assert_eq!((system.limit(), system.limiter.in_flight()), (100, 0));
}

#[test]
fn a_limit_is_changed_only_by_requests_that_were_admitted_under_it() {
    let mut system = TestSystem::new(20, 100, 1_000);
    let mut early: Vec<_> = (0..100).map(|_| system.try_acquire(1).unwrap()).collect();
    let late = early.split_off(50);
    for (requests, limit) in [(early, 80), (late, 80)] {
        system.pass(SLOW);
        for request in requests {
            system.finish(&request, Sample::Answered);
        }
        assert_eq!(system.limit(), limit);
    }
}

#[test]
fn far_above_what_is_used_it_is_lowered_to_what_is_used_at_once() {
    let mut system = TestSystem::new(20, 8_000, 8_000);
    system.round(100, Sample::Answered, SLOW);
    assert_eq!(system.limit(), 160);
}

#[test]
fn a_request_larger_than_the_limit_is_admitted_alone() {
    let mut system = TestSystem::new(20, 100, 1_000);
    let large = system.try_acquire(5_000).unwrap();
    assert!(system.try_acquire(1).is_none());
    system.finish(&large, Sample::Ignored);
    assert!(system.try_acquire(1).is_some());
}

#[test]
fn invalid_bounds_are_refused() {
    let with = |min, initial, max| {
        Limiter::new(LimiterConfig { min, max, initial, ..LimiterConfig::default() }).unwrap_err()
    };
    assert_eq!(with(0, 1, 1).to_string(), "min: must be 1 to 1, not 0");
    assert_eq!(with(9, 8, 10).to_string(), "min: must be 1 to 8, not 9");
    assert_eq!(with(9, 11, 10).to_string(), "initial: must be 9 to 10, not 11");
    let none = LimiterConfig { target: Duration::ZERO, ..LimiterConfig::default() };
    assert_eq!(
        Limiter::new(none).unwrap_err().to_string(),
        "target: must be 1ms to 3600s, not 0ns"
    );
}

proptest! {
    /// For any sequence of requests.
    #[test]
    fn no_request_is_admitted_beyond_the_limit_and_all_items_are_released(
        steps in prop::collection::vec((0_u8..4, 1_u32..40, 0_u64..400), 1..400),
    ) {
        let mut system = TestSystem::new(10, 40, 200);
        let mut in_flight: Vec<InFlight> = Vec::new();
        for (step, items, ms) in steps {
            system.pass(Duration::from_millis(ms) / 8);
            let before = system.limiter.in_flight();
            match step {
                0 | 1 => {
                    let request = system.try_acquire(items);
                    let fits = before == 0 || before + items <= system.limit();
                    prop_assert_eq!(request.is_some(), fits);
                    in_flight.extend(request);
                }
                2 if !in_flight.is_empty() => {
                    let sample = if ms % 7 == 0 { Sample::Overloaded } else { Sample::Answered };
                    system.finish(&in_flight.remove(0), sample);
                }
                _ => {
                    if let Some(cancelled) = in_flight.pop() {
                        system.finish(&cancelled, Sample::Ignored);
                    }
                }
            }
            let held: u32 = in_flight.iter().map(|request| request.items).sum();
            prop_assert_eq!(system.limiter.in_flight(), held);
            prop_assert!((10..=200).contains(&system.limit()));
        }
    }
}
