//! The calls of the last while, in ten buckets of time.
//!
//! A bucket is two words that carry, next to their counts, the epoch and the generation that they
//! were counted in. So nothing ever clears the window: whoever finds another tag starts afresh,
//! and whoever reads skips what is too old. Ten fixed buckets rather than an average that decays:
//! a burst keeps its weight until it is a window old.

use crate::{
    sync::{AtomicU64, Ordering},
    time::Moment,
};

/// Buckets in a window.
const BUCKETS: u64 = 10;

/// Bits of one count.
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const TAG_SHIFT: u32 = 2 * COUNT_BITS;
/// One more in the upper count.
const UPPER: u64 = 1 << COUNT_BITS;
const EPOCH_BITS: u32 = 16;
const EPOCH_MASK: u64 = (1 << EPOCH_BITS) - 1;
const GENERATION_MASK: u32 = (1 << (64 - TAG_SHIFT - EPOCH_BITS)) - 1;

/// The most calls that a window is sure to hold: a full bucket halves its counts, which keeps
/// the rates.
pub(super) const CALLS_MAX: u32 = 10 << (COUNT_BITS - 1);

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
    /// tag | calls | failed
    calls: AtomicU64,
    /// tag | slow | slow and failed
    slow: AtomicU64,
}

impl Window {
    pub(super) fn new(window_nanos: u64) -> Self {
        let bucket = || Bucket { calls: AtomicU64::new(0), slow: AtomicU64::new(0) };
        Self {
            bucket_nanos: (window_nanos / BUCKETS).max(1),
            buckets: std::array::from_fn(|_| bucket()),
        }
    }

    /// Counts a call of that generation, unless `still` says that it is over. Says whether it did.
    pub(super) fn count(
        &self,
        generation: u32,
        call: Call,
        now: Moment,
        still: impl Fn() -> bool,
    ) -> bool {
        let epoch = now.as_nanos() / self.bucket_nanos;
        let (bucket, tag) = (self.bucket(epoch), tag(generation, epoch));
        let failed = u64::from(call.failed);
        match add(&bucket.calls, tag, UPPER | failed, &still) {
            Added::Late => return false,
            Added::Counted => {}
            Added::Halved => halve(&bucket.slow, tag),
        }
        if call.slow {
            add(&bucket.slow, tag, UPPER | failed, &still);
        }
        true
    }

    /// What that generation counted in the window that ends now.
    pub(super) fn sum(&self, generation: u32, now: Moment) -> Counts {
        let mut sum = Counts::default();
        let newest = now.as_nanos() / self.bucket_nanos;
        for epoch in newest.saturating_sub(BUCKETS - 1)..=newest {
            let (bucket, tag) = (self.bucket(epoch), tag(generation, epoch));
            let (calls, failed) = counts(bucket.calls.load(Ordering::Acquire), tag);
            let (slow, slow_failed) = counts(bucket.slow.load(Ordering::Acquire), tag);
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

enum Added {
    Counted,
    Halved,
    Late,
}

/// Adds to the counts under that tag. Another tag is an older one, which is replaced; or, when
/// the generation is over, a newer one, which stays: who sees it sees the change of state too.
fn add(counter: &AtomicU64, tag: u64, step: u64, still: &impl Fn() -> bool) -> Added {
    let mut seen = counter.load(Ordering::Acquire);
    loop {
        let same = seen >> TAG_SHIFT == tag;
        let full = same && seen >> COUNT_BITS & COUNT_MASK == COUNT_MASK;
        let next = match (same, full) {
            (true, true) => halved(seen) + step,
            (true, false) => seen + step,
            (false, _) if still() => tag << TAG_SHIFT | step,
            (false, _) => return Added::Late,
        };
        match counter.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) if full => return Added::Halved,
            Ok(_) => return Added::Counted,
            Err(newer) => seen = newer,
        }
    }
}

fn halve(counter: &AtomicU64, tag: u64) {
    let mut seen = counter.load(Ordering::Acquire);
    while seen >> TAG_SHIFT == tag {
        match counter.compare_exchange_weak(seen, halved(seen), Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => return,
            Err(newer) => seen = newer,
        }
    }
}

const fn halved(word: u64) -> u64 {
    let (upper, lower) = (word >> COUNT_BITS & COUNT_MASK, word & COUNT_MASK);
    (word >> TAG_SHIFT << TAG_SHIFT) | ((upper / 2) << COUNT_BITS) | (lower / 2)
}

fn tag(generation: u32, epoch: u64) -> u64 {
    u64::from(generation & GENERATION_MASK) << EPOCH_BITS | epoch & EPOCH_MASK
}

/// Upper and lower count; nothing under another tag.
fn counts(word: u64, tag: u64) -> (u32, u32) {
    if word >> TAG_SHIFT != tag {
        return (0, 0);
    }
    let count = |bits: u64| u32::try_from(bits & COUNT_MASK).unwrap_or(0);
    (count(word >> COUNT_BITS), count(word))
}
