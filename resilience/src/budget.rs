//! The retry budget: retries are a small share of the calls, so that they cannot become the load.
//!
//! A call earns a share of a retry, and a few a second are free, so that a quiet caller may retry
//! at all. What was earned expires: a good hour does not pay for a storm. The rule is Finagle's
//! (Twitter, "Finagle: retries", 20 % + 10/s, 10 s); ours earns half, as there is one retry at
//! most and one hop.
//!
//! In any time to live, retries are at most that share of its calls and what is free in it.

use std::time::Duration;

use thiserror::Error;

use crate::{
    pair::{FIRST, Pair, SECOND},
    sync::{AtomicU64, Ordering, fence},
    time::{Moment, nanos},
};

/// The time to live, in so many steps.
const BUCKETS: u64 = 10;

/// The shortest time to live.
pub const TTL_MIN: Duration = Duration::from_millis(10);

/// The longest time to live.
pub const TTL_MAX: Duration = Duration::from_mins(10);

/// The most that can be free in a second.
pub const PER_SECOND_MAX: u32 = 10_000;

/// How much may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Retries for a hundred calls; 100 at most.
    pub percent: u8,
    /// Retries a second that need not be earned.
    pub per_second: u32,
    /// How long what was earned can be spent.
    pub ttl: Duration,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { percent: 10, per_second: 10, ttl: Duration::from_secs(10) }
    }
}

/// A budget that would not limit anything, or that cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidBudget {
    /// More retries than calls.
    #[error("percent: must be at most 100, not {0}")]
    Percent(u8),
    /// Too many are free.
    #[error("per_second: must be at most {PER_SECOND_MAX}, not {0}")]
    PerSecond(u32),
    /// Too short or too long.
    #[error("ttl: must be {TTL_MIN:?} to {TTL_MAX:?}, not {0:?}")]
    Ttl(Duration),
}

/// A retry budget. Atomics only; shared by everybody whose retries add up.
#[derive(Debug)]
pub struct Budget {
    config: BudgetConfig,
    bucket_nanos: u64,
    /// What is free within the time to live.
    free: u64,
    /// Calls and retries, a bucket each tenth of the time to live. A retry counts in both.
    buckets: [Pair; 10],
    retried: AtomicU64,
    refused: AtomicU64,
}

impl Budget {
    /// A budget that nobody has used yet.
    pub fn new(config: BudgetConfig) -> Result<Self, InvalidBudget> {
        if config.percent > 100 {
            return Err(InvalidBudget::Percent(config.percent));
        }
        if config.per_second > PER_SECOND_MAX {
            return Err(InvalidBudget::PerSecond(config.per_second));
        }
        if !(TTL_MIN..=TTL_MAX).contains(&config.ttl) {
            return Err(InvalidBudget::Ttl(config.ttl));
        }
        let ttl_ms = u64::try_from(config.ttl.as_millis()).unwrap_or(u64::MAX);
        Ok(Self {
            config,
            bucket_nanos: nanos(config.ttl) / BUCKETS,
            free: u64::from(config.per_second).saturating_mul(ttl_ms) / 1_000,
            buckets: std::array::from_fn(|_| Pair::new()),
            retried: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// A call is made that is no retry: it earns its share.
    #[inline]
    pub fn call(&self, now: Moment) {
        let epoch = self.epoch(now);
        self.bucket(epoch).add(epoch, FIRST, || true);
    }

    /// Whether a retry may be made now; if so, it is paid for.
    pub fn try_retry(&self, now: Moment) -> bool {
        // Pays first and looks then: of several that pay at once, some may be refused that need
        // not be, but never are there too many.
        let epoch = self.epoch(now);
        self.bucket(epoch).add(epoch, FIRST + SECOND, || true);
        fence(Ordering::SeqCst);
        if self.left(epoch).is_some() {
            self.retried.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        self.bucket(epoch).take_back_both(epoch);
        self.refused.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// How many retries could be made now.
    pub fn balance(&self, now: Moment) -> u64 {
        self.left(self.epoch(now)).unwrap_or(0)
    }

    /// Retries that were made, ever.
    pub fn retried(&self) -> u64 {
        self.retried.load(Ordering::Relaxed)
    }

    /// Retries that were refused, ever.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// What is left of the time to live that ends with that epoch; `None` if it is overdrawn.
    fn left(&self, newest: u64) -> Option<u64> {
        let (mut asked, mut paid) = (0, 0);
        // The one after it too: somebody may have a clock that is a moment ahead.
        for epoch in newest.saturating_sub(BUCKETS - 1)..=newest + 1 {
            let (all, retries) = self.bucket(epoch).read(epoch);
            asked += u64::from(all.saturating_sub(retries));
            paid += u64::from(retries);
        }
        (asked * u64::from(self.config.percent) / 100 + self.free).checked_sub(paid)
    }

    fn epoch(&self, now: Moment) -> u64 {
        now.as_nanos() / self.bucket_nanos
    }

    fn bucket(&self, epoch: u64) -> &Pair {
        &self.buckets[usize::try_from(epoch % BUCKETS).unwrap_or(0)]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn start() -> Moment {
        Moment::default().after(Duration::from_hours(1))
    }

    fn retries(budget: &Budget, now: Moment) -> usize {
        (0..1_000).filter(|_| budget.try_retry(now)).count()
    }

    #[test]
    fn a_quiet_caller_may_retry_ten_a_second() {
        let budget = Budget::new(BudgetConfig::default()).unwrap();
        assert_eq!(budget.balance(start()), 100);
        assert_eq!(retries(&budget, start()), 100);
        assert_eq!((budget.retried(), budget.refused()), (100, 900));
    }

    #[test]
    fn ten_calls_earn_a_retry() {
        let config = BudgetConfig { per_second: 0, ..BudgetConfig::default() };
        let budget = Budget::new(config).unwrap();
        (0..9).for_each(|_| budget.call(start()));
        assert!(!budget.try_retry(start()));
        budget.call(start());
        assert_eq!(retries(&budget, start()), 1);
    }

    #[test]
    fn a_retry_earns_nothing() {
        let config = BudgetConfig { percent: 100, per_second: 0, ..BudgetConfig::default() };
        let budget = Budget::new(config).unwrap();
        (0..7).for_each(|_| budget.call(start()));
        assert_eq!(retries(&budget, start()), 7);
    }

    #[test]
    fn what_was_earned_expires_after_ten_seconds() {
        let config = BudgetConfig { per_second: 0, ..BudgetConfig::default() };
        let budget = Budget::new(config).unwrap();
        (0..1_000).for_each(|_| budget.call(start()));
        assert_eq!(budget.balance(start().after(ms(9_999))), 100);
        assert_eq!(retries(&budget, start().after(ms(10_000))), 0);
    }

    #[test]
    fn what_was_spent_is_free_again_after_ten_seconds_and_not_before() {
        let budget = Budget::new(BudgetConfig::default()).unwrap();
        assert_eq!(retries(&budget, start()), 100);
        assert_eq!(retries(&budget, start().after(ms(9_000))), 0);
        assert_eq!(retries(&budget, start().after(ms(10_000))), 100);
    }

    #[test]
    fn a_refused_retry_leaves_nothing_behind() {
        let config = BudgetConfig { per_second: 0, ..BudgetConfig::default() };
        let budget = Budget::new(config).unwrap();
        assert_eq!(retries(&budget, start()), 0);
        (0..10).for_each(|_| budget.call(start()));
        assert!(budget.try_retry(start()));
    }

    #[test]
    fn a_budget_that_limits_nothing_is_refused() {
        let valid = BudgetConfig::default();
        for invalid in [
            BudgetConfig { percent: 101, ..valid },
            BudgetConfig { per_second: 10_001, ..valid },
            BudgetConfig { ttl: ms(9), ..valid },
            BudgetConfig { ttl: Duration::MAX, ..valid },
        ] {
            assert!(Budget::new(invalid).is_err(), "{invalid:?}");
        }
    }
}
