//! When requests are to be sent: a rate as a function of time, and the arrivals that follow from it.
//!
//! A schedule is a list of pieces, each with a rate that can be integrated in closed form. The
//! n-th arrival is where the integral of the rate reaches n (evenly spaced) or the sum of n
//! exponential steps (Poisson, by the time change theorem: such arrivals of rate 1, seen through
//! the inverse of the integral, are Poisson arrivals of that rate).

use std::time::Duration;

use crate::load::stop::LASTING_MAX;

/// The highest rate of a schedule, in requests per second; a higher one counts as this.
pub const RATE_MAX: f64 = 1_000_000.0;

/// How many times the ordinary rate the doors of an opening day let in at their highest.
pub const OPENING_FACTOR: f64 = 20.0;

/// How long the crowd of an opening day takes to gather.
pub const OPENING_RISE: Duration = Duration::from_secs(1);

/// How often the inverse of a decay is refined: more than doubles need.
const NEWTON_STEPS: usize = 30;

/// How close, in seconds, is close enough: a nanosecond.
const NEWTON_ENOUGH: f64 = 1e-9;

/// When requests are to be sent. It lasts at most [`LASTING_MAX`]; rates that are no numbers, or
/// are negative, count as 0, and too high ones as [`RATE_MAX`].
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pieces: Vec<Piece>,
    spacing: Spacing,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spacing {
    Even,
    Poisson { seed: u64 },
}

impl Schedule {
    /// The same rate all the time.
    pub fn constant(per_second: f64, lasting: Duration) -> Self {
        Self::ramp(per_second, per_second, lasting)
    }

    /// From one rate to another, evenly.
    pub fn ramp(from_per_second: f64, to_per_second: f64, lasting: Duration) -> Self {
        let (from, to) = (rate(from_per_second), rate(to_per_second));
        let seconds = lasting.as_secs_f64();
        let slope = if seconds > 0.0 { (to - from) / seconds } else { 0.0 };
        Self::of(Shape::Linear { from, slope }, lasting)
    }

    /// One rate, then at once another one.
    pub fn step(before: (f64, Duration), after: (f64, Duration)) -> Self {
        Self::constant(before.0, before.1).then(Self::constant(after.0, after.1))
    }

    /// From one rate down (or up) to another, by half of what is left in each `half_life`.
    pub fn decay(
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

    /// The day when everybody wants one: from nothing to [`OPENING_FACTOR`] times the ordinary rate
    /// within [`OPENING_RISE`], then down to the ordinary rate by halves.
    pub fn opening_day(ordinary_per_second: f64, half_life: Duration, lasting: Duration) -> Self {
        let peak = ordinary_per_second * OPENING_FACTOR;
        let rest = lasting.saturating_sub(OPENING_RISE);
        Self::ramp(0.0, peak, OPENING_RISE.min(lasting)).then(Self::decay(
            peak,
            ordinary_per_second,
            half_life,
            rest,
        ))
    }

    /// This one, and the other one when it is over. The spacing is this one's.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.pieces.extend(next.pieces);
        self
    }

    /// The same rates, but requests come as people come who know nothing of each other. The same
    /// seed makes the same arrivals.
    #[must_use]
    pub fn poisson(self, seed: u64) -> Self {
        Self { spacing: Spacing::Poisson { seed }, ..self }
    }

    /// How long it lasts.
    pub fn lasting(&self) -> Duration {
        duration(self.pieces.iter().map(|piece| piece.lasting).sum()).min(LASTING_MAX)
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
        self.pieces.iter().map(Piece::total).sum()
    }

    /// The intended start of each request, from the beginning of the schedule, in order.
    pub fn arrivals(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let mut arrivals =
            Arrivals { pieces: self.pieces.clone().into_iter(), current: None, before: 0.0 };
        let mut steps = Steps::new(self.spacing);
        std::iter::from_fn(move || {
            let at = arrivals.reach(steps.next())?;
            (at < LASTING_MAX).then_some(at)
        })
    }

    fn of(shape: Shape, lasting: Duration) -> Self {
        let lasting = lasting.min(LASTING_MAX).as_secs_f64();
        Self { pieces: vec![Piece { shape, lasting }], spacing: Spacing::Even }
    }
}

impl Piece {
    fn total(&self) -> f64 {
        self.shape.integral(self.lasting)
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

    /// Of the rate, from the beginning: how many requests until then.
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
            Self::Decay { .. } => self.search(number, lasting),
        }
    }

    /// Newton's method, kept between bounds that close in.
    fn search(self, number: f64, lasting: f64) -> f64 {
        let (mut low, mut high) = (0.0, lasting);
        let mut at = (number / self.rate(0.0)).clamp(low, high);
        for _ in 0..NEWTON_STEPS {
            let missing = number - self.integral(at);
            if missing > 0.0 {
                low = at;
            } else {
                high = at;
            }
            let next = at + missing / self.rate(at);
            let next = if next > low && next < high { next } else { f64::midpoint(low, high) };
            if (next - at).abs() < NEWTON_ENOUGH {
                return next;
            }
            at = next;
        }
        at
    }
}

/// Walks through the pieces as the number of requests grows.
struct Arrivals {
    pieces: std::vec::IntoIter<Piece>,
    current: Option<Current>,
    /// How long the pieces lasted that are over, in seconds.
    before: f64,
}

struct Current {
    piece: Piece,
    /// Requests in it and in all before it; and in those before it.
    total: f64,
    reached: f64,
}

impl Arrivals {
    /// When that many requests have come; none after the end.
    fn reach(&mut self, number: f64) -> Option<Duration> {
        loop {
            let reached = match &self.current {
                Some(Current { piece, total, reached }) if number < *total => {
                    let at = piece.shape.reaches(number - reached, piece.lasting);
                    return Some(duration(self.before + at));
                }
                Some(Current { piece, total, .. }) => {
                    self.before += piece.lasting;
                    *total
                }
                None => 0.0,
            };
            let piece = self.pieces.next()?;
            self.current = Some(Current { piece, total: reached + piece.total(), reached });
        }
    }
}

/// How many requests there are to be by each arrival.
struct Steps {
    spacing: Spacing,
    sum: f64,
}

impl Steps {
    fn new(spacing: Spacing) -> Self {
        let sum = match spacing {
            Spacing::Even => -1.0,
            Spacing::Poisson { .. } => 0.0,
        };
        Self { spacing, sum }
    }

    fn next(&mut self) -> f64 {
        self.sum += match &mut self.spacing {
            Spacing::Even => 1.0,
            Spacing::Poisson { seed } => -uniform(seed).ln(),
        };
        self.sum
    }
}

/// The next of a sequence of numbers above 0 and up to 1 (`SplitMix64`, Steele et al., 2014).
fn uniform(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    // 32 bits are enough steps for a waiting time, and a u32 is a double without loss.
    let top = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
    (f64::from(top) + 1.0) / (f64::from(u32::MAX) + 1.0)
}

fn rate(per_second: f64) -> f64 {
    if per_second.is_nan() { 0.0 } else { per_second.clamp(0.0, RATE_MAX) }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(LASTING_MAX)
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
    fn a_step_changes_the_rate_at_once() {
        let step = Schedule::step((100.0, SECOND), (1_000.0, SECOND));
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
    fn an_opening_day_rises_to_twenty_times_within_a_second() {
        let day = Schedule::opening_day(100.0, 5 * SECOND, 60 * SECOND);
        assert!(day.per_second(Duration::ZERO).abs() < 1e-9);
        assert!((day.per_second(SECOND) - 2_000.0).abs() < 1e-9);
        assert!((day.per_second(6 * SECOND) - 1_050.0).abs() < 1e-6);
        assert!(day.per_second(59 * SECOND) < 101.0);
        assert_eq!((day.lasting(), between(&day, 0.0, 1.0)), (60 * SECOND, 1_000));
    }

    #[test]
    fn arrivals_are_in_order_and_as_many_as_the_integral_says() {
        let day = Schedule::opening_day(100.0, 3 * SECOND, 30 * SECOND)
            .then(Schedule::ramp(500.0, 0.0, 3 * SECOND))
            .then(Schedule::constant(0.0, SECOND))
            .then(Schedule::constant(33.3, SECOND));
        let arrivals: Vec<_> = day.arrivals().collect();
        assert!(arrivals.is_sorted() && arrivals.iter().all(|&at| at < day.lasting()));
        let made = f64::from(u32::try_from(arrivals.len()).expect("few"));
        assert!((made - day.requests()).abs() <= 1.0, "{made}, not {}", day.requests());
    }

    #[test]
    fn poisson_arrivals_are_irregular_repeatable_and_of_that_rate() {
        let even = Schedule::constant(1_000.0, 10 * SECOND);
        let poisson = even.clone().poisson(7);
        assert_eq!(poisson.arrivals().collect::<Vec<_>>(), poisson.arrivals().collect::<Vec<_>>());
        assert_ne!(
            poisson.arrivals().next(),
            even.poisson(8).arrivals().next(),
            "another seed, other arrivals"
        );
        // 10,000 on average with a deviation of 100, and as many gaps above the average as e⁻¹.
        assert!(count(&poisson).abs_diff(10_000) < 400, "{}", count(&poisson));
        let times: Vec<_> = poisson.arrivals().collect();
        let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let long = gaps.filter(|gap| gap.as_micros() > 1_000).count();
        assert!(long.abs_diff(3_679) < 300, "{long} long gaps");
    }

    #[test]
    fn nonsense_is_bounded() {
        let odd = [f64::NAN, -5.0, f64::NEG_INFINITY];
        assert!(odd.iter().all(|&rate| count(&Schedule::constant(rate, SECOND)) == 0));
        let most = Schedule::constant(f64::INFINITY, Duration::MAX);
        assert!((most.per_second(SECOND) - RATE_MAX).abs() < 1e-9);
        assert_eq!(most.lasting(), LASTING_MAX);
        let twice = Schedule::constant(0.001, Duration::MAX).then(most);
        assert!(twice.arrivals().take(10_000).all(|at| at < LASTING_MAX));
        assert_eq!(count(&Schedule::decay(9.0, 1.0, Duration::ZERO, 5 * SECOND)), 5);
        assert_eq!(count(&Schedule::ramp(9.0, 1.0, Duration::ZERO)), 0);
    }
}
