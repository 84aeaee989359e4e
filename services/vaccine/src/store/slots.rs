//! The tables of slots and campaigns.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    campaign::{CampaignStatus, DoseSource},
    ids::{CampaignId, SiteId, SlotId, VaccineId},
    vaccine::{SlotCount, availability::SlotAvailability},
};
use jiff::civil::Date;
use platform_store::{Row, RowChange, SqlError, Tx};

use super::site_stocks::date;
use crate::domain::{Doses, Ledger, Name, Pool, PoolId, SlotCampaign, SlotPlace};

/// A slot, and its campaign.
const LOAD_SLOT: &str = "
    SELECT slots.id, campaign, site, starts_at_ms, places, taken, overcommitted, date,
           status, vaccines, book_from_ms, book_until_ms, doses, bookings_per_person
      FROM slots
 LEFT JOIN campaigns ON campaigns.id = slots.campaign
     WHERE slots.id = ?1";

const LOAD_CAMPAIGN: &str = "
    SELECT id, status, vaccines, book_from_ms, book_until_ms, doses, bookings_per_person
      FROM campaigns
     WHERE id = ?1";

const INSERT_SLOT: &str = "
    INSERT INTO slots (id, places, taken, overcommitted, campaign, site, starts_at_ms, date)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const UPDATE_PLACES: &str = "
    UPDATE slots
       SET places = ?2, taken = ?3, overcommitted = ?4
     WHERE id = ?1";

const UPDATE_PLACE: &str = "
    UPDATE slots
       SET campaign = ?2, site = ?3, starts_at_ms = ?4, date = ?5
     WHERE id = ?1";

const INSERT_CAMPAIGN: &str = "
    INSERT INTO campaigns
                (id, status, vaccines, book_from_ms, book_until_ms, doses, bookings_per_person)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const UPDATE_CAMPAIGN: &str = "
    UPDATE campaigns
       SET status = ?2, vaccines = ?3, book_from_ms = ?4, book_until_ms = ?5, doses = ?6,
           bookings_per_person = ?7
     WHERE id = ?1";

/// The slots of a site on some dates.
const SLOTS_OF_SITE: &str = "
    SELECT id, campaign, starts_at_ms, date, places, taken
      FROM slots
     WHERE site = ?1
       AND date BETWEEN ?2 AND ?3
  ORDER BY date, id
     LIMIT ?4";

pub(super) const OVERCOMMITTED: &str = "
    SELECT overcommitted
      FROM slots
     WHERE overcommitted > 0";

/// Loads those of these pools that are slots, with their campaigns.
pub(super) fn load<'a>(
    tx: &Tx<'_>,
    ledger: &mut Ledger,
    pools: impl Iterator<Item = &'a PoolId>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = pools.filter_map(|id| Some([id.slot()?.0.into()])).collect();
    let of_slots = tx.find_each(LOAD_SLOT, &keys, |row| {
        let campaign = row.int_or_null(8)?.map(|_| campaign(row, 8)).transpose()?;
        Ok((SlotId(row.int(0)?), place(row)?, pool(row)?, campaign))
    })?;
    for (slot, place, pool, campaign) in of_slots.into_iter().flatten() {
        ledger.pools.load(slot.into(), pool);
        let Some(place) = place else { continue };
        ledger.slots.places.load(slot.into(), place);
        if let Some(campaign) = campaign {
            ledger.slots.campaigns.load(place.campaign, campaign);
        }
    }
    Ok(())
}

/// Loads campaigns.
pub(super) fn load_campaigns(
    tx: &Tx<'_>,
    ledger: &mut Ledger,
    ids: &BTreeSet<CampaignId>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = ids.iter().map(|id| [id.0.into()]).collect();
    let read = |row: &Row<'_>| Ok((CampaignId(row.int(0)?), campaign(row, 1)?));
    for (id, campaign) in tx.find_each(LOAD_CAMPAIGN, &keys, read)?.into_iter().flatten() {
        ledger.slots.campaigns.load(id, campaign);
    }
    Ok(())
}

/// One slot.
pub(super) fn count(tx: &Tx<'_>, slot_id: SlotId) -> Result<Option<SlotCount>, SqlError> {
    let found = tx.find(LOAD_SLOT, &[slot_id.0.into()], |row| {
        let pool = pool(row)?;
        Ok(place(row)?.map(|SlotPlace { site, starts_at, .. }| SlotCount {
            slot_id,
            site_id: site,
            starts_at,
            capacity: pool.stock.count(),
            taken: pool.taken,
            overcommitted: pool.overcommitted,
        }))
    })?;
    Ok(found.flatten())
}

/// What is free of the slots of a site on these dates; none if they are more than so many.
pub(super) fn of_site(
    tx: &Tx<'_>,
    site: SiteId,
    dates: [Date; 2],
    max: u32,
) -> Result<Option<Vec<SlotAvailability>>, SqlError> {
    let [from, to] = dates.map(|date| date.to_string());
    let params =
        [site.0.into(), from.as_str().into(), to.as_str().into(), (i64::from(max) + 1).into()];
    let slots = tx.all(SLOTS_OF_SITE, &params, |row| {
        Ok(SlotAvailability {
            slot_id: SlotId(row.int(0)?),
            campaign_id: CampaignId(row.int(1)?),
            starts_at: row.time(2)?,
            date: date(row, 3)?,
            free: (row.int(4)? - row.int(5)?).max(0),
        })
    })?;
    let is_all = u32::try_from(slots.len()).is_ok_and(|count| count <= max);
    Ok(is_all.then_some(slots))
}

fn place(row: &Row<'_>) -> Result<Option<SlotPlace>, SqlError> {
    let Some(campaign) = row.int_or_null(1)?.map(CampaignId) else { return Ok(None) };
    let (site, starts_at, date) = (SiteId(row.int(2)?), row.time(3)?, date(row, 7)?);
    Ok(Some(SlotPlace { campaign, site, date, starts_at }))
}

fn pool(row: &Row<'_>) -> Result<Pool, SqlError> {
    let places = Doses::parse(row.int(4)?);
    Ok(Pool {
        name: Name::of_slots(),
        stock: places.ok_or(SqlError::Decode { column: 4, expected: "a number of places" })?,
        taken: row.int(5)?,
        overcommitted: row.int(6)?,
    })
}

/// A campaign whose columns begin with that of its status.
fn campaign(row: &Row<'_>, first: usize) -> Result<SlotCampaign, SqlError> {
    let invalid = |column, expected| SqlError::Decode { column, expected };
    let vaccines: Vec<i64> = serde_json::from_str(row.text(first + 1)?)
        .map_err(|_| invalid(first + 1, "a list of vaccines"))?;
    Ok(SlotCampaign {
        status: status(row.int(first)?).ok_or(invalid(first, "a status"))?,
        vaccines: vaccines.into_iter().map(VaccineId).collect(),
        book_from: row.time_or_null(first + 2)?,
        book_until: row.time_or_null(first + 3)?,
        doses: source(row.int(first + 4)?).ok_or(invalid(first + 4, "a source of doses"))?,
        bookings_per_person: u8::try_from(row.int(first + 5)?)
            .map_err(|_| invalid(first + 5, "a number of bookings"))?,
    })
}

fn source(code: i64) -> Option<DoseSource> {
    [DoseSource::Central, DoseSource::SiteLots]
        .into_iter()
        .find(|source| source_code_of(*source) == code)
}

fn source_code_of(source: DoseSource) -> i64 {
    match source {
        DoseSource::Central => 0,
        DoseSource::SiteLots => 1,
    }
}

fn status(code: i64) -> Option<CampaignStatus> {
    CampaignStatus::ALL.into_iter().find(|status| code_of(*status) == code)
}

fn code_of(status: CampaignStatus) -> i64 {
    match status {
        CampaignStatus::Draft => 0,
        CampaignStatus::Scheduled => 1,
        CampaignStatus::Open => 2,
        CampaignStatus::Paused => 3,
        CampaignStatus::Closed => 4,
    }
}

/// Saves the slots and campaigns that were changed; none is ever deleted.
pub(super) fn save(tx: &Tx<'_>, ledger: &Ledger) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    let mut located: BTreeMap<_, _> =
        ledger.slots.places.changes().map(|(id, place, _)| (id, place)).collect();
    let dates: BTreeMap<_, _> =
        located.iter().map(|(id, place)| (*id, place.date.to_string())).collect();
    let date = |id: &PoolId| dates.get(id).map(String::as_str);
    for (id, pool, change) in ledger.pools.changes() {
        let Some(SlotId(slot)) = id.slot() else { continue };
        let [slot, places, taken, overcommitted] =
            [slot, pool.stock.count(), pool.taken, pool.overcommitted].map(Into::into);
        if change == RowChange::Inserted {
            let place = located.remove(id);
            inserted.push([
                slot,
                places,
                taken,
                overcommitted,
                place.map(|place| place.campaign.0).into(),
                place.map(|place| place.site.0).into(),
                place.map(|place| place.starts_at).into(),
                date(id).into(),
            ]);
        } else {
            updated.push([slot, places, taken, overcommitted]);
        }
    }
    let located = located.into_iter().filter_map(|(id, place)| {
        let SlotPlace { campaign, site, date: _, starts_at } = *place;
        let place = [id.slot()?.0.into(), campaign.0.into(), site.0.into(), starts_at.into()];
        let [slot, campaign, site, starts_at] = place;
        Some([slot, campaign, site, starts_at, date(id).into()])
    });
    let located: Vec<_> = located.collect();
    tx.execute_each(INSERT_SLOT, &inserted)?;
    tx.execute_each(UPDATE_PLACES, &updated)?;
    tx.execute_each(UPDATE_PLACE, &located)?;
    for (id, campaign, change) in ledger.slots.campaigns.changes() {
        let vaccines: Vec<_> = campaign.vaccines.iter().map(|id| id.0).collect();
        let vaccines = serde_json::to_string(&vaccines)?;
        let SlotCampaign { status, doses, book_from, book_until, .. } = campaign;
        let sql = if change == RowChange::Inserted { INSERT_CAMPAIGN } else { UPDATE_CAMPAIGN };
        let row = [
            id.0.into(),
            code_of(*status).into(),
            vaccines.as_str().into(),
            (*book_from).into(),
            (*book_until).into(),
            source_code_of(*doses).into(),
            i64::from(campaign.bookings_per_person).into(),
        ];
        tx.execute(sql, &row)?;
    }
    Ok(())
}
