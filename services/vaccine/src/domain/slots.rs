//! Slots: pools of places. A booking of a slot takes a dose of its vaccine and a place, both or neither.
//!
//! What a slot is, and when it can be booked, is decided by `campaign`; the ledger keeps as much of that as a hold depends
//! on, so that a campaign that is paused, and a site that is closed, take effect in the commit in which the ledger
//! learns of it.

use contracts::ids::CampaignId;
use jiff::Timestamp;
use platform_store::ChangeSet;

use super::{
    places::{GrantedSlot, PlanSlots, RecordCampaign, SlotCampaign, SlotCapacity, SlotPlace},
    records::{Pool, Refusal},
    values::{Doses, Name, PoolId},
};

/// The slots and campaigns that a batch of commands names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Slots by pool.
    pub places: ChangeSet<PoolId, SlotPlace>,
    /// Campaigns.
    pub campaigns: ChangeSet<CampaignId, SlotCampaign>,
}

impl Slots {
    /// Where a slot is, and when, never changes. Bookings are facts: where a slot has fewer places than bookings, it is
    /// overcommitted by those that have to move.
    pub(super) fn plan(
        &mut self,
        PlanSlots(slots): &PlanSlots,
        pools: &mut ChangeSet<PoolId, Pool>,
    ) {
        for SlotCapacity { slot, place, capacity } in slots {
            let id = PoolId::from(*slot);
            let taken = pools.get(&id).map_or(0, |pool| pool.taken);
            let overcommitted = (taken - capacity.count()).max(0);
            let pool = Pool { name: Name::of_slots(), stock: *capacity, taken, overcommitted };
            if pools.get(&id) != Some(&pool) {
                pools.insert(id, pool);
            }
            if self.places.get(&id).is_none() {
                self.places.insert(id, *place);
            }
        }
    }

    /// Slots that are booked, and that `campaign` has not published here yet: to a ledger that was restored the events of
    /// bookings may come first. They have no places until then.
    pub(super) fn add_missing(claims: &[PoolId], pools: &mut ChangeSet<PoolId, Pool>) {
        for id in claims.iter().filter(|id| id.is_slot()) {
            if pools.get(id).is_none() {
                let (name, stock) = (Name::of_slots(), Doses::NONE);
                pools.insert(*id, Pool { name, stock, taken: 0, overcommitted: 0 });
            }
        }
    }

    pub(super) fn change_campaign(&mut self, RecordCampaign { id, campaign }: &RecordCampaign) {
        if self.campaigns.get(id) != Some(campaign) {
            self.campaigns.insert(*id, campaign.clone());
        }
    }

    /// The slot among these pools, if there is one.
    pub(super) fn held(&self, claims: &[PoolId]) -> Option<GrantedSlot> {
        let place = *claims.iter().find_map(|id| self.places.get(id))?;
        let SlotCampaign { bookings_per_person, .. } = *self.campaigns.get(&place.campaign)?;
        Some(GrantedSlot { place, bookings_per_person })
    }

    /// Whether the slots among these pools offer the vaccines among them, and can be booked now.
    pub(super) fn check(&self, claims: &[PoolId], at: Timestamp) -> Result<(), Refusal> {
        for id in claims.iter().filter(|id| id.is_slot()) {
            let slot = self.places.get(id).ok_or(Refusal::NoSuchSlot)?;
            let campaign = self.campaigns.get(&slot.campaign).ok_or(Refusal::NoSuchSlot)?;
            let mut vaccines = claims.iter().filter_map(|id| id.vaccine());
            if !vaccines.all(|id| campaign.vaccines.contains(&id)) {
                return Err(Refusal::NoSuchSlot);
            }
            if !campaign.is_open(at) || slot.starts_at <= at {
                return Err(Refusal::NotOpen);
            }
        }
        Ok(())
    }
}
