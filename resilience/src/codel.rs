//! Controlled delay: a line that never empties is a standing one, and is cut at its head.
//!
//! After Nichols and Jacobson, "Controlling Queue Delay" (2012), in the form that suits requests:
//! a line that was empty a moment ago is a burst, and may wait for the whole interval; one that was
//! not is standing, delays everybody to no use, and may wait for the target only
//! (Maurer, "Fail at Scale", ACM Queue 2015).

use std::time::Duration;

use crate::time::Moment;

/// How long a place in a standing line lasts. The field's usual 20 ms would spend, before a refusal
/// is even written, all the time that a refusal may take.
pub const TARGET: Duration = Duration::from_millis(10);

/// How long a line may go without having been empty before it counts as standing; also how long a
/// place lasts until then.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// How long a line that had to be cut counts as standing, even when it empties: behind work that is
/// done in batches every line empties now and then.
pub const MEMORY: Duration = Duration::from_secs(1);

/// Decides how long one may wait in a line.
#[derive(Clone, Copy, Debug)]
pub struct Codel {
    target: Duration,
    interval: Duration,
    empty_at: Moment,
    cut_at: Option<Moment>,
}

impl Codel {
    /// For a line that is empty now. `target` is at most `interval`.
    pub fn new(target: Duration, interval: Duration) -> Self {
        Self { target: target.min(interval), interval, empty_at: Moment::default(), cut_at: None }
    }

    /// The line is empty now, or was until now.
    pub fn empty(&mut self, now: Moment) {
        self.empty_at = self.empty_at.max(now);
    }

    /// Somebody in the line has waited for too long.
    pub fn cut(&mut self, now: Moment) {
        self.cut_at = self.cut_at.max(Some(now));
    }

    /// Whether the line has not been empty for an interval, or had to be cut lately. Means something only while somebody
    /// waits.
    pub fn standing(&self, now: Moment) -> bool {
        now.since(self.empty_at) > self.interval
            || self.cut_at.is_some_and(|cut_at| now.since(cut_at) < MEMORY)
    }

    /// How long one may wait, by what is known now.
    pub fn patience(&self, now: Moment) -> Duration {
        if self.standing(now) { self.target } else { self.interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_burst_may_wait_for_the_interval_and_a_standing_line_for_the_target() {
        let mut codel = Codel::new(TARGET, INTERVAL);
        codel.empty(ms(1_000));
        assert_eq!(codel.patience(ms(1_100)), INTERVAL);
        assert_eq!(codel.patience(ms(1_101)), TARGET);
        codel.empty(ms(1_200));
        assert_eq!(codel.patience(ms(1_201)), INTERVAL);
    }

    #[test]
    fn a_line_that_had_to_be_cut_counts_as_standing_for_a_while_though_it_empties() {
        let mut codel = Codel::new(TARGET, INTERVAL);
        codel.empty(ms(1_000));
        codel.cut(ms(1_101));
        codel.empty(ms(1_200));
        assert_eq!(codel.patience(ms(1_201)), TARGET);
        codel.empty(ms(2_101));
        assert_eq!(codel.patience(ms(2_101)), INTERVAL);
    }

    #[test]
    fn a_late_report_does_not_turn_time_back() {
        let mut codel = Codel::new(TARGET, INTERVAL);
        codel.empty(ms(1_000));
        codel.empty(ms(500));
        assert!(!codel.standing(ms(1_050)));
    }
}
