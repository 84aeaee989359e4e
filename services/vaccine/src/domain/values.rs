//! Values of the stock ledger that are valid by their type.

use std::sync::Arc;

use contracts::ids::{SlotId, VaccineId};

/// The largest stock of one pool.
pub const STOCK_MAX: i64 = 1_000_000_000;

/// The longest name, in characters.
pub const NAME_MAX: usize = 100;

/// The number of a pool: something that can run out. That of a vaccine is its own; that of a slot is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolId(pub i64);

impl PoolId {
    /// Whether it is a slot.
    pub fn is_slot(self) -> bool {
        self.0 < 0
    }

    /// The slot, if it is one.
    pub fn slot(self) -> Option<SlotId> {
        self.is_slot().then_some(SlotId(-self.0))
    }
}

impl From<SlotId> for PoolId {
    fn from(slot: SlotId) -> Self {
        Self(-slot.0)
    }
}

impl From<VaccineId> for PoolId {
    fn from(vaccine: VaccineId) -> Self {
        Self(vaccine.0)
    }
}

impl From<PoolId> for VaccineId {
    fn from(pool: PoolId) -> Self {
        Self(pool.0)
    }
}

/// What a booking claims: a dose, and a place if it is of a slot.
pub fn claims(vaccine: VaccineId, slot: Option<SlotId>) -> Vec<PoolId> {
    [vaccine.into()].into_iter().chain(slot.map(PoolId::from)).collect()
}

/// Those of these claims that are doses.
pub(super) fn doses(claims: &[PoolId]) -> Vec<PoolId> {
    claims.iter().copied().filter(|id| !id.is_slot()).collect()
}

/// A pool's name: 1 to [`NAME_MAX`] characters, no control characters; space around it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Arc<str>);

impl Name {
    /// The name, if the text is a valid one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.chars().count() <= NAME_MAX && !text.chars().any(char::is_control);
        let text = text.trim();
        (fits && !text.is_empty()).then(|| Self(text.into()))
    }

    /// That of slots, which have no name of their own.
    pub fn of_slots() -> Self {
        Self("slot".into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number of doses: 0 to [`STOCK_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doses(i64);

impl Doses {
    /// None.
    pub const NONE: Self = Self(0);

    /// The number, if it is in range.
    pub fn parse(doses: i64) -> Option<Self> {
        (0..=STOCK_MAX).contains(&doses).then_some(Self(doses))
    }

    /// As a number.
    pub fn count(self) -> i64 {
        self.0
    }

    /// One less, if there is one.
    pub(super) fn take_one(&mut self) {
        self.0 = (self.0 - 1).max(0);
    }
}
