//! The figures, each with a value for every round; medians, and ratios within rounds.

use std::{collections::BTreeMap, fmt::Display};

use drill::Summary;
use serde::Serialize;

/// What one turn measured. A figure that the load generator does not print is left out.
pub(super) type Turn = Vec<(&'static str, f64)>;

/// The figures of our load generator, of responses with this status.
pub(super) fn of_load(summary: &Summary, status: u16) -> Turn {
    vec![
        ("per_second", summary.rate_per_second(status)),
        ("p50_ms", summary.percentile_ms(50.0)),
        ("p99_ms", summary.percentile_ms(99.0)),
    ]
}

/// By the names of what was measured and of the figure, as in `b.per_second`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    pub(super) fn push(&mut self, who: impl Display, turn: Turn) {
        for (what, value) in turn {
            self.0.entry(format!("{who}.{what}")).or_default().push(value);
        }
    }

    /// Empty if it was not measured.
    pub(super) fn each(&self, name: &str) -> &[f64] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn median(&self, name: &str) -> Option<f64> {
        median(self.each(name))
    }

    pub(super) fn highest(&self, name: &str) -> Option<f64> {
        self.each(name).iter().copied().max_by(f64::total_cmp)
    }

    /// Within each round, since other load on the machine affects neighbouring turns alike.
    pub(super) fn ratios(&self, over: &str, under: &str) -> Vec<f64> {
        self.each(over).iter().zip(self.each(under)).map(|(over, under)| over / under).collect()
    }
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

    #[test]
    fn a_median_does_not_depend_on_the_order_of_the_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[9.0, 1.0, 5.0, 6.0]), Some(5.5));
    }

    #[test]
    fn a_slow_round_does_not_change_the_ratio() {
        let mut figures = Figures::default();
        for (ours, echo) in [(5_000.0, 10_000.0), (500.0, 1_000.0), (4_000.0, 10_000.0)] {
            figures.push("b", vec![("per_second", ours)]);
            figures.push("a", vec![("per_second", echo)]);
        }
        let ratios = figures.ratios("b.per_second", "a.per_second");
        assert_eq!(ratios, [0.5, 0.5, 0.4]);
        assert_eq!(median(&ratios), Some(0.5));
        // The ratio of the medians would be lower than the ratio of any round.
        assert_eq!(figures.median("b.per_second"), Some(4_000.0));
        assert_eq!(figures.median("a.per_second"), Some(10_000.0));
        assert_eq!(figures.highest("b.per_second"), Some(5_000.0));
    }

    #[test]
    fn an_unknown_figure_is_left_out() {
        let mut figures = Figures::default();
        figures.push("d", vec![("per_second", 5.0)]);
        assert!(figures.each("d.p50_ms").is_empty());
        assert!(figures.ratios("d.per_second", "a.per_second").is_empty());
    }

    #[test]
    fn json_has_every_round() {
        let mut figures = Figures::default();
        figures.push("a", vec![("per_second", 2.0), ("p50_ms", 1.0)]);
        figures.push("a", vec![("per_second", 3.0)]);
        let expected = serde_json::json!({"a.p50_ms": [1.0], "a.per_second": [2.0, 3.0]});
        assert_eq!(serde_json::to_value(figures).unwrap(), expected);
    }
}
