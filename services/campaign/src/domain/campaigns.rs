//! The decisions about campaigns.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    campaign::{CampaignDetails, CampaignSite, CampaignStatus},
    ids::{CampaignId, SiteId},
};

use super::{
    aggregate::Campaigns,
    records::{
        CampaignMember, CampaignRecord, CampaignVersion, ChangeCampaign, ChangeStatus,
        ChangedCampaign, Refusal, RemoveCampaign,
    },
    values::{ACTIVE_CAMPAIGNS_MAX, CheckedCampaign},
};

impl Campaigns {
    pub(super) fn create_campaign(
        &mut self,
        campaign: &CheckedCampaign,
    ) -> Result<ChangedCampaign, Refusal> {
        self.check_sites_exist(campaign.sites())?;
        self.last.campaign += 1;
        let id = CampaignId(self.last.campaign);
        let record = CampaignRecord {
            details: campaign.details().clone(),
            status: CampaignStatus::Draft,
            revision: 1,
            changes: 0,
        };
        self.campaigns.insert(id, record.clone());
        self.set_sites(id, CampaignStatus::Draft, campaign.sites());
        Ok(ChangedCampaign { id, record, sites: self.sites_of(id) })
    }

    /// The slots are planned again afterwards, site by site.
    pub(super) fn change_campaign(
        &mut self,
        change: &ChangeCampaign,
    ) -> Result<ChangedCampaign, Refusal> {
        let ChangeCampaign { id, campaign, expected, at: _ } = change;
        let known = self.expect_campaign(*id, *expected)?.clone();
        match known.status {
            CampaignStatus::Closed => return Err(Refusal::Closed),
            CampaignStatus::Draft => {}
            CampaignStatus::Scheduled | CampaignStatus::Open | CampaignStatus::Paused => {
                check_fixed(&known.details, campaign.details())?;
            }
        }
        self.check_sites_exist(campaign.sites())?;
        let before = self.sites_of(*id);
        if known.status.is_active() {
            if campaign.sites().is_empty() {
                return Err(Refusal::NoSites);
            }
            self.check_active(*id, campaign.sites())?;
        }
        if known.details == *campaign.details() && before == campaign.sites() {
            return Ok(ChangedCampaign { id: *id, record: known, sites: before });
        }
        let record = CampaignRecord {
            details: campaign.details().clone(),
            revision: known.revision + 1,
            ..known
        };
        self.campaigns.insert(*id, record.clone());
        self.set_sites(*id, record.status, campaign.sites());
        Ok(ChangedCampaign { id: *id, record, sites: self.sites_of(*id) })
    }

    pub(super) fn change_status(
        &mut self,
        ChangeStatus { id, change, expected }: &ChangeStatus,
    ) -> Result<ChangedCampaign, Refusal> {
        let known = self.expect_campaign(*id, *expected)?.clone();
        let (from, to) = (known.status, change.status);
        if !can_follow(from, to) {
            return Err(Refusal::Transition { from, to });
        }
        let sites = self.sites_of(*id);
        if from == CampaignStatus::Draft {
            if sites.is_empty() {
                return Err(Refusal::NoSites);
            }
            self.check_active(*id, &sites)?;
        }
        let record = CampaignRecord { status: to, changes: known.changes + 1, ..known };
        self.campaigns.insert(*id, record.clone());
        self.changes.push((*id, record.changes, change.clone()));
        Ok(ChangedCampaign { id: *id, record, sites })
    }

    pub(super) fn remove_campaign(&mut self, remove: RemoveCampaign) -> Result<(), Refusal> {
        let RemoveCampaign { id, expected } = remove;
        let status = self.expect_campaign(id, expected)?.status;
        if status != CampaignStatus::Draft {
            return Err(Refusal::NotDraft(status));
        }
        self.set_sites(id, status, &[]);
        self.campaigns.remove(&id);
        Ok(())
    }

    /// A campaign, if it is still as its caller has seen it.
    fn expect_campaign(
        &self,
        id: CampaignId,
        expected: Option<CampaignVersion>,
    ) -> Result<&CampaignRecord, Refusal> {
        let known = self.campaigns.get(&id).ok_or(Refusal::NoSuchCampaign)?;
        if expected.is_some_and(|version| version != known.version()) {
            return Err(Refusal::Stale);
        }
        Ok(known)
    }

    fn check_sites_exist(&self, sites: &[CampaignSite]) -> Result<(), Refusal> {
        let exists = |id: &SiteId| {
            let is_unchanged = !self.sites.contains(id) && self.known_sites.contains(id);
            is_unchanged || self.sites.get(id).is_some()
        };
        match sites.iter().find(|site| !exists(&site.site_id)) {
            None => Ok(()),
            Some(unknown) => Err(Refusal::UnknownSite(unknown.site_id)),
        }
    }

    /// Whether these sites can have one more campaign with slots, where they have not this one already.
    fn check_active(&self, id: CampaignId, sites: &[CampaignSite]) -> Result<(), Refusal> {
        let mut active = BTreeMap::<SiteId, usize>::new();
        for ((campaign, site), _) in self.members.iter() {
            if *campaign != id && self.is_active(*campaign) {
                *active.entry(*site).or_default() += 1;
            }
        }
        let is_full = |site: &&CampaignSite| {
            active.get(&site.site_id).is_some_and(|count| *count >= ACTIVE_CAMPAIGNS_MAX)
        };
        match sites.iter().find(is_full) {
            None => Ok(()),
            Some(full) => Err(Refusal::TooManyCampaigns(full.site_id)),
        }
    }

    /// Whether a campaign has slots that are kept up to date.
    pub(super) fn is_active(&self, id: CampaignId) -> bool {
        self.campaigns.get(&id).is_some_and(|known| known.status.is_active())
    }

    /// The sites of a campaign, in order.
    pub(super) fn sites_of(&self, id: CampaignId) -> Vec<CampaignSite> {
        let members = self.members.iter().filter(|((campaign, _), _)| *campaign == id);
        let members = members.filter(|(_, member)| !member.is_removed);
        let site = |((_, site_id), member): (&(_, SiteId), &CampaignMember)| CampaignSite {
            site_id: *site_id,
            capacity: member.capacity,
        };
        members.map(site).collect()
    }

    fn set_sites(&mut self, id: CampaignId, status: CampaignStatus, sites: &[CampaignSite]) {
        let members = self.members.iter().filter(|((campaign, _), _)| *campaign == id);
        let before: BTreeSet<SiteId> = members.map(|((_, site), _)| *site).collect();
        for CampaignSite { site_id, capacity } in sites {
            let known = self.members.get(&(id, *site_id)).copied();
            let planned = known.and_then(|known| known.planned);
            let member = CampaignMember { capacity: *capacity, is_removed: false, planned };
            if known != Some(member) {
                self.members.insert((id, *site_id), member);
            }
        }
        for site in before.iter().filter(|id| sites.iter().all(|site| site.site_id != **id)) {
            if status == CampaignStatus::Draft {
                self.members.remove(&(id, *site));
            } else if let Some(member) = self.members.get_mut(&(id, *site)) {
                member.is_removed = true;
            }
        }
    }
}

/// Whether a status can follow another.
fn can_follow(from: CampaignStatus, to: CampaignStatus) -> bool {
    use CampaignStatus::{Closed, Draft, Open, Paused, Scheduled};
    match to {
        Draft => false,
        Scheduled => from == Draft,
        Open => matches!(from, Scheduled | Paused),
        Paused => from == Open,
        Closed => from.is_active(),
    }
}

/// What bookings rely on once a campaign has slots.
fn check_fixed(is: &CampaignDetails, new: &CampaignDetails) -> Result<(), Refusal> {
    for (field, is_same) in [
        ("vaccineIds", is.vaccine_ids == new.vaccine_ids),
        ("from", is.from == new.from),
        ("to", is.to == new.to),
        ("slotMinutes", is.slot_minutes == new.slot_minutes),
        ("doses", is.doses == new.doses),
    ] {
        if !is_same {
            return Err(Refusal::Fixed(field));
        }
    }
    Ok(())
}
