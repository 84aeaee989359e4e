//! Rows as values, and values as columns.

use contracts::{
    campaign::{
        CampaignSite, CampaignStatus, CampaignStatusChange, GeoPosition, Microdegrees, MinuteOfDay,
    },
    ids::{CampaignId, SiteId, SlotId},
};
use jiff::civil::Date;
use platform_store::{Row, SqlError};
use serde::de::DeserializeOwned;

use crate::domain::{
    CampaignMember, CampaignRecord, CheckedSite, DayKey, NumberedSlot, PlannedRevisions,
    SiteRecord, SlotDayRecord,
};

/// Number, start, length, places, places held back.
type StoredSlot = (i64, u16, u16, u32, u32);

/// A row of `id, revision, place_since_ms, details`.
pub(super) fn site(row: &Row<'_>) -> Result<SiteRecord, SqlError> {
    let wrong = |_| SqlError::Decode { column: 3, expected: "a site" };
    let site = CheckedSite::parse(json(row, 3)?).map_err(wrong)?;
    Ok(SiteRecord { site, revision: row.int(1)?, place_since: row.time(2)? })
}

/// A row of `id, status, revision, changes, details`.
pub(super) fn campaign(row: &Row<'_>) -> Result<CampaignRecord, SqlError> {
    let (status, details) = (status(row, 1)?, json(row, 4)?);
    Ok(CampaignRecord { details, status, revision: row.int(2)?, changes: row.int(3)? })
}

/// A row of `site, capacity`.
pub(super) fn campaign_site(row: &Row<'_>) -> Result<CampaignSite, SqlError> {
    Ok(CampaignSite { site_id: SiteId(row.int(0)?), capacity: capacity(row, 1)? })
}

/// A row of `campaign, site, capacity, is_removed, planned_site, planned_campaign`.
pub(super) fn member(row: &Row<'_>) -> Result<((CampaignId, SiteId), CampaignMember), SqlError> {
    let planned = row.int_or_null(4)?.zip(row.int_or_null(5)?);
    let member = CampaignMember {
        capacity: capacity(row, 2)?,
        is_removed: row.int(3)? != 0,
        planned: planned.map(|(site, campaign)| PlannedRevisions { site, campaign }),
    };
    Ok(((CampaignId(row.int(0)?), SiteId(row.int(1)?)), member))
}

/// A row of `id, campaign, site, date, time_zone, slots`.
pub(super) fn slot_day(row: &Row<'_>) -> Result<(DayKey, SlotDayRecord), SqlError> {
    let wrong = SqlError::Decode { column: 3, expected: "a date" };
    let date = date(row.int(3)?).ok_or(wrong)?;
    let key = DayKey { campaign: CampaignId(row.int(1)?), site: SiteId(row.int(2)?), date };
    let slot = |(id, from, minutes, capacity, held_back): StoredSlot| {
        let from = MinuteOfDay::new(from);
        let from = from.ok_or(SqlError::Decode { column: 5, expected: "a time of the day" })?;
        Ok(NumberedSlot { id: SlotId(id), from, minutes, capacity, held_back })
    };
    let slots = json::<Vec<StoredSlot>>(row, 5)?.into_iter().map(slot);
    let slots = slots.collect::<Result<_, SqlError>>()?;
    Ok((key, SlotDayRecord { id: row.int(0)?, time_zone: row.text(4)?.to_owned(), slots }))
}

/// A row of `status, at_ms, reason, actor`.
pub(super) fn status_change(row: &Row<'_>) -> Result<CampaignStatusChange, SqlError> {
    let (reason, actor) = (row.text(2)?.to_owned(), row.text(3)?.to_owned());
    Ok(CampaignStatusChange { status: status(row, 0)?, at: row.time(1)?, reason, actor })
}

/// A row of `id, latitude, longitude`.
pub(super) fn position(row: &Row<'_>) -> Result<(SiteId, GeoPosition), SqlError> {
    let degrees = |column| {
        let wrong = |_| SqlError::Decode { column, expected: "millionths of a degree" };
        i32::try_from(row.int(column)?).map(Microdegrees).map_err(wrong)
    };
    Ok((SiteId(row.int(0)?), GeoPosition { latitude: degrees(1)?, longitude: degrees(2)? }))
}

/// Slots as they are stored.
pub(super) fn slots_json(slots: &[NumberedSlot]) -> Result<String, SqlError> {
    let stored = slots.iter().map(|slot| -> StoredSlot {
        (slot.id.0, slot.from.minutes(), slot.minutes, slot.capacity, slot.held_back)
    });
    Ok(serde_json::to_string(&stored.collect::<Vec<_>>())?)
}

/// A capacity or NULL.
pub(super) fn capacity(row: &Row<'_>, column: usize) -> Result<Option<u32>, SqlError> {
    let wrong = |_| SqlError::Decode { column, expected: "a capacity" };
    row.int_or_null(column)?.map(|number| u32::try_from(number).map_err(wrong)).transpose()
}

/// A date as the number `20261201`.
pub(super) fn date_number(date: Date) -> i64 {
    (i64::from(date.year()) * 100 + i64::from(date.month())) * 100 + i64::from(date.day())
}

fn date(number: i64) -> Option<Date> {
    let part = |number: i64| i8::try_from(number % 100).ok();
    let year = i16::try_from(number / 10_000).ok()?;
    Date::new(year, part(number / 100)?, part(number)?).ok()
}

pub(super) fn status_code(status: CampaignStatus) -> i64 {
    match status {
        CampaignStatus::Draft => 0,
        CampaignStatus::Scheduled => 1,
        CampaignStatus::Open => 2,
        CampaignStatus::Paused => 3,
        CampaignStatus::Closed => 4,
    }
}

fn status(row: &Row<'_>, column: usize) -> Result<CampaignStatus, SqlError> {
    let code = row.int(column)?;
    let known = CampaignStatus::ALL.into_iter().find(|status| status_code(*status) == code);
    known.ok_or(SqlError::Decode { column, expected: "a status" })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, SqlError> {
    let wrong = |_| SqlError::Decode { column, expected: "JSON" };
    serde_json::from_str(row.text(column)?).map_err(wrong)
}
