//! Bookings and what can never become one, as rows.

use contracts::{
    booking::{BookedSeries, BookedSlot, Booking, BookingStatus},
    ids::{BookingId, CampaignId, ReservationId, SiteId, SlotId, UserId, VaccineId},
    vaccine::product::DoseInterval,
};
use platform_store::{Row, SqlError, Value};
use uuid::Uuid;

use crate::domain::{AttemptId, BookingFence, CampaignDose, Fingerprint, FormerDose, Record};

/// Reads a booking, with the columns in the order of the statements.
pub(super) fn record(row: &Row<'_>) -> Result<Record, SqlError> {
    let decode = |column, expected| SqlError::Decode { column, expected };
    Ok(Record {
        attempt: row.uuid_or_null(1)?.map(AttemptId),
        reservation: ReservationId(row.uuid(2)?),
        previous: previous(row)?,
        booking: Booking {
            booking_id: BookingId(row.int(0)?),
            vaccine_id: VaccineId(row.int(3)?),
            vc_name: row.text(4)?.to_owned(),
            slot: booked_slot(row, [10, 11, 12])?,
            series: series(row, [17, 15])?,
            user_id: UserId(row.int(5)?),
            status: status(row.int(6)?).ok_or(decode(6, "a status"))?,
        },
        campaign_dose: campaign_dose(row, [14, 15, 16])?,
        interval: interval(row, [18, 19])?,
        fingerprint: row.uuid_or_null(7)?.map(|id| Fingerprint(id.into_bytes())),
        booked_at: row.time(8)?,
        cancelled_at: row.time_or_null(9)?,
    })
}

/// The slot in these columns: its number, its site and its start.
fn booked_slot(
    row: &Row<'_>,
    [slot, site, starts_at]: [usize; 3],
) -> Result<Option<BookedSlot>, SqlError> {
    let Some(slot) = row.int_or_null(slot)? else { return Ok(None) };
    let (site_id, starts_at) = (SiteId(row.int(site)?), row.time(starts_at)?);
    Ok(Some(BookedSlot { slot_id: SlotId(slot), site_id, starts_at }))
}

/// What a booking counts as, in these columns: the campaign, the dose, and which of the bookings of that.
fn campaign_dose(
    row: &Row<'_>,
    [campaign, dose, nth]: [usize; 3],
) -> Result<Option<CampaignDose>, SqlError> {
    let Some(id) = row.int_or_null(campaign)? else { return Ok(None) };
    let campaign = CampaignId(id);
    Ok(Some(CampaignDose { campaign, dose: small(row, dose)?, nth: small(row, nth)? }))
}

/// The series in these columns: the booking of the other dose, and which dose this is.
fn series(row: &Row<'_>, [other, dose]: [usize; 2]) -> Result<Option<BookedSeries>, SqlError> {
    let Some(other) = row.int_or_null(other)? else { return Ok(None) };
    let other_dose_booking_id = BookingId(other);
    Ok(Some(BookedSeries { dose_number: small(row, dose)?, other_dose_booking_id }))
}

fn interval(row: &Row<'_>, [min, max]: [usize; 2]) -> Result<Option<DoseInterval>, SqlError> {
    if row.int_or_null(min)?.is_none() {
        return Ok(None);
    }
    Ok(Some(DoseInterval { min_days: small(row, min)?, max_days: small(row, max)? }))
}

/// A number of a type that is small.
pub(super) fn small<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> Result<T, SqlError> {
    let invalid = SqlError::Decode { column, expected: "a small number" };
    T::try_from(row.int(column)?).map_err(|_| invalid)
}

fn previous(row: &Row<'_>) -> Result<Vec<ReservationId>, SqlError> {
    let invalid = |_| SqlError::Decode { column: 13, expected: "reservations" };
    let ids = row.text(13)?.split_ascii_whitespace();
    ids.map(|id| Uuid::parse_str(id).map(ReservationId).map_err(invalid)).collect()
}

/// Those that a booking had before, as text.
pub(super) fn previous_text(Record { previous, .. }: &Record) -> String {
    previous.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Reads why something can never become a booking.
pub(super) fn fence(row: &Row<'_>) -> Result<BookingFence, SqlError> {
    let slot = booked_slot(row, [3, 4, 5])?;
    let booking = row.int_or_null(2)?.map(BookingId);
    Ok(BookingFence {
        at: row.time(1)?,
        former: booking.map(|booking| FormerDose { booking, slot }),
    })
}

fn status(code: i64) -> Option<BookingStatus> {
    use BookingStatus::{Booked, BookingCancelled, InjectionCompleted};
    [Booked, BookingCancelled, InjectionCompleted]
        .into_iter()
        .find(|status| code_of(*status) == code)
}

fn code_of(status: BookingStatus) -> i64 {
    match status {
        BookingStatus::Booked => 0,
        BookingStatus::BookingCancelled => 1,
        BookingStatus::InjectionCompleted => 2,
    }
}

/// Every column of a booking.
pub(super) fn values<'a>(record: &'a Record, previous: &'a str) -> [Value<'a>; 20] {
    let booking = &record.booking;
    let [slot, site, starts_at] = slot_values(booking.slot);
    let [campaign, dose, nth] = campaign_values(record.campaign_dose);
    let [min_days, max_days] = interval_values(record.interval);
    [
        booking.booking_id.0.into(),
        record.attempt.map(|attempt| attempt.0).into(),
        record.reservation.0.into(),
        booking.vaccine_id.0.into(),
        booking.vc_name.as_str().into(),
        booking.user_id.0.into(),
        code_of(booking.status).into(),
        record.fingerprint.map(|fingerprint| Uuid::from_bytes(fingerprint.0)).into(),
        record.booked_at.into(),
        record.cancelled_at.into(),
        slot,
        site,
        starts_at,
        previous.into(),
        campaign,
        dose,
        nth,
        booking.series.map(|series| series.other_dose_booking_id.0).into(),
        min_days,
        max_days,
    ]
}

/// Only these columns ever change.
pub(super) fn changed_values<'a>(
    id: BookingId,
    record: &'a Record,
    previous: &'a str,
) -> [Value<'a>; 13] {
    let [slot, site, starts_at] = slot_values(record.booking.slot);
    let [campaign, dose, nth] = campaign_values(record.campaign_dose);
    let [min_days, max_days] = interval_values(record.interval);
    [
        id.0.into(),
        code_of(record.booking.status).into(),
        record.cancelled_at.into(),
        record.reservation.0.into(),
        slot,
        site,
        starts_at,
        previous.into(),
        campaign,
        dose,
        nth,
        min_days,
        max_days,
    ]
}

/// The slot, its site and its start.
pub(super) fn slot_values(slot: Option<BookedSlot>) -> [Value<'static>; 3] {
    [
        slot.map(|slot| slot.slot_id.0).into(),
        slot.map(|slot| slot.site_id.0).into(),
        slot.map(|slot| slot.starts_at).into(),
    ]
}

/// The fewest and the most days.
fn interval_values(interval: Option<DoseInterval>) -> [Value<'static>; 2] {
    [
        interval.map(|interval| i64::from(interval.min_days)).into(),
        interval.map(|interval| i64::from(interval.max_days)).into(),
    ]
}

/// The campaign, the dose, and which of the bookings of that.
fn campaign_values(counts_as: Option<CampaignDose>) -> [Value<'static>; 3] {
    [
        counts_as.map(|it| it.campaign.0).into(),
        counts_as.map(|it| i64::from(it.dose)).into(),
        counts_as.map(|it| i64::from(it.nth)).into(),
    ]
}
