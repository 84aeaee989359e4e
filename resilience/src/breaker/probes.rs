//! The places of half-open: who may try, and how many have come back well.

use crate::sync::{AtomicU64, Ordering};

const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const GENERATION_SHIFT: u32 = 2 * COUNT_BITS;
/// One more that is taken.
const TAKEN: u64 = 1 << COUNT_BITS;

/// generation (32 bits) | taken (16) | succeeded (16)
#[derive(Debug)]
pub(super) struct Probes(AtomicU64);

/// What came of asking for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Taken,
    /// All places are taken.
    Full,
    /// The breaker is in another generation by now.
    Over,
}

/// Places that were taken, and those of them that succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) taken: u16,
    pub(super) succeeded: u16,
}

impl Tally {
    /// Who has not come back.
    pub(super) const fn out(self) -> u16 {
        self.taken.saturating_sub(self.succeeded)
    }
}

impl Probes {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Frees all places for a new generation. Only under the breaker's lock.
    pub(super) fn begin(&self, generation: u32) {
        self.0.store(u64::from(generation) << GENERATION_SHIFT, Ordering::Release);
    }

    pub(super) fn take(&self, generation: u32, places: u16) -> Place {
        let taken = self.change(generation, |seen| {
            (seen >> COUNT_BITS & COUNT_MASK < u64::from(places)).then(|| seen + TAKEN)
        });
        match taken {
            Ok(_) => Place::Taken,
            Err(Some(_)) => Place::Full,
            Err(None) => Place::Over,
        }
    }

    /// Gives a place back, with no result.
    pub(super) fn give_back(&self, generation: u32) {
        // An error says that the generation is over, and its places with it.
        let _ = self
            .change(generation, |seen| (seen >> COUNT_BITS & COUNT_MASK > 0).then(|| seen - TAKEN));
    }

    /// Counts a success; says how many there are now, unless that generation is over.
    pub(super) fn succeed(&self, generation: u32) -> Option<u16> {
        let counted = self.change(generation, |seen| Some(seen + 1));
        counted.ok().map(|word| tally(word).succeeded)
    }

    /// The places of that generation.
    pub(super) fn tally(&self, generation: u32) -> Tally {
        let seen = self.0.load(Ordering::Acquire);
        if of(seen, generation) { tally(seen) } else { Tally::default() }
    }

    /// The new word; `Err(None)` if it is of another generation, `Err(Some)` if `next` does not
    /// want to.
    fn change(
        &self,
        generation: u32,
        next: impl Fn(u64) -> Option<u64>,
    ) -> Result<u64, Option<u64>> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            if !of(seen, generation) {
                return Err(None);
            }
            let word = next(seen).ok_or(Some(seen))?;
            match self.0.compare_exchange_weak(seen, word, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(word),
                Err(newer) => seen = newer,
            }
        }
    }
}

fn of(word: u64, generation: u32) -> bool {
    word >> GENERATION_SHIFT == u64::from(generation)
}

fn tally(word: u64) -> Tally {
    let count = |bits: u64| u16::try_from(bits & COUNT_MASK).unwrap_or(0);
    Tally { taken: count(word >> COUNT_BITS), succeeded: count(word) }
}
