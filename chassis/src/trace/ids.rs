//! Ids of traces and spans: hard to meet twice, cheap to make, without a lock.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::parent::{SpanId, TraceId};

/// The step of `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
/// 2014).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes ids. Not for secrets.
#[derive(Debug)]
pub(super) struct Ids {
    next: AtomicU64,
    /// Sets apart processes that began at the same place.
    salt: u64,
}

impl Ids {
    /// Begins where the system's chance wants.
    pub(super) fn seeded() -> Self {
        let chance = || RandomState::new().hash_one(STEP);
        Self { next: AtomicU64::new(chance()), salt: chance() }
    }

    pub(super) fn span(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(mix(self.step())) {
                return id;
            }
        }
    }

    pub(super) fn trace(&self) -> TraceId {
        loop {
            let step = self.step();
            let (high, low) = (u128::from(mix(step ^ self.salt)), u128::from(mix(step)));
            if let Some(id) = TraceId::new(high << 64 | low) {
                return id;
            }
        }
    }

    fn step(&self) -> u64 {
        self.next.fetch_add(STEP, Relaxed)
    }
}

fn mix(step: u64) -> u64 {
    let z = (step ^ (step >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_do_not_meet_twice() {
        let (ids, others) = (Ids::seeded(), Ids::seeded());
        let both = || [ids.trace().bytes(), others.trace().bytes()];
        let traces: BTreeSet<_> = (0..10_000).flat_map(|_| both()).collect();
        assert_eq!(traces.len(), 20_000);
        let spans: BTreeSet<_> = (0..10_000).map(|_| ids.span().bytes()).collect();
        assert_eq!(spans.len(), 10_000);
    }
}
