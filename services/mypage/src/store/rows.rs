//! Views and sites as rows.

use contracts::{
    booking::{BookedSlot, BookingStatus},
    ids::{BookingId, ReservationId, SiteId, SlotId, UserId, VaccineId},
    mypage::{GivenDose, Mypage},
};
use platform_store::{Row, SqlError, Value};

use crate::domain::{KnownSite, NumberedView, PlacedView, View};

/// The columns of a view that may change, with its number.
const CHANGED: usize = 12;

/// The columns of a view.
const ALL: usize = CHANGED + 4;

pub(super) fn view(row: &Row<'_>) -> Result<View, SqlError> {
    Ok(View {
        book_id: BookingId(row.int(1)?),
        vaccine_id: VaccineId(row.int(2)?),
        vc_name: row.text(3)?.to_owned(),
        user_id: UserId(row.int(4)?),
        status: status(row.int(5)?).ok_or(SqlError::Decode { column: 5, expected: "a status" })?,
        as_of: row.time(6)?,
        moves: row.int(7)?,
        slot: row.int_or_null(8)?.map(|slot| booked_slot(row, slot)).transpose()?,
        slot_as_of: row.time(11)?,
        dose: given_dose(row)?,
    })
}

fn booked_slot(row: &Row<'_>, slot: i64) -> Result<BookedSlot, SqlError> {
    let (site_id, starts_at) = (SiteId(row.int(9)?), row.time(10)?);
    Ok(BookedSlot { slot_id: SlotId(slot), site_id, starts_at })
}

fn given_dose(row: &Row<'_>) -> Result<Option<GivenDose>, SqlError> {
    let Some(occurred_at) = row.time_or_null(14)? else { return Ok(None) };
    let lot_number = row.text_or_null(12)?.map(str::to_owned);
    Ok(Some(GivenDose { lot_number, dose_number: row.int_or_null(13)?, occurred_at }))
}

/// The site in these columns; NULL: none.
pub(super) fn known_site(
    row: &Row<'_>,
    [since, place]: [usize; 2],
) -> Result<Option<KnownSite>, SqlError> {
    let (Some(since), Some(json)) = (row.time_or_null(since)?, row.text_or_null(place)?) else {
        return Ok(None);
    };
    let wrong = |_| SqlError::Decode { column: place, expected: "a site" };
    Ok(Some(KnownSite { place: serde_json::from_str(json).map_err(wrong)?, since }))
}

pub(super) fn placed(row: &Row<'_>) -> Result<PlacedView, SqlError> {
    Ok(PlacedView { view: view(row)?, site: known_site(row, [15, 16])? })
}

pub(super) fn mypage(row: &Row<'_>) -> Result<Mypage, SqlError> {
    Ok(placed(row)?.mypage())
}

pub(super) fn values(id: ReservationId, numbered: &NumberedView) -> [Value<'_>; ALL] {
    let View { book_id, vaccine_id, user_id, .. } = &numbered.view;
    let mut values = [Value::Null; ALL];
    let of_booking = [id.0.into(), book_id.0.into(), vaccine_id.0.into(), user_id.0.into()];
    let all = changed_values(numbered).into_iter().chain(of_booking);
    values.iter_mut().zip(all).for_each(|(value, column)| *value = column);
    values
}

/// Only these columns ever change.
pub(super) fn changed_values(NumberedView { number, view }: &NumberedView) -> [Value<'_>; CHANGED] {
    let dose = view.dose.as_ref();
    [
        (*number).into(),
        view.vc_name.as_str().into(),
        code_of(view.status).into(),
        view.as_of.into(),
        view.moves.into(),
        view.slot.map(|slot| slot.slot_id.0).into(),
        view.slot.map(|slot| slot.site_id.0).into(),
        view.slot.map(|slot| slot.starts_at).into(),
        view.slot_as_of.into(),
        dose.and_then(|dose| dose.lot_number.as_deref()).into(),
        dose.and_then(|dose| dose.dose_number).into(),
        dose.map(|dose| dose.occurred_at).into(),
    ]
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
