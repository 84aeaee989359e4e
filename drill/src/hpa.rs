//! The algorithm of Kubernetes' `HorizontalPodAutoscaler`, `autoscaling/v2`, as it is published:
//! <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>.
//!
//! `desired = ceil(current × metric / target)`, unless the metric is within a tolerance of the target.
//! Before a change is made it is stabilised: to shrink, the highest recommendation of the window
//! counts, to grow, the lowest. Then policies limit how much may change within their period.
//! No clock, no chance, no I/O: time comes with each look.

use std::time::Duration;

/// What stands in the manifest, and the controller's own settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Hpa {
    /// Never fewer.
    pub min: u32,
    /// Never more.
    pub max: u32,
    /// The average utilization aimed at, in percent of what is requested.
    pub target_percent: f64,
    /// Within this distance of the target, as a share, nothing is changed. The controller's is 0.1.
    pub tolerance: f64,
    /// How it grows.
    pub up: Behaviour,
    /// How it shrinks.
    pub down: Behaviour,
}

/// How fast one direction goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// How far back recommendations count.
    pub stabilization: Duration,
    /// How much may change; the one that allows most counts.
    pub policies: Vec<Policy>,
}

/// How much may change within a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How much.
    pub amount: Amount,
    /// Within this time.
    pub period: Duration,
}

/// So many, or such a share of those there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many.
    Pods(u32),
    /// Of what there was at the beginning of the period, in percent.
    Percent(u32),
}

/// One autoscaler at work.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    hpa: Hpa,
    /// What was recommended, and when, within the longest window.
    recommended: Vec<(Duration, u32)>,
    /// By how much it grew or shrank, and when, within the longest period.
    grew: Vec<(Duration, u32)>,
    shrank: Vec<(Duration, u32)>,
}

impl Hpa {
    /// What `kubectl autoscale --min=… --max=… --cpu-percent=…` makes: the defaults of Kubernetes.
    pub fn of(min: u32, max: u32, target_percent: f64) -> Self {
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

    /// The same with every time divided, for a rehearsal.
    #[must_use]
    pub fn faster(mut self, times: u32) -> Self {
        for behaviour in [&mut self.up, &mut self.down] {
            behaviour.stabilization /= times;
            for policy in &mut behaviour.policies {
                policy.period /= times;
            }
        }
        self
    }

    /// What the metric alone asks for.
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
    /// How many there may be at most after growing now, from what there was a period ago.
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

    /// How many there must be at least after shrinking now, likewise.
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
    /// That has not looked yet.
    pub fn new(hpa: Hpa) -> Self {
        Self { hpa, recommended: Vec::new(), grew: Vec::new(), shrank: Vec::new() }
    }

    /// One look (the controller's come every 15 s): how many there should be now. `now` counts from
    /// any beginning and never goes back; `percent` is the average over those that are ready, of what
    /// each requests.
    pub fn look(&mut self, now: Duration, current: u32, percent: f64) -> u32 {
        let Hpa { min, max, ref up, ref down, .. } = self.hpa;
        if self.recommended.is_empty() {
            // What it finds at first was recommended by whoever set it.
            self.recommended.push((now, current));
        }
        let wanted = self.hpa.desired(current, percent);
        let least = recent(&self.recommended, now, up.stabilization).fold(wanted, u32::min);
        let most = recent(&self.recommended, now, down.stabilization).fold(wanted, u32::max);
        self.recommended.push((now, wanted));
        // Whoever is between the two stays.
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

    /// How many there were at the beginning of the period that ends now.
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

/// What lies less than `window` back.
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

    /// The seed's: `kubectl autoscale deploy booking --min=1 --max=10 --cpu-percent=15`.
    fn seed() -> Hpa {
        Hpa::of(1, 10, 15.0)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Looks every 15 s at these utilizations; how many there are after each look.
    fn replicas(hpa: Hpa, from: u32, percents: &[f64]) -> Vec<u32> {
        let mut autoscaler = Autoscaler::new(hpa);
        let mut current = from;
        let looks = percents.iter().zip(0..).map(|(percent, look)| {
            current = autoscaler.look(at(SYNC * look), current, *percent);
            current
        });
        looks.collect()
    }

    /// Without windows and limits.
    fn bare(min: u32, max: u32) -> Hpa {
        let free = || Behaviour { stabilization: Duration::ZERO, policies: Vec::new() };
        Hpa { up: free(), down: free(), ..Hpa::of(min, max, 50.0) }
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
    fn never_fewer_than_the_least_or_more_than_the_most() {
        assert_eq!(replicas(bare(3, 8), 5, &[1_000.0]), [8]);
        assert_eq!(replicas(bare(3, 8), 5, &[0.0]), [3]);
        assert_eq!(replicas(bare(3, 8), 1, &[50.0]), [3], "also when it began below");
    }

    /// Four at a time or twice as many, whichever is more, within 15 s.
    #[test]
    fn the_seed_grows_from_one_to_ten_in_two_looks() {
        assert_eq!(replicas(seed(), 1, &[200.0, 200.0, 200.0]), [5, 10, 10]);
    }

    #[test]
    fn looks_within_one_period_share_what_it_allows() {
        let mut autoscaler = Autoscaler::new(Hpa::of(1, 100, 15.0));
        assert_eq!(autoscaler.look(at(0), 1, 900.0), 5);
        assert_eq!(autoscaler.look(at(5), 5, 900.0), 5, "the four of this period are used up");
        assert_eq!(autoscaler.look(at(15), 5, 900.0), 10, "twice as many");
        assert_eq!(autoscaler.look(at(30), 10, 900.0), 20);
    }

    #[test]
    fn it_shrinks_only_when_five_minutes_have_asked_for_less() {
        let quiet = [1.0; 30];
        let all = replicas(seed(), 10, &[&[200.0][..], &quiet].concat());
        let first = all.iter().position(|&now| now < 10).expect("it shrinks");
        assert_eq!(first, 20, "when the look that asked for all is 5 min back");
        assert_eq!(all[first], 1);
    }

    #[test]
    fn one_busy_look_begins_the_five_minutes_anew() {
        let mut percents = vec![1.0; 60];
        percents[15] = 200.0;
        let all = replicas(seed(), 10, &percents);
        assert!(all[..35].iter().all(|&replicas| replicas == 10), "{all:?}");
        assert_eq!(all[35], 1, "{all:?}");
    }

    #[test]
    fn shrinking_by_half_a_minute_takes_as_many_minutes() {
        let halves = Policy { amount: Amount::Percent(50), period: Duration::from_mins(1) };
        let down = Behaviour { stabilization: Duration::ZERO, policies: vec![halves] };
        let all = replicas(Hpa { down, ..seed() }, 8, &[0.0; 9]);
        assert_eq!(all, [4, 4, 4, 4, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn growing_waits_until_its_window_agrees() {
        let up = Behaviour { stabilization: Duration::from_secs(30), policies: Vec::new() };
        let hpa = Hpa { up, ..bare(1, 100) };
        assert_eq!(replicas(hpa, 2, &[50.0, 100.0, 100.0, 100.0]), [2, 2, 4, 4]);
    }

    #[test]
    fn faster_changes_times_and_nothing_else() {
        let faster = seed().faster(5);
        assert_eq!(faster.down.stabilization, Duration::from_mins(1));
        assert_eq!(faster.up.policies[0].period, Duration::from_secs(3));
        assert_eq!((faster.min, faster.max, faster.up.policies.len()), (1, 10, 2));
    }

    #[test]
    fn it_remembers_no_more_than_it_needs() {
        let mut autoscaler = Autoscaler::new(seed());
        for look in 0..10_000 {
            autoscaler.look(at(SYNC * look), 5, if look % 2 == 0 { 900.0 } else { 0.0 });
        }
        let kept = autoscaler.recommended.len() + autoscaler.grew.len() + autoscaler.shrank.len();
        assert!(kept < 30, "{kept}");
    }
}
