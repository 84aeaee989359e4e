//! Calls of several threads at the same time.

use std::thread;

use platform_resilience::breaker::{CallOutcome, State};

use super::caller::Caller;

const THREADS: usize = 4;
const ROUNDS: usize = 500;

/// Runs `call` on all threads at the same time; the results.
fn at_once<T: Send>(call: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(&call)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn failures_at_the_same_time_open_it_once_and_all_are_counted() {
    for _ in 0..ROUNDS {
        let caller = Caller::new();
        caller.calls(CallOutcome::Failure, 3);
        let permitted = at_once(|| caller.call(CallOutcome::Failure));
        let permitted = permitted.into_iter().filter(|permitted| *permitted).count();
        assert_eq!((caller.state(), caller.causes().len()), (State::Open, 1));
        let failures = caller.breaker.snapshot(caller.now).totals.failure;
        assert_eq!(usize::try_from(failures).unwrap(), 3 + permitted);
    }
}

#[test]
fn half_open_permits_no_more_probes_at_the_same_time_than_configured() {
    for _ in 0..ROUNDS {
        let mut caller = Caller::new();
        caller.open();
        caller.wait_open();
        let permits = at_once(|| [caller.enter().ok(), caller.enter().ok()]);
        let permits: Vec<_> = permits.into_iter().flatten().flatten().collect();
        assert_eq!((permits.len(), caller.breaker.snapshot(caller.now).probes_out), (5, 5));
        drop(permits);
        assert_eq!(caller.breaker.snapshot(caller.now).probes_out, 0);
    }
}
