//! Slots and campaigns as the ledger knows them, and the commands on them.

use contracts::{
    campaign::{CampaignStatus, DoseSource},
    ids::{CampaignId, SiteId, SlotId, VaccineId},
};
use jiff::{Timestamp, civil::Date};

use super::values::Doses;

/// What a slot is, beside its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPlace {
    /// Its campaign.
    pub campaign: CampaignId,
    /// Where it is.
    pub site: SiteId,
    /// The date at the site.
    pub date: Date,
    /// When it starts. Until then it can be booked.
    pub starts_at: Timestamp,
}

/// A campaign, as far as holds depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotCampaign {
    /// Its status.
    pub status: CampaignStatus,
    /// What its slots offer.
    pub vaccines: Vec<VaccineId>,
    /// Where their doses come from.
    pub doses: DoseSource,
    /// From when on its slots can be booked.
    pub book_from: Option<Timestamp>,
    /// Until when.
    pub book_until: Option<Timestamp>,
    /// Live bookings of each dose that a person can have; booking counts them.
    pub bookings_per_person: u8,
}

/// A slot of which places are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedSlot {
    /// What it is.
    pub place: SlotPlace,
    /// Live bookings of each dose that a person can have in its campaign.
    pub bookings_per_person: u8,
}

impl SlotCampaign {
    pub(super) fn is_open(&self, at: Timestamp) -> bool {
        self.status == CampaignStatus::Open
            && self.book_from.is_none_or(|from| from <= at)
            && self.book_until.is_none_or(|until| at < until)
    }
}

/// Slots as `campaign` has planned them: new ones, and new capacities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSlots(pub Vec<SlotCapacity>);

/// A slot as it is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotCapacity {
    /// The slot.
    pub slot: SlotId,
    /// What it is.
    pub place: SlotPlace,
    /// Places; none, if it is not offered any more.
    pub capacity: Doses,
}

/// A campaign as `campaign` has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordCampaign {
    /// The campaign.
    pub id: CampaignId,
    /// What holds depend on.
    pub campaign: SlotCampaign,
}
