//! The target of a figure.

use std::fmt;

/// A limit on one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    /// False for NaN.
    pub(super) fn is_met_by(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(limit) => figure >= limit,
            Self::AtMost(limit) => figure <= limit,
        }
    }

    /// For the table.
    pub(super) fn verdict(self, figure: f64) -> &'static str {
        if self.is_met_by(figure) { "met" } else { "**missed**" }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, limit) = match self {
            Self::AtLeast(limit) => ('≥', limit),
            Self::AtMost(limit) => ('≤', limit),
        };
        if *limit < 10.0 { write!(f, "{sign} {limit:.2}") } else { write!(f, "{sign} {limit:.0}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_at_its_limit_and_missed_beyond() {
        assert_eq!(Aim::AtLeast(0.5).verdict(0.5), "met");
        assert_eq!(Aim::AtLeast(0.5).verdict(0.499), "**missed**");
        assert_eq!(Aim::AtMost(6.0).verdict(6.0), "met");
        assert_eq!(Aim::AtMost(6.0).verdict(6.001), "**missed**");
    }

    #[test]
    fn a_figure_that_is_not_a_number_misses_its_aim() {
        assert!(!Aim::AtLeast(0.0).is_met_by(f64::NAN));
        assert!(!Aim::AtMost(150.0).is_met_by(f64::NAN));
    }

    #[test]
    fn an_aim_is_displayed_with_its_limit() {
        assert_eq!(Aim::AtLeast(0.5).to_string(), "≥ 0.50");
        assert_eq!(Aim::AtLeast(20.0).to_string(), "≥ 20");
        assert_eq!(Aim::AtMost(150.0).to_string(), "≤ 150");
    }
}
