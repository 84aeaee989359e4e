//! How fast work drains, and so how long whoever comes now would wait.
//!
//! Only busy time counts: a system that answers one request a second because only one comes is not
//! slow. And what it does with one request at a time says little about what it could do with a
//! thousand, where it works in batches: so nobody is expected to wait longer than
//! [`LOOK_AHEAD`] times what those served last have waited (Little's law: their number over their
//! rate). As the load grows that bound grows, and where work is served one by one it soon is the
//! plain quotient.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{
    dice::scatter,
    time::{Moment, nanos},
};

/// How far beyond the latency seen last the expectation may go.
pub const LOOK_AHEAD: u64 = 2;

/// How long answers are counted before the rate is reckoned anew.
const WINDOW: Duration = Duration::from_millis(100);

/// Busy time after which a new rate weighs as much as all that went before.
const MEMORY_NS: u64 = 100_000_000;

/// Weights are in this fraction.
const WHOLE: u64 = 1_024;

/// The shortest time after which somebody is asked to come back.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// The longest time after which somebody is asked to come back.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

const SECOND_NS: u64 = 1_000_000_000;

/// Items that are served while there is something to serve, per second. Shared by reference; no
/// locks.
#[derive(Debug, Default)]
pub struct Drain {
    /// When the window that counts now may be closed.
    window_end: AtomicU64,
    /// Items served in it.
    served: AtomicU64,
    /// For each of them, how many items were in flight when it was served.
    crowd: AtomicU64,
    /// Busy time in it, without the stretch that is going on.
    busy: AtomicU64,
    /// Since when there has been work without a break, as far as it is not counted in `busy`.
    busy_since: AtomicU64,
    /// When something was served last.
    progress: AtomicU64,
    /// Thousandths of items per second; 0 until something was served.
    rate: AtomicU64,
    /// Thousandths of items in flight at that rate.
    level: AtomicU64,
    /// Until when all would be served who were told to come back.
    promised: AtomicU64,
}

impl Drain {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// There was no work, and now there is.
    pub fn begin(&self, now: Moment) {
        self.busy_since.store(now.as_nanos(), Relaxed);
    }

    /// There is no work any more.
    pub fn end(&self, now: Moment) {
        self.promised.store(0, Relaxed); // Whoever comes back finds room, or is told anew.
        let since = Moment::from_nanos(self.busy_since.swap(now.as_nanos(), Relaxed));
        self.busy.fetch_add(nanos(now.since(since)), Relaxed);
    }

    /// So many items were served, when so many (these among them) were in flight.
    pub fn served(&self, items: u32, in_flight: u32, now: Moment) {
        let before = self.progress.swap(now.as_nanos(), Relaxed);
        let end = self.window_end.load(Relaxed);
        if now.as_nanos() >= end {
            let next = now.after(WINDOW).as_nanos();
            if self.window_end.compare_exchange(end, next, Relaxed, Relaxed).is_ok() {
                // Without these items, and without the time that they took: they may be the first of
                // a batch, and the others come a moment later.
                self.reckon(Moment::from_nanos(before));
            }
        }
        self.served.fetch_add(items.into(), Relaxed);
        self.crowd.fetch_add(u64::from(items) * u64::from(in_flight), Relaxed);
    }

    /// Reckons what was served up to that moment.
    fn reckon(&self, now: Moment) {
        let since = Moment::from_nanos(self.busy_since.fetch_max(now.as_nanos(), Relaxed));
        let busy = self.busy.swap(0, Relaxed).saturating_add(nanos(now.since(since))).max(1);
        let served = self.served.swap(0, Relaxed);
        let crowd = self.crowd.swap(0, Relaxed);
        let Some(level) = crowd.saturating_mul(1_000).checked_div(served) else { return };
        let rate = u128::from(served) * 1_000 * u128::from(SECOND_NS) / u128::from(busy);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(1);
        let weight = WHOLE * busy.min(SECOND_NS) / (busy.min(SECOND_NS) + MEMORY_NS);
        // Bad news come slowly and good news fast, for who recovers must be seen to; and a crowd
        // that has come is there, however long it was away.
        let rate = mix(self.rate.load(Relaxed), rate, weight, WHOLE / 2);
        let level = mix(self.level.load(Relaxed), level, weight, WHOLE);
        self.rate.store(rate, Relaxed);
        self.level.store(level, Relaxed);
    }

    /// How long work that comes now would take, with so many items before it; zero while nothing is
    /// known. Where nothing is served at all, at least as long as that has lasted already.
    pub fn expected_wait(&self, ahead: u32, now: Moment) -> Duration {
        if ahead == 0 {
            return Duration::ZERO;
        }
        self.time_for(ahead).max(self.stalled(now))
    }

    /// The time in which so many items drain; zero while nothing is known.
    pub fn time_for(&self, items: u32) -> Duration {
        let rate = self.rate.load(Relaxed);
        let known = self.level.load(Relaxed).saturating_mul(LOOK_AHEAD);
        let items = (u64::from(items) * 1_000).min(known);
        Duration::from_nanos(items.saturating_mul(SECOND_NS).checked_div(rate).unwrap_or(0))
    }

    /// In how many whole seconds somebody would be served who is told now to come back, after all
    /// who were told so before: they will be there as well, though nobody sees them now. At most
    /// [`RETRY_AFTER_MAX`], since not all come back; zero while nothing is known.
    ///
    /// A virtual clock that goes on by one item's time for each promise and never falls behind the
    /// real one, as in the generic cell rate algorithm (ITU-T I.371).
    pub fn promise(&self, now: Moment) -> Duration {
        let Some(each) = (SECOND_NS * 1_000).checked_div(self.rate.load(Relaxed)) else {
            return Duration::ZERO;
        };
        let after = |promised: u64| {
            let next = promised.max(now.as_nanos()).saturating_add(each);
            next.min(now.after(RETRY_AFTER_MAX).as_nanos())
        };
        let (Ok(before) | Err(before)) =
            self.promised.fetch_update(Relaxed, Relaxed, |promised| Some(after(promised)));
        whole_seconds(Moment::from_nanos(after(before)).since(now))
    }

    /// How long nothing has been served although there is work. Means nothing while there is none.
    pub fn stalled(&self, now: Moment) -> Duration {
        let since = self.progress.load(Relaxed).max(self.busy_since.load(Relaxed));
        now.since(Moment::from_nanos(since))
    }

    /// Items per second, rounded down.
    pub fn rate(&self) -> u64 {
        self.rate.load(Relaxed) / 1_000
    }
}

/// When to come back, for somebody who would have to wait that long: whole seconds between
/// [`RETRY_AFTER_MIN`] and [`RETRY_AFTER_MAX`], spread evenly by the seed over once to twice the
/// wait, so that those refused together do not return together.
///
/// ```
/// use std::time::Duration;
/// use resilience::drain::retry_after;
///
/// let waits: Vec<_> = (0..100).map(|seed| retry_after(Duration::from_millis(3_200), seed)).collect();
/// assert_eq!(waits.iter().min(), Some(&Duration::from_secs(4)));
/// assert_eq!(waits.iter().max(), Some(&Duration::from_secs(8)));
/// ```
pub fn retry_after(wait: Duration, seed: u64) -> Duration {
    let max = RETRY_AFTER_MAX.as_secs();
    let seconds = whole_seconds(wait).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX).as_secs();
    Duration::from_secs((seconds + scatter(seed) % (seconds + 1)).min(max))
}

/// Rounded up, as whoever comes too early is sent away again.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)))
}

/// `old` moved towards `new` by the weight, by another (if greater) where that is up.
fn mix(old: u64, new: u64, weight: u64, up: u64) -> u64 {
    if old == 0 {
        return new;
    }
    let (old, new, whole) = (u128::from(old), u128::from(new), u128::from(WHOLE));
    let weight = u128::from(if new > old { weight.max(up) } else { weight });
    u64::try_from((old * (whole - weight) + new * weight) / whole).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;
