//! What every contestant did in every round, and what follows: medians, and ratios round by round.

use std::{collections::BTreeMap, time::Duration};

use drill::Summary;

use super::Subject;

/// What one contestant did in one round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Turn {
    pub(super) per_second: f64,
    /// Unknown where another generator does not say it.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// How long after the load everybody who follows had heard of everything.
    pub(super) caught_up: Option<Duration>,
    /// Highest resident memory during the load.
    pub(super) memory_mib: Option<f64>,
}

impl Turn {
    /// What our generator saw of answers of that status.
    pub(super) fn seen(summary: &Summary, status: u16) -> Self {
        Self {
            per_second: summary.rate_per_second(status),
            p50_ms: Some(summary.percentile_ms(50.0)),
            p99_ms: Some(summary.percentile_ms(99.0)),
            ..Self::default()
        }
    }
}

/// The rounds in their order.
#[derive(Debug, Default)]
pub(super) struct Rounds(Vec<BTreeMap<Subject, Turn>>);

impl Rounds {
    pub(super) fn push(&mut self, round: BTreeMap<Subject, Turn>) {
        self.0.push(round);
    }

    /// One figure of a contestant in every round in which it has one.
    pub(super) fn each(&self, who: Subject, what: impl Fn(&Turn) -> Option<f64>) -> Vec<f64> {
        self.0.iter().filter_map(|round| what(round.get(&who)?)).collect()
    }

    pub(super) fn rates(&self, who: Subject) -> Vec<f64> {
        self.each(who, |turn| Some(turn.per_second))
    }

    /// Rates within each round, since neighbouring turns met the same machine.
    pub(super) fn ratios(&self, over: Subject, under: Subject) -> Vec<f64> {
        let ratio = |round: &BTreeMap<Subject, Turn>| {
            Some(round.get(&over)?.per_second / round.get(&under)?.per_second)
        };
        self.0.iter().filter_map(ratio).collect()
    }
}

/// The value in the middle, or between the two in the middle; none of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rates: &[&[(Subject, f64)]]) -> Rounds {
        let turn =
            |&(who, per_second): &(Subject, f64)| (who, Turn { per_second, ..Turn::default() });
        Rounds(rates.iter().map(|round| round.iter().map(turn).collect()).collect())
    }

    #[test]
    fn a_median_is_in_the_middle_however_the_values_came() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[9.0, 1.0, 5.0, 6.0]), Some(5.5));
    }

    #[test]
    fn a_round_on_a_slow_machine_does_not_change_the_ratio() {
        let (ours, echo) = (Subject::Sqlite, Subject::Echo);
        let rounds = rounds(&[
            &[(ours, 5_000.0), (echo, 10_000.0)],
            &[(ours, 500.0), (echo, 1_000.0)],
            &[(ours, 4_000.0), (echo, 10_000.0)],
        ]);
        assert_eq!(rounds.ratios(ours, echo), [0.5, 0.5, 0.4]);
        assert_eq!(median(&rounds.ratios(ours, echo)), Some(0.5));
        // The ratio of the medians would say that ours is slower than it ever was.
        assert_eq!(median(&rounds.rates(ours)), Some(4_000.0));
        assert_eq!(median(&rounds.rates(echo)), Some(10_000.0));
    }

    #[test]
    fn a_ratio_needs_both_in_the_same_round() {
        let (ours, redis) = (Subject::Sqlite, Subject::Redis);
        let rounds = rounds(&[&[(ours, 5.0)], &[(redis, 1.0)], &[(ours, 6.0), (redis, 3.0)]]);
        assert_eq!(rounds.ratios(ours, redis), [2.0]);
        assert!(rounds.ratios(ours, Subject::HotRow).is_empty());
    }

    #[test]
    fn a_figure_that_is_not_known_is_left_out() {
        let mut rounds = rounds(&[&[(Subject::HotRow, 5.0)]]);
        let known = Turn { p50_ms: Some(3.0), ..Turn::default() };
        rounds.push(BTreeMap::from([(Subject::HotRow, known)]));
        assert_eq!(rounds.each(Subject::HotRow, |turn| turn.p50_ms), [3.0]);
        assert_eq!(rounds.rates(Subject::HotRow), [5.0, 0.0]);
    }
}
