//! Controlled delay: a queue that never empties is a standing queue, and overdue entries are dropped
//! from its front.
//!
//! After Nichols and Jacobson, "Controlling Queue Delay" (2012), in the form that suits requests:
//! a queue that was empty a moment ago holds a burst, whose entries may wait for the whole interval;
//! a standing queue delays every entry to no use, so entries may wait for the target only
//! (Maurer, "Fail at Scale", ACM Queue 2015).

use std::time::Duration;

use crate::time::Moment;

/// How long an entry may wait in a standing queue. The usual 20 ms would use up the time in which a
/// rejection has to be answered.
pub const TARGET: Duration = Duration::from_millis(10);

/// How long a queue may go without having been empty before it counts as standing; also how long an
/// entry may wait until then.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// How long a queue that dropped an entry counts as standing, even when it empties: before work that
/// is done in batches every queue empties now and then.
pub const MEMORY: Duration = Duration::from_secs(1);

/// Decides how long an entry may wait in a queue.
#[derive(Clone, Copy, Debug)]
pub struct Codel {
    target: Duration,
    interval: Duration,
    empty_at: Moment,
    dropped_at: Option<Moment>,
}

impl Codel {
    /// For a queue that is empty now. `target` is at most `interval`.
    pub fn new(target: Duration, interval: Duration) -> Self {
        let empty_at = Moment::default();
        Self { target: target.min(interval), interval, empty_at, dropped_at: None }
    }

    /// The queue is empty now, or was until now.
    pub fn record_empty(&mut self, now: Moment) {
        self.empty_at = self.empty_at.max(now);
    }

    /// An entry has waited for too long.
    pub fn record_drop(&mut self, now: Moment) {
        self.dropped_at = self.dropped_at.max(Some(now));
    }

    /// Whether the queue has not been empty for an interval, or has dropped an entry lately. Means
    /// something only while the queue is not empty.
    pub fn is_standing(&self, now: Moment) -> bool {
        now.since(self.empty_at) > self.interval
            || self.dropped_at.is_some_and(|dropped_at| now.since(dropped_at) < MEMORY)
    }

    /// How long an entry may wait, by what is known now.
    pub fn wait_max(&self, now: Moment) -> Duration {
        if self.is_standing(now) { self.target } else { self.interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_burst_may_wait_for_the_interval_and_a_standing_queue_for_the_target() {
        let mut codel = Codel::new(TARGET, INTERVAL);
        codel.record_empty(ms(1_000));
        assert_eq!(codel.wait_max(ms(1_100)), INTERVAL);
        assert_eq!(codel.wait_max(ms(1_101)), TARGET);
        codel.record_empty(ms(1_200));
        assert_eq!(codel.wait_max(ms(1_201)), INTERVAL);
    }

    #[test]
    fn a_queue_that_dropped_an_entry_counts_as_standing_for_a_while_though_it_empties() {
        let mut codel = Codel::new(TARGET, INTERVAL);
        codel.record_empty(ms(1_000));
        codel.record_drop(ms(1_101));
        codel.record_empty(ms(1_200));
        assert_eq!(codel.wait_max(ms(1_201)), TARGET);
        codel.record_empty(ms(2_101));
        assert_eq!(codel.wait_max(ms(2_101)), INTERVAL);
    }

    #[test]
    fn a_late_report_does_not_move_time_back() {
        let mut codel = Codel::new(TARGET, INTERVAL);
        codel.record_empty(ms(1_000));
        codel.record_empty(ms(500));
        assert!(!codel.is_standing(ms(1_050)));
    }
}
