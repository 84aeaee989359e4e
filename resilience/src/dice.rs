//! Chance for those who are allowed some: numbers far apart from a counter.

use std::sync::atomic::{AtomicU64, Ordering};

/// Rolls one number after another; two with the same seed roll the same. Shared by reference.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    /// Dice that begin at that seed.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number.
    pub fn roll(&self) -> u64 {
        scatter(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): neighbouring seeds give numbers far apart.
pub(crate) fn scatter(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
