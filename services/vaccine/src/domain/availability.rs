//! What a hold would find free now.

use std::collections::BTreeSet;

use contracts::{
    campaign::DoseSource,
    ids::SiteId,
    vaccine::availability::{DoseAvailability, SlotAvailability},
};

use super::{
    Ledger,
    values::{PoolId, SiteStockId},
};

impl Ledger {
    /// The pools of doses that slots of a site offer: each vaccine of their campaigns, in the central stock, or at the
    /// site on the date of a slot.
    pub fn offered(&self, site: SiteId, slots: &[SlotAvailability]) -> BTreeSet<PoolId> {
        let dates: BTreeSet<_> = slots.iter().map(|slot| (slot.campaign_id, slot.date)).collect();
        let mut offered = BTreeSet::new();
        for (campaign, date) in dates {
            let Some(campaign) = self.slots.campaigns.get(&campaign) else { continue };
            offered.extend(campaign.vaccines.iter().map(|vaccine| match campaign.doses {
                DoseSource::Central => PoolId::from(*vaccine),
                DoseSource::SiteLots => {
                    PoolId::SiteDoses(SiteStockId { site, vaccine: *vaccine }, date)
                }
            }));
        }
        offered
    }

    /// How many doses of these pools a hold could have; none of a vaccine that was removed.
    pub fn free_doses(&self, offered: &BTreeSet<PoolId>) -> Vec<DoseAvailability> {
        let free = |id: &PoolId| {
            let is_known = self.pools.get(&id.requested()).is_some();
            Some(DoseAvailability {
                vaccine_id: id.vaccine()?,
                date: id.site_stock().map(|(_, date)| date),
                free: if is_known { self.free(&[*id]) } else { 0 },
            })
        };
        offered.iter().filter_map(free).collect()
    }
}
