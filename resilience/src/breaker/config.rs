//! What a breaker goes by, and which settings it refuses.

use std::time::Duration;

use thiserror::Error;

use super::window::CALLS_MAX;

/// The longest that any of the durations may be.
pub const DURATION_MAX: Duration = Duration::from_hours(1);

/// The shortest that a duration other than `ramp` may be: the breaker counts in milliseconds.
pub const DURATION_MIN: Duration = Duration::from_millis(1);

/// The shortest window: ten buckets of a millisecond.
pub const WINDOW_MIN: Duration = Duration::from_millis(10);

/// The most probes that half-open may want.
pub const HALF_OPEN_CALLS_MAX: u16 = 1_000;

/// When to open, for how long, and how to close again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Opens after so many hard failures (timeouts are such) without a success between them.
    pub failures_in_a_row: u32,
    /// Opens after so many timeouts without another answer between them: each cost somebody
    /// seconds.
    pub timeouts_in_a_row: u32,
    /// The rates are looked at when the window holds at least so many calls.
    pub minimum_calls: u32,
    /// Opens when at least this share of the calls in the window failed; 1 to 100.
    pub failure_rate_percent: u8,
    /// Opens when at least this share of the calls in the window was slow; 1 to 100.
    pub slow_call_rate_percent: u8,
    /// A call that took this long was slow.
    pub slow_after: Duration,
    /// How far back the rates look, in ten steps; also how long it must have been closed before
    /// the next opening counts as the first.
    pub window: Duration,
    /// How long it stays open at first; doubled each time that it opens again.
    pub open_for: Duration,
    /// How long it stays open at most (20 % of chance come on top), and how much of a
    /// `Retry-After` is believed.
    pub open_max: Duration,
    /// Half-open lets through so many calls, and all must succeed.
    pub half_open_calls: u16,
    /// How long half-open waits for them.
    pub half_open_max: Duration,
    /// How long it takes from the last probe to all calls: 10, 25, 50 and 100 % of them for a
    /// quarter each. Nothing: at once.
    pub ramp: Duration,
    /// Spreads the open times of several breakers; the same seed, the same times.
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
pub enum InvalidConfig {
    /// A count is 0: it would open without a call.
    #[error("{field}: must be at least 1")]
    Zero {
        /// The name of the setting.
        field: &'static str,
    },
    /// A count is larger than what can ever be counted.
    #[error("{field}: must be at most {max}")]
    TooMany {
        /// The name of the setting.
        field: &'static str,
        /// The largest there is.
        max: u32,
    },
    /// The rates would never be looked at.
    #[error("minimum_calls: {minimum_calls} is more than the window can hold ({CALLS_MAX} calls)")]
    MinimumCalls {
        /// What was asked for.
        minimum_calls: u32,
    },
    /// A share that is none.
    #[error("{field}: must be 1 to 100 percent, not {percent}")]
    Percent {
        /// The name of the setting.
        field: &'static str,
        /// What was asked for.
        percent: u8,
    },
    /// A duration is too short or too long.
    #[error("{field}: must be {min:?} to {DURATION_MAX:?}, not {duration:?}")]
    Duration {
        /// The name of the setting.
        field: &'static str,
        /// The shortest it may be.
        min: Duration,
        /// What was asked for.
        duration: Duration,
    },
    /// It would open for longer than the longest.
    #[error("open_max: {open_max:?} is shorter than open_for ({open_for:?})")]
    OpenMax {
        /// What was asked for.
        open_max: Duration,
        /// What it must reach.
        open_for: Duration,
    },
}

impl BreakerConfig {
    /// Says what is wrong, if anything is.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        counts(self)?;
        for (field, percent) in [
            ("failure_rate_percent", self.failure_rate_percent),
            ("slow_call_rate_percent", self.slow_call_rate_percent),
        ] {
            if !(1..=100).contains(&percent) {
                return Err(InvalidConfig::Percent { field, percent });
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
                return Err(InvalidConfig::Duration { field, min, duration });
            }
        }
        if self.open_max < self.open_for {
            let (open_max, open_for) = (self.open_max, self.open_for);
            return Err(InvalidConfig::OpenMax { open_max, open_for });
        }
        Ok(())
    }
}

fn counts(config: &BreakerConfig) -> Result<(), InvalidConfig> {
    let half_open_calls = u32::from(config.half_open_calls);
    let half_open_max = u32::from(HALF_OPEN_CALLS_MAX);
    for (field, count, max) in [
        ("failures_in_a_row", config.failures_in_a_row, super::streaks::STREAK_MAX),
        ("timeouts_in_a_row", config.timeouts_in_a_row, super::streaks::STREAK_MAX),
        ("minimum_calls", config.minimum_calls, u32::MAX),
        ("half_open_calls", half_open_calls, half_open_max),
    ] {
        if count == 0 {
            return Err(InvalidConfig::Zero { field });
        }
        if count > max {
            return Err(InvalidConfig::TooMany { field, max });
        }
    }
    if config.minimum_calls > CALLS_MAX {
        return Err(InvalidConfig::MinimumCalls { minimum_calls: config.minimum_calls });
    }
    Ok(())
}
