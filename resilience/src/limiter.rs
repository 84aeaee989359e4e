//! A limit on the items in flight, learned from the latency that it brings.
//!
//! Additive increase, multiplicative decrease against a latency target. Limiters that watch the
//! gradient of the latency (Vegas and its heirs) fight a system that works in batches: there the
//! latency grows with the batch although nothing queues.
//!
//! What it does not do, since others' users suffer from it: it never lowers the limit to measure
//! something; it does not learn from answers that were admitted under an earlier limit, nor from a
//! handful of them, nor from what never reached the system behind; it does not grow on time-outs,
//! nor while the limit is not used; at its bounds it stays where it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    time::Duration,
};

use thiserror::Error;

use crate::time::Moment;

/// Answers that a window must have seen before it says anything.
const SAMPLES_MIN: u64 = 16;

/// Of so many answers one may be late; more, and the window was too slow.
const LATE_SHARE: u64 = 10;

/// The limit grows by this fraction of itself …
const STEP_SHARE: u32 = 32;

/// … but by so many items at least.
const STEP_MIN: u32 = 8;

/// The three counts of a window share a word, with so many bits each.
const COUNT_BITS: u32 = 21;

const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

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
    /// The limit changes at most once in this time.
    pub window: Duration,
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self {
            min: 64,
            max: 8_192,
            initial: 1_024,
            target: Duration::from_millis(250),
            window: Duration::from_millis(100),
        }
    }
}

/// A configuration under which a limiter could not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidLimits {
    /// The bounds are not in order.
    #[error(
        "limits must satisfy 1 <= min <= initial <= max, not min {min}, initial {initial}, max {max}"
    )]
    Bounds {
        /// As configured.
        min: u32,
        /// As configured.
        initial: u32,
        /// As configured.
        max: u32,
    },
    /// Target or window is no time at all.
    #[error("the latency target and the window must be longer than nothing")]
    NoTime,
}

/// What became of something that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// It was served: its latency tells something.
    Answered,
    /// It was not served in time, or the system behind said that it has too much.
    Overloaded,
    /// It says nothing: cancelled, or never served at all.
    Ignored,
}

/// Limits the items in flight. Shared by [`Arc`]; atomics only.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use resilience::{limiter::{Limiter, LimiterConfig, Sample}, time::Moment};
///
/// let config = LimiterConfig { min: 1, initial: 10, ..LimiterConfig::default() };
/// let limiter = Arc::new(Limiter::new(config)?);
/// let now = Moment::from_nanos(0);
/// let slot = limiter.try_acquire(8, now).expect("room for ten");
/// assert!(limiter.try_acquire(3, now).is_none());
/// slot.finish(Sample::Answered, now.after(Duration::from_millis(3)));
/// assert_eq!(limiter.in_flight(), 0);
/// # Ok::<(), resilience::limiter::InvalidLimits>(())
/// ```
#[derive(Debug)]
pub struct Limiter {
    config: LimiterConfig,
    limit: AtomicU32,
    in_flight: AtomicU32,
    /// When the window that counts now may be closed.
    window_end: AtomicU64,
    /// Its answers: all, those near the target (later than half of it), and those beyond.
    counts: AtomicU64,
    /// The most items in flight in it.
    peak: AtomicU32,
    /// When the limit was changed last: who was admitted earlier says nothing about it.
    changed_at: AtomicU64,
}

impl Limiter {
    /// A limiter that has learned nothing yet.
    pub fn new(config: LimiterConfig) -> Result<Self, InvalidLimits> {
        let LimiterConfig { min, max, initial, target, window } = config;
        if min == 0 || min > initial || initial > max {
            return Err(InvalidLimits::Bounds { min, initial, max });
        }
        if target.is_zero() || window.is_zero() {
            return Err(InvalidLimits::NoTime);
        }
        Ok(Self {
            config,
            limit: AtomicU32::new(initial),
            in_flight: AtomicU32::new(0),
            window_end: AtomicU64::new(0),
            counts: AtomicU64::new(0),
            peak: AtomicU32::new(0),
            changed_at: AtomicU64::new(0),
        })
    }

    /// Room for so many items (0 counts as 1), if there is any now. More items than the limit are
    /// let in when nothing else is in flight: they could never be otherwise.
    pub fn try_acquire(self: &Arc<Self>, items: u32, now: Moment) -> Option<Slot> {
        let items = items.max(1);
        self.take(items, self.limit())?;
        Some(Slot { limiter: Arc::clone(self), items, admitted_at: now })
    }

    /// Items allowed in flight now.
    pub fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// Items in flight now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(SeqCst)
    }

    /// What it aims at.
    pub const fn config(&self) -> &LimiterConfig {
        &self.config
    }

    /// Counts the items as in flight if that stays within `room`; says how many were before.
    pub(crate) fn take(&self, items: u32, room: u32) -> Option<u32> {
        // Sequentially consistent, as whoever leaves first gives back and then looks for those who
        // wait, and whoever waits first says so and then looks for room: one must see the other.
        self.in_flight
            .fetch_update(SeqCst, SeqCst, |used| {
                let sum = used.checked_add(items)?;
                (sum <= room || used == 0).then_some(sum)
            })
            .ok()
    }

    /// Gives items back; says how many stay in flight.
    pub(crate) fn give_back(&self, items: u32) -> u32 {
        self.in_flight.fetch_sub(items, SeqCst) - items
    }

    /// Learns from what became of items that are still counted as in flight.
    pub(crate) fn learn(&self, sample: Sample, admitted_at: Moment, now: Moment) {
        let latency = now.since(admitted_at);
        let (near, late) = match sample {
            Sample::Ignored => return,
            Sample::Overloaded => (true, true),
            Sample::Answered => (latency * 2 >= self.config.target, latency >= self.config.target),
        };
        if admitted_at.as_nanos() < self.changed_at.load(Relaxed) {
            return;
        }
        let in_flight = self.in_flight.load(Relaxed);
        if in_flight > self.peak.load(Relaxed) {
            self.peak.fetch_max(in_flight, Relaxed);
        }
        let one = 1 | u64::from(near) << COUNT_BITS | u64::from(late) << (2 * COUNT_BITS);
        let counts = self.counts.fetch_add(one, Relaxed) + one;
        let end = self.window_end.load(Relaxed);
        if now.as_nanos() >= end && counts & COUNT_MASK >= SAMPLES_MIN {
            let next = now.after(self.config.window).as_nanos();
            if self.window_end.compare_exchange(end, next, Relaxed, Relaxed).is_ok() {
                self.judge(now);
            }
        }
    }

    /// Closes a window: decides whether the limit was too high, too low, or neither.
    fn judge(&self, now: Moment) {
        let counts = self.counts.swap(0, Relaxed);
        let peak = self.peak.swap(0, Relaxed);
        let all = counts & COUNT_MASK;
        let near = (counts >> COUNT_BITS) & COUNT_MASK;
        let late = counts >> (2 * COUNT_BITS);
        let limit = self.limit();
        let used = peak.saturating_mul(2) >= limit;
        let next = if late * LATE_SHARE >= all {
            // Where far less was in flight than allowed, the limit comes down to what matters.
            let from = limit.min(peak.saturating_mul(2));
            from - from / 5
        } else if !used {
            limit
        } else if near * LATE_SHARE < all {
            // Latency grows at most in proportion to what is in flight: twice as much stays below.
            limit.saturating_mul(2)
        } else {
            limit.saturating_add((limit / STEP_SHARE).max(STEP_MIN))
        };
        let next = next.clamp(self.config.min, self.config.max);
        if next != limit {
            self.changed_at.store(now.as_nanos(), Relaxed);
            self.limit.store(next, Relaxed);
        }
    }
}

/// Items in flight; dropped, they are none any more, and nothing is learned.
#[derive(Debug)]
#[must_use = "dropped at once, it limits nothing"]
pub struct Slot {
    limiter: Arc<Limiter>,
    items: u32,
    admitted_at: Moment,
}

impl Slot {
    /// The items are not in flight any more, and this is what became of them.
    pub fn finish(self, sample: Sample, now: Moment) {
        self.limiter.learn(sample, self.admitted_at, now);
    }

    /// How long ago they were let in.
    pub const fn age(&self, now: Moment) -> Duration {
        now.since(self.admitted_at)
    }

    /// How many items.
    pub const fn items(&self) -> u32 {
        self.items
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.limiter.give_back(self.items);
    }
}

#[cfg(test)]
mod tests;
