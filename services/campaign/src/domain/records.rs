//! What is decided about: commands, replies, refusals, and the rows.

use contracts::{
    campaign::{
        CampaignDetails, CampaignSite, CampaignStatus, CampaignStatusChange, ExternalIdentifier,
    },
    ids::{CampaignId, SiteId},
};
use jiff::{Timestamp, civil::Date};
use thiserror::Error;

use super::{
    plan::NumberedSlot,
    values::{ACTIVE_CAMPAIGNS_MAX, CheckedCampaign, CheckedException, CheckedSite, InvalidField},
};

/// Every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Creates a site.
    CreateSite(CreateSite),
    /// Replaces a site.
    ChangeSite(ChangeSite),
    /// Changes the hours of one date.
    ChangeException(ChangeException),
    /// Deletes a site.
    RemoveSite(RemoveSite),
    /// Creates a site, or changes the one with its identifier.
    ImportSite(ImportSite),
    /// Creates a draft.
    CreateCampaign(CreateCampaign),
    /// Replaces a campaign.
    ChangeCampaign(ChangeCampaign),
    /// Changes the status of a campaign.
    ChangeStatus(ChangeStatus),
    /// Deletes a draft.
    RemoveCampaign(RemoveCampaign),
    /// Plans the slots of a campaign at a site.
    PlanSite(PlanSite),
}

/// Creates a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSite {
    /// What it is.
    pub site: CheckedSite,
    /// The time of the request.
    pub at: Timestamp,
}

/// Replaces a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSite {
    /// The site.
    pub id: SiteId,
    /// What it is from now on.
    pub site: CheckedSite,
    /// The revision that the change is meant for; without it, any.
    pub expected: Option<i64>,
    /// The time of the request.
    pub at: Timestamp,
}

/// Changes the hours of one date, also of slots that are planned already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeException {
    /// The site.
    pub id: SiteId,
    /// The date.
    pub date: Date,
    /// Its hours; without them, it has those of the week again.
    pub exception: Option<CheckedException>,
    /// The revision that the change is meant for; without it, any.
    pub expected: Option<i64>,
    /// The time of the request.
    pub at: Timestamp,
}

/// Deletes a site that is in no campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveSite {
    /// The site.
    pub id: SiteId,
    /// The revision that is to be deleted; without it, any.
    pub expected: Option<i64>,
}

/// Creates a site, or changes the one that is found; its exceptions and its identifiers stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportSite {
    /// What the site is found by.
    pub key: ImportKey,
    /// What it is from now on.
    pub site: CheckedSite,
    /// The time of the request.
    pub at: Timestamp,
}

/// What an imported site is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportKey {
    /// An identifier of another system; it is created where there is none.
    Identifier(ExternalIdentifier),
    /// Its number.
    Number(SiteId),
}

/// Creates a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateCampaign(pub CheckedCampaign);

/// Replaces a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeCampaign {
    /// The campaign.
    pub id: CampaignId,
    /// What it is from now on.
    pub campaign: CheckedCampaign,
    /// The version that the change is meant for; without it, any.
    pub expected: Option<CampaignVersion>,
    /// The time of the request.
    pub at: Timestamp,
}

/// Changes the status of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeStatus {
    /// The campaign.
    pub id: CampaignId,
    /// The new status, when, why, and who.
    pub change: CampaignStatusChange,
    /// The version that the change is meant for; without it, any.
    pub expected: Option<CampaignVersion>,
}

/// Deletes a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveCampaign {
    /// The campaign.
    pub id: CampaignId,
    /// The version that is to be deleted; without it, any.
    pub expected: Option<CampaignVersion>,
}

/// Plans the slots of a campaign at a site, from today at that site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSite {
    /// The campaign.
    pub campaign: CampaignId,
    /// The site.
    pub site: SiteId,
    /// When it is planned.
    pub at: Timestamp,
}

/// Every reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::CreateSite`].
    SiteCreated(Result<ChangedSite, Refusal>),
    /// To [`Command::ChangeSite`].
    SiteChanged(Result<ChangedSite, Refusal>),
    /// To [`Command::ChangeException`].
    ExceptionChanged(Result<ChangedSite, Refusal>),
    /// To [`Command::RemoveSite`].
    SiteRemoved(Result<(), Refusal>),
    /// To [`Command::ImportSite`].
    SiteImported(Result<ImportedSite, Refusal>),
    /// To [`Command::CreateCampaign`].
    CampaignCreated(Result<ChangedCampaign, Refusal>),
    /// To [`Command::ChangeCampaign`].
    CampaignChanged(Result<ChangedCampaign, Refusal>),
    /// To [`Command::ChangeStatus`].
    StatusChanged(Result<ChangedCampaign, Refusal>),
    /// To [`Command::RemoveCampaign`].
    CampaignRemoved(Result<(), Refusal>),
    /// To [`Command::PlanSite`].
    SitePlanned(PlannedDays),
}

/// A site after a change, and the days whose slots changed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSite {
    /// Its number.
    pub id: SiteId,
    /// The site.
    pub record: SiteRecord,
    /// Whether it is another place than before, or new.
    pub is_new_place: bool,
    /// The days whose slots changed.
    pub days: Vec<(DayKey, SlotDayRecord)>,
}

/// What an import did to a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedSite {
    /// There was none with its identifier.
    Created(ChangedSite),
    /// It was another.
    Updated(ChangedSite),
    /// It was the same.
    Unchanged(SiteId),
}

/// A campaign after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedCampaign {
    /// Its number.
    pub id: CampaignId,
    /// The campaign.
    pub record: CampaignRecord,
    /// Where it is.
    pub sites: Vec<CampaignSite>,
}

/// The days whose slots were planned, or planned differently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedDays {
    /// The days.
    pub days: Vec<(DayKey, SlotDayRecord)>,
    /// Whether others are left for the next command.
    pub goes_on: bool,
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No site has this number.
    #[error("there is no such site")]
    NoSuchSite,
    /// No campaign has this number.
    #[error("there is no such campaign")]
    NoSuchCampaign,
    /// It was changed since it was read.
    #[error("it was changed meanwhile")]
    Stale,
    /// A field is wrong together with what is stored.
    #[error("{0}")]
    Invalid(InvalidField),
    /// Another site has this identifier.
    #[error("site {site} has the identifier {value} of {system}", system = identifier.system, value = identifier.value)]
    IdentifierTaken {
        /// The identifier.
        identifier: ExternalIdentifier,
        /// The site that has it.
        site: SiteId,
    },
    /// The site is in these campaigns.
    #[error("it is in {}", campaigns(.0))]
    InCampaigns(Vec<CampaignId>),
    /// The time zone of a site that has slots.
    #[error("it has slots of {}", campaigns(.0))]
    ZoneInUse(Vec<CampaignId>),
    /// The campaign names a site that does not exist.
    #[error("there is no site {0}")]
    UnknownSite(SiteId),
    /// A site is in as many campaigns as it can be.
    #[error("site {0} is in {ACTIVE_CAMPAIGNS_MAX} campaigns that are scheduled, open or paused")]
    TooManyCampaigns(SiteId),
    /// The field can change only in a draft.
    #[error("it can be changed only in a draft")]
    Fixed(&'static str),
    /// The campaign is closed.
    #[error("the campaign is closed")]
    Closed,
    /// Only a draft can be deleted.
    #[error("it is {0}, and only a draft can be deleted")]
    NotDraft(CampaignStatus),
    /// The campaign has no sites.
    #[error("it has no sites")]
    NoSites,
    /// The status cannot follow.
    #[error("{to} cannot follow {from}")]
    Transition {
        /// The status.
        from: CampaignStatus,
        /// The one that cannot follow.
        to: CampaignStatus,
    },
}

fn campaigns(ids: &[CampaignId]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    format!("campaign {}", ids.join(", "))
}

/// A site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRecord {
    /// What it is.
    pub site: CheckedSite,
    /// How often it was changed, from 1.
    pub revision: i64,
    /// Since when it is the place that it is; never before an earlier change.
    pub place_since: Timestamp,
}

/// A campaign; its sites are its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignRecord {
    /// What it is, but for its sites.
    pub details: CampaignDetails,
    /// Its status.
    pub status: CampaignStatus,
    /// How often it was changed, from 1.
    pub revision: i64,
    /// How often its status was changed.
    pub changes: i64,
}

impl CampaignRecord {
    /// Which state of the campaign this is.
    pub fn version(&self) -> CampaignVersion {
        CampaignVersion { revision: self.revision, changes: self.changes }
    }

    /// Whether its slots can be booked at that time.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.status == CampaignStatus::Open
            && self.details.book_from.is_none_or(|from| from <= at)
            && self.details.book_until.is_none_or(|until| at < until)
    }
}

/// A state of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CampaignVersion {
    /// How often it was changed.
    pub revision: i64,
    /// How often its status was changed.
    pub changes: i64,
}

/// A site of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CampaignMember {
    /// People in each slot, if it is not what the campaign says.
    pub capacity: Option<u32>,
    /// It is no site of the campaign any more; the slots that it had stay, without places.
    pub is_removed: bool,
    /// What its slots were planned for.
    pub planned: Option<PlannedRevisions>,
}

/// The revisions that slots were planned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedRevisions {
    /// That of the site.
    pub site: i64,
    /// That of the campaign.
    pub campaign: i64,
}

/// A campaign at a site on a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayKey {
    /// The campaign.
    pub campaign: CampaignId,
    /// The site.
    pub site: SiteId,
    /// The date at the site.
    pub date: Date,
}

/// The slots of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotDayRecord {
    /// Its number, from 1; it never changes.
    pub id: i64,
    /// The time zone of the site.
    pub time_zone: String,
    /// Its slots, by time.
    pub slots: Vec<NumberedSlot>,
}
