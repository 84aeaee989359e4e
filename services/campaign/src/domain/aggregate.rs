//! The rows that decisions work on.

use std::collections::BTreeSet;

use contracts::{
    campaign::{CampaignStatusChange, ExternalIdentifier},
    ids::{CampaignId, SiteId},
};
use platform_store::ChangeSet;

use super::records::{CampaignMember, CampaignRecord, DayKey, SiteRecord, SlotDayRecord};

/// Slots in the days that one [`PlanSite`](super::PlanSite) changes, from which on the next one continues: its event is then well
/// below the largest body.
pub const SLOTS_PLANNED_MAX: usize = 2_048;

/// The rows that a batch of commands names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Campaigns {
    /// Sites.
    pub sites: ChangeSet<SiteId, SiteRecord>,
    /// Those named sites that exist, whether or not they are in `sites`.
    pub known_sites: BTreeSet<SiteId>,
    /// Sites by their identifiers.
    pub identifiers: ChangeSet<ExternalIdentifier, SiteId>,
    /// Campaigns.
    pub campaigns: ChangeSet<CampaignId, CampaignRecord>,
    /// The sites of campaigns.
    pub members: ChangeSet<(CampaignId, SiteId), CampaignMember>,
    /// The slots of days.
    pub days: ChangeSet<DayKey, SlotDayRecord>,
    /// Changes of status, with their numbers in the campaign.
    pub changes: Vec<(CampaignId, i64, CampaignStatusChange)>,
    /// The highest numbers ever given.
    pub last: LastNumbers,
}

/// The highest numbers ever given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastNumbers {
    /// Of a site.
    pub site: i64,
    /// Of a campaign.
    pub campaign: i64,
    /// Of a slot.
    pub slot: i64,
    /// Of the slots of a day.
    pub day: i64,
}
