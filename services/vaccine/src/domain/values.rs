//! Values of the stock ledger that are valid by their type.

use std::sync::Arc;

use contracts::ids::{SiteId, SlotId, VaccineId};
use jiff::civil::Date;

/// The largest stock of one pool.
pub const STOCK_MAX: i64 = 1_000_000_000;

/// The longest name, in characters.
pub const NAME_MAX: usize = 100;

/// What can run out, and is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolId {
    /// The doses of a vaccine in the central stock.
    Vaccine(VaccineId),
    /// The doses of a site that are valid on a date.
    SiteDoses(SiteStockId, Date),
    /// The places of a slot.
    Slot(SlotId),
}

/// The lots of a vaccine at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteStockId {
    /// The site.
    pub site: SiteId,
    /// The vaccine.
    pub vaccine: VaccineId,
}

impl PoolId {
    /// Whether it is a slot.
    pub fn is_slot(self) -> bool {
        self.slot().is_some()
    }

    /// The slot, if it is one.
    pub fn slot(self) -> Option<SlotId> {
        match self {
            Self::Slot(slot) => Some(slot),
            Self::Vaccine(_) | Self::SiteDoses(..) => None,
        }
    }

    /// The vaccine whose doses it has.
    pub fn vaccine(self) -> Option<VaccineId> {
        match self {
            Self::Vaccine(vaccine) | Self::SiteDoses(SiteStockId { vaccine, .. }, _) => {
                Some(vaccine)
            }
            Self::Slot(_) => None,
        }
    }

    /// The pool as a hold requests it, before it is known where its dose is.
    #[must_use]
    pub fn requested(self) -> Self {
        match self {
            Self::SiteDoses(SiteStockId { vaccine, .. }, _) => vaccine.into(),
            Self::Vaccine(_) | Self::Slot(_) => self,
        }
    }

    /// The stock of a site, and the date on which its doses have to be valid.
    pub fn site_stock(self) -> Option<(SiteStockId, Date)> {
        match self {
            Self::SiteDoses(id, date) => Some((id, date)),
            Self::Vaccine(_) | Self::Slot(_) => None,
        }
    }
}

impl From<SlotId> for PoolId {
    fn from(slot: SlotId) -> Self {
        Self::Slot(slot)
    }
}

impl From<VaccineId> for PoolId {
    fn from(vaccine: VaccineId) -> Self {
        Self::Vaccine(vaccine)
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

/// The number of a lot: 1 to 32 letters, digits and `.-_/ `; in capitals, no space around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LotNumber(Arc<str>);

/// The longest number of a lot, in characters.
const LOT_NUMBER_MAX: usize = 32;

impl LotNumber {
    /// The number, if the text is a valid one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b" ._/-".contains(&byte);
        let fits = (1..=LOT_NUMBER_MAX).contains(&text.len()) && text.bytes().all(is_valid);
        (fits && text.trim() == text).then(|| Self(text.to_ascii_uppercase().into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
