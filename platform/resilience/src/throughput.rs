//! The rate at which work is served, and how long a request that comes now would wait.
//!
//! Only busy time counts: a system that answers one request a second because only one comes is not
//! slow. And the rate with one request at a time says little about the rate with a thousand, where
//! work is done in batches: so the expected wait is never longer than [`LOOK_AHEAD`] times what the
//! requests served last have waited (Little's law: their number over their rate). As the load grows
//! that bound grows, and where work is served one by one it soon is the plain quotient.

use std::time::Duration;

use fastrand::Rng;

use crate::time::{Moment, nanos};

/// How far beyond the latency seen last the expected wait may go.
pub const LOOK_AHEAD: u64 = 2;

/// How long answers are counted before the rate is computed anew.
const WINDOW: Duration = Duration::from_millis(100);

/// Busy time after which a new rate weighs as much as all earlier ones.
const MEMORY_NS: u64 = 100_000_000;

/// Weights are in this fraction.
const WHOLE: u64 = 1_024;

/// The shortest `Retry-After`.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// The longest `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

const SECOND_NS: u64 = 1_000_000_000;

/// An item in the unit of [`Throughput::promised`]: thousandths of an item per second, times
/// nanoseconds.
const ITEM: u128 = 1_000_000_000_000;

/// Items that are served while there is work, per second. By default, nothing is known yet.
#[derive(Clone, Debug, Default)]
pub struct Throughput {
    /// When the current window may be closed.
    window_end: Moment,
    /// Items served in it.
    served: u64,
    /// The sum, over these items, of the items in flight when each was served.
    in_flight_sum: u64,
    /// Busy nanoseconds in it, without the current stretch of work.
    busy_ns: u64,
    /// Since when there has been work without a break, as far as it is not counted in `busy_ns`.
    busy_since: Moment,
    served_at: Moment,
    /// Thousandths of an item per second; 0 until something was served.
    rate: u64,
    /// Thousandths of an item in flight at that rate.
    in_flight: u64,
    /// Items of rejected clients that are expected to retry and are not served yet, in [`ITEM`]s.
    promised: u128,
    promised_at: Moment,
}

impl Throughput {
    /// There was no work, and now there is.
    pub fn begin(&mut self, now: Moment) {
        self.busy_since = now;
    }

    /// There is no work any more.
    pub fn end(&mut self, now: Moment) {
        self.promised = 0; // A client that retries finds room, or is rejected anew.
        self.busy_ns += nanos(now.since(self.busy_since));
        self.busy_since = now;
    }

    /// So many items were served, when so many (including these) were in flight.
    pub fn record(&mut self, items: u32, in_flight: u32, now: Moment) {
        if now >= self.window_end {
            self.window_end = now.after(WINDOW);
            // Without these items, and without the time that they took: they may be the first of a
            // batch, whose others are recorded a moment later.
            self.close_window(self.served_at);
        }
        self.served_at = now;
        self.served += u64::from(items);
        self.in_flight_sum += u64::from(items) * u64::from(in_flight);
    }

    /// Computes the rate from what was served up to that moment.
    fn close_window(&mut self, end: Moment) {
        let stretch = nanos(end.since(self.busy_since));
        self.busy_since = self.busy_since.max(end);
        let busy = (std::mem::take(&mut self.busy_ns) + stretch).max(1);
        let served = std::mem::take(&mut self.served);
        let in_flight_sum = std::mem::take(&mut self.in_flight_sum);
        let Some(in_flight) = in_flight_sum.saturating_mul(1_000).checked_div(served) else {
            return;
        };
        let rate = u128::from(served) * 1_000 * u128::from(SECOND_NS) / u128::from(busy);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(1);
        let weight = WHOLE * busy.min(SECOND_NS) / (busy.min(SECOND_NS) + MEMORY_NS);
        // The rate falls slowly and rises fast, so that a recovery is noticed; and a higher number in
        // flight counts at once, however long it was low.
        self.rate = mix(self.rate, rate, weight, WHOLE / 2);
        self.in_flight = mix(self.in_flight, in_flight, weight, WHOLE);
    }

    /// How long work that comes now would take, with so many items before it; zero while nothing is
    /// known. While nothing is served at all, at least as long as that has lasted already.
    pub fn expected_wait(&self, ahead: u32, now: Moment) -> Duration {
        if ahead == 0 {
            return Duration::ZERO;
        }
        self.time_for(ahead).max(self.stalled(now))
    }

    /// The time in which so many items are served; zero while nothing is known.
    pub fn time_for(&self, items: u32) -> Duration {
        let known = self.in_flight.saturating_mul(LOOK_AHEAD);
        let items = (u64::from(items) * 1_000).min(known);
        Duration::from_nanos(items.saturating_mul(SECOND_NS).checked_div(self.rate).unwrap_or(0))
    }

    /// After how many whole seconds a client that is rejected now would be served: after all clients
    /// that were rejected before, as they will retry too. At most
    /// [`RETRY_AFTER_MAX`], since not all of them retry; zero while nothing is known.
    ///
    /// Counts the promised items, of which the current rate serves some meanwhile, so a change of
    /// the rate changes the wait of all of them.
    pub fn promise(&mut self, now: Moment) -> Duration {
        let rate = u128::from(self.rate);
        if rate == 0 {
            return Duration::ZERO;
        }
        let served = rate * u128::from(nanos(now.since(self.promised_at)));
        let promised_max = rate * RETRY_AFTER_MAX.as_nanos();
        self.promised = (self.promised.saturating_sub(served) + ITEM).min(promised_max);
        self.promised_at = self.promised_at.max(now);
        whole_seconds(Duration::from_nanos(u64::try_from(self.promised / rate).unwrap_or(u64::MAX)))
    }

    /// How long nothing has been served although there is work. Means nothing while there is none.
    pub fn stalled(&self, now: Moment) -> Duration {
        now.since(self.served_at.max(self.busy_since))
    }

    /// Items per second, rounded down.
    pub const fn rate(&self) -> u64 {
        self.rate / 1_000
    }
}

/// The `Retry-After` for a client that would have to wait that long: whole seconds between
/// [`RETRY_AFTER_MIN`] and [`RETRY_AFTER_MAX`], spread evenly over once to twice the wait, so that
/// clients rejected together do not retry together.
///
/// ```
/// use std::time::Duration;
/// use platform_resilience::throughput::retry_after;
///
/// let mut rng = fastrand::Rng::with_seed(1);
/// let mut wait = || retry_after(Duration::from_millis(3_200), &mut rng);
/// assert!((0..100).all(|_| (4..=8).contains(&wait().as_secs())));
/// ```
pub fn retry_after(wait: Duration, rng: &mut Rng) -> Duration {
    let max = RETRY_AFTER_MAX.as_secs();
    let seconds = whole_seconds(wait).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX).as_secs();
    Duration::from_secs(rng.u64(seconds..=2 * seconds).min(max))
}

/// Rounded up, as a client that retries too early is rejected again.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)))
}

/// `old` moved towards `new` by the weight; by `up`, if that is greater, where `new` is greater.
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
