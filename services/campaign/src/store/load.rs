//! Loads the rows that commands name, and those that these name.

use std::collections::BTreeSet;

use contracts::{
    campaign::{CampaignSite, ExternalIdentifier},
    ids::{CampaignId, SiteId},
};
use jiff::civil::Date;
use platform_store::{Row, SqlError, Tx, Value};

use super::rows;
use crate::domain::{
    CampaignMember, CampaignRecord, Campaigns, ChangeCampaign, ChangeException, ChangeSite,
    ChangeStatus, CheckedSite, Command, CreateCampaign, CreateSite, DayKey, ImportKey, ImportSite,
    LastNumbers, PlanSite, RemoveCampaign, RemoveSite, SiteRecord,
};

const LAST_NUMBERS: &str = "
    SELECT site, campaign, slot, day
      FROM last_numbers";

const SITE: &str = "
    SELECT id, revision, place_since_ms, details
      FROM sites
     WHERE id = ?1";

const SITE_EXISTS: &str = "
    SELECT id
      FROM sites
     WHERE id = ?1";

const IDENTIFIED: &str = "
    SELECT site
      FROM site_identifiers
     WHERE system = ?1
       AND value = ?2";

const CAMPAIGN: &str = "
    SELECT id, status, revision, changes, details
      FROM campaigns
     WHERE id = ?1";

const MEMBER: &str = "
    SELECT campaign, site, capacity, is_removed, planned_site, planned_campaign
      FROM campaign_sites
     WHERE campaign = ?1
       AND site = ?2";

const MEMBERS: &str = "
    SELECT campaign, site, capacity, is_removed, planned_site, planned_campaign
      FROM campaign_sites
     WHERE campaign = ?1";

const MEMBERS_OF_SITE: &str = "
    SELECT campaign, site, capacity, is_removed, planned_site, planned_campaign
      FROM campaign_sites
     WHERE site = ?1";

/// Those of campaigns that are scheduled, open or paused.
const ACTIVE_MEMBERS_OF_SITE: &str = "
    SELECT m.campaign, m.site, m.capacity, m.is_removed, m.planned_site, m.planned_campaign
      FROM campaign_sites m
      JOIN campaigns c ON c.id = m.campaign
     WHERE m.site = ?1
       AND c.status BETWEEN 1 AND 3";

const DAY: &str = "
    SELECT id, campaign, site, date, time_zone, slots
      FROM slot_days
     WHERE campaign = ?1
       AND site = ?2
       AND date = ?3";

const DAYS: &str = "
    SELECT id, campaign, site, date, time_zone, slots
      FROM slot_days
     WHERE campaign = ?1
       AND site = ?2";

pub(super) fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Campaigns, SqlError> {
    let mut named = Named::default();
    for command in commands {
        named.add(command);
    }
    let mut loaded = Campaigns { last: last_numbers(tx)?, ..Campaigns::default() };
    load_sites(tx, &mut named, &mut loaded)?;
    load_members(tx, &mut named, &mut loaded)?;
    load_campaigns(tx, &named, &mut loaded)?;
    load_days(tx, &named, &mut loaded)?;
    Ok(loaded)
}

pub(super) fn site(tx: &Tx<'_>, id: SiteId) -> Result<Option<SiteRecord>, SqlError> {
    tx.find(SITE, &[id.0.into()], rows::site)
}

/// Each of these sites, if it is there.
pub(super) fn sites(
    tx: &Tx<'_>,
    ids: impl Iterator<Item = SiteId>,
) -> Result<Vec<Option<SiteRecord>>, SqlError> {
    tx.find_each(SITE, &keys_of(ids.map(|id| id.0)), rows::site)
}

pub(super) fn campaign(tx: &Tx<'_>, id: CampaignId) -> Result<Option<CampaignRecord>, SqlError> {
    tx.find(CAMPAIGN, &[id.0.into()], rows::campaign)
}

/// What commands name.
#[derive(Default)]
struct Named {
    sites: BTreeSet<SiteId>,
    /// Sites of which only the existence matters.
    member_sites: BTreeSet<SiteId>,
    removed_sites: BTreeSet<SiteId>,
    identifiers: BTreeSet<ExternalIdentifier>,
    campaigns: BTreeSet<CampaignId>,
    /// Campaigns with all their sites.
    whole_campaigns: BTreeSet<CampaignId>,
    planned: BTreeSet<(CampaignId, SiteId)>,
    dates: BTreeSet<(SiteId, Date)>,
}

impl Named {
    fn add(&mut self, command: &Command) {
        match command {
            Command::CreateSite(CreateSite { site, at: _ }) => self.add_identifiers(site),
            Command::ChangeSite(ChangeSite { id, site, expected: _, at: _ }) => {
                self.sites.insert(*id);
                self.add_identifiers(site);
            }
            Command::ChangeException(ChangeException { id, date, .. }) => {
                self.sites.insert(*id);
                self.dates.insert((*id, *date));
            }
            Command::RemoveSite(RemoveSite { id, expected: _ }) => {
                self.sites.insert(*id);
                self.removed_sites.insert(*id);
            }
            Command::ImportSite(ImportSite { key, site, at: _ }) => {
                match key {
                    ImportKey::Identifier(identifier) => {
                        self.identifiers.insert(identifier.clone());
                    }
                    ImportKey::Number(id) => {
                        self.sites.insert(*id);
                    }
                }
                self.add_identifiers(site);
            }
            Command::CreateCampaign(CreateCampaign(campaign)) => self.add_sites(campaign.sites()),
            Command::ChangeCampaign(ChangeCampaign { id, campaign, .. }) => {
                self.add_campaign(*id);
                self.add_sites(campaign.sites());
            }
            Command::ChangeStatus(ChangeStatus { id, .. })
            | Command::RemoveCampaign(RemoveCampaign { id, expected: _ }) => self.add_campaign(*id),
            Command::PlanSite(PlanSite { campaign, site, at: _ }) => {
                self.sites.insert(*site);
                self.campaigns.insert(*campaign);
                self.planned.insert((*campaign, *site));
            }
        }
    }

    fn add_identifiers(&mut self, site: &CheckedSite) {
        self.identifiers.extend(site.details().identifiers.iter().cloned());
    }

    fn add_sites(&mut self, sites: &[CampaignSite]) {
        self.member_sites.extend(sites.iter().map(|site| site.site_id));
    }

    fn add_campaign(&mut self, id: CampaignId) {
        self.campaigns.insert(id);
        self.whole_campaigns.insert(id);
    }
}

fn last_numbers(tx: &Tx<'_>) -> Result<LastNumbers, SqlError> {
    let last = tx.find(LAST_NUMBERS, &[], |row| {
        let [site, campaign, slot, day] = [row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?];
        Ok(LastNumbers { site, campaign, slot, day })
    })?;
    Ok(last.unwrap_or_default())
}

/// The named sites, those with the named identifiers, and all their identifiers.
fn load_sites(tx: &Tx<'_>, named: &mut Named, loaded: &mut Campaigns) -> Result<(), SqlError> {
    let keys = named.identifiers.iter();
    let keys: Vec<[Value<'_>; 2]> =
        keys.map(|known| [known.system.as_str().into(), known.value.as_str().into()]).collect();
    let owners = tx.find_each(IDENTIFIED, &keys, |row| Ok(SiteId(row.int(0)?)))?;
    for (identifier, owner) in named.identifiers.iter().zip(owners) {
        if let Some(owner) = owner {
            loaded.identifiers.load(identifier.clone(), owner);
            named.sites.insert(owner);
        }
    }
    let sites = tx.find_each(SITE, &keys_of(named.sites.iter().map(|id| id.0)), site_record)?;
    for (id, record) in sites.into_iter().flatten() {
        for identifier in &record.site.details().identifiers {
            loaded.identifiers.load(identifier.clone(), id);
        }
        loaded.sites.load(id, record);
    }
    Ok(())
}

fn site_record(row: &Row<'_>) -> Result<(SiteId, SiteRecord), SqlError> {
    Ok((SiteId(row.int(0)?), rows::site(row)?))
}

fn campaign_record(row: &Row<'_>) -> Result<(CampaignId, CampaignRecord), SqlError> {
    Ok((CampaignId(row.int(0)?), rows::campaign(row)?))
}

/// The sites of the named campaigns, and the campaigns with slots at all the sites.
fn load_members(tx: &Tx<'_>, named: &mut Named, loaded: &mut Campaigns) -> Result<(), SqlError> {
    let mut members = Members { loaded, sites: BTreeSet::new(), campaigns: BTreeSet::new() };
    let campaigns = keys_of(named.whole_campaigns.iter().map(|id| id.0));
    members.add(tx.all_each(MEMBERS, &campaigns, rows::member)?);
    named.member_sites.append(&mut members.sites);
    members.add(tx.all_each(MEMBER, &planned_keys(named), rows::member)?);
    let removed = keys_of(named.removed_sites.iter().map(|id| id.0));
    members.add(tx.all_each(MEMBERS_OF_SITE, &removed, rows::member)?);
    let sites = keys_of(named.sites.union(&named.member_sites).map(|id| id.0));
    members.add(tx.all_each(ACTIVE_MEMBERS_OF_SITE, &sites, rows::member)?);
    named.campaigns.append(&mut members.campaigns);

    let exist = keys_of(named.member_sites.iter().map(|id| id.0));
    let known = tx.find_each(SITE_EXISTS, &exist, |row| Ok(SiteId(row.int(0)?)))?;
    loaded.known_sites.extend(known.into_iter().flatten());
    Ok(())
}

/// Members that are loaded, and what they name.
struct Members<'a> {
    loaded: &'a mut Campaigns,
    sites: BTreeSet<SiteId>,
    campaigns: BTreeSet<CampaignId>,
}

impl Members<'_> {
    fn add(&mut self, rows: Vec<Vec<((CampaignId, SiteId), CampaignMember)>>) {
        for (key, member) in rows.into_iter().flatten() {
            self.campaigns.insert(key.0);
            self.sites.insert(key.1);
            self.loaded.members.load(key, member);
        }
    }
}

fn load_campaigns(tx: &Tx<'_>, named: &Named, loaded: &mut Campaigns) -> Result<(), SqlError> {
    let keys = keys_of(named.campaigns.iter().map(|id| id.0));
    let campaigns = tx.find_each(CAMPAIGN, &keys, campaign_record)?;
    for (id, record) in campaigns.into_iter().flatten() {
        loaded.campaigns.load(id, record);
    }
    Ok(())
}

/// All days of what is planned; of the named dates those of every campaign at the site, since one of them may become
/// active in this batch.
fn load_days(tx: &Tx<'_>, named: &Named, loaded: &mut Campaigns) -> Result<(), SqlError> {
    let mut days = tx.all_each(DAYS, &planned_keys(named), rows::slot_day)?;
    let mut keys = BTreeSet::new();
    for (site, date) in &named.dates {
        let members = loaded.members.iter().filter(|((_, of), _)| of == site);
        let key = |campaign| DayKey { campaign, site: *site, date: *date };
        keys.extend(members.map(|((campaign, _), _)| key(*campaign)));
    }
    let values = |DayKey { campaign, site, date }| -> [Value<'_>; 3] {
        [campaign.0.into(), site.0.into(), rows::date_number(date).into()]
    };
    let keys: Vec<_> = keys.into_iter().map(values).collect();
    days.extend(tx.all_each(DAY, &keys, rows::slot_day)?);
    for (key, day) in days.into_iter().flatten() {
        loaded.days.load(key, day);
    }
    Ok(())
}

fn planned_keys<'a>(named: &Named) -> Vec<[Value<'a>; 2]> {
    let pairs = named.planned.iter();
    pairs.map(|(campaign, site)| [campaign.0.into(), site.0.into()]).collect()
}

fn keys_of<'a>(ids: impl Iterator<Item = i64>) -> Vec<[Value<'a>; 1]> {
    ids.map(|id| [id.into()]).collect()
}
