//! The algorithm of Kubernetes' `HorizontalPodAutoscaler`, `autoscaling/v2`, as it is published:
//! <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>.
//!
//! `desired = ceil(current × metric / target)`, unless the metric is within a tolerance of the target.
//! Before a change is made it is stabilised: to shrink, the highest recommendation of the window
//! counts, to grow, the lowest. Then policies limit how much may change within their period.
//! Without clock, randomness or I/O: the time is an argument.

use std::time::Duration;

/// The settings of the manifest and of the controller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hpa {
    pub(crate) min: u32,
    pub(crate) max: u32,
    /// The average utilization aimed at, in percent of what is requested.
    pub(crate) target_percent: f64,
    /// Within this distance of the target, as a share, nothing is changed. The controller's is 0.1.
    pub(crate) tolerance: f64,
    pub(crate) up: Behaviour,
    pub(crate) down: Behaviour,
}

/// The limits of one direction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Behaviour {
    /// How far back recommendations count.
    pub(crate) stabilization: Duration,
    /// How much may change; the one that allows most counts.
    pub(crate) policies: Vec<Policy>,
}

/// How much may change within a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) amount: Amount,
    pub(crate) period: Duration,
}

/// Absolute or relative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Pods(u32),
    /// Of the replicas at the beginning of the period, in percent.
    Percent(u32),
}

/// A running autoscaler.
#[derive(Clone, Debug)]
pub(crate) struct Autoscaler {
    hpa: Hpa,
    /// Recommendations and their times, within the longest window.
    recommended: Vec<(Duration, u32)>,
    /// Changes and their times, within the longest period.
    grew: Vec<(Duration, u32)>,
    shrank: Vec<(Duration, u32)>,
}

impl Hpa {
    /// As of `kubectl autoscale --min=… --max=… --cpu-percent=…`: the defaults of Kubernetes.
    pub(crate) fn new(min: u32, max: u32, target_percent: f64) -> Self {
        let quarter = Duration::from_secs(15);
        let policy = |amount| Policy { amount, period: quarter };
        Self {
            min,
            max,
            target_percent,
            tolerance: 0.1,
            up: Behaviour {
                stabilization: Duration::ZERO,
                policies: vec![policy(Amount::Percent(100)), policy(Amount::Pods(4))],
            },
            down: Behaviour {
                stabilization: Duration::from_mins(5),
                policies: vec![policy(Amount::Percent(100))],
            },
        }
    }

    /// The same with every time divided.
    #[must_use]
    pub(crate) fn faster(mut self, times: u32) -> Self {
        for behaviour in [&mut self.up, &mut self.down] {
            behaviour.stabilization /= times;
            for policy in &mut behaviour.policies {
                policy.period /= times;
            }
        }
        self
    }

    /// By the metric alone.
    fn desired(&self, current: u32, percent: f64) -> u32 {
        let ratio = percent / self.target_percent;
        if (ratio - 1.0).abs() <= self.tolerance {
            return current;
        }
        let desired = (f64::from(current) * ratio).ceil().clamp(0.0, f64::from(u32::MAX));
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number within the range"
        )]
        let desired = desired as u32;
        desired
    }
}

impl Behaviour {
    /// The upper limit after scaling up now, given the replicas a period ago.
    fn most(&self, before: impl Fn(Duration) -> u32) -> u32 {
        let allowed = self.policies.iter().map(|policy| {
            let before = before(policy.period);
            match policy.amount {
                Amount::Pods(pods) => before.saturating_add(pods),
                Amount::Percent(percent) => {
                    let more = u64::from(before) * u64::from(percent);
                    before.saturating_add(u32::try_from(more.div_ceil(100)).unwrap_or(u32::MAX))
                }
            }
        });
        allowed.max().unwrap_or(u32::MAX)
    }

    /// The lower limit after scaling down now, likewise.
    fn least(&self, before: impl Fn(Duration) -> u32) -> u32 {
        let allowed = self.policies.iter().map(|policy| {
            let before = before(policy.period);
            match policy.amount {
                Amount::Pods(pods) => before.saturating_sub(pods),
                Amount::Percent(percent) => {
                    let stays = u64::from(before) * u64::from(100_u32.saturating_sub(percent));
                    u32::try_from(stays / 100).unwrap_or(u32::MAX)
                }
            }
        });
        allowed.min().unwrap_or(0)
    }
}

impl Autoscaler {
    pub(crate) fn new(hpa: Hpa) -> Self {
        Self { hpa, recommended: Vec::new(), grew: Vec::new(), shrank: Vec::new() }
    }

    /// One sync (the controller's period is 15 s): the number of replicas from now on. `now` counts from
    /// any beginning and never decreases; `percent` is the average CPU usage of the ready replicas, of
    /// their CPU request.
    pub(crate) fn sync(&mut self, now: Duration, current: u32, percent: f64) -> u32 {
        let Hpa { min, max, ref up, ref down, .. } = self.hpa;
        if self.recommended.is_empty() {
            // The initial number counts as a recommendation.
            self.recommended.push((now, current));
        }
        let wanted = self.hpa.desired(current, percent);
        let least = recent(&self.recommended, now, up.stabilization).fold(wanted, u32::min);
        let most = recent(&self.recommended, now, down.stabilization).fold(wanted, u32::max);
        self.recommended.push((now, wanted));
        // No change between the two.
        let stable = current.max(least).min(most);
        let limited = if stable > current {
            stable.min(up.most(|period| self.before(now, current, period))).max(current)
        } else {
            stable.max(down.least(|period| self.before(now, current, period))).min(current)
        };
        let next = limited.clamp(min, max);
        self.remember(now, current, next);
        next
    }

    /// The replicas at the beginning of the period that ends now.
    fn before(&self, now: Duration, current: u32, period: Duration) -> u32 {
        let sum = |changes| recent(changes, now, period).sum::<u32>();
        current.saturating_add(sum(&self.shrank)).saturating_sub(sum(&self.grew))
    }

    fn remember(&mut self, now: Duration, current: u32, next: u32) {
        if next > current {
            self.grew.push((now, next - current));
        }
        if next < current {
            self.shrank.push((now, current - next));
        }
        let Hpa { up, down, .. } = &self.hpa;
        forget(&mut self.recommended, now, up.stabilization.max(down.stabilization));
        let longest = longest_period(up).max(longest_period(down));
        forget(&mut self.grew, now, longest);
        forget(&mut self.shrank, now, longest);
    }
}

/// The values less than `window` ago.
fn recent(
    values: &[(Duration, u32)],
    now: Duration,
    window: Duration,
) -> impl Iterator<Item = u32> {
    let recent = values.iter().filter(move |(at, _)| now.saturating_sub(*at) < window);
    recent.map(|(_, value)| *value)
}

fn forget(values: &mut Vec<(Duration, u32)>, now: Duration, window: Duration) {
    values.retain(|(at, _)| now.saturating_sub(*at) <= window);
}

fn longest_period(behaviour: &Behaviour) -> Duration {
    behaviour.policies.iter().map(|policy| policy.period).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: u64 = 15;

    /// The reference's: `kubectl autoscale deploy booking --min=1 --max=10 --cpu-percent=15`.
    fn reference() -> Hpa {
        Hpa::new(1, 10, 15.0)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Syncs every 15 s with these utilizations; the replicas after each.
    fn replicas(hpa: Hpa, from: u32, percents: &[f64]) -> Vec<u32> {
        let mut autoscaler = Autoscaler::new(hpa);
        let mut current = from;
        let replicas = percents.iter().zip(0..).map(|(percent, number)| {
            current = autoscaler.sync(at(SYNC * number), current, *percent);
            current
        });
        replicas.collect()
    }

    /// Without windows and limits.
    fn bare(min: u32, max: u32) -> Hpa {
        let free = || Behaviour { stabilization: Duration::ZERO, policies: Vec::new() };
        Hpa { up: free(), down: free(), ..Hpa::new(min, max, 50.0) }
    }

    #[test]
    fn desired_is_the_ceiling_of_current_times_metric_over_target() {
        for (current, percent, desired) in [
            (1, 100.0, 2),
            (2, 75.0, 3),
            (3, 51.0 * 1.2, 4),
            (4, 25.0, 2),
            (5, 10.0, 1),
            (5, 0.0, 1),
        ] {
            assert_eq!(
                replicas(bare(1, 100), current, &[percent]),
                [desired],
                "{current} {percent}"
            );
        }
    }

    #[test]
    fn within_a_tenth_of_the_target_nothing_changes() {
        for percent in [45.1, 50.0, 54.9] {
            assert_eq!(replicas(bare(1, 100), 10, &[percent]), [10], "{percent}");
        }
        assert_eq!(replicas(bare(1, 100), 10, &[55.1]), [12]);
        assert_eq!(replicas(bare(1, 100), 10, &[44.9]), [9]);
    }

    #[test]
    fn the_replicas_stay_within_min_and_max() {
        assert_eq!(replicas(bare(3, 8), 5, &[1_000.0]), [8]);
        assert_eq!(replicas(bare(3, 8), 5, &[0.0]), [3]);
        assert_eq!(replicas(bare(3, 8), 1, &[50.0]), [3], "also when it began below");
    }

    /// Four at a time or twice as many, whichever is more, within 15 s.
    #[test]
    fn the_reference_scales_from_one_to_ten_in_two_syncs() {
        assert_eq!(replicas(reference(), 1, &[200.0, 200.0, 200.0]), [5, 10, 10]);
    }

    #[test]
    fn syncs_within_one_period_share_its_limit() {
        let mut autoscaler = Autoscaler::new(Hpa::new(1, 100, 15.0));
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
    fn shrinking_by_half_a_minute_takes_as_many_minutes() {
        let halves = Policy { amount: Amount::Percent(50), period: Duration::from_mins(1) };
        let down = Behaviour { stabilization: Duration::ZERO, policies: vec![halves] };
        let all = replicas(Hpa { down, ..reference() }, 8, &[0.0; 9]);
        assert_eq!(all, [4, 4, 4, 4, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn scaling_up_waits_for_its_window() {
        let up = Behaviour { stabilization: Duration::from_secs(30), policies: Vec::new() };
        let hpa = Hpa { up, ..bare(1, 100) };
        assert_eq!(replicas(hpa, 2, &[50.0, 100.0, 100.0, 100.0]), [2, 2, 4, 4]);
    }

    #[test]
    fn faster_changes_times_and_nothing_else() {
        let faster = reference().faster(5);
        assert_eq!(faster.down.stabilization, Duration::from_mins(1));
        assert_eq!(faster.up.policies[0].period, Duration::from_secs(3));
        assert_eq!((faster.min, faster.max, faster.up.policies.len()), (1, 10, 2));
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut autoscaler = Autoscaler::new(reference());
        for number in 0..10_000 {
            autoscaler.sync(at(SYNC * number), 5, if number % 2 == 0 { 900.0 } else { 0.0 });
        }
        let kept = autoscaler.recommended.len() + autoscaler.grew.len() + autoscaler.shrank.len();
        assert!(kept < 30, "{kept}");
    }
}
