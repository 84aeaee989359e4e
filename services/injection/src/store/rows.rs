//! Appointments as rows.

use contracts::{
    booking::BookedSlot,
    ids::{BookingId, InjectionId, ReservationId, SiteId, SlotId, UserId, VaccineId},
    injection::{Injection, InjectionStatus},
};
use platform_store::{Row, SqlError, Value};

use crate::{
    domain::{Appointment, BookedDose},
    events,
};

/// The columns of an appointment.
pub(super) const COLUMNS: usize = 11;

pub(super) fn injection(row: &Row<'_>) -> Result<Injection, SqlError> {
    appointment(row).map(|known| events::injection(&known))
}

pub(super) fn appointment(row: &Row<'_>) -> Result<Appointment, SqlError> {
    Ok(Appointment {
        id: InjectionId(row.int(0)?),
        booked: BookedDose {
            reservation: ReservationId(row.uuid(1)?),
            booking: BookingId(row.int(2)?),
            vaccine: VaccineId(row.int(3)?),
            user: UserId(row.int(4)?),
            slot: row.int_or_null(5)?.map(|slot| booked_slot(row, slot)).transpose()?,
        },
        status: status(row.int(8)?).ok_or(SqlError::Decode { column: 8, expected: "a status" })?,
        checked_in_at: row.time_or_null(9)?,
        completed_at: row.time_or_null(10)?,
    })
}

fn booked_slot(row: &Row<'_>, slot: i64) -> Result<BookedSlot, SqlError> {
    Ok(BookedSlot { slot_id: SlotId(slot), site_id: SiteId(row.int(6)?), starts_at: row.time(7)? })
}

pub(super) fn values(appointment: &Appointment) -> [Value<'_>; COLUMNS] {
    let Appointment { id, booked, status, checked_in_at, completed_at } = appointment;
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
