//! Tickets as rows.

use std::collections::BTreeSet;

use contracts::ids::{BookingId, SlotId, TicketId, UserId, VaccineId};
use platform_store::{Prunable, Row, RowChange, SqlError, Tx, Value};
use uuid::Uuid;

use crate::domain::{
    Bookings, Choice, Fingerprint, NotGranted,
    tickets::{QueuedTicket, TicketEnd},
};

pub(super) const LOAD_TICKET: &str = "
    SELECT number, id, fingerprint, vaccine, user_id, queued_at_ms, outcome, booking, slot, next_slot
      FROM tickets
     WHERE id = ?1";

const INSERT_TICKET: &str = "
    INSERT INTO tickets
                (id, outcome, booking, number, fingerprint, vaccine, slot, next_slot, user_id,
                 queued_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const UPDATE_TICKET: &str = "
    UPDATE tickets
       SET outcome = ?2, booking = ?3
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

/// Loads the tickets with these ids.
pub(super) fn load(
    tx: &Tx<'_>,
    bookings: &mut Bookings,
    ids: &BTreeSet<TicketId>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = ids.iter().map(|id| [Value::Uuid(id.0)]).collect();
    for known in tx.find_each(LOAD_TICKET, &keys, read_ticket)?.into_iter().flatten() {
        bookings.tickets.load(known.id, known);
    }
    Ok(())
}

/// Saves the tickets that were changed.
pub(super) fn save(tx: &Tx<'_>, bookings: &Bookings) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for (id, ticket, change) in bookings.tickets.changes() {
        let (outcome, booking) = ticket.end.map(columns).unzip();
        let mutable: [Value<'_>; 3] = [id.0.into(), outcome.into(), booking.flatten().into()];
        let [id, outcome, booking] = mutable;
        match change {
            RowChange::Inserted => inserted.push([
                id,
                outcome,
                booking,
                ticket.number.into(),
                Uuid::from_bytes(ticket.fingerprint.0).into(),
                ticket.choice.vaccine.0.into(),
                ticket.choice.slot.map(|slot| slot.0).into(),
                ticket.choice.next.map(|slot| slot.0).into(),
                ticket.user.0.into(),
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
    let booking = row.int_or_null(7)?;
    let invalid = SqlError::Decode { column: 6, expected: "the end of a ticket" };
    let end = |outcome| end(outcome, booking).ok_or(invalid);
    Ok(QueuedTicket {
        id: TicketId(row.uuid(1)?),
        number: row.int(0)?,
        choice: Choice {
            vaccine: VaccineId(row.int(3)?),
            slot: row.int_or_null(8)?.map(SlotId),
            next: row.int_or_null(9)?.map(SlotId),
        },
        user: UserId(row.int(4)?),
        fingerprint: Fingerprint(row.uuid(2)?.into_bytes()),
        queued_at: row.time(5)?,
        end: row.int_or_null(6)?.map(end).transpose()?,
    })
}

fn end(outcome: i64, booking: Option<i64>) -> Option<TicketEnd> {
    use NotGranted::{
        AlreadyBooked, NextSlotFull, NoSuchSlot, NoSuchVaccine, NotOpen, OutsideInterval,
        SingleDose, SlotFull, SoldOut,
    };
    let booked = booking.map(|id| TicketEnd::Booked(BookingId(id)));
    let of_series = [NextSlotFull, OutsideInterval, SingleDose];
    let not_granted = [SoldOut, NoSuchVaccine, SlotFull, NoSuchSlot, NotOpen, AlreadyBooked];
    let not_granted = not_granted.into_iter().chain(of_series);
    let ends = not_granted.map(TicketEnd::NotGranted).chain(booked);
    let mut ends = ends.chain([TicketEnd::KeyReused]);
    ends.find(|end| columns(*end) == (outcome, booking))
}

/// The outcome and the booking.
fn columns(end: TicketEnd) -> (i64, Option<i64>) {
    match end {
        TicketEnd::Booked(booking) => (1, Some(booking.0)),
        TicketEnd::NotGranted(NotGranted::SoldOut) => (2, None),
        TicketEnd::NotGranted(NotGranted::NoSuchVaccine) => (3, None),
        TicketEnd::KeyReused => (4, None),
        TicketEnd::NotGranted(NotGranted::SlotFull) => (5, None),
        TicketEnd::NotGranted(NotGranted::NoSuchSlot) => (6, None),
        TicketEnd::NotGranted(NotGranted::NotOpen) => (7, None),
        TicketEnd::NotGranted(NotGranted::AlreadyBooked) => (8, None),
        TicketEnd::NotGranted(NotGranted::NextSlotFull) => (9, None),
        TicketEnd::NotGranted(NotGranted::OutsideInterval) => (10, None),
        TicketEnd::NotGranted(NotGranted::SingleDose) => (11, None),
    }
}
