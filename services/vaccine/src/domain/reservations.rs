//! Reservations in blocks: what was requested together is kept together, and each reservation has a state of its own.

use contracts::{
    ids::{ReservationId, StoreId},
    vaccine::ReservationState,
};
use jiff::Timestamp;
use platform_store::{ChangeSet, RowChange};

use super::{
    records::{HoldDose, HoldDoses, Refusal},
    values::PoolId,
};

/// Reservations whose ids follow each other; also a single one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationBlock {
    /// The store that resolves them; none, for those that stand until they are released.
    pub owner: Option<StoreId>,
    /// Each takes one unit of each of these pools; none, if it was released before its hold arrived.
    pub claims: Vec<PoolId>,
    /// When they were requested.
    pub held_at: Timestamp,
    /// The state of each, in the order of their ids.
    pub states: Vec<ReservationState>,
}

impl ReservationBlock {
    /// How many reservations there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.states.len()).unwrap_or(u32::MAX)
    }

    fn is_any_released(&self) -> bool {
        self.states.iter().any(|state| is_released(*state))
    }

    /// Whether this block is what was granted to that command.
    pub(super) fn is_granted(&self, hold: &HoldDoses) -> bool {
        self.owner == hold.owner
            && are_same(&self.claims, &hold.claims)
            && self.count() <= hold.count.saturating_add(hold.ahead)
            && !self.is_any_released()
    }

    /// Why none of these ids can be held.
    pub(super) fn refusal(&self) -> Refusal {
        if self.is_any_released() {
            Refusal::Released
        } else if self.states.contains(&ReservationState::Administered) {
            Refusal::Administered
        } else {
            Refusal::Conflict
        }
    }
}

/// Whether these claims are those that were requested, wherever the doses are.
fn are_same(claims: &[PoolId], requested: &[PoolId]) -> bool {
    claims.iter().map(|id| id.requested()).eq(requested.iter().copied())
}

fn is_released(state: ReservationState) -> bool {
    matches!(state, ReservationState::Released | ReservationState::Aborted)
}

/// A reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationRecord<'a> {
    /// The store that resolves it; none, for a reservation that stands until it is released.
    pub owner: Option<StoreId>,
    /// One unit of each of these pools; none, if it was released before its hold arrived.
    pub claims: &'a [PoolId],
    /// Its state.
    pub state: ReservationState,
    /// When it was requested.
    pub held_at: Timestamp,
}

impl ReservationRecord<'_> {
    pub(super) fn is_released(&self) -> bool {
        is_released(self.state)
    }

    pub(super) fn matches(&self, hold: &HoldDose) -> bool {
        are_same(self.claims, &hold.claims) && self.owner == hold.owner
    }
}

/// Blocks by their first ids; no id is in two of them.
///
/// An id belongs to the last block that does not begin after it, if that block is long enough. So where rows are
/// loaded, it is enough to load that block for each id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reservations(ChangeSet<ReservationId, ReservationBlock>);

impl Reservations {
    /// Adds a block as it is in the database.
    pub fn load(&mut self, first: ReservationId, block: ReservationBlock) {
        self.0.load(first, block);
    }

    /// Adds a new block, none of whose ids is known.
    pub fn insert(&mut self, first: ReservationId, block: ReservationBlock) {
        self.0.insert(first, block);
    }

    /// A reservation.
    pub fn get(&self, id: &ReservationId) -> Option<ReservationRecord<'_>> {
        let (_, block, position) = self.find(*id)?;
        let ReservationBlock { owner, claims, held_at, states } = block;
        let state = *states.get(position)?;
        Some(ReservationRecord { owner: *owner, claims, state, held_at: *held_at })
    }

    /// Changes the state of a reservation. A block whose states stay the same need not be saved.
    pub fn set_state(&mut self, id: &ReservationId, state: ReservationState) {
        let Some((first, block, position)) = self.find(*id) else { return };
        if block.states.get(position) == Some(&state) {
            return;
        }
        let states = self.0.get_mut(&first).map(|block| &mut block.states);
        if let Some(known) = states.and_then(|states| states.get_mut(position)) {
            *known = state;
        }
    }

    /// The block that begins with this id.
    pub fn block(&self, first: &ReservationId) -> Option<&ReservationBlock> {
        self.0.get(first)
    }

    /// The last block with an id from `first` to `last`, which can be of one block.
    pub fn last_within(
        &self,
        first: ReservationId,
        last: ReservationId,
    ) -> Option<&ReservationBlock> {
        let (begin, block) = self.0.last_up_to(&last)?;
        let is_within = *begin >= first || has(*begin, block, first);
        is_within.then_some(block)
    }

    /// The blocks that have to be saved, in the order of their ids.
    pub fn changes(&self) -> impl Iterator<Item = (&ReservationId, &ReservationBlock, RowChange)> {
        self.0.changes()
    }

    /// The block of a reservation: its first id, and the position of the reservation in it.
    fn find(&self, id: ReservationId) -> Option<(ReservationId, &ReservationBlock, usize)> {
        let (first, block) = self.0.last_up_to(&id)?;
        let position = usize::try_from(id.offset_from(*first)?).ok()?;
        has(*first, block, id).then_some((*first, block, position))
    }
}

fn has(first: ReservationId, block: &ReservationBlock, id: ReservationId) -> bool {
    id.offset_from(first).is_some_and(|offset| offset < block.count())
}

#[cfg(test)]
mod tests {
    use contracts::ids::VaccineId;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> ReservationId {
        ReservationId(Uuid::from_u128(number))
    }

    fn held(count: usize) -> ReservationBlock {
        let states = vec![ReservationState::Held; count];
        ReservationBlock {
            owner: None,
            claims: vec![VaccineId(1).into()],
            held_at: Timestamp::UNIX_EPOCH,
            states,
        }
    }

    #[test]
    fn an_id_is_found_in_the_block_that_is_long_enough_and_in_no_other() {
        let mut reservations = Reservations::default();
        reservations.load(id(10), held(3));
        reservations.load(id(15), held(1));
        reservations.load(id(0xffff), held(1));
        let known: Vec<u128> =
            (0..0x1_0010).filter(|n| reservations.get(&id(*n)).is_some()).collect();
        assert_eq!(known, [10, 11, 12, 15, 0xffff]);
        for (first, last, count) in [
            (0, 9, None),
            (0, 10, Some(3)),
            (12, 14, Some(3)),
            (13, 14, None),
            (13, 20, Some(1)),
            (16, 99, None),
        ] {
            let known = reservations.last_within(id(first), id(last));
            assert_eq!(known.map(ReservationBlock::count), count, "{first} to {last}");
        }
    }

    #[test]
    fn a_block_is_saved_once_and_only_if_a_state_of_it_changed() {
        let mut reservations = Reservations::default();
        reservations.load(id(10), held(3));
        reservations.load(id(20), held(3));
        reservations.set_state(&id(11), ReservationState::Held);
        reservations.set_state(&id(13), ReservationState::Booked);
        assert_eq!(reservations.changes().count(), 0);
        reservations.set_state(&id(10), ReservationState::Booked);
        reservations.set_state(&id(12), ReservationState::Released);
        let changes: Vec<_> = reservations
            .changes()
            .map(|(first, block, change)| (*first, block.states.as_slice(), change))
            .collect();
        let states = [ReservationState::Booked, ReservationState::Held, ReservationState::Released];
        assert_eq!(changes, [(id(10), states.as_slice(), RowChange::Updated)]);
    }
}
