//! Where appointments are kept: load and save, for SQLite and PostgreSQL alike. All SQL is here.

use std::collections::BTreeSet;

use contracts::{
    ids::{BookingId, InjectionId, ReservationId, UserId, VaccineId},
    injection::{Cancellation, Injection, InjectionStatus},
};
use storage::{
    database::{Readers, Unreadable},
    migrate::Migration,
    outbox::Event,
    rows::Touched,
    sql::{ById, Row, SqlError, Tx, Value},
    store::Model,
};

use crate::{
    domain::{Appointment, Booked, Command, Desk, Outcome, decide},
    events,
};

/// The tables, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_appointments.sql",
        sqlite: include_str!("../migrations/sqlite/0001_appointments.sql"),
        postgres: include_str!("../migrations/postgres/0001_appointments.sql"),
    },
    Migration {
        name: "0002_cancellations.sql",
        sqlite: include_str!("../migrations/sqlite/0002_cancellations.sql"),
        postgres: include_str!("../migrations/postgres/0002_cancellations.sql"),
    },
];

const LAST: &str = "
    SELECT coalesce(max(id), 0)
      FROM injections";

const LOAD: &str = "
    SELECT id, reservation, booking, vaccine, user_id, status
      FROM injections
     WHERE id = ?1";

const OF_RESERVATIONS: ById = ById {
    id: "
    SELECT id, reservation, booking, vaccine, user_id, status
      FROM injections
     WHERE reservation = ?1",
    between: "
    SELECT id, reservation, booking, vaccine, user_id, status
      FROM injections
     WHERE reservation BETWEEN ?1 AND ?2
     LIMIT ?3",
};

const ADD: &str = "
    INSERT INTO injections (id, reservation, booking, vaccine, user_id, status)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const SAVE: &str = "
    UPDATE injections
       SET status = ?2
     WHERE id = ?1";

/// Ids have no gaps and appointments are never removed, so a page begins at a known id.
const PAGE: &str = "
    SELECT id, reservation, booking, vaccine, user_id, status
      FROM injections
     WHERE id > ?1
  ORDER BY id
     LIMIT ?2";

/// Places have no gaps, so the last one is how many were cancelled.
const LAST_CANCELLED: &str = "
    SELECT coalesce(max(place), 0)
      FROM cancellations";

const ADD_CANCELLATION: &str = "
    INSERT INTO cancellations (place, injection)
         VALUES (?1, ?2)";

/// What is cancelled stays so, so a page begins at a known place.
const PAGE_OF_CANCELLED: &str = "
    SELECT id, reservation, booking, vaccine, user_id, status
      FROM cancellations
      JOIN injections ON id = injection
     WHERE place > ?1
  ORDER BY place
     LIMIT ?2";

/// With several booking stores a number may belong to several bookings.
const OF_BOOKING: &str = "
    SELECT id, reservation, booking, vaccine, user_id, status
      FROM injections
     WHERE booking = ?1
  ORDER BY id
     LIMIT 100";

/// Appointments, as their store sees them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Book;

impl Model for Book {
    type Command = Command;
    type Outcome = Outcome;
    type Rows = Desk;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Desk, SqlError> {
        let (mut ids, mut reservations) = (BTreeSet::new(), BTreeSet::new());
        for command in commands {
            match command {
                Command::Expect(booked) | Command::CallOff(booked) => {
                    reservations.insert(booked.reservation.0);
                }
                Command::Complete { injection, .. } => {
                    ids.insert(injection.0);
                }
            }
        }
        let ids: Vec<_> = ids.into_iter().map(|id| [Value::Int(id)]).collect();
        let mut desk = Desk::default();
        if !reservations.is_empty() {
            desk.last = last(tx, LAST)?;
        }
        if commands.iter().any(|command| matches!(command, Command::CallOff(_))) {
            desk.last_cancelled = last(tx, LAST_CANCELLED)?;
        }
        let of_reservations = tx.find_ids(&OF_RESERVATIONS, &reservations, |row| {
            Ok((row.uuid(1)?, appointment(row)?))
        })?;
        let of_reservations = of_reservations.into_iter().map(|(_, known)| known);
        let of_ids = tx.find_each(LOAD, &ids, appointment)?.into_iter().flatten();
        for known in of_reservations.chain(of_ids) {
            desk.numbers.loaded(known.booked.reservation, known.id);
            desk.appointments.loaded(known.id, known);
        }
        Ok(desk)
    }

    fn decide(&self, desk: &mut Desk, command: &Command) -> Outcome {
        decide(desk, command)
    }

    fn save(tx: &Tx<'_>, desk: &Desk) -> Result<(), SqlError> {
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for (id, appointment, touched) in desk.appointments.touched() {
            match touched {
                Touched::Added => added.push(row(appointment)),
                Touched::Changed | Touched::Removed => {
                    changed.push([id.0.into(), code_of(appointment.status).into()]);
                }
            }
        }
        let cancelled = desk.cancellations.touched();
        let cancelled: Vec<_> =
            cancelled.map(|(place, id, _)| [Value::Int(*place), id.0.into()]).collect();
        tx.execute_each(ADD, &added)?;
        tx.execute_each(SAVE, &changed)?;
        tx.execute_each(ADD_CANCELLATION, &cancelled)
    }

    fn event(command: &Command, outcome: &Outcome) -> serde_json::Result<Option<Event>> {
        events::of(command, outcome)
    }
}

fn last(tx: &Tx<'_>, sql: &'static str) -> Result<i64, SqlError> {
    Ok(tx.find(sql, &[], |row| row.int(0))?.unwrap_or(0))
}

fn appointment(row: &Row<'_>) -> Result<Appointment, SqlError> {
    Ok(Appointment {
        id: InjectionId(row.int(0)?),
        booked: Booked {
            reservation: ReservationId(row.uuid(1)?),
            booking: BookingId(row.int(2)?),
            vaccine: VaccineId(row.int(3)?),
            user: UserId(row.int(4)?),
        },
        status: status(row.int(5)?).ok_or(SqlError::Unreadable { column: 5, what: "a status" })?,
    })
}

fn row(appointment: &Appointment) -> [Value<'_>; 6] {
    let Appointment { id, booked, status } = appointment;
    [
        id.0.into(),
        booked.reservation.0.into(),
        booked.booking.0.into(),
        booked.vaccine.0.into(),
        booked.user.0.into(),
        code_of(*status).into(),
    ]
}

fn status(code: i64) -> Option<InjectionStatus> {
    use InjectionStatus::{InjectionCancelled, InjectionCompleted, InjectionReady};
    [InjectionReady, InjectionCompleted, InjectionCancelled]
        .into_iter()
        .find(|status| code_of(*status) == code)
}

fn code_of(status: InjectionStatus) -> i64 {
    match status {
        InjectionStatus::InjectionReady => 0,
        InjectionStatus::InjectionCompleted => 1,
        InjectionStatus::InjectionCancelled => 2,
    }
}

/// Appointments, for everybody who only looks.
#[derive(Clone, Debug)]
pub struct Reads(pub Readers);

impl Reads {
    /// One appointment.
    pub async fn injection(&self, id: InjectionId) -> Result<Option<Injection>, Unreadable> {
        self.0.read(move |tx| tx.find(LOAD, &[id.0.into()], injection)).await
    }

    /// Some appointments in the order of their ids, and how many there are in all.
    pub async fn injections(
        &self,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<Injection>, u64), Unreadable> {
        self.0.read(move |tx| page(tx, offset, limit)).await
    }

    /// The appointments of a booking.
    pub async fn of_booking(&self, booking: BookingId) -> Result<Vec<Injection>, Unreadable> {
        self.0.read(move |tx| tx.all(OF_BOOKING, &[booking.0.into()], injection)).await
    }

    /// One appointment that was cancelled.
    pub async fn cancellation(&self, id: InjectionId) -> Result<Option<Cancellation>, Unreadable> {
        let known = self.injection(id).await?;
        let known = known.filter(|known| known.status == InjectionStatus::InjectionCancelled);
        Ok(known.map(|known| cancellation(&known)))
    }

    /// Some of those that were cancelled in the order in which they were, with their ids, and how
    /// many there are in all.
    pub async fn cancellations(
        &self,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<(InjectionId, Cancellation)>, u64), Unreadable> {
        self.0.read(move |tx| page_of_cancelled(tx, offset, limit)).await
    }
}

/// What [`Reads::injections`] reads.
pub fn page(tx: &Tx<'_>, offset: u64, limit: u32) -> Result<(Vec<Injection>, u64), SqlError> {
    let some = tx.all(PAGE, &place(offset, limit), injection)?;
    Ok((some, last(tx, LAST)?.unsigned_abs()))
}

/// What [`Reads::cancellations`] reads.
pub fn page_of_cancelled(
    tx: &Tx<'_>,
    offset: u64,
    limit: u32,
) -> Result<(Vec<(InjectionId, Cancellation)>, u64), SqlError> {
    let some = tx.all(PAGE_OF_CANCELLED, &place(offset, limit), |row| {
        let known = injection(row)?;
        Ok((known.injection_id, cancellation(&known)))
    })?;
    Ok((some, last(tx, LAST_CANCELLED)?.unsigned_abs()))
}

fn place(offset: u64, limit: u32) -> [Value<'static>; 2] {
    [i64::try_from(offset).unwrap_or(i64::MAX).into(), i64::from(limit).into()]
}

fn injection(row: &Row<'_>) -> Result<Injection, SqlError> {
    appointment(row).map(|known| events::injection(&known))
}

fn cancellation(known: &Injection) -> Cancellation {
    Cancellation {
        booking_id: known.booking_id,
        vaccine_id: known.vaccine_id,
        user_id: known.user_id,
    }
}
