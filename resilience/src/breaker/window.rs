//! The calls of the last while, in ten buckets of time.
//!
//! A bucket is two words that carry, next to their counts, the epoch and the generation that they
//! were counted in. So nothing ever clears the window: whoever finds another tag starts afresh,
//! and whoever reads skips what is too old. Ten fixed buckets rather than an average that decays:
//! a burst keeps its weight until it is a window old.

use crate::{
    pair::{Added, COUNT_MAX, FIRST, Pair, SECOND},
    time::Moment,
};

/// Buckets in a window.
const BUCKETS: u64 = 10;

const EPOCH_BITS: u32 = 16;
const EPOCH_MASK: u64 = (1 << EPOCH_BITS) - 1;

/// The most calls that a window is sure to hold.
pub(super) const CALLS_MAX: u32 = 10 * COUNT_MAX;

/// What a call that was answered adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// The sums over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
    pub(super) slow_failed: u32,
}

impl Counts {
    /// Whether `part` of the calls is at least so many percent of them.
    pub(super) fn reach(self, part: u32, percent: u8) -> bool {
        u64::from(part) * 100 >= u64::from(self.calls) * u64::from(percent)
    }
}

#[derive(Debug)]
pub(super) struct Window {
    bucket_nanos: u64,
    buckets: [Bucket; 10],
}

#[derive(Debug)]
struct Bucket {
    /// Calls, and those that failed.
    calls: Pair,
    /// Slow calls, and those that failed.
    slow: Pair,
}

impl Window {
    pub(super) fn new(window_nanos: u64) -> Self {
        let bucket = || Bucket { calls: Pair::new(), slow: Pair::new() };
        Self {
            bucket_nanos: (window_nanos / BUCKETS).max(1),
            buckets: std::array::from_fn(|_| bucket()),
        }
    }

    /// Counts a call of that generation, unless `still` says that it is over. Says whether it did.
    #[inline]
    pub(super) fn count(
        &self,
        generation: u32,
        call: Call,
        now: Moment,
        still: impl Fn() -> bool,
    ) -> bool {
        let epoch = now.as_nanos() / self.bucket_nanos;
        let (bucket, tag) = (self.bucket(epoch), tag(generation, epoch));
        let step = if call.failed { FIRST + SECOND } else { FIRST };
        match bucket.calls.add(tag, step, &still) {
            Added::Late => return false,
            Added::Counted => {}
            Added::Halved => bucket.slow.halve(tag),
        }
        if call.slow {
            bucket.slow.add(tag, step, &still);
        }
        true
    }

    /// What that generation counted in the window that ends now.
    pub(super) fn sum(&self, generation: u32, now: Moment) -> Counts {
        let mut sum = Counts::default();
        let newest = now.as_nanos() / self.bucket_nanos;
        for epoch in newest.saturating_sub(BUCKETS - 1)..=newest {
            let (bucket, tag) = (self.bucket(epoch), tag(generation, epoch));
            let (calls, failed) = bucket.calls.read(tag);
            let (slow, slow_failed) = bucket.slow.read(tag);
            sum.calls += calls;
            sum.failed += failed;
            sum.slow += slow;
            sum.slow_failed += slow_failed;
        }
        sum
    }

    fn bucket(&self, epoch: u64) -> &Bucket {
        &self.buckets[usize::try_from(epoch % BUCKETS).unwrap_or(0)]
    }
}

/// The lower bits of both; the word holds 24 of them. A bucket is taken for a newer one only if
/// nobody called for 65,536 times 5 epochs to the very epoch, through 256 generations.
fn tag(generation: u32, epoch: u64) -> u64 {
    u64::from(generation) << EPOCH_BITS | epoch & EPOCH_MASK
}
