//! The ids of reservations that are requested together.

use contracts::ids::ReservationId;
use uuid::Uuid;

/// The ids of new blocks. Those of one request follow each other, so that the ledger finds them together: they differ in
/// their last 16 bits.
#[derive(Debug)]
pub(crate) struct BlockIds(ReservationId);

impl BlockIds {
    pub(crate) fn new() -> Self {
        let [first, _] = ReservationId(Uuid::now_v7()).block_range();
        Self(first)
    }

    /// The first id of a block of so many.
    pub(crate) fn next(&mut self, count: u32) -> ReservationId {
        if self.0.nth(count).is_none() {
            *self = Self::new();
        }
        let first = self.0;
        *self = first.nth(count).map_or_else(Self::new, Self);
        first
    }
}
