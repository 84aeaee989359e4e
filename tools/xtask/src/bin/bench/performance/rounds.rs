//! The figures of every contestant in every round; medians, and ratios within rounds.

use std::collections::BTreeMap;

use drill::Summary;
use serde::Serialize;

use super::plan::Subject;

/// The figures of one contestant in one round.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Turn {
    pub(super) per_second: f64,
    /// None if the load generator does not print it.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// How long after the load the consumers had caught up.
    pub(super) caught_up_s: Option<f64>,
    /// Highest resident memory during the load.
    pub(super) memory_mib: Option<f64>,
}

impl Turn {
    pub(super) fn of_rate(per_second: f64) -> Self {
        Self { per_second, ..Self::default() }
    }

    /// The figures of our load generator, of responses with this status.
    pub(super) fn of_load(summary: &Summary, status: u16) -> Self {
        Self {
            p50_ms: Some(summary.percentile_ms(50.0)),
            p99_ms: Some(summary.percentile_ms(99.0)),
            ..Self::of_rate(summary.rate_per_second(status))
        }
    }
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Rounds(Vec<BTreeMap<Subject, Turn>>);

impl Rounds {
    pub(super) fn push(&mut self, round: BTreeMap<Subject, Turn>) {
        self.0.push(round);
    }

    /// A figure of a contestant, in every round that has it.
    pub(super) fn each(&self, who: Subject, what: impl Fn(&Turn) -> Option<f64>) -> Vec<f64> {
        self.0.iter().filter_map(|round| what(round.get(&who)?)).collect()
    }

    pub(super) fn highest(&self, who: Subject, what: impl Fn(&Turn) -> Option<f64>) -> Option<f64> {
        self.each(who, what).into_iter().max_by(f64::total_cmp)
    }

    pub(super) fn rates(&self, who: Subject) -> Vec<f64> {
        self.each(who, |turn| Some(turn.per_second))
    }

    /// Within each round, since other load on the machine affects neighbouring turns alike.
    pub(super) fn ratios(&self, over: Subject, under: Subject) -> Vec<f64> {
        let ratio = |round: &BTreeMap<Subject, Turn>| {
            Some(round.get(&over)?.per_second / round.get(&under)?.per_second)
        };
        self.0.iter().filter_map(ratio).collect()
    }
}

pub(crate) fn median_or_nan(values: &[f64]) -> f64 {
    median(values).unwrap_or(f64::NAN)
}

/// The value in the middle, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
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
        let turn = |&(who, per_second): &(Subject, f64)| (who, Turn::of_rate(per_second));
        Rounds(rates.iter().map(|round| round.iter().map(turn).collect()).collect())
    }

    #[test]
    fn a_median_does_not_depend_on_the_order_of_the_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[9.0, 1.0, 5.0, 6.0]), Some(5.5));
    }

    #[test]
    fn a_slow_round_does_not_change_the_ratio() {
        let (ours, echo) = (Subject::Sqlite, Subject::Echo);
        let rounds = rounds(&[
            &[(ours, 5_000.0), (echo, 10_000.0)],
            &[(ours, 500.0), (echo, 1_000.0)],
            &[(ours, 4_000.0), (echo, 10_000.0)],
        ]);
        assert_eq!(rounds.ratios(ours, echo), [0.5, 0.5, 0.4]);
        assert_eq!(median(&rounds.ratios(ours, echo)), Some(0.5));
        // The ratio of the medians would be lower than the ratio of any round.
        assert_eq!(median(&rounds.rates(ours)), Some(4_000.0));
        assert_eq!(median(&rounds.rates(echo)), Some(10_000.0));
    }

    #[test]
    fn a_ratio_needs_both_contestants_in_one_round() {
        let (ours, redis) = (Subject::Sqlite, Subject::Redis);
        let rounds = rounds(&[&[(ours, 5.0)], &[(redis, 1.0)], &[(ours, 6.0), (redis, 3.0)]]);
        assert_eq!(rounds.ratios(ours, redis), [2.0]);
        assert!(rounds.ratios(ours, Subject::HotRow).is_empty());
    }

    #[test]
    fn an_unknown_figure_is_left_out() {
        let mut rounds = rounds(&[&[(Subject::HotRow, 5.0)]]);
        let known = Turn { p50_ms: Some(3.0), ..Turn::default() };
        rounds.push(BTreeMap::from([(Subject::HotRow, known)]));
        assert_eq!(rounds.each(Subject::HotRow, |turn| turn.p50_ms), [3.0]);
        assert_eq!(rounds.rates(Subject::HotRow), [5.0, 0.0]);
    }
}
