//! The retry budget: retries are a small share of the calls, so that they cannot become the load.
//!
//! A call earns a share of a retry, and a few a second are free, so that a caller with few calls may
//! retry at all. What was earned expires: an hour of successful calls does not pay for a retry
//! storm. The rule is Finagle's (Twitter, "Finagle: retries", 20 % + 10/s, 10 s); ours earns half,
//! as there is one retry at most and one hop.
//!
//! In any time to live, retries are at most that share of its calls plus what is free in it.

use std::{sync::Mutex, time::Duration};

use thiserror::Error;

use crate::{
    sync::lock,
    time::{Moment, nanos},
    window::Window,
};

/// The shortest time to live.
pub const TTL_MIN: Duration = Duration::from_millis(10);

/// The longest time to live.
pub const TTL_MAX: Duration = Duration::from_mins(10);

/// The most that can be free in a second.
pub const PER_SECOND_MAX: u32 = 10_000;

/// How much may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudgetConfig {
    /// Retries for a hundred calls; 100 at most.
    pub percent: u8,
    /// Retries a second that need not be earned.
    pub per_second: u32,
    /// How long what was earned can be spent.
    pub ttl: Duration,
}

impl Default for RetryBudgetConfig {
    fn default() -> Self {
        Self { percent: 10, per_second: 10, ttl: Duration::from_secs(10) }
    }
}

/// A budget that would not limit anything, or that cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RetryBudgetConfigError {
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

/// A retry budget, shared by all calls whose retries add up.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    /// Retries that are free within the time to live.
    free: u64,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    window: Window<Spending>,
    retried: u64,
    refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spending {
    calls: u64,
    retries: u64,
}

impl RetryBudget {
    /// A budget that is not used yet.
    pub fn new(config: RetryBudgetConfig) -> Result<Self, RetryBudgetConfigError> {
        let RetryBudgetConfig { percent, per_second, ttl } = config;
        if percent > 100 {
            return Err(RetryBudgetConfigError::Percent(percent));
        }
        if per_second > PER_SECOND_MAX {
            return Err(RetryBudgetConfigError::PerSecond(per_second));
        }
        if !(TTL_MIN..=TTL_MAX).contains(&ttl) {
            return Err(RetryBudgetConfigError::Ttl(ttl));
        }
        let account = Account { window: Window::new(ttl), retried: 0, refused: 0 };
        Ok(Self {
            percent: percent.into(),
            free: u64::from(per_second) * (nanos(ttl) / 1_000_000) / 1_000,
            account: Mutex::new(account),
        })
    }

    /// Counts a call that is no retry: it earns its share.
    pub fn record_call(&self, now: Moment) {
        lock(&self.account).window.current(now).calls += 1;
    }

    /// Whether a retry may be made now; if so, it is paid.
    pub fn try_retry(&self, now: Moment) -> bool {
        let mut account = lock(&self.account);
        let affordable = self.left(&account, now) > 0;
        if affordable {
            account.window.current(now).retries += 1;
            account.retried += 1;
        } else {
            account.refused += 1;
        }
        affordable
    }

    /// How many retries could be made now.
    pub fn balance(&self, now: Moment) -> u64 {
        self.left(&lock(&self.account), now)
    }

    /// Retries that were made since the start.
    pub fn retried(&self) -> u64 {
        lock(&self.account).retried
    }

    /// Retries that were refused since the start.
    pub fn refused(&self) -> u64 {
        lock(&self.account).refused
    }

    fn left(&self, account: &Account, now: Moment) -> u64 {
        let (calls, retries) = account
            .window
            .recent(now)
            .fold((0, 0), |(calls, retries), one| (calls + one.calls, retries + one.retries));
        (calls * self.percent / 100 + self.free).saturating_sub(retries)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn start() -> Moment {
        Moment::default().after(Duration::from_hours(1))
    }

    fn retries(budget: &RetryBudget, now: Moment) -> usize {
        (0..1_000).filter(|_| budget.try_retry(now)).count()
    }

    #[test]
    fn ten_retries_a_second_are_free() {
        let budget = RetryBudget::new(RetryBudgetConfig::default()).unwrap();
        assert_eq!(budget.balance(start()), 100);
        assert_eq!(retries(&budget, start()), 100);
        assert_eq!((budget.retried(), budget.refused()), (100, 900));
    }

    #[test]
    fn ten_calls_earn_a_retry() {
        let config = RetryBudgetConfig { per_second: 0, ..RetryBudgetConfig::default() };
        let budget = RetryBudget::new(config).unwrap();
        (0..9).for_each(|_| budget.record_call(start()));
        assert!(!budget.try_retry(start()));
        budget.record_call(start());
        assert_eq!(retries(&budget, start()), 1);
    }

    #[test]
    fn a_retry_earns_nothing() {
        let config =
            RetryBudgetConfig { percent: 100, per_second: 0, ..RetryBudgetConfig::default() };
        let budget = RetryBudget::new(config).unwrap();
        (0..7).for_each(|_| budget.record_call(start()));
        assert_eq!(retries(&budget, start()), 7);
    }

    #[test]
    fn what_was_earned_expires_after_ten_seconds() {
        let config = RetryBudgetConfig { per_second: 0, ..RetryBudgetConfig::default() };
        let budget = RetryBudget::new(config).unwrap();
        (0..1_000).for_each(|_| budget.record_call(start()));
        assert_eq!(budget.balance(start().after(ms(9_999))), 100);
        assert_eq!(retries(&budget, start().after(ms(10_000))), 0);
    }

    #[test]
    fn what_was_spent_is_free_again_after_ten_seconds_and_not_before() {
        let budget = RetryBudget::new(RetryBudgetConfig::default()).unwrap();
        assert_eq!(retries(&budget, start()), 100);
        assert_eq!(retries(&budget, start().after(ms(9_000))), 0);
        assert_eq!(retries(&budget, start().after(ms(10_000))), 100);
    }

    #[test]
    fn a_refused_retry_costs_nothing() {
        let config = RetryBudgetConfig { per_second: 0, ..RetryBudgetConfig::default() };
        let budget = RetryBudget::new(config).unwrap();
        assert_eq!(retries(&budget, start()), 0);
        (0..10).for_each(|_| budget.record_call(start()));
        assert!(budget.try_retry(start()));
    }

    #[test]
    fn a_configuration_that_limits_nothing_is_invalid() {
        let valid = RetryBudgetConfig::default();
        for invalid in [
            RetryBudgetConfig { percent: 101, ..valid },
            RetryBudgetConfig { per_second: 10_001, ..valid },
            RetryBudgetConfig { ttl: ms(9), ..valid },
            RetryBudgetConfig { ttl: Duration::MAX, ..valid },
        ] {
            assert!(RetryBudget::new(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn one_credit_pays_one_of_several_retries_at_the_same_time() {
        let config =
            RetryBudgetConfig { percent: 100, per_second: 0, ..RetryBudgetConfig::default() };
        for _ in 0..500 {
            let budget = &RetryBudget::new(config).unwrap();
            budget.record_call(start());
            // In two buckets: each must count what was paid in the other.
            let moments = [start(), start().after(ms(1_000)), start()];
            let paid = thread::scope(|scope| {
                let retry = |now| scope.spawn(move || budget.try_retry(now));
                moments.map(retry).map(|thread| thread.join().unwrap())
            });
            assert_eq!(paid.into_iter().filter(|paid| *paid).count(), 1);
        }
    }
}
