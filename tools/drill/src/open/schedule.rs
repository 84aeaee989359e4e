//! The intended starts of requests: a rate as a function of time, and the arrivals that follow from it.
//!
//! A schedule is a list of pieces, each with a rate that can be integrated in closed form. The
//! n-th arrival is where the integral of the rate reaches n.

use std::time::Duration;

use crate::load::stop::DURATION_MAX;

/// The highest rate of a schedule, in requests per second; a higher one counts as this.
const RATE_MAX: f64 = 1_000_000.0;

/// The peak of a load spike, as a multiple of the ordinary rate.
const SPIKE_FACTOR: f64 = 20.0;

/// How long a load spike takes to rise.
const SPIKE_RISE: Duration = Duration::from_secs(1);

/// How often the interval of an arrival in a decay is halved: from an hour to less than a nanosecond.
const HALVINGS: usize = 50;

/// The intended starts of requests. It lasts at most an hour; rates that are NaN or negative count as 0,
/// and those above a million per second as that.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    shape: Shape,
    /// In seconds.
    lasting: f64,
}

/// The rate in requests per second over time in seconds, both from the beginning of the piece.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Linear { from: f64, slope: f64 },
    Decay { floor: f64, above: f64, time_constant: f64 },
}

impl Schedule {
    /// The same rate all the time.
    pub fn constant(per_second: f64, lasting: Duration) -> Self {
        Self::ramp(per_second, per_second, lasting)
    }

    /// From one rate to another, evenly.
    fn ramp(from_per_second: f64, to_per_second: f64, lasting: Duration) -> Self {
        let (from, to) = (rate(from_per_second), rate(to_per_second));
        let seconds = lasting.as_secs_f64();
        let slope = if seconds > 0.0 { (to - from) / seconds } else { 0.0 };
        Self::of(Shape::Linear { from, slope }, lasting)
    }

    /// From one rate down (or up) to another, by half of what is left in each `half_life`.
    fn decay(
        from_per_second: f64,
        to_per_second: f64,
        half_life: Duration,
        lasting: Duration,
    ) -> Self {
        let (from, floor) = (rate(from_per_second), rate(to_per_second));
        let time_constant = half_life.as_secs_f64() / std::f64::consts::LN_2;
        if time_constant > 0.0 {
            Self::of(Shape::Decay { floor, above: from - floor, time_constant }, lasting)
        } else {
            Self::constant(floor, lasting)
        }
    }

    /// From nothing to 20 times the ordinary rate within a second, then down to the ordinary rate by
    /// halves.
    pub fn load_spike(ordinary_per_second: f64, half_life: Duration, lasting: Duration) -> Self {
        let peak = ordinary_per_second * SPIKE_FACTOR;
        let rest = lasting.saturating_sub(SPIKE_RISE);
        Self::ramp(0.0, peak, SPIKE_RISE.min(lasting)).then(Self::decay(
            peak,
            ordinary_per_second,
            half_life,
            rest,
        ))
    }

    /// This one, followed by another.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.pieces.extend(next.pieces);
        self
    }

    /// The rate at a time, in requests per second; 0 after the end.
    pub fn per_second(&self, at: Duration) -> f64 {
        let mut at = at.as_secs_f64();
        for piece in &self.pieces {
            if at < piece.lasting {
                return piece.shape.rate(at);
            }
            at -= piece.lasting;
        }
        0.0
    }

    /// How many requests it makes on average.
    pub fn requests(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.shape.integral(piece.lasting)).sum()
    }

    /// The intended start of each request, from the beginning of the schedule, in order.
    pub fn arrivals(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let mut pieces = self.pieces.clone().into_iter().peekable();
        // The number of the next arrival, and how many there are before the current piece.
        let (mut number, mut before) = (-1.0, 0.0);
        let mut piece_began = 0.0;
        std::iter::from_fn(move || {
            number += 1.0;
            loop {
                let Piece { shape, lasting } = *pieces.peek()?;
                let total = shape.integral(lasting);
                if number < before + total {
                    let at = duration(piece_began + shape.reaches(number - before, lasting));
                    return (at < DURATION_MAX).then_some(at);
                }
                before += total;
                piece_began += lasting;
                pieces.next();
            }
        })
    }

    fn of(shape: Shape, lasting: Duration) -> Self {
        let lasting = lasting.min(DURATION_MAX).as_secs_f64();
        Self { pieces: vec![Piece { shape, lasting }] }
    }
}

impl Shape {
    fn rate(self, at: f64) -> f64 {
        match self {
            Self::Linear { from, slope } => from + slope * at,
            Self::Decay { floor, above, time_constant } => {
                floor + above * (-at / time_constant).exp()
            }
        }
    }

    /// Of the rate, from the beginning of the piece: how many requests until then.
    fn integral(self, until: f64) -> f64 {
        match self {
            Self::Linear { from, slope } => until * (from + slope * until / 2.0),
            Self::Decay { floor, above, time_constant } => {
                floor * until - above * time_constant * (-until / time_constant).exp_m1()
            }
        }
    }

    /// The inverse of the integral: when the number is reached, which is before `lasting`.
    fn reaches(self, number: f64, lasting: f64) -> f64 {
        if number <= 0.0 {
            return 0.0;
        }
        match self {
            // The form of the quadratic formula that loses no digits when the slope is small.
            Self::Linear { from, slope } => {
                2.0 * number / (from + (from * from + 2.0 * slope * number).max(0.0).sqrt())
            }
            Self::Decay { .. } => {
                let (mut low, mut high) = (0.0, lasting);
                for _ in 0..HALVINGS {
                    let middle = f64::midpoint(low, high);
                    let end = if self.integral(middle) < number { &mut low } else { &mut high };
                    *end = middle;
                }
                high
            }
        }
    }
}

fn rate(per_second: f64) -> f64 {
    if per_second.is_nan() { 0.0 } else { per_second.clamp(0.0, RATE_MAX) }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(DURATION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn count(schedule: &Schedule) -> usize {
        schedule.arrivals().count()
    }

    /// Arrivals from `from` on and before `to`, in seconds.
    fn between(schedule: &Schedule, from: f64, to: f64) -> usize {
        let within = from..to;
        schedule.arrivals().filter(|at| within.contains(&at.as_secs_f64())).count()
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced() {
        let arrivals: Vec<_> = Schedule::constant(4.0, SECOND).arrivals().collect();
        assert_eq!(arrivals, [0, 250, 500, 750].map(Duration::from_millis));
    }

    #[test]
    fn a_ramp_grows_evenly_up_and_down() {
        let up = Schedule::ramp(0.0, 1_000.0, 2 * SECOND);
        assert_eq!((count(&up), between(&up, 0.0, 1.0)), (1_000, 250));
        let down = Schedule::ramp(1_000.0, 0.0, 2 * SECOND);
        assert_eq!((count(&down), between(&down, 0.0, 1.0)), (1_000, 750));
    }

    #[test]
    fn the_next_schedule_changes_the_rate_at_once() {
        let step = Schedule::constant(100.0, SECOND).then(Schedule::constant(1_000.0, SECOND));
        assert_eq!((between(&step, 0.0, 1.0), between(&step, 1.0, 2.0)), (100, 1_000));
        assert!((step.per_second(Duration::from_millis(999)) - 100.0).abs() < 1e-9);
        assert!((step.per_second(SECOND) - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn a_decay_halves_what_is_above_the_floor() {
        let decay = Schedule::decay(2_100.0, 100.0, SECOND, 10 * SECOND);
        let rates = [0, 1, 2].map(|seconds| decay.per_second(seconds * SECOND));
        for (rate, expected) in rates.into_iter().zip([2_100.0, 1_100.0, 600.0]) {
            assert!((rate - expected).abs() < 1e-6, "{rate}, not {expected}");
        }
        // The integral of the first second: 100 + 2,000 · (1 − ½) / ln 2.
        assert!(between(&decay, 0.0, 1.0).abs_diff(1_543) <= 1);
    }

    #[test]
    fn a_load_spike_rises_to_twenty_times_within_a_second() {
        let spike = Schedule::load_spike(100.0, 5 * SECOND, 60 * SECOND);
        assert!(spike.per_second(Duration::ZERO).abs() < 1e-9);
        assert!((spike.per_second(SECOND) - 2_000.0).abs() < 1e-9);
        assert!((spike.per_second(6 * SECOND) - 1_050.0).abs() < 1e-6);
        assert!(spike.per_second(59 * SECOND) < 101.0);
        assert!(spike.per_second(60 * SECOND).abs() < 1e-9, "it is over");
        assert_eq!(between(&spike, 0.0, 1.0), 1_000);
    }

    #[test]
    fn arrivals_are_in_order_and_as_many_as_the_integral_says() {
        let spike = Schedule::load_spike(100.0, 3 * SECOND, 30 * SECOND)
            .then(Schedule::ramp(500.0, 0.0, 3 * SECOND))
            .then(Schedule::constant(0.0, SECOND))
            .then(Schedule::constant(33.3, SECOND));
        let arrivals: Vec<_> = spike.arrivals().collect();
        assert!(arrivals.is_sorted() && arrivals.iter().all(|&at| at < 35 * SECOND));
        let made = f64::from(u32::try_from(arrivals.len()).expect("few"));
        assert!((made - spike.requests()).abs() <= 1.0, "{made}, not {}", spike.requests());
    }

    #[test]
    fn invalid_rates_and_times_are_bounded() {
        let invalid = [f64::NAN, -5.0, f64::NEG_INFINITY];
        assert!(invalid.iter().all(|&rate| count(&Schedule::constant(rate, SECOND)) == 0));
        let most = Schedule::constant(f64::INFINITY, Duration::MAX);
        assert!((most.per_second(SECOND) - RATE_MAX).abs() < 1e-9);
        assert!((most.requests() - RATE_MAX * DURATION_MAX.as_secs_f64()).abs() < 1.0);
        let twice = Schedule::constant(0.001, Duration::MAX).then(most);
        assert!(twice.arrivals().take(10_000).all(|at| at < DURATION_MAX));
        assert_eq!(count(&Schedule::decay(9.0, 1.0, Duration::ZERO, 5 * SECOND)), 5);
        assert_eq!(count(&Schedule::ramp(9.0, 1.0, Duration::ZERO)), 0);
    }
}
