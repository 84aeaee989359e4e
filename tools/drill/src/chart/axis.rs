//! From values to positions, and the values at the ticks.

use super::text::number;

/// How many steps an axis has at most.
const STEPS: f64 = 6.0;

/// How many powers of ten a logarithmic axis shows at most; smaller values are gaps.
const DECADES_MAX: i32 = 12;

/// How an axis is divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    #[default]
    Linear,
    /// By powers of ten. A value that is not above 0 is a gap.
    Logarithmic,
}

/// One direction of a plot.
pub(super) struct Axis {
    scale: Scale,
    /// The values at its ends; for a logarithmic axis the powers of ten.
    low: f64,
    high: f64,
    /// Between two ticks, in the same.
    step: f64,
    /// The positions of the ends, in pixels.
    from: f64,
    to: f64,
}

/// A labelled position.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) name: String,
}

impl Axis {
    /// From the lowest value to the highest.
    pub(super) fn linear(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = range(values).unwrap_or((0.0, 1.0));
        let high = if high > low { high } else { low + 1.0 };
        Self { scale: Scale::Linear, low, high, step: step(high - low), from, to }
    }

    /// From 0, or the power of ten below the lowest value, to the step above the highest.
    pub(super) fn from_zero(
        scale: Scale,
        values: impl Iterator<Item = f64>,
        from: f64,
        to: f64,
    ) -> Self {
        match scale {
            Scale::Linear => {
                let highest = range(values).map_or(1.0, |(_, high)| high);
                let highest = if highest > 0.0 { highest } else { 1.0 };
                let step = step(highest);
                let high = (highest / step).ceil() * step;
                Self { scale, low: 0.0, high, step, from, to }
            }
            Scale::Logarithmic => {
                let powers = values.filter(|&value| value > 0.0).map(f64::log10);
                let (low, high) = range(powers).unwrap_or((0.0, 1.0));
                let high = high.ceil();
                let low = low.floor().max(high - f64::from(DECADES_MAX)).min(high - 1.0);
                Self { scale, low, high, step: 1.0, from, to }
            }
        }
    }

    /// Of a value, in pixels; none for a gap.
    pub(super) fn position(&self, value: f64) -> Option<f64> {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic if value > 0.0 => value.log10(),
            Scale::Logarithmic => return None,
        };
        (value.is_finite() && value >= self.low).then(|| self.at(value))
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    pub(super) fn ticks(&self) -> impl Iterator<Item = Tick> {
        let first = (self.low / self.step).ceil();
        // Slightly above the end, because steps of a tenth do not add up exactly.
        let last = self.high / self.step + 1e-9;
        let numbers = (0..100).map(f64::from).map(move |n| first + n);
        numbers.take_while(move |&n| n <= last).map(|n| self.tick(n * self.step))
    }

    fn tick(&self, value: f64) -> Tick {
        let name = match self.scale {
            Scale::Linear => number(value, decimals(self.step)),
            Scale::Logarithmic => number(10_f64.powf(value), decimals(10_f64.powf(value.min(0.0)))),
        };
        Tick { at: self.at(value), name }
    }
}

/// The lowest and the highest finite value.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|value| value.is_finite())
        .map(|value| (value, value))
        .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

/// 1, 2 or 5 times a power of ten, so that a span has at most [`STEPS`].
fn step(span: f64) -> f64 {
    let rough = span / STEPS;
    let power = 10_f64.powf(rough.log10().floor());
    match rough / power {
        ..=1.0 => power,
        ..=2.0 => 2.0 * power,
        ..=5.0 => 5.0 * power,
        _ => 10.0 * power,
    }
}

/// How many decimals it takes to write multiples of a step.
fn decimals(step: f64) -> usize {
    let mut scaled = step;
    let mut decimals = 0;
    while scaled < 1.0 - 1e-9 && decimals < 12 {
        scaled *= 10.0;
        decimals += 1;
    }
    decimals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|tick| tick.name).collect()
    }

    fn upwards(scale: Scale, values: &[f64]) -> Axis {
        Axis::from_zero(scale, values.iter().copied(), 100.0, 0.0)
    }

    #[test]
    fn ticks_are_round_numbers_up_to_above_the_highest_value() {
        let names_up_to = |highest| names(&upwards(Scale::Linear, &[1.0, highest])).join(" ");
        assert_eq!(names_up_to(2_000.0), "0 500 1,000 1,500 2,000");
        assert_eq!(names_up_to(2_100.0), "0 500 1,000 1,500 2,000 2,500");
        assert_eq!(names_up_to(15.0), "0 5 10 15");
        assert_eq!(names_up_to(1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(names_up_to(65_000.0), "0 20,000 40,000 60,000 80,000");
    }

    #[test]
    fn the_time_axis_begins_at_the_first_value() {
        let axis = Axis::linear([3.0, 11.5, f64::NAN].into_iter(), 0.0, 85.0);
        assert_eq!(names(&axis).join(" "), "4 6 8 10");
        assert_eq!((axis.position(3.0), axis.position(11.5)), (Some(0.0), Some(85.0)));
    }

    #[test]
    fn powers_of_ten_are_evenly_spaced() {
        let axis = upwards(Scale::Logarithmic, &[0.02, 0.0, 40.0]);
        assert_eq!(names(&axis).join(" "), "0.01 0.1 1 10 100");
        let positions = [0.01, 0.1, 1.0, 10.0, 100.0].map(|value| axis.position(value));
        assert_eq!(positions, [100.0, 75.0, 50.0, 25.0, 0.0].map(Some));
        assert_eq!((axis.position(0.0), axis.position(-1.0)), (None, None));
    }

    #[test]
    fn a_range_of_one_value_or_none_has_room() {
        for values in [&[][..], &[0.0], &[5.0, 5.0], &[f64::NAN]] {
            for scale in [Scale::Linear, Scale::Logarithmic] {
                assert!(names(&upwards(scale, values)).len() >= 2, "{values:?}");
            }
            let axis = Axis::linear(values.iter().copied(), 0.0, 1.0);
            assert!(axis.ticks().all(|tick| tick.at.is_finite()));
        }
    }
}
