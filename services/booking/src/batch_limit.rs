//! How many citizens a batch may have, learned from the latency of `vaccine`.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use contracts::vaccine::HOLDS_MAX;
use parking_lot::Mutex;
use platform_resilience::{
    limiter::{Limiter, LimiterConfig, Sample},
    time::{Moment, Monotonic},
};
use platform_rest::client::CallError;

/// The smallest limit of a batch, however slow `vaccine` is.
pub const BATCH_LIMIT_MIN: u32 = 64;

/// The smallest limit after batches that got no answer.
const ANSWERED_MIN: usize = 16;

/// Fewer citizens when `vaccine` refuses them, or takes half of the time-out of a request for them. Not sooner, since the
/// fixed cost of a commit is the same for fewer.
#[derive(Debug)]
pub(crate) struct BatchLimit {
    limiter: Mutex<Limiter>,
    /// Half of the last batch that got no answer; twice as many after each one that did. The limiter needs many samples;
    /// a batch that got no answer would not get one the next time either.
    answered_max: AtomicUsize,
    clock: Monotonic,
}

impl BatchLimit {
    /// A limit for requests with this time-out.
    pub(crate) fn new(timeout: Duration) -> Self {
        let max = u32::try_from(HOLDS_MAX).unwrap_or(u32::MAX);
        let config = LimiterConfig { min: BATCH_LIMIT_MIN, initial: max, max, target: timeout / 2 };
        #[expect(clippy::expect_used, reason = "BATCH_LIMIT_MIN is below HOLDS_MAX")]
        let limiter = Limiter::new(config).expect("its bounds are in order");
        Self {
            limiter: Mutex::new(limiter),
            answered_max: AtomicUsize::new(HOLDS_MAX),
            clock: Monotonic::default(),
        }
    }

    pub(crate) fn get(&self) -> usize {
        let limit = usize::try_from(self.limiter.lock().limit()).unwrap_or(HOLDS_MAX);
        limit.min(self.answered_max.load(Ordering::Relaxed))
    }

    /// The time by its own clock.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// A batch for so many citizens was sent then, and has ended. For none, nobody has waited for it.
    pub(crate) fn learn(&self, citizens: u32, sent_at: Moment, error: Option<&CallError>) {
        if citizens == 0 {
            return;
        }
        let sample = sample(error);
        let max = self.answered_max.load(Ordering::Relaxed);
        let max = match sample {
            Sample::Answered => (max * 2).min(HOLDS_MAX),
            Sample::Overloaded => {
                (usize::try_from(citizens).unwrap_or(HOLDS_MAX) / 2).max(ANSWERED_MIN)
            }
            Sample::Ignored => max,
        };
        self.answered_max.store(max, Ordering::Relaxed);
        let mut limiter = self.limiter.lock();
        // Nothing else is in flight, so the batch may as well be counted now.
        limiter.try_acquire(citizens, citizens);
        limiter.learn(sample, sent_at, self.clock.now());
        limiter.release(citizens);
    }
}

/// Nothing is learned from a batch that `vaccine` never received.
fn sample(error: Option<&CallError>) -> Sample {
    match error {
        None => Sample::Answered,
        Some(
            CallError::Shed { .. }
            | CallError::NoResponse(_)
            | CallError::TooLarge
            | CallError::Status(_),
        ) => Sample::Overloaded,
        Some(CallError::Unreachable(_) | CallError::CircuitOpen { .. }) => Sample::Ignored,
    }
}
