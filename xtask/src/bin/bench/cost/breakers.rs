//! Circuit breakers, called as a function and around a future. All of them are asked for much the
//! same: open after five failures in a row or half of what was called lately, where they can.

use std::{future, hint::black_box, sync::Arc, time::Duration};

use drill::Broken;
use failsafe::{backoff, failure_policy};
use recloser::{AsyncRecloser, Recloser};
use resilience::{
    breaker::{Answer, Breaker, BreakerConfig, InvalidConfig, State},
    time::{Clock, Coarse},
};

use crate::cost::contest::{Contestant, Fate, failure, finish, one_by_one, work};

/// Calls that are looked back on, by those who count calls rather than time.
pub(super) const RING: usize = 100;

/// Longer than the measurement: what is open stays open.
pub(super) const OPEN_FOR: Duration = Duration::from_hours(1);

/// Failures that open every one of them.
pub(super) const FAILURES: usize = 2 * RING;

/// How a function is protected.
const FUNCTION: &str = "function";

/// How a future is protected.
const FUTURE: &str = "future";

pub(super) fn contestants() -> Result<Vec<Contestant>, Broken> {
    let mut all = Vec::new();
    for fate in [Fate::LetThrough, Fate::Refused] {
        all.extend([
            ours_borrowed(ours(fate)?, fate),
            ours_shared(ours(fate)?, fate),
            ours_alone(ours(fate)?, fate),
            recloser_function(recloser(fate), fate),
            failsafe_function(fate),
            recloser_future(recloser(fate).into(), fate),
            failsafe_future(fate),
        ]);
    }
    Ok(all)
}

/// Our breaker, in the state that has that outcome.
pub(super) fn ours(fate: Fate) -> Result<Arc<Breaker>, InvalidConfig> {
    let config =
        BreakerConfig { open_for: OPEN_FOR, open_max: OPEN_FOR, ..BreakerConfig::default() };
    let breaker = Arc::new(Breaker::new(config)?);
    if fate == Fate::Refused {
        for _ in 0..FAILURES {
            if let Ok(permit) = breaker.enter(Coarse.now()) {
                permit.record(Answer::Failure, None, Coarse.now());
            }
        }
        debug_assert_eq!(breaker.state(Coarse.now()), State::Open);
    }
    Ok(breaker)
}

fn judged(answer: Result<u32, u32>) -> Answer {
    if answer.is_ok() { Answer::Success } else { Answer::Failure }
}

fn ours_borrowed(breaker: Arc<Breaker>, fate: Fate) -> Contestant {
    let caller = move || {
        let breaker = Arc::clone(&breaker);
        one_by_one(move |number| match breaker.enter_ref(Coarse.now()) {
            Ok(permit) => {
                let answer = work(number);
                permit.record(judged(answer), None, Coarse.now());
                black_box(answer).is_ok()
            }
            Err(refused) => black_box(Err::<u32, _>(refused)).is_ok(),
        })
    };
    let name = "ours, borrowed permit";
    Contestant { name, called: FUNCTION, fate, caller: Box::new(caller) }
}

/// The breaker alone, for whoever has read the clock for other reasons, as a stack has.
fn ours_alone(breaker: Arc<Breaker>, fate: Fate) -> Contestant {
    let caller = move || {
        let (breaker, now) = (Arc::clone(&breaker), Coarse.now());
        one_by_one(move |number| match breaker.enter_ref(black_box(now)) {
            Ok(permit) => {
                let answer = work(number);
                permit.record(judged(answer), None, black_box(now));
                black_box(answer).is_ok()
            }
            Err(refused) => black_box(Err::<u32, _>(refused)).is_ok(),
        })
    };
    let name = "ours, clock not read";
    Contestant { name, called: FUNCTION, fate, caller: Box::new(caller) }
}

fn ours_shared(breaker: Arc<Breaker>, fate: Fate) -> Contestant {
    let caller = move || {
        let breaker = Arc::clone(&breaker);
        one_by_one(move |number| match breaker.enter(Coarse.now()) {
            Ok(permit) => {
                let answer = work(number);
                permit.record(judged(answer), None, Coarse.now());
                black_box(answer).is_ok()
            }
            Err(refused) => black_box(Err::<u32, _>(refused)).is_ok(),
        })
    };
    let name = "ours, `Arc` permit";
    Contestant { name, called: FUNCTION, fate, caller: Box::new(caller) }
}

fn recloser(fate: Fate) -> Recloser {
    let recloser = Recloser::custom()
        .error_rate(0.5)
        .closed_len(RING)
        .half_open_len(5)
        .open_wait(OPEN_FOR)
        .build();
    if fate == Fate::Refused {
        for _ in 0..FAILURES {
            drop(black_box(recloser.call(failure)));
        }
    }
    recloser
}

fn recloser_function(recloser: Recloser, fate: Fate) -> Contestant {
    let recloser = Arc::new(recloser);
    let caller = move || {
        let recloser = Arc::clone(&recloser);
        one_by_one(move |number| black_box(recloser.call(|| work(number))).is_ok())
    };
    Contestant { name: "recloser", called: FUNCTION, fate, caller: Box::new(caller) }
}

fn recloser_future(recloser: AsyncRecloser, fate: Fate) -> Contestant {
    let caller = move || {
        let recloser = recloser.clone();
        one_by_one(move |number| {
            black_box(finish(recloser.call(future::ready(work(number))))).is_ok()
        })
    };
    Contestant { name: "recloser", called: FUTURE, fate, caller: Box::new(caller) }
}

/// A macro, since the type of its policy has no name.
macro_rules! failsafe {
    ($fate:expr) => {{
        let rate = failure_policy::success_rate_over_time_window(
            0.5,
            20,
            Duration::from_secs(10),
            backoff::constant(OPEN_FOR),
        );
        let row = failure_policy::consecutive_failures(5, backoff::constant(OPEN_FOR));
        let policy = failure_policy::FailurePolicy::or_else(rate, row);
        let breaker = failsafe::Config::new().failure_policy(policy).build();
        if $fate == Fate::Refused {
            for _ in 0..FAILURES {
                drop(black_box(failsafe::CircuitBreaker::call(&breaker, failure)));
            }
        }
        breaker
    }};
}

fn failsafe_function(fate: Fate) -> Contestant {
    let breaker = failsafe!(fate);
    let caller = move || {
        let breaker = breaker.clone();
        one_by_one(move |number| {
            black_box(failsafe::CircuitBreaker::call(&breaker, || work(number))).is_ok()
        })
    };
    Contestant { name: "failsafe", called: FUNCTION, fate, caller: Box::new(caller) }
}

fn failsafe_future(fate: Fate) -> Contestant {
    let breaker = failsafe!(fate);
    let caller = move || {
        let breaker = breaker.clone();
        one_by_one(move |number| {
            let work = future::ready(work(number));
            let answer = failsafe::futures::CircuitBreaker::call(&breaker, work);
            black_box(finish(answer)).is_ok()
        })
    };
    Contestant { name: "failsafe", called: FUTURE, fate, caller: Box::new(caller) }
}
