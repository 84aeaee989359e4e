//! The retry budget: retries are a small share of the calls, so that they cannot become the load.
//!
//! Each call brings a tenth of a retry, and each second brings ten, so that a few calls may be
//! repeated too. What is not used within ten seconds expires. The numbers are in the range of
//! Finagle's (20 % and ten a second, for ten seconds), with half its share.

use std::time::Duration;

use crate::{
    sync::{AtomicU64, Ordering::Relaxed},
    time::{Moment, nanos},
};

/// A retry is counted in thousandths.
const WHOLE: u64 = 1_000;

/// How many retries there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Retries per hundred calls.
    pub percent: u32,
    /// Retries per second that any number of calls may have.
    pub per_second: u32,
    /// For how long unused ones are kept: so much calls and time bring at most.
    pub expires_after: Duration,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { percent: 10, per_second: 10, expires_after: Duration::from_secs(10) }
    }
}

/// Credits for retries. Shared by reference; atomics only.
///
/// ```
/// use resilience::{budget::{BudgetConfig, RetryBudget}, time::Moment};
///
/// let budget = RetryBudget::new(BudgetConfig { per_second: 0, ..BudgetConfig::default() });
/// let now = Moment::from_nanos(0);
/// assert!(!budget.withdraw(now));
/// (0..10).for_each(|_| budget.deposit(now));
/// assert!(budget.withdraw(now) && !budget.withdraw(now));
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    config: BudgetConfig,
    /// Thousandths of retries that calls have brought.
    earned: AtomicU64,
    /// When half of `earned` expires.
    halved_at: AtomicU64,
    /// Until when the retries of time itself are used up: each takes its share of a second.
    used_until: AtomicU64,
    retries: AtomicU64,
    refused: AtomicU64,
}

impl RetryBudget {
    /// Nothing is earned yet.
    pub fn new(config: BudgetConfig) -> Self {
        Self {
            config,
            earned: AtomicU64::new(0),
            halved_at: AtomicU64::new(0),
            used_until: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A call is made, which is no retry.
    pub fn deposit(&self, now: Moment) {
        self.expire(now);
        self.earned.fetch_add(u64::from(self.config.percent) * WHOLE / 100, Relaxed);
    }

    /// Whether a retry may be made now; if so, it is used up.
    pub fn withdraw(&self, now: Moment) -> bool {
        self.expire(now);
        let may = self.withdraw_earned() || self.withdraw_of_time(now);
        if may { &self.retries } else { &self.refused }.fetch_add(1, Relaxed);
        may
    }

    /// Retries made so far, and those that were refused.
    pub fn totals(&self) -> (u64, u64) {
        (self.retries.load(Relaxed), self.refused.load(Relaxed))
    }

    /// Retries that calls have brought and nobody has used, rounded down.
    pub fn left(&self) -> u64 {
        self.earned.load(Relaxed) / WHOLE
    }

    fn withdraw_earned(&self) -> bool {
        self.earned.fetch_update(Relaxed, Relaxed, |earned| earned.checked_sub(WHOLE)).is_ok()
    }

    /// As a virtual clock that each retry moves on by its share of a second, from at most
    /// `expires_after` behind the time to the time itself (the generic cell rate algorithm).
    fn withdraw_of_time(&self, now: Moment) -> bool {
        let Some(share) = 1_000_000_000_u64.checked_div(self.config.per_second.into()) else {
            return false;
        };
        // A second's worth at the start, more once it was saved.
        let now = now.as_nanos().saturating_add(nanos(Duration::from_secs(1)));
        let oldest = now.saturating_sub(nanos(self.config.expires_after));
        let use_one = |until: u64| Some(until.max(oldest) + share).filter(|until| *until <= now);
        self.used_until.fetch_update(Relaxed, Relaxed, use_one).is_ok()
    }

    /// Half of what calls have brought expires in each half of `expires_after`.
    fn expire(&self, now: Moment) {
        let at = self.halved_at.load(Relaxed);
        if now.as_nanos() < at {
            return;
        }
        let half = nanos(self.config.expires_after) / 2;
        let next = now.as_nanos().saturating_add(half);
        if self.halved_at.compare_exchange(at, next, Relaxed, Relaxed).is_ok() {
            // After a long silence there is nothing left to halve.
            let silent = now.as_nanos().saturating_sub(at) >= half;
            self.earned
                .fetch_update(Relaxed, Relaxed, |earned| Some(if silent { 0 } else { earned / 2 }))
                .ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    fn retries(budget: &RetryBudget, tries: u32, now: Moment) -> u32 {
        (0..tries).map(|_| u32::from(budget.withdraw(now))).sum()
    }

    #[test]
    fn a_retry_storm_is_a_tenth_of_the_calls_and_ten_a_second() {
        let budget = RetryBudget::new(BudgetConfig::default());
        let mut made = 0;
        for tenth in 0..100 {
            let now = Moment::from_nanos(tenth * 100_000_000);
            (0..100).for_each(|_| budget.deposit(now));
            made += retries(&budget, 100, now);
        }
        assert!(made <= 1_000 + 110, "{made} retries for 10,000 calls in ten seconds");
        assert!(made >= 900, "{made}");
    }

    #[test]
    fn a_lone_call_may_be_repeated() {
        let budget = RetryBudget::new(BudgetConfig::default());
        budget.deposit(at(100));
        assert!(budget.withdraw(at(100)));
    }

    #[test]
    fn what_is_not_used_expires() {
        let config = BudgetConfig { per_second: 0, ..BudgetConfig::default() };
        let budget = RetryBudget::new(config);
        (0..1_000).for_each(|_| budget.deposit(at(1)));
        assert_eq!(budget.left(), 100);
        assert_eq!(retries(&budget, 100, at(30)), 0);
    }

    #[test]
    fn time_alone_saves_up_ten_seconds_and_no_more() {
        let budget = RetryBudget::new(BudgetConfig::default());
        let made = retries(&budget, 1_000, at(3_600));
        assert!((90..=110).contains(&made), "{made}");
        assert_eq!(retries(&budget, 1_000, at(3_600)), 0);
    }

    #[test]
    fn both_ways_out_are_counted() {
        let budget = RetryBudget::new(BudgetConfig { per_second: 0, ..BudgetConfig::default() });
        (0..10).for_each(|_| budget.deposit(at(1)));
        retries(&budget, 3, at(1));
        assert_eq!(budget.totals(), (1, 2));
    }
}
