//! What one call costs in each guard, beside the circuit breakers of other crates.
//!
//! Run it with `cargo bench -p platform-resilience --bench guards`; read the medians.
//! The guarded work is done at once, so the figure is the cost of the guard alone.
//! With several threads, all of them share one guard.
//!
//! Every circuit breaker opens when half of the calls fail: of the last 100 (recloser and
//! tower-resilience, which count calls) or of those of the last 10 s (ours and failsafe). Ours and
//! failsafe also open after five failures in a row, ours also when too many calls are slow.
//! recloser reads no clock while it is closed.
//!
//! Futures are polled without a scheduler, so that its cost is in none of the figures.
#![expect(clippy::unwrap_used, reason = "a benchmark panics as a test does")]

use std::{
    fmt,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use divan::Bencher;
use failsafe::{backoff, failure_policy};
use platform_resilience::{
    admission::{Admission, AdmissionConfig},
    breaker::{Breaker, BreakerConfig, CallOutcome, State},
    deadline::Deadline,
    limiter::{Limiter, LimiterConfig, Sample},
    retry_budget::RetryBudget,
    time::{Coarse, Moment},
    wait_queue::Priority,
};
use recloser::{AsyncRecloser, Recloser};
use tokio::runtime::{Builder, Runtime};
use tower::Service;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

fn main() {
    divan::main();
}

const THREADS: [usize; 3] = [1, 2, 4];

const GUARDS: [Guard; 2] = [Guard::Admits, Guard::Rejects];

/// Calls that the circuit breakers of other crates look back on.
const WINDOW_CALLS: usize = 100;

/// Failures that open every circuit breaker.
const FAILURES: usize = 2 * WINDOW_CALLS;

/// Longer than the benchmark, so that an open circuit stays open.
const OPEN_FOR: Duration = Duration::from_hours(1);

/// A limit that one request reaches.
const ONE: LimiterConfig =
    LimiterConfig { min: 1, max: 1, initial: 1, target: Duration::from_millis(250) };

/// What the guard does with every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    Admits,
    Rejects,
}

impl fmt::Display for Guard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

/// Measures `call`, which returns whether it was admitted.
fn measure(bencher: Bencher<'_, '_>, guard: Guard, call: impl Fn() -> bool + Sync) {
    bencher.bench(|| assert_eq!(call(), guard == Guard::Admits));
}

fn work() -> Result<u32, u32> {
    black_box(Ok(1))
}

fn failure() -> Result<u32, u32> {
    black_box(Err(0))
}

/// A future is polled again at once where it has to wait for another thread.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(reply) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return reply;
        }
        thread::yield_now();
    }
}

fn our_breaker(guard: Guard) -> Arc<Breaker> {
    let config =
        BreakerConfig { open_for: OPEN_FOR, open_max: OPEN_FOR, ..BreakerConfig::default() };
    let breaker = Arc::new(Breaker::new(config).unwrap());
    if guard == Guard::Rejects {
        for _ in 0..FAILURES {
            if let Ok(permit) = breaker.enter(Coarse.now()) {
                permit.record(CallOutcome::Failure, None, Coarse.now());
            }
        }
        assert_eq!(breaker.state(Coarse.now()), State::Open);
    }
    breaker
}

fn through(breaker: &Arc<Breaker>, now: impl Fn() -> Moment) -> bool {
    let Ok(permit) = breaker.enter(now()) else { return false };
    let reply = work();
    let outcome = if reply.is_ok() { CallOutcome::Success } else { CallOutcome::Failure };
    permit.record(outcome, None, now());
    black_box(reply).is_ok()
}

#[divan::bench(args = GUARDS, threads = THREADS)]
fn ours_breaker(bencher: Bencher<'_, '_>, guard: Guard) {
    let breaker = our_breaker(guard);
    measure(bencher, guard, || through(&breaker, || Coarse.now()));
}

/// For a caller that has read the clock before.
#[divan::bench(args = GUARDS, threads = THREADS)]
fn ours_breaker_with_known_time(bencher: Bencher<'_, '_>, guard: Guard) {
    let (breaker, now) = (our_breaker(guard), Coarse.now());
    measure(bencher, guard, || through(&breaker, || black_box(now)));
}

#[divan::bench(args = GUARDS, threads = THREADS)]
fn ours_limiter(bencher: Bencher<'_, '_>, guard: Guard) {
    let config = if guard == Guard::Rejects { ONE } else { LimiterConfig::default() };
    let limiter = Mutex::new(Limiter::new(config).unwrap());
    let try_acquire = || {
        let mut limiter = limiter.lock().unwrap();
        let room = limiter.limit();
        limiter.try_acquire(1, room)
    };
    assert!(guard == Guard::Admits || try_acquire());
    measure(bencher, guard, || {
        let admitted_at = Coarse.now();
        if !try_acquire() {
            return false;
        }
        let reply = work();
        let mut limiter = limiter.lock().unwrap();
        limiter.learn(Sample::Answered, admitted_at, Coarse.now());
        limiter.release(1);
        black_box(reply).is_ok()
    });
}

#[divan::bench(args = GUARDS, threads = THREADS)]
fn ours_admission(bencher: Bencher<'_, '_>, guard: Guard) {
    let config = match guard {
        Guard::Admits => AdmissionConfig::default(),
        Guard::Rejects => {
            AdmissionConfig { limiter: ONE, waiting_max: 0, ..AdmissionConfig::default() }
        }
    };
    let admission = Admission::new(config).unwrap();
    let deadline = || Deadline::within(Duration::from_secs(3), admission.clock().now());
    let admit = || finish(admission.admit(Priority::Book, 1, deadline()));
    let _reached = (guard == Guard::Rejects).then(|| admit().unwrap());
    measure(bencher, guard, || {
        let Ok(admitted) = admit() else { return false };
        let reply = work();
        admitted.finish(Sample::Answered);
        black_box(reply).is_ok()
    });
}

/// A call that adds to the budget, or a retry that exceeds it.
#[divan::bench(args = GUARDS, threads = THREADS)]
fn ours_retry_budget(bencher: Bencher<'_, '_>, guard: Guard) {
    let budget = RetryBudget::default();
    let begin = Coarse.now();
    while budget.try_retry(begin) {}
    measure(bencher, guard, || match guard {
        Guard::Admits => {
            budget.record_call(Coarse.now());
            true
        }
        Guard::Rejects => {
            // Within the time to live of the retries before, however long the benchmark runs.
            black_box(Coarse.now());
            budget.try_retry(begin)
        }
    });
}

fn recloser(guard: Guard) -> Recloser {
    let recloser = Recloser::custom()
        .error_rate(0.5)
        .closed_len(WINDOW_CALLS)
        .half_open_len(5)
        .open_wait(OPEN_FOR)
        .build();
    if guard == Guard::Rejects {
        (0..FAILURES).for_each(|_| drop(black_box(recloser.call(failure))));
    }
    recloser
}

#[divan::bench(args = GUARDS, threads = THREADS)]
fn recloser_function(bencher: Bencher<'_, '_>, guard: Guard) {
    let recloser = recloser(guard);
    measure(bencher, guard, || black_box(recloser.call(work)).is_ok());
}

#[divan::bench(args = GUARDS, threads = THREADS)]
fn recloser_future(bencher: Bencher<'_, '_>, guard: Guard) {
    let recloser = AsyncRecloser::from(recloser(guard));
    measure(bencher, guard, || black_box(finish(recloser.call(ready(work())))).is_ok());
}

/// A macro, since the type of its policy has no name.
macro_rules! failsafe {
    ($guard:expr) => {{
        let wait = || backoff::constant(OPEN_FOR);
        let period = Duration::from_secs(10);
        let rate = failure_policy::success_rate_over_time_window(0.5, 20, period, wait());
        let row = failure_policy::consecutive_failures(5, wait());
        let policy = failure_policy::FailurePolicy::or_else(rate, row);
        let breaker = failsafe::Config::new().failure_policy(policy).build();
        if $guard == Guard::Rejects {
            for _ in 0..FAILURES {
                drop(black_box(failsafe::CircuitBreaker::call(&breaker, failure)));
            }
        }
        breaker
    }};
}

#[divan::bench(args = GUARDS, threads = THREADS)]
fn failsafe_function(bencher: Bencher<'_, '_>, guard: Guard) {
    let breaker = failsafe!(guard);
    measure(bencher, guard, || black_box(failsafe::CircuitBreaker::call(&breaker, work)).is_ok());
}

#[divan::bench(args = GUARDS, threads = THREADS)]
fn failsafe_future(bencher: Bencher<'_, '_>, guard: Guard) {
    let breaker = failsafe!(guard);
    measure(bencher, guard, || {
        let reply = failsafe::futures::CircuitBreaker::call(&breaker, ready(work()));
        black_box(finish(reply)).is_ok()
    });
}

/// A service that replies at once, as the request says.
#[derive(Clone, Copy)]
struct Always;

impl Service<Result<u32, u32>> for Always {
    type Response = u32;
    type Error = u32;
    type Future = Ready<Result<u32, u32>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), u32>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, reply: Result<u32, u32>) -> Self::Future {
        ready(reply)
    }
}

/// Whether the service, once it is ready, returned a reply.
fn replies<S>(service: &mut S, reply: Result<u32, u32>) -> bool
where
    S: Service<Result<u32, u32>> + Clone,
{
    // An open tower-resilience sets a timer, which takes a runtime.
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());
    let _entered = RUNTIME.enter();
    while service.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending() {
        // A clone has no timer to wait for.
        *service = service.clone();
        thread::yield_now();
    }
    black_box(finish(service.call(reply))).is_ok()
}

/// What calling a service costs without any guard: it is part of the figures of tower-resilience.
#[divan::bench(threads = THREADS)]
fn tower_without_a_guard(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| Always).bench_refs(|service| assert!(replies(service, work())));
}

#[divan::bench(args = GUARDS, threads = THREADS)]
fn tower_resilience(bencher: Bencher<'_, '_>, guard: Guard) {
    let layer = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(WINDOW_CALLS)
        .minimum_number_of_calls(20)
        .wait_duration_in_open(OPEN_FOR)
        .build()
        .unwrap();
    let mut breaker = layer.layer_fn(Always);
    if guard == Guard::Rejects {
        (0..FAILURES).for_each(|_| assert!(!replies(&mut breaker, failure())));
    }
    let admits = guard == Guard::Admits;
    bencher
        .with_inputs(|| breaker.clone())
        .bench_refs(|breaker| assert_eq!(replies(breaker, work()), admits));
}
