//! A limit on the items in flight, learned from the latency that it brings.
//!
//! Additive increase, multiplicative decrease against a latency target. Limiters that follow the
//! gradient of the latency (Vegas and its successors) do not suit a system that works in batches:
//! there the latency grows with the batch although nothing queues.
//!
//! What it does not do, as users of other limiters have reported problems with it: it never lowers
//! the limit to measure something; it does not learn from requests that were admitted under an
//! earlier limit, nor from a few answers, nor from requests that never reached the system behind; it
//! does not raise the limit on timeouts, nor while the limit is not used; at its bounds it stays.

use std::{mem, time::Duration};

use crate::{
    config::{DURATION_MAX, DURATION_MIN, GuardConfigError, in_range},
    time::Moment,
};

/// The limit changes at most once in this time.
const WINDOW: Duration = Duration::from_millis(100);

/// Answers that a window must have before it changes the limit.
const SAMPLES_MIN: u32 = 16;

/// Of so many answers one may be late; with more, the window was too slow.
const LATE_SHARE: u32 = 10;

/// The limit is raised by this fraction of itself …
const STEP_SHARE: u32 = 32;

/// … but by so many items at least.
const STEP_MIN: u32 = 8;

/// What a [`Limiter`] aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimiterConfig {
    /// Never fewer items than this; at least 1.
    pub min: u32,
    /// Never more items than this.
    pub max: u32,
    /// The limit before anything is learned.
    pub initial: u32,
    /// The latency that nine of ten answers should stay below.
    pub target: Duration,
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self { min: 64, max: 8_192, initial: 1_024, target: Duration::from_millis(250) }
    }
}

/// How a request that was admitted ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// It was served: its latency counts.
    Answered,
    /// It was not served in time, or the system behind reported overload.
    Overloaded,
    /// It was cancelled, or never reached the system behind: nothing is learned from it.
    Ignored,
}

/// Limits the items in flight.
///
/// ```
/// use std::time::Duration;
/// use platform_resilience::{limiter::{Limiter, LimiterConfig, Sample}, time::Moment};
///
/// let config = LimiterConfig { min: 1, initial: 10, ..LimiterConfig::default() };
/// let mut limiter = Limiter::new(config)?;
/// let now = Moment::from_nanos(0);
/// assert!(limiter.try_acquire(8, limiter.limit()));
/// assert!(!limiter.try_acquire(3, limiter.limit()));
/// limiter.learn(Sample::Answered, now, now.after(Duration::from_millis(3)));
/// limiter.release(8);
/// assert_eq!(limiter.in_flight(), 0);
/// # Ok::<(), platform_resilience::config::GuardConfigError>(())
/// ```
#[derive(Debug)]
pub struct Limiter {
    config: LimiterConfig,
    limit: u32,
    in_flight: u32,
    /// When the current window may be closed.
    window_end: Moment,
    window: Counts,
    /// When the limit was changed last: requests admitted earlier say nothing about it.
    changed_at: Moment,
}

/// The answers of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: u32,
    /// Those later than half of the target.
    near: u32,
    /// Those later than the target.
    late: u32,
    in_flight_max: u32,
}

impl Limiter {
    /// A limiter that has learned nothing yet.
    pub fn new(config: LimiterConfig) -> Result<Self, GuardConfigError> {
        in_range("min", config.min, 1..=config.initial)?;
        in_range("initial", config.initial, config.min..=config.max)?;
        in_range("target", config.target, DURATION_MIN..=DURATION_MAX)?;
        Ok(Self {
            config,
            limit: config.initial,
            in_flight: 0,
            window_end: Moment::default(),
            window: Counts::default(),
            changed_at: Moment::default(),
        })
    }

    /// Items allowed in flight now.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Items in flight now.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Counts the items as in flight if that stays within `room`; says whether it did. More items
    /// than that are admitted when nothing else is in flight: they could never be otherwise.
    pub fn try_acquire(&mut self, items: u32, room: u32) -> bool {
        let Some(sum) = self.in_flight.checked_add(items) else { return false };
        let fits = sum <= room || self.in_flight == 0;
        if fits {
            self.in_flight = sum;
        }
        fits
    }

    /// The items are not in flight any more.
    pub const fn release(&mut self, items: u32) {
        self.in_flight -= items;
    }

    /// Learns from how a request ended whose items are still counted as in flight.
    pub fn learn(&mut self, sample: Sample, admitted_at: Moment, now: Moment) {
        let latency = now.since(admitted_at);
        let (near, late) = match sample {
            Sample::Ignored => return,
            Sample::Overloaded => (true, true),
            Sample::Answered => (latency * 2 >= self.config.target, latency >= self.config.target),
        };
        if admitted_at < self.changed_at {
            return;
        }
        let window = &mut self.window;
        window.in_flight_max = window.in_flight_max.max(self.in_flight);
        window.all = window.all.saturating_add(1);
        window.near += u32::from(near);
        window.late += u32::from(late);
        if now >= self.window_end && window.all >= SAMPLES_MIN {
            self.window_end = now.after(WINDOW);
            self.close_window(now);
        }
    }

    /// Decides whether the limit was too high, too low, or neither.
    fn close_window(&mut self, now: Moment) {
        let Counts { all, near, late, in_flight_max } = mem::take(&mut self.window);
        let limit = self.limit;
        let used = in_flight_max.saturating_mul(2) >= limit;
        let next = if late.saturating_mul(LATE_SHARE) >= all {
            // Where far less was in flight than allowed, the limit is lowered from what was used.
            let from = limit.min(in_flight_max.saturating_mul(2));
            from - from / 5
        } else if !used {
            limit
        } else if near.saturating_mul(LATE_SHARE) < all {
            // Latency grows at most in proportion to what is in flight: twice as much stays below.
            limit.saturating_mul(2)
        } else {
            limit.saturating_add((limit / STEP_SHARE).max(STEP_MIN))
        };
        let next = next.clamp(self.config.min, self.config.max);
        if next != limit {
            self.changed_at = now;
            self.limit = next;
        }
    }
}

#[cfg(test)]
mod tests;
