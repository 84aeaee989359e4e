//! Blocks of doses whose answer was lost: some may be held. They are requested again, or aborted.

use contracts::{ids::ReservationId, vaccine::HoldBlock};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    domain::Choice,
    hand::{InHand, KEPT_FOR},
};

/// A block as it was requested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestedBlock {
    pub(crate) block: HoldBlock,
    /// When it was requested first.
    pub(crate) held_at: Instant,
    /// Its answer was lost: doses may be held already.
    pub(crate) is_repeated: bool,
}

impl RequestedBlock {
    pub(crate) fn choice(&self) -> Choice {
        let HoldBlock { vaccine_id: vaccine, slot_id: slot, next_slot_id: next, .. } = self.block;
        Choice { vaccine, slot, next }
    }

    /// The doses that are held, if so many are: of a series the second ones are numbered after all first ones.
    pub(crate) fn doses(&self, count: u32) -> impl Iterator<Item = InHand> + use<> {
        let Self { block, held_at, .. } = *self;
        (0..count).map_while(move |n| {
            let second = block.next_slot_id.map(|_| block.first.nth(block.count + n));
            let (reservation, next) = (block.first.nth(n)?, second.flatten());
            Some(InHand { reservation, next, held_at })
        })
    }

    /// Every dose that may be held.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ReservationId> + use<> {
        let (first, count) = (self.block.first, self.block.reservations());
        (0..count).map_while(move |n| first.nth(n))
    }
}

/// The blocks whose answer was lost.
#[derive(Debug, Default)]
pub(crate) struct Lost(Mutex<Vec<RequestedBlock>>);

impl Lost {
    pub(crate) fn extend(&self, blocks: impl IntoIterator<Item = RequestedBlock>) {
        let blocks = blocks.into_iter().map(|it| RequestedBlock { is_repeated: true, ..it });
        self.0.lock().extend(blocks);
    }

    /// Whether doses of a choice may be held for this process, which does not know of them.
    pub(crate) fn is_of(&self, choice: Choice) -> bool {
        self.0.lock().iter().any(|it| it.choice() == choice)
    }

    /// Takes those that are chosen, the oldest first.
    pub(crate) fn extract(
        &self,
        mut is_chosen: impl FnMut(&RequestedBlock) -> bool,
    ) -> Vec<RequestedBlock> {
        self.0.lock().extract_if(.., |it| is_chosen(it)).collect()
    }

    /// Takes the doses of those that were lost so long ago that they would not be in hand any more.
    pub(crate) fn expire(&self) -> Vec<ReservationId> {
        let old = self.extract(|it| it.held_at.elapsed() >= KEPT_FOR);
        old.iter().flat_map(RequestedBlock::ids).collect()
    }

    /// Takes the doses of all.
    pub(crate) fn empty(&self) -> Vec<ReservationId> {
        self.extract(|_| true).iter().flat_map(RequestedBlock::ids).collect()
    }
}
