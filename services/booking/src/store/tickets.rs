//! Tickets as rows. The statements that read them are in `store.rs`.

use contracts::ids::{BookingId, ReservationId, TicketId, UserId, VaccineId};
use platform_store::{Prunable, Row, RowChange, SqlError, Tx, Value};
use uuid::Uuid;

use crate::domain::{
    BookingAttempt, Bookings, Fingerprint,
    tickets::{QueuedTicket, TicketEnd},
};

const INSERT_TICKET: &str = "
    INSERT INTO tickets
                (id, attempt, reservation, outcome, booking,
                 number, client_key, fingerprint, vaccine, user_id, queued_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const UPDATE_TICKET: &str = "
    UPDATE tickets
       SET attempt = ?2, reservation = ?3, outcome = ?4, booking = ?5
     WHERE id = ?1";

/// The oldest tickets that have ended, but for the last one, which numbers the next.
pub(super) const ENDED: Prunable = Prunable {
    oldest: "
        SELECT number
          FROM (SELECT number, outcome, queued_at_ms
                  FROM tickets
                 WHERE number < (SELECT max(number) FROM tickets)
              ORDER BY number
                 LIMIT ?2) AS oldest
         WHERE outcome IS NOT NULL
           AND queued_at_ms < ?1",
    delete: "
        DELETE FROM tickets
         WHERE number = ?1",
};

/// Loads the tickets that these ids name in this statement.
pub(super) fn load(
    tx: &Tx<'_>,
    bookings: &mut Bookings,
    sql: &'static str,
    ids: impl Iterator<Item = Uuid>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = ids.map(|id| [Value::Uuid(id)]).collect();
    for known in tx.find_each(sql, &keys, read_ticket)?.into_iter().flatten() {
        if known.end.is_none() {
            bookings.waiting_attempts.insert(known.attempt.reservation);
        }
        bookings.tickets.load(known.id, known);
    }
    Ok(())
}

/// Saves the tickets that were changed.
pub(super) fn save(tx: &Tx<'_>, bookings: &Bookings) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for (id, ticket, change) in bookings.tickets.changes() {
        let QueuedTicket { attempt, .. } = ticket;
        let (outcome, booking) = ticket.end.map(columns).unzip();
        let mutable: [Value<'_>; 5] = [
            id.0.into(),
            i64::from(ticket.attempt_number).into(),
            attempt.reservation.0.into(),
            outcome.into(),
            booking.flatten().into(),
        ];
        let [id, attempt_number, reservation, outcome, booking] = mutable;
        match change {
            RowChange::Inserted => inserted.push([
                id,
                attempt_number,
                reservation,
                outcome,
                booking,
                ticket.number.into(),
                ticket.key.as_str().into(),
                attempt.fingerprint.map(|fingerprint| Uuid::from_bytes(fingerprint.0)).into(),
                attempt.vaccine.0.into(),
                attempt.user.0.into(),
                ticket.queued_at.into(),
            ]),
            RowChange::Updated | RowChange::Deleted => updated.push(mutable),
        }
    }
    tx.execute_each(INSERT_TICKET, &inserted)?;
    tx.execute_each(UPDATE_TICKET, &updated)
}

/// Reads a ticket, with the columns in the order of the statements.
pub(super) fn read_ticket(row: &Row<'_>) -> Result<QueuedTicket, SqlError> {
    let decode = |column, expected| SqlError::Decode { column, expected };
    let booking = row.int_or_null(10)?;
    let end = |outcome| end(outcome, booking).ok_or(decode(9, "the end of a ticket"));
    Ok(QueuedTicket {
        id: TicketId(row.uuid(1)?),
        number: row.int(0)?,
        key: row.text(2)?.to_owned(),
        attempt: BookingAttempt {
            reservation: ReservationId(row.uuid(8)?),
            vaccine: VaccineId(row.int(4)?),
            user: UserId(row.int(5)?),
            fingerprint: Some(Fingerprint(row.uuid(3)?.into_bytes())),
        },
        attempt_number: u32::try_from(row.int(7)?).map_err(|_| decode(7, "an attempt number"))?,
        queued_at: row.time(6)?,
        end: row.int_or_null(9)?.map(end).transpose()?,
    })
}

fn end(outcome: i64, booking: Option<i64>) -> Option<TicketEnd> {
    use TicketEnd::{Aborted, Booked, KeyReused, NoSuchVaccine, SoldOut};
    let booked = booking.map(|id| Booked(BookingId(id)));
    let mut ends = [SoldOut, NoSuchVaccine, KeyReused, Aborted].into_iter().chain(booked);
    ends.find(|end| columns(*end) == (outcome, booking))
}

/// The outcome and the booking.
fn columns(end: TicketEnd) -> (i64, Option<i64>) {
    match end {
        TicketEnd::Booked(booking) => (1, Some(booking.0)),
        TicketEnd::SoldOut => (2, None),
        TicketEnd::NoSuchVaccine => (3, None),
        TicketEnd::KeyReused => (4, None),
        TicketEnd::Aborted => (5, None),
    }
}
