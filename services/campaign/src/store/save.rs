//! Saves the rows that decisions changed.

use std::collections::BTreeSet;

use platform_store::{RowChange, SqlError, Tx, Value};

use super::rows;
use crate::domain::{CampaignMember, Campaigns, DayKey, LastNumbers, NumberedSlot, SiteRecord};

const SAVE_LAST_NUMBERS: &str = "
    UPDATE last_numbers
       SET site = ?1, campaign = ?2, slot = ?3, day = ?4
     WHERE site <> ?1 OR campaign <> ?2 OR slot <> ?3 OR day <> ?4";

const INSERT_SITE: &str = "
    INSERT INTO sites (id, revision, place_since_ms, details, latitude, longitude)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const UPDATE_SITE: &str = "
    UPDATE sites
       SET revision = ?2, place_since_ms = ?3, details = ?4, latitude = ?5, longitude = ?6
     WHERE id = ?1";

const DELETE_SITE: &str = "
    DELETE FROM sites
     WHERE id = ?1";

const INSERT_IDENTIFIER: &str = "
    INSERT INTO site_identifiers (system, value, site)
         VALUES (?1, ?2, ?3)";

const UPDATE_IDENTIFIER: &str = "
    UPDATE site_identifiers
       SET site = ?3
     WHERE system = ?1
       AND value = ?2";

const DELETE_IDENTIFIER: &str = "
    DELETE FROM site_identifiers
     WHERE system = ?1
       AND value = ?2";

const INSERT_CAMPAIGN: &str = "
    INSERT INTO campaigns (id, status, revision, changes, details)
         VALUES (?1, ?2, ?3, ?4, ?5)";

const UPDATE_CAMPAIGN: &str = "
    UPDATE campaigns
       SET status = ?2, revision = ?3, changes = ?4, details = ?5
     WHERE id = ?1";

const DELETE_CAMPAIGN: &str = "
    DELETE FROM campaigns
     WHERE id = ?1";

const INSERT_STATUS_CHANGE: &str = "
    INSERT INTO status_changes (campaign, number, status, at_ms, reason, actor)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const INSERT_MEMBER: &str = "
    INSERT INTO campaign_sites (campaign, site, capacity, is_removed, planned_site, planned_campaign)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const UPDATE_MEMBER: &str = "
    UPDATE campaign_sites
       SET capacity = ?3, is_removed = ?4, planned_site = ?5, planned_campaign = ?6
     WHERE campaign = ?1
       AND site = ?2";

const DELETE_MEMBER: &str = "
    DELETE FROM campaign_sites
     WHERE campaign = ?1
       AND site = ?2";

const INSERT_DAY: &str = "
    INSERT INTO slot_days (id, campaign, site, date, time_zone, slots)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const UPDATE_DAY: &str = "
    UPDATE slot_days
       SET time_zone = ?2, slots = ?3
     WHERE id = ?1";

const INSERT_RUN: &str = "
    INSERT INTO slot_runs (first_slot, day)
         VALUES (?1, ?2)
    ON CONFLICT (first_slot) DO NOTHING";

pub(super) fn save(tx: &Tx<'_>, campaigns: &Campaigns) -> Result<(), SqlError> {
    let LastNumbers { site, campaign, slot, day } = campaigns.last;
    tx.execute(SAVE_LAST_NUMBERS, &[site.into(), campaign.into(), slot.into(), day.into()])?;
    save_sites(tx, campaigns)?;
    save_identifiers(tx, campaigns)?;
    save_campaigns(tx, campaigns)?;
    save_members(tx, campaigns)?;
    save_days(tx, campaigns)
}

fn save_sites(tx: &Tx<'_>, campaigns: &Campaigns) -> Result<(), SqlError> {
    for (id, record, change) in campaigns.sites.changes() {
        let details = serde_json::to_string(record.site.details())?;
        let SiteRecord { site, revision, place_since } = record;
        let position = site.details().position;
        let row = [
            id.0.into(),
            (*revision).into(),
            (*place_since).into(),
            details.as_str().into(),
            position.map(|position| i64::from(position.latitude.0)).into(),
            position.map(|position| i64::from(position.longitude.0)).into(),
        ];
        match change {
            RowChange::Inserted => tx.execute(INSERT_SITE, &row)?,
            RowChange::Updated => tx.execute(UPDATE_SITE, &row)?,
            RowChange::Deleted => tx.execute(DELETE_SITE, &[id.0.into()])?,
        }
    }
    Ok(())
}

fn save_identifiers(tx: &Tx<'_>, campaigns: &Campaigns) -> Result<(), SqlError> {
    for (identifier, site, change) in campaigns.identifiers.changes() {
        let (system, value) = (identifier.system.as_str().into(), identifier.value.as_str().into());
        match change {
            RowChange::Inserted => {
                tx.execute(INSERT_IDENTIFIER, &[system, value, site.0.into()])?;
            }
            RowChange::Updated => tx.execute(UPDATE_IDENTIFIER, &[system, value, site.0.into()])?,
            RowChange::Deleted => tx.execute(DELETE_IDENTIFIER, &[system, value])?,
        }
    }
    Ok(())
}

fn save_campaigns(tx: &Tx<'_>, campaigns: &Campaigns) -> Result<(), SqlError> {
    for (id, record, change) in campaigns.campaigns.changes() {
        let details = serde_json::to_string(&record.details)?;
        let row = [
            id.0.into(),
            rows::status_code(record.status).into(),
            record.revision.into(),
            record.changes.into(),
            details.as_str().into(),
        ];
        match change {
            RowChange::Inserted => tx.execute(INSERT_CAMPAIGN, &row)?,
            RowChange::Updated => tx.execute(UPDATE_CAMPAIGN, &row)?,
            RowChange::Deleted => tx.execute(DELETE_CAMPAIGN, &[id.0.into()])?,
        }
    }
    for (id, number, change) in &campaigns.changes {
        let row = [
            id.0.into(),
            (*number).into(),
            rows::status_code(change.status).into(),
            change.at.into(),
            change.reason.as_str().into(),
            change.actor.as_str().into(),
        ];
        tx.execute(INSERT_STATUS_CHANGE, &row)?;
    }
    Ok(())
}

/// A campaign may have thousands of sites: their rows are written together.
fn save_members(tx: &Tx<'_>, campaigns: &Campaigns) -> Result<(), SqlError> {
    let (mut inserted, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for ((campaign, site), member, change) in campaigns.members.changes() {
        let CampaignMember { capacity, is_removed, planned } = *member;
        let row: [Value<'_>; 6] = [
            campaign.0.into(),
            site.0.into(),
            capacity.map(i64::from).into(),
            i64::from(is_removed).into(),
            planned.map(|planned| planned.site).into(),
            planned.map(|planned| planned.campaign).into(),
        ];
        match change {
            RowChange::Inserted => inserted.push(row),
            RowChange::Updated => updated.push(row),
            RowChange::Deleted => deleted.push([row[0], row[1]]),
        }
    }
    tx.execute_each(INSERT_MEMBER, &inserted)?;
    tx.execute_each(UPDATE_MEMBER, &updated)?;
    tx.execute_each(DELETE_MEMBER, &deleted)
}

/// Slots stay for good: no row is deleted.
fn save_days(tx: &Tx<'_>, campaigns: &Campaigns) -> Result<(), SqlError> {
    let mut runs: Vec<[Value<'_>; 2]> = Vec::new();
    for (DayKey { campaign, site, date }, day, change) in campaigns.days.changes() {
        let slots = rows::slots_json(&day.slots)?;
        let (zone, slots) = (day.time_zone.as_str().into(), slots.as_str().into());
        let [id, date] = [day.id, rows::date_number(*date)].map(Value::Int);
        match change {
            RowChange::Inserted => {
                let row = [id, campaign.0.into(), site.0.into(), date, zone, slots];
                tx.execute(INSERT_DAY, &row)?;
            }
            RowChange::Updated | RowChange::Deleted => {
                tx.execute(UPDATE_DAY, &[id, zone, slots])?;
            }
        }
        runs.extend(run_starts(&day.slots).map(|first| [first.into(), id]));
    }
    tx.execute_each(INSERT_RUN, &runs)
}

/// The first slots of a day whose numbers follow each other.
fn run_starts(slots: &[NumberedSlot]) -> impl Iterator<Item = i64> {
    let numbers: BTreeSet<_> = slots.iter().map(|slot| slot.id.0).collect();
    let starts = numbers.clone().into_iter();
    starts.filter(move |number| !numbers.contains(&(number - 1)))
}
