//! Tickets as rows. Their SQL stands with all the other SQL, in `store.rs`.

use contracts::ids::{BookingId, ReservationId, TicketId, UserId, VaccineId};
use jiff::Timestamp;
use storage::{
    rows::Touched,
    sql::{Row, SqlError, Tx, Value},
};
use uuid::Uuid;

use super::{ADD_TICKET, SAVE_TICKET};
use crate::domain::{
    Fingerprint, Register,
    tickets::{End, Ended, Ticket},
};

/// Loads the tickets that these ids name in this statement.
pub(super) fn load(
    tx: &Tx<'_>,
    register: &mut Register,
    sql: &'static str,
    ids: impl Iterator<Item = Uuid>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = ids.map(|id| [Value::Uuid(id)]).collect();
    for known in tx.find_each(sql, &keys, ticket)?.into_iter().flatten() {
        if known.ended.is_none() {
            register.waited_for.insert(known.reservation);
        }
        register.tickets.loaded(known.id, known);
    }
    Ok(())
}

/// Saves the tickets that were touched.
pub(super) fn save(tx: &Tx<'_>, register: &Register) -> Result<(), SqlError> {
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for (id, ticket, touched) in register.tickets.touched() {
        let with = ticket.ended.map(|ended| ended.with);
        let booking = match with {
            Some(End::Booked(booking)) => Some(booking.0),
            Some(End::SoldOut | End::NoSuchVaccine | End::KeyReused | End::GivenUp) | None => None,
        };
        let standing: [Value<'_>; 6] = [
            id.0.into(),
            i64::from(ticket.attempt).into(),
            ticket.reservation.0.into(),
            with.map(code_of_end).into(),
            booking.into(),
            ticket.ended.map(|ended| ended.place).into(),
        ];
        let [id, attempt, reservation, outcome, booking, ended] = standing;
        match touched {
            Touched::Added => added.push([
                id,
                attempt,
                reservation,
                outcome,
                booking,
                ended,
                ticket.number.into(),
                ticket.key.as_str().into(),
                Uuid::from_bytes(ticket.asked.0).into(),
                ticket.vaccine.0.into(),
                ticket.user.0.into(),
                ticket.at.as_millisecond().into(),
            ]),
            Touched::Changed | Touched::Removed => changed.push(standing),
        }
    }
    tx.execute_each(ADD_TICKET, &added)?;
    tx.execute_each(SAVE_TICKET, &changed)
}

/// Reads a ticket, with the columns in the order of the statements.
pub(super) fn ticket(row: &Row<'_>) -> Result<Ticket, SqlError> {
    let unreadable = |column, what| SqlError::Unreadable { column, what };
    let end = match row.int_or_null(9)? {
        None => None,
        Some(1) => row.int_or_null(10)?.map(|booking| End::Booked(BookingId(booking))),
        Some(code) => Some(end(code).ok_or(unreadable(9, "the end of a ticket"))?),
    };
    let place = row.int_or_null(11)?;
    Ok(Ticket {
        id: TicketId(row.uuid(1)?),
        number: row.int(0)?,
        key: row.text(2)?.to_owned(),
        asked: Fingerprint(row.uuid(3)?.into_bytes()),
        vaccine: VaccineId(row.int(4)?),
        user: UserId(row.int(5)?),
        at: Timestamp::from_millisecond(row.int(6)?).map_err(|_| unreadable(6, "a time"))?,
        attempt: u32::try_from(row.int(7)?).map_err(|_| unreadable(7, "a number of attempts"))?,
        reservation: ReservationId(row.uuid(8)?),
        ended: end.zip(place).map(|(with, place)| Ended { place, with }),
    })
}

fn end(code: i64) -> Option<End> {
    let ends = [End::SoldOut, End::NoSuchVaccine, End::KeyReused, End::GivenUp];
    ends.into_iter().find(|end| code_of_end(*end) == code)
}

fn code_of_end(end: End) -> i64 {
    match end {
        End::Booked(_) => 1,
        End::SoldOut => 2,
        End::NoSuchVaccine => 3,
        End::KeyReused => 4,
        End::GivenUp => 5,
    }
}
