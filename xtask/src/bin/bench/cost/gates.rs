//! Our limiter and our admission, with room for everybody and with room for nobody.

use std::{hint::black_box, sync::Arc, time::Duration};

use drill::Broken;
use resilience::{
    admission::{Admission, AdmissionConfig, Admitted},
    deadline::Deadline,
    limiter::{Limiter, LimiterConfig, Sample, Slot},
    line::Priority,
    time::{Clock, Coarse, Moment, Monotonic},
};

use crate::cost::contest::{Contestant, Fate, finish, one_by_one, work};

/// The clock of deadlines: Tokio's timers must agree with it.
pub(super) type Time = Monotonic;

/// A limit that one request fills.
const ONE: LimiterConfig = LimiterConfig {
    min: 1,
    max: 1,
    initial: 1,
    target: Duration::from_millis(250),
    window: Duration::from_millis(100),
};

pub(super) fn contestants() -> Result<Vec<Contestant>, Broken> {
    let mut all = Vec::new();
    for fate in [Fate::LetThrough, Fate::Refused] {
        all.extend([limiter(fate)?, admission(fate)?]);
    }
    Ok(all)
}

fn limiter(fate: Fate) -> Result<Contestant, Broken> {
    let config = if fate == Fate::Refused { ONE } else { LimiterConfig::default() };
    let limiter = Arc::new(Limiter::new(config)?);
    let filled: Option<Slot> =
        if fate == Fate::Refused { limiter.try_acquire(1, Coarse.now()) } else { None };
    let caller = move || {
        let limiter = Arc::clone(&limiter);
        one_by_one(move |number| match limiter.try_acquire(1, Coarse.now()) {
            Some(slot) => {
                let answer = work(number);
                slot.finish(Sample::Answered, Coarse.now());
                black_box(answer).is_ok()
            }
            None => false,
        })
    };
    let caller = keeping(filled, caller);
    Ok(Contestant { name: "our limiter", called: "function", fate, caller: Box::new(caller) })
}

fn admission(fate: Fate) -> Result<Contestant, Broken> {
    let (admission, filled) = ours(fate)?;
    let caller = move || {
        let admission = admission.clone();
        one_by_one(move |number| {
            let deadline = Deadline::within(Duration::from_secs(3), admission.clock().now());
            match finish(admission.admit(Priority::Book, 1, deadline)) {
                Ok(admitted) => {
                    let answer = work(number);
                    admitted.finish(Sample::Answered);
                    black_box(answer).is_ok()
                }
                Err(shed) => black_box(Err::<u32, _>(shed)).is_ok(),
            }
        })
    };
    let caller = keeping(filled, caller);
    Ok(Contestant { name: "our admission", called: "future", fate, caller: Box::new(caller) })
}

/// An admission, and who is in it already.
type Filled = (Admission<Time>, Option<Admitted<Time>>);

/// Our admission; where it is to refuse, with somebody in it who stays.
pub(super) fn ours(fate: Fate) -> Result<Filled, Broken> {
    if fate == Fate::LetThrough {
        return Ok((Admission::new(AdmissionConfig::default(), Time::default())?, None));
    }
    let config = AdmissionConfig { limiter: ONE, waiting_max: 0, ..AdmissionConfig::default() };
    let admission = Admission::new(config, Time::default())?;
    let never = Deadline::at(Moment::from_nanos(u64::MAX));
    let filled = finish(admission.admit(Priority::Book, 1, never))?;
    Ok((admission, Some(filled)))
}

/// The same, and what fills the place for as long as it is called.
pub(super) fn keeping<K, T>(kept: K, make: impl Fn() -> T) -> impl Fn() -> T {
    move || {
        let _: &K = &kept;
        make()
    }
}
