//! The settings of a breaker, and which of them are invalid.

use std::time::Duration;

use thiserror::Error;

use crate::breaker::counts::CALLS_MAX;

/// The longest that any of the durations may be.
pub const DURATION_MAX: Duration = Duration::from_hours(1);

/// The shortest that a duration other than `ramp` may be: the breaker counts in milliseconds.
pub const DURATION_MIN: Duration = Duration::from_millis(1);

/// The shortest window: ten buckets of a millisecond.
pub const WINDOW_MIN: Duration = Duration::from_millis(10);

/// The most probes that half-open may require.
pub const HALF_OPEN_CALLS_MAX: u16 = 1_000;

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

/// A setting with which the breaker would never open, or never close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BreakerConfigError {
    /// A count is 0: it would open without a call.
    #[error("{field}: must be at least 1")]
    Zero {
        /// The name of the setting.
        field: &'static str,
    },
    /// A count is so large that the breaker would never open, or never close.
    #[error("{field}: must be at most {max}")]
    TooMany {
        /// The name of the setting.
        field: &'static str,
        /// The largest valid count.
        max: u32,
    },
    /// The rates would never count.
    #[error("minimum_calls: {minimum_calls} is more than the window can hold ({CALLS_MAX} calls)")]
    MinimumCalls {
        /// As configured.
        minimum_calls: u32,
    },
    /// A percentage out of range.
    #[error("{field}: must be 1 to 100 percent, not {percent}")]
    Percent {
        /// The name of the setting.
        field: &'static str,
        /// As configured.
        percent: u8,
    },
    /// A duration is too short or too long.
    #[error("{field}: must be {min:?} to {DURATION_MAX:?}, not {duration:?}")]
    Duration {
        /// The name of the setting.
        field: &'static str,
        /// The shortest valid duration.
        min: Duration,
        /// As configured.
        duration: Duration,
    },
    /// The first open time would exceed the longest.
    #[error("open_max: {open_max:?} is shorter than open_for ({open_for:?})")]
    OpenMax {
        /// As configured.
        open_max: Duration,
        /// As configured; `open_max` must reach it.
        open_for: Duration,
    },
}

impl BreakerConfig {
    /// The first setting that is invalid, if any.
    pub fn validate(&self) -> Result<(), BreakerConfigError> {
        counts(self)?;
        for (field, percent) in [
            ("failure_rate_percent", self.failure_rate_percent),
            ("slow_call_rate_percent", self.slow_call_rate_percent),
        ] {
            if !(1..=100).contains(&percent) {
                return Err(BreakerConfigError::Percent { field, percent });
            }
        }
        for (field, duration, min) in [
            ("slow_after", self.slow_after, DURATION_MIN),
            ("window", self.window, WINDOW_MIN),
            ("open_for", self.open_for, DURATION_MIN),
            ("open_max", self.open_max, DURATION_MIN),
            ("half_open_max", self.half_open_max, DURATION_MIN),
            ("ramp", self.ramp, Duration::ZERO),
        ] {
            if !(min..=DURATION_MAX).contains(&duration) {
                return Err(BreakerConfigError::Duration { field, min, duration });
            }
        }
        if self.open_max < self.open_for {
            let (open_max, open_for) = (self.open_max, self.open_for);
            return Err(BreakerConfigError::OpenMax { open_max, open_for });
        }
        Ok(())
    }
}

fn counts(config: &BreakerConfig) -> Result<(), BreakerConfigError> {
    let half_open_calls = u32::from(config.half_open_calls);
    let half_open_max = u32::from(HALF_OPEN_CALLS_MAX);
    for (field, count, max) in [
        ("failures_in_a_row", config.failures_in_a_row, IN_A_ROW_MAX),
        ("timeouts_in_a_row", config.timeouts_in_a_row, IN_A_ROW_MAX),
        ("minimum_calls", config.minimum_calls, u32::MAX),
        ("half_open_calls", half_open_calls, half_open_max),
    ] {
        if count == 0 {
            return Err(BreakerConfigError::Zero { field });
        }
        if count > max {
            return Err(BreakerConfigError::TooMany { field, max });
        }
    }
    if config.minimum_calls > CALLS_MAX {
        return Err(BreakerConfigError::MinimumCalls { minimum_calls: config.minimum_calls });
    }
    Ok(())
}
