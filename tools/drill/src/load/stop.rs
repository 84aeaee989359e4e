//! When a load ends. There is always a limit in count and one in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::hook::Hook;

/// The upper limit of every load's duration.
pub(crate) const DURATION_MAX: Duration = Duration::from_hours(1);

/// The upper limit of every load's requests.
const REQUESTS_MAX: u64 = 1_000_000_000;

/// The limits of a load; the first one reached ends it.
#[derive(Debug, Clone)]
pub struct Stop {
    requests: u64,
    after: Duration,
    early: Option<Early>,
}

type Early = Hook<dyn Fn() -> bool + Send + Sync>;

impl Stop {
    /// Nothing is sent after `duration`, at most an hour.
    pub fn after(duration: Duration) -> Self {
        Self { requests: REQUESTS_MAX, after: duration.min(DURATION_MAX), early: None }
    }

    /// Exactly `count` requests are sent, at most a billion.
    pub fn requests(count: u64) -> Self {
        Self::after(DURATION_MAX).or_requests(count)
    }

    /// The same, but `duration` ends it too.
    #[must_use]
    pub fn or_after(self, duration: Duration) -> Self {
        Self { after: self.after.min(duration), ..self }
    }

    /// The same, but `count` requests end it too.
    #[must_use]
    pub fn or_requests(self, count: u64) -> Self {
        Self { requests: self.requests.min(count), ..self }
    }

    /// The same, but it also ends once `early` returns true; it is called before each request.
    #[must_use]
    pub fn or_when(self, early: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { early: Some(Hook(Arc::new(early))), ..self }
    }
}

/// Numbers requests until [`Stop`] is reached.
pub(crate) struct Gate {
    next: AtomicU64,
    requests: u64,
    closes: Instant,
    early: Option<Early>,
    closed: AtomicBool,
}

impl Gate {
    pub(crate) fn open(stop: Stop, now: Instant) -> Self {
        let Stop { requests, after, early } = stop;
        let closed = AtomicBool::new(false);
        Self { next: AtomicU64::new(0), requests, closes: now + after, early, closed }
    }

    /// The number of the request that may be sent now.
    pub(crate) fn pass(&self) -> Option<u64> {
        if self.closed.load(Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Relaxed);
        let is_early = || self.early.as_ref().is_some_and(|Hook(early)| early());
        if number >= self.requests || Instant::now() >= self.closes || is_early() {
            self.closed.store(true, Relaxed);
            return None;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(stop: Stop) -> usize {
        let gate = Gate::open(stop, Instant::now());
        std::iter::from_fn(|| gate.pass()).count()
    }

    #[test]
    fn the_lower_count_ends_it() {
        assert_eq!(passed(Stop::requests(3)), 3);
        assert_eq!(passed(Stop::requests(3).or_requests(2)), 2);
        assert_eq!(passed(Stop::requests(2).or_requests(3)), 2);
    }

    #[test]
    fn no_time_means_no_request() {
        assert_eq!(passed(Stop::after(Duration::ZERO)), 0);
        assert_eq!(passed(Stop::requests(3).or_after(Duration::ZERO)), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn time_ends_it() {
        let gate = Gate::open(Stop::after(Duration::from_secs(5)), Instant::now());
        tokio::time::advance(Duration::from_millis(4_999)).await;
        assert_eq!(gate.pass(), Some(0));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(gate.pass(), None);
    }

    #[test]
    fn one_true_ends_it_for_all_users() {
        let calls = AtomicU64::new(0);
        let stop = Stop::requests(9).or_when(move || calls.fetch_add(1, Relaxed) == 4);
        assert_eq!(passed(stop), 4);
    }

    #[test]
    fn nothing_is_without_limits() {
        let stop = Stop::after(Duration::MAX).or_requests(u64::MAX);
        assert_eq!((stop.after, stop.requests), (DURATION_MAX, REQUESTS_MAX));
        let stop = Stop::requests(u64::MAX);
        assert_eq!((stop.after, stop.requests), (DURATION_MAX, REQUESTS_MAX));
    }
}
