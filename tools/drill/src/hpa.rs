//! The algorithm of Kubernetes' `HorizontalPodAutoscaler`, `autoscaling/v2`, as it is published:
//! <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>, with the default
//! behaviour, as `kubectl autoscale --min=… --max=… --cpu-percent=…` makes it.
//!
//! `desired = ceil(current × metric / target)`, unless the metric is within a tolerance of the target.
//! It grows at once, to twice as many replicas or by four within a period, whichever is more. To shrink,
//! the highest recommendation of the stabilization window counts; then nothing limits how much.
//! Without clock, randomness or I/O: the time is an argument.

use std::time::Duration;

/// Within this distance of the target, as a share, nothing is changed.
const TOLERANCE: f64 = 0.1;

/// The period in which the growth is limited, and how much any number of replicas may grow in it.
const PERIOD: Duration = Duration::from_secs(15);
const PODS_PER_PERIOD: u32 = 4;

/// How far back recommendations count before replicas are removed.
const STABILIZATION: Duration = Duration::from_mins(5);

/// A running autoscaler.
#[derive(Clone, Debug)]
pub(crate) struct Autoscaler {
    min: u32,
    max: u32,
    /// The average utilization aimed at, in percent of what is requested.
    target_percent: f64,
    /// Every time is divided by this.
    speedup: u32,
    /// Recommendations and their times, within the stabilization window.
    recommended: Vec<(Duration, u32)>,
    /// The replicas added and removed and the times of that, within the period.
    changes: Vec<(Duration, i64)>,
}

impl Autoscaler {
    pub(crate) fn new(min: u32, max: u32, target_percent: f64, speedup: u32) -> Self {
        let (recommended, changes) = (Vec::new(), Vec::new());
        Self { min, max, target_percent, speedup, recommended, changes }
    }

    /// One sync (the controller's period is 15 s): the number of replicas from now on. `now` counts from
    /// any beginning and never decreases; `percent` is the average CPU usage of the ready replicas, of
    /// their CPU request.
    pub(crate) fn sync(&mut self, now: Duration, current: u32, percent: f64) -> u32 {
        if self.recommended.is_empty() {
            // The initial number counts as a recommendation.
            self.recommended.push((now, current));
        }
        let wanted = self.wanted(current, percent);
        self.recommended.push((now, wanted));
        let is_recent = |at, window| now.saturating_sub(at) < window / self.speedup;
        self.recommended.retain(|(at, _)| is_recent(*at, STABILIZATION));
        self.changes.retain(|(at, _)| is_recent(*at, PERIOD));
        let next = if wanted > current {
            wanted.min(self.most(current)).max(current)
        } else {
            let highest = self.recommended.iter().map(|(_, replicas)| *replicas).max();
            highest.unwrap_or(wanted).min(current)
        };
        let next = next.clamp(self.min, self.max);
        self.changes.push((now, i64::from(next) - i64::from(current)));
        next
    }

    /// By the metric alone.
    fn wanted(&self, current: u32, percent: f64) -> u32 {
        let ratio = percent / self.target_percent;
        if (ratio - 1.0).abs() <= TOLERANCE {
            return current;
        }
        let wanted = (f64::from(current) * ratio).ceil().clamp(0.0, f64::from(u32::MAX));
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number within the range"
        )]
        let wanted = wanted as u32;
        wanted
    }

    /// The upper limit now, given the replicas at the beginning of the period that ends now.
    fn most(&self, current: u32) -> u32 {
        let changed: i64 = self.changes.iter().map(|(_, change)| change).sum();
        let before = u32::try_from(i64::from(current) - changed).unwrap_or_default();
        before.saturating_add(before.max(PODS_PER_PERIOD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: u64 = 15;

    /// The reference's: `kubectl autoscale deploy booking --min=1 --max=10 --cpu-percent=15`.
    fn reference() -> Autoscaler {
        Autoscaler::new(1, 10, 15.0, 1)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Syncs every 15 s with these utilizations; the replicas after each.
    fn replicas(mut autoscaler: Autoscaler, from: u32, percents: &[f64]) -> Vec<u32> {
        let mut current = from;
        let replicas = percents.iter().zip(0..).map(|(percent, number)| {
            current = autoscaler.sync(at(SYNC * number), current, *percent);
            current
        });
        replicas.collect()
    }

    #[test]
    fn wanted_is_the_ceiling_of_current_times_metric_over_target() {
        let autoscaler = Autoscaler::new(1, 100, 50.0, 1);
        for (current, percent, wanted) in [
            (1, 100.0, 2),
            (2, 75.0, 3),
            (3, 51.0 * 1.2, 4),
            (4, 25.0, 2),
            (5, 10.0, 1),
            (5, 0.0, 0),
        ] {
            assert_eq!(autoscaler.wanted(current, percent), wanted, "{current} {percent}");
        }
    }

    #[test]
    fn within_a_tenth_of_the_target_nothing_changes() {
        let autoscaler = Autoscaler::new(1, 100, 50.0, 1);
        let wanted = [45.1, 50.0, 54.9, 55.1, 44.9].map(|percent| autoscaler.wanted(10, percent));
        assert_eq!(wanted, [10, 10, 10, 12, 9]);
    }

    #[test]
    fn the_replicas_stay_within_min_and_max() {
        let bounded = || Autoscaler::new(3, 8, 50.0, 100);
        assert_eq!(replicas(bounded(), 5, &[1_000.0]), [8]);
        assert_eq!(replicas(bounded(), 5, &[0.0, 0.0]), [5, 3]);
        assert_eq!(replicas(bounded(), 1, &[50.0]), [3], "also when it began below");
    }

    /// Four at a time or twice as many, whichever is more, within 15 s.
    #[test]
    fn the_reference_scales_from_one_to_ten_in_two_syncs() {
        assert_eq!(replicas(reference(), 1, &[200.0, 200.0, 200.0]), [5, 10, 10]);
    }

    #[test]
    fn syncs_within_one_period_share_its_limit() {
        let mut autoscaler = Autoscaler::new(1, 100, 15.0, 1);
        assert_eq!(autoscaler.sync(at(0), 1, 900.0), 5);
        assert_eq!(autoscaler.sync(at(5), 5, 900.0), 5, "the four of this period are used up");
        assert_eq!(autoscaler.sync(at(15), 5, 900.0), 10, "twice as many");
        assert_eq!(autoscaler.sync(at(30), 10, 900.0), 20);
    }

    #[test]
    fn it_scales_down_only_after_five_minutes_of_lower_recommendations() {
        let quiet = [1.0; 30];
        let all = replicas(reference(), 10, &[&[200.0][..], &quiet].concat());
        let first = all.iter().position(|&now| now < 10).expect("it shrinks");
        assert_eq!(first, 20, "when the recommendation of all is 5 min ago");
        assert_eq!(all[first], 1);
    }

    #[test]
    fn one_high_recommendation_restarts_the_five_minutes() {
        let mut percents = vec![1.0; 60];
        percents[15] = 200.0;
        let all = replicas(reference(), 10, &percents);
        assert!(all[..35].iter().all(|&replicas| replicas == 10), "{all:?}");
        assert_eq!(all[35], 1, "{all:?}");
    }

    #[test]
    fn the_speedup_divides_the_window_and_the_period() {
        let mut autoscaler = Autoscaler::new(1, 100, 15.0, 5);
        assert_eq!(autoscaler.sync(at(0), 1, 900.0), 5);
        assert_eq!(autoscaler.sync(at(3), 5, 900.0), 10);
        assert_eq!(autoscaler.sync(at(62), 10, 0.0), 10, "900 % is less than a minute ago");
        assert_eq!(autoscaler.sync(at(63), 10, 0.0), 1);
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut autoscaler = reference();
        for number in 0..10_000 {
            autoscaler.sync(at(SYNC * number), 5, if number % 2 == 0 { 900.0 } else { 0.0 });
        }
        let kept = autoscaler.recommended.len() + autoscaler.changes.len();
        assert!(kept < 30, "{kept}");
    }
}
