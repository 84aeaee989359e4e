//! The settings of a breaker, and which of them are valid.

use std::time::Duration;

use crate::{
    breaker::counts::CALLS_MAX,
    config::{DURATION_MAX, DURATION_MIN, GuardConfigError, in_range},
};

/// The shortest window: ten buckets of a millisecond.
const WINDOW_MIN: Duration = Duration::from_millis(10);

/// The most probes that half-open may require.
const HALF_OPEN_CALLS_MAX: u16 = 1_000;

/// The most failures or timeouts in a row that may be required for opening.
const IN_A_ROW_MAX: u32 = 1_000_000;

/// When to open, for how long, and how to close again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Opens after so many hard failures (timeouts are such) without a success between them.
    pub failures_in_a_row: u32,
    /// Opens after so many timeouts without another answer between them: each cost its caller
    /// seconds.
    pub timeouts_in_a_row: u32,
    /// The rates count only when the window holds at least so many calls.
    pub minimum_calls: u32,
    /// Opens when at least this share of the calls in the window failed; 1 to 100.
    pub failure_rate_percent: u8,
    /// Opens when at least this share of the calls in the window was slow; 1 to 100.
    pub slow_call_rate_percent: u8,
    /// A call that took this long was slow.
    pub slow_after: Duration,
    /// The length of the window of the rates, in ten buckets; also how long it must have been
    /// closed before the next opening counts as the first.
    pub window: Duration,
    /// How long it stays open at first; doubled each time that it opens again.
    pub open_for: Duration,
    /// How long it stays open at most (plus up to 20 % of jitter), and the longest `Retry-After`
    /// that is obeyed.
    pub open_max: Duration,
    /// Half-open permits so many calls as probes, and all must succeed.
    pub half_open_calls: u16,
    /// How long half-open waits for them.
    pub half_open_max: Duration,
    /// How long it takes from the last probe to all calls: 10, 25, 50 and 100 % of them are
    /// permitted for a quarter of it each. Zero closes at once.
    pub ramp: Duration,
    /// Seed of the jitter of the open times: breakers of one seed have the same open times.
    pub seed: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures_in_a_row: 5,
            timeouts_in_a_row: 2,
            minimum_calls: 20,
            failure_rate_percent: 50,
            slow_call_rate_percent: 80,
            slow_after: Duration::from_millis(1_500),
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(1),
            open_max: Duration::from_secs(30),
            half_open_calls: 5,
            half_open_max: Duration::from_secs(5),
            ramp: Duration::from_secs(1),
            seed: 0,
        }
    }
}

impl BreakerConfig {
    /// The first setting with which the breaker would never open, or never close, if any.
    pub fn validate(&self) -> Result<(), GuardConfigError> {
        in_range("failures_in_a_row", self.failures_in_a_row, 1..=IN_A_ROW_MAX)?;
        in_range("timeouts_in_a_row", self.timeouts_in_a_row, 1..=IN_A_ROW_MAX)?;
        in_range("minimum_calls", self.minimum_calls, 1..=CALLS_MAX)?;
        in_range("half_open_calls", self.half_open_calls, 1..=HALF_OPEN_CALLS_MAX)?;
        in_range("failure_rate_percent", self.failure_rate_percent, 1..=100)?;
        in_range("slow_call_rate_percent", self.slow_call_rate_percent, 1..=100)?;
        in_range("slow_after", self.slow_after, DURATION_MIN..=DURATION_MAX)?;
        in_range("window", self.window, WINDOW_MIN..=DURATION_MAX)?;
        in_range("open_for", self.open_for, DURATION_MIN..=DURATION_MAX)?;
        in_range("open_max (at least open_for)", self.open_max, self.open_for..=DURATION_MAX)?;
        in_range("half_open_max", self.half_open_max, DURATION_MIN..=DURATION_MAX)?;
        in_range("ramp", self.ramp, Duration::ZERO..=DURATION_MAX)
    }
}
