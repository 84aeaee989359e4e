//! The retry budget: retries are a small share of the calls, so that they cannot become the load.
//!
//! A call earns a share of a retry, and a few a second are free, so that a caller with few calls may
//! retry at all. What was earned expires: an hour of successful calls does not pay for a retry
//! storm. The rule is Finagle's (Twitter, "Finagle: retries", 20 % + 10/s, 10 s); ours earns half,
//! as there is one retry at most and one hop.
//!
//! In any time to live, retries are at most that share of its calls plus what is free in it.

use std::time::Duration;

use parking_lot::Mutex;

use crate::{time::Moment, window::Window};

/// Retries for a hundred calls.
const PERCENT: u64 = 10;

/// Retries within the time to live that need not be earned: ten a second.
const FREE: u64 = 100;

/// How long what was earned can be spent.
const TTL: Duration = Duration::from_secs(10);

/// A retry budget, shared by all calls whose retries add up.
#[derive(Debug, Default)]
pub struct RetryBudget(Mutex<Account>);

#[derive(Debug)]
struct Account {
    window: Window<Spending>,
    retried: u64,
    refused: u64,
}

impl Default for Account {
    fn default() -> Self {
        Self { window: Window::new(TTL), retried: 0, refused: 0 }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Spending {
    calls: u64,
    retries: u64,
}

impl RetryBudget {
    /// Counts a call that is no retry: it earns its share.
    pub fn record_call(&self, now: Moment) {
        self.0.lock().window.current(now).calls += 1;
    }

    /// Whether a retry may be made now; if so, it is paid.
    pub fn try_retry(&self, now: Moment) -> bool {
        let mut account = self.0.lock();
        let affordable = account.balance(now) > 0;
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
        self.0.lock().balance(now)
    }

    /// Retries that were made since the start.
    pub fn retried(&self) -> u64 {
        self.0.lock().retried
    }

    /// Retries that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.0.lock().refused
    }
}

impl Account {
    fn balance(&self, now: Moment) -> u64 {
        let (calls, retries) = self
            .window
            .recent(now)
            .fold((0, 0), |(calls, retries), one| (calls + one.calls, retries + one.retries));
        (calls * PERCENT / 100 + FREE).saturating_sub(retries)
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

    /// A budget whose free retries were made at the start.
    fn without_free() -> RetryBudget {
        let budget = RetryBudget::default();
        assert_eq!((0..FREE).filter(|_| budget.try_retry(start())).count(), 100);
        budget
    }

    #[test]
    fn ten_retries_a_second_are_free() {
        let budget = RetryBudget::default();
        assert_eq!(budget.balance(start()), 100);
        assert_eq!(retries(&budget, start()), 100);
        assert_eq!((budget.retried(), budget.refused()), (100, 900));
    }

    #[test]
    fn ten_calls_earn_a_retry() {
        let budget = without_free();
        (0..9).for_each(|_| budget.record_call(start()));
        assert!(!budget.try_retry(start()));
        budget.record_call(start());
        assert_eq!(retries(&budget, start()), 1);
    }

    #[test]
    fn a_retry_earns_nothing() {
        let budget = without_free();
        (0..70).for_each(|_| budget.record_call(start()));
        assert_eq!(retries(&budget, start()), 7);
    }

    #[test]
    fn what_was_earned_expires_after_ten_seconds() {
        let budget = RetryBudget::default();
        (0..1_000).for_each(|_| budget.record_call(start()));
        assert_eq!(budget.balance(start().after(ms(9_999))), 200);
        assert_eq!(retries(&budget, start().after(ms(10_000))), 100);
    }

    #[test]
    fn what_was_spent_is_free_again_after_ten_seconds_and_not_before() {
        let budget = RetryBudget::default();
        assert_eq!(retries(&budget, start()), 100);
        assert_eq!(retries(&budget, start().after(ms(9_000))), 0);
        assert_eq!(retries(&budget, start().after(ms(10_000))), 100);
    }

    #[test]
    fn a_refused_retry_costs_nothing() {
        let budget = without_free();
        assert_eq!(retries(&budget, start()), 0);
        (0..10).for_each(|_| budget.record_call(start()));
        assert!(budget.try_retry(start()));
    }

    #[test]
    fn one_credit_pays_one_of_several_retries_at_the_same_time() {
        for _ in 0..500 {
            let budget = &without_free();
            (0..10).for_each(|_| budget.record_call(start()));
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
