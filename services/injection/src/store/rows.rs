//! Appointments as rows.

use contracts::{
    booking::BookedSlot,
    ids::{BookingId, InjectionId, ReservationId, SiteId, SlotId, UserId, VaccineId},
    injection::{BodySite, Injection, InjectionRecord, InjectionStatus},
};
use jiff::Timestamp;
use platform_store::{Row, SqlError, Value};

use crate::{
    domain::{Appointment, BookedDose},
    events,
};

/// The columns of an appointment.
pub(super) const COLUMNS: usize = 18;

pub(super) fn injection(row: &Row<'_>) -> Result<Injection, SqlError> {
    appointment(row).map(|known| events::injection(&known))
}

pub(super) fn appointment(row: &Row<'_>) -> Result<Appointment, SqlError> {
    Ok(Appointment {
        id: InjectionId(row.int(0)?),
        booked: BookedDose {
            reservation: ReservationId(row.uuid(1)?),
            dose: ReservationId(row.uuid(16)?),
            moves: row.int(17)?,
            booking: BookingId(row.int(2)?),
            vaccine: VaccineId(row.int(3)?),
            user: UserId(row.int(4)?),
            slot: row.int_or_null(5)?.map(|slot| booked_slot(row, slot)).transpose()?,
        },
        status: status(row.int(8)?).ok_or(SqlError::Decode { column: 8, expected: "a status" })?,
        checked_in_at: row.time_or_null(9)?,
        completed_at: row.time_or_null(10)?,
        record: row.time_or_null(15)?.map(|at| record(row, at)).transpose()?,
    })
}

fn record(row: &Row<'_>, occurred_at: Timestamp) -> Result<InjectionRecord, SqlError> {
    let body_site =
        |code| body_site(code).ok_or(SqlError::Decode { column: 12, expected: "a body site" });
    Ok(InjectionRecord {
        lot_number: row.text_or_null(11)?.map(str::to_owned),
        body_site: row.int_or_null(12)?.map(body_site).transpose()?,
        dose_number: row.int_or_null(13)?,
        performer: row.text_or_null(14)?.map(str::to_owned),
        occurred_at,
    })
}

fn booked_slot(row: &Row<'_>, slot: i64) -> Result<BookedSlot, SqlError> {
    Ok(BookedSlot { slot_id: SlotId(slot), site_id: SiteId(row.int(6)?), starts_at: row.time(7)? })
}

pub(super) fn values(appointment: &Appointment) -> [Value<'_>; COLUMNS] {
    let Appointment { id, booked, status, checked_in_at, completed_at, record } = appointment;
    let record = record.as_ref();
    [
        id.0.into(),
        booked.reservation.0.into(),
        booked.booking.0.into(),
        booked.vaccine.0.into(),
        booked.user.0.into(),
        booked.slot.map(|slot| slot.slot_id.0).into(),
        booked.slot.map(|slot| slot.site_id.0).into(),
        booked.slot.map(|slot| slot.starts_at).into(),
        code_of(*status).into(),
        (*checked_in_at).into(),
        (*completed_at).into(),
        record.and_then(|record| record.lot_number.as_deref()).into(),
        record.and_then(|record| record.body_site).map(code_of_body_site).into(),
        record.and_then(|record| record.dose_number).into(),
        record.and_then(|record| record.performer.as_deref()).into(),
        record.map(|record| record.occurred_at).into(),
        booked.dose.0.into(),
        booked.moves.into(),
    ]
}

/// The number, and the columns that change.
pub(super) fn changed_values(appointment: &Appointment) -> [Value<'_>; 14] {
    let [
        id,
        _,
        _,
        _,
        _,
        slot,
        site,
        starts_at,
        status,
        checked_in_at,
        completed_at,
        lot,
        body_site,
        dose_number,
        performer,
        occurred_at,
        dose,
        moves,
    ] = values(appointment);
    [
        id,
        status,
        checked_in_at,
        completed_at,
        lot,
        body_site,
        dose_number,
        performer,
        occurred_at,
        dose,
        moves,
        slot,
        site,
        starts_at,
    ]
}

fn status(code: i64) -> Option<InjectionStatus> {
    use InjectionStatus::{
        CheckedIn, InjectionCancelled, InjectionCompleted, InjectionReady, NoShow,
    };
    [InjectionReady, InjectionCompleted, InjectionCancelled, CheckedIn, NoShow]
        .into_iter()
        .find(|status| code_of(*status) == code)
}

pub(super) fn code_of(status: InjectionStatus) -> i64 {
    match status {
        InjectionStatus::InjectionReady => 0,
        InjectionStatus::InjectionCompleted => 1,
        InjectionStatus::InjectionCancelled => 2,
        InjectionStatus::CheckedIn => 3,
        InjectionStatus::NoShow => 4,
    }
}

fn body_site(code: i64) -> Option<BodySite> {
    use BodySite::{LeftDeltoid, LeftThigh, RightDeltoid, RightThigh};
    [LeftDeltoid, RightDeltoid, LeftThigh, RightThigh]
        .into_iter()
        .find(|site| code_of_body_site(*site) == code)
}

fn code_of_body_site(site: BodySite) -> i64 {
    match site {
        BodySite::LeftDeltoid => 0,
        BodySite::RightDeltoid => 1,
        BodySite::LeftThigh => 2,
        BodySite::RightThigh => 3,
    }
}
