//! Two counts and the tag that they were counted under, in one word.
//!
//! Whoever adds under another tag begins afresh, and whoever reads skips what has another tag: so
//! nothing ever has to clear a count.

use crate::sync::{AtomicU64, Ordering};

/// Bits of one count.
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const TAG_SHIFT: u32 = 2 * COUNT_BITS;
const TAG_MASK: u64 = (1 << (64 - TAG_SHIFT)) - 1;

/// The most that the first count is sure to hold: when it is full, both are halved, which keeps
/// their ratio.
pub(crate) const COUNT_MAX: u32 = 1 << (COUNT_BITS - 1);

/// One more in the first count.
pub(crate) const FIRST: u64 = 1 << COUNT_BITS;
/// One more in the second count, which never is more than the first.
pub(crate) const SECOND: u64 = 1;

/// tag (24 bits) | first (20) | second (20)
#[derive(Debug)]
pub(crate) struct Pair(AtomicU64);

/// What came of adding.
pub(crate) enum Added {
    Counted,
    /// Both counts were halved first.
    Halved,
    /// What it belongs to is over.
    Late,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to the counts under that tag. Another tag is an older one, which is replaced; or, when
    /// `still` says that ours is over, a newer one, which stays: whoever sees a newer tag sees what
    /// it was made from too.
    #[inline]
    pub(crate) fn add(&self, tag: u64, step: u64, still: impl Fn() -> bool) -> Added {
        let tag = tag & TAG_MASK;
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let same = seen >> TAG_SHIFT == tag;
            let full = same && seen >> COUNT_BITS & COUNT_MASK == COUNT_MASK;
            let next = match (same, full) {
                (true, true) => halved(seen) + step,
                (true, false) => seen + step,
                (false, _) if still() => tag << TAG_SHIFT | step,
                (false, _) => return Added::Late,
            };
            match self.0.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) if full => return Added::Halved,
                Ok(_) => return Added::Counted,
                Err(newer) => seen = newer,
            }
        }
    }

    /// Takes back one of both counts, if it is still there.
    pub(crate) fn take_back_both(&self, tag: u64) {
        self.replace(tag, |seen| if seen & COUNT_MASK == 0 { seen } else { seen - FIRST - SECOND });
    }

    /// Halves both counts under that tag.
    pub(crate) fn halve(&self, tag: u64) {
        self.replace(tag, halved);
    }

    /// Both counts; nothing under another tag.
    #[inline]
    pub(crate) fn read(&self, tag: u64) -> (u32, u32) {
        let word = self.0.load(Ordering::SeqCst);
        if word >> TAG_SHIFT != tag & TAG_MASK {
            return (0, 0);
        }
        let count = |bits: u64| u32::try_from(bits & COUNT_MASK).unwrap_or(0);
        (count(word >> COUNT_BITS), count(word))
    }

    fn replace(&self, tag: u64, next: impl Fn(u64) -> u64) {
        let mut seen = self.0.load(Ordering::Acquire);
        while seen >> TAG_SHIFT == tag & TAG_MASK {
            let word = next(seen);
            match self.0.compare_exchange_weak(seen, word, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => return,
                Err(newer) => seen = newer,
            }
        }
    }
}

const fn halved(word: u64) -> u64 {
    let (first, second) = (word >> COUNT_BITS & COUNT_MASK, word & COUNT_MASK);
    (word >> TAG_SHIFT << TAG_SHIFT) | ((first / 2) << COUNT_BITS) | (second / 2)
}
