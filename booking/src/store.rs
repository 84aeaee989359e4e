//! Where bookings are kept: load and save, for SQLite and PostgreSQL alike. All SQL is here.
//!
//! Writing: [`Model`], all commands of a batch in one transaction, with the events that they cause.
//! Reading: [`Reads`], the last commit.

use std::collections::BTreeSet;

use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
};
use jiff::Timestamp;
use storage::{
    database::{Readers, Unreadable},
    migrate::Migration,
    outbox::Event,
    rows::Touched,
    sql::{Asked, ById, Row, SqlError, Tx, Value},
    store::Model,
};
use uuid::Uuid;

use crate::{
    domain::{Attempt, Command, Fingerprint, Outcome, Record, Register, decide, tickets::Ticket},
    events,
};

mod tickets;

use self::tickets::ticket;

/// The tables, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_bookings.sql",
        sqlite: include_str!("../migrations/sqlite/0001_bookings.sql"),
        postgres: include_str!("../migrations/postgres/0001_bookings.sql"),
    },
    Migration {
        name: "0002_tickets.sql",
        sqlite: include_str!("../migrations/sqlite/0002_tickets.sql"),
        postgres: include_str!("../migrations/postgres/0002_tickets.sql"),
    },
];

const LAST_BOOKING: &str = "
    SELECT coalesce(max(id), 0)
      FROM bookings";

const ATTEMPTS: ById = ById {
    id: "
    SELECT booking, reservation
      FROM attempts
     WHERE reservation = ?1",
    between: "
    SELECT booking, reservation
      FROM attempts
     WHERE reservation BETWEEN ?1 AND ?2
     LIMIT ?3",
};

const ADD_ATTEMPT: &str = "
    INSERT INTO attempts (reservation, booking)
         VALUES (?1, ?2)";

const LOAD_BOOKING: &str = "
    SELECT id, reservation, vaccine, vaccine_name, user_id, status, asked, booked_at_ms
      FROM bookings
     WHERE id = ?1";

const ADD_BOOKING: &str = "
    INSERT INTO bookings
                (id, reservation, vaccine, vaccine_name, user_id, status, asked, booked_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const SAVE_BOOKING: &str = "
    UPDATE bookings
       SET status = ?2
     WHERE id = ?1";

/// Ids have no gaps and bookings are never removed, so a page begins at a known id.
const PAGE_OF_BOOKINGS: &str = "
    SELECT id, reservation, vaccine, vaccine_name, user_id, status, asked, booked_at_ms
      FROM bookings
     WHERE id > ?1
  ORDER BY id
     LIMIT ?2";

const LAST_TICKET: &str = "
    SELECT coalesce(max(number), 0)
      FROM tickets";

/// Ends have no gaps, so the last place is how many there are.
const LAST_ENDED: &str = "
    SELECT ended
      FROM tickets
     WHERE ended IS NOT NULL
  ORDER BY ended DESC
     LIMIT 1";

const FIRST_WAITING: &str = "
    SELECT number
      FROM tickets
     WHERE ended IS NULL
  ORDER BY number
     LIMIT 1";

const LOAD_TICKET: &str = "
    SELECT number, id, client_key, asked, vaccine, user_id, queued_at_ms, attempt, reservation,
           outcome, booking, ended
      FROM tickets
     WHERE id = ?1";

const LOAD_WAITING_FOR: &str = "
    SELECT number, id, client_key, asked, vaccine, user_id, queued_at_ms, attempt, reservation,
           outcome, booking, ended
      FROM tickets
     WHERE reservation = ?1
       AND ended IS NULL";

const HEAD_OF_LINE: &str = "
    SELECT number, id, client_key, asked, vaccine, user_id, queued_at_ms, attempt, reservation,
           outcome, booking, ended
      FROM tickets
     WHERE ended IS NULL
  ORDER BY number
     LIMIT ?1";

const ADD_TICKET: &str = "
    INSERT INTO tickets
                (id, attempt, reservation, outcome, booking, ended,
                 number, client_key, asked, vaccine, user_id, queued_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

const SAVE_TICKET: &str = "
    UPDATE tickets
       SET attempt = ?2, reservation = ?3, outcome = ?4, booking = ?5, ended = ?6
     WHERE id = ?1";

/// Bookings, as their store sees them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Book;

impl Model for Book {
    type Command = Command;
    type Outcome = Outcome;
    type Rows = Register;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Register, SqlError> {
        let mut named = Named::default();
        for command in commands {
            named.add(command);
        }
        let mut register = Register::default();
        let ask = |sql, wanted: bool| wanted.then(|| tx.ask(sql, &[])).transpose();
        let last_booking = ask(LAST_BOOKING, named.new_bookings)?;
        let last_ticket = ask(LAST_TICKET, !named.tickets.is_empty())?;
        let last_ended = ask(LAST_ENDED, !named.tickets.is_empty())?;
        load_attempts(tx, &mut register, &named.attempts, &mut named.bookings)?;
        register.last_booking = last(last_booking)?;
        register.last_ticket = last(last_ticket)?;
        register.last_ended = last(last_ended)?;
        load_bookings(tx, &mut register, &named.bookings)?;
        tickets::load(tx, &mut register, LOAD_TICKET, named.tickets.iter().map(|id| id.0))?;
        tickets::load(tx, &mut register, LOAD_WAITING_FOR, named.over.iter().map(|id| id.0))?;
        Ok(register)
    }

    fn decide(&self, register: &mut Register, command: &Command) -> Outcome {
        decide(register, command)
    }

    fn save(tx: &Tx<'_>, register: &Register) -> Result<(), SqlError> {
        save_bookings(tx, register)?;
        save_attempts(tx, register)?;
        tickets::save(tx, register)
    }

    fn event(command: &Command, outcome: &Outcome) -> serde_json::Result<Option<Event>> {
        events::of(command, outcome)
    }
}

/// What the commands of a batch name.
#[derive(Default)]
struct Named {
    attempts: BTreeSet<Uuid>,
    bookings: BTreeSet<BookingId>,
    tickets: BTreeSet<TicketId>,
    /// Attempts that are to be over, unless a ticket waits with them.
    over: BTreeSet<ReservationId>,
    /// Whether there may be new bookings.
    new_bookings: bool,
}

impl Named {
    fn add(&mut self, command: &Command) {
        match command {
            Command::Book(book) => {
                self.new_bookings = true;
                self.attempts.insert(book.reservation.0);
            }
            Command::Settle { reservation, .. } | Command::GiveUp { reservation, .. } => {
                self.attempts.insert(reservation.0);
                self.over.insert(*reservation);
            }
            Command::Complete { reservation } => {
                self.attempts.insert(reservation.0);
            }
            Command::Cancel { booking, .. } => {
                self.bookings.insert(*booking);
            }
            Command::Enqueue(enqueue) => {
                self.tickets.insert(enqueue.ticket);
                self.attempts.insert(enqueue.reservation.0);
            }
            Command::Serve(serve) => {
                self.new_bookings = true;
                self.tickets.insert(serve.ticket);
                self.attempts.insert(serve.reservation.0);
            }
        }
    }
}

/// The number that was asked for; 0 before the first, or if nobody asked.
fn last(asked: Option<Asked<'_>>) -> Result<i64, SqlError> {
    let number = asked.map(|asked| asked.first(|row| row.int(0))).transpose()?;
    Ok(number.flatten().unwrap_or(0))
}

fn load_attempts(
    tx: &Tx<'_>,
    register: &mut Register,
    ids: &BTreeSet<Uuid>,
    bookings: &mut BTreeSet<BookingId>,
) -> Result<(), SqlError> {
    let found = tx.find_ids(&ATTEMPTS, ids, |row| Ok((row.uuid(1)?, attempt(row)?)))?;
    for (id, known) in found {
        if let Attempt::Booked(booking) = known {
            bookings.insert(booking);
        }
        register.attempts.loaded(ReservationId(id), known);
    }
    Ok(())
}

fn load_bookings(
    tx: &Tx<'_>,
    register: &mut Register,
    ids: &BTreeSet<BookingId>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = ids.iter().map(|id| [Value::Int(id.0)]).collect();
    for known in tx.find_each(LOAD_BOOKING, &keys, record)?.into_iter().flatten() {
        register.bookings.loaded(known.booking.booking_id, known);
    }
    Ok(())
}

fn attempt(row: &Row<'_>) -> Result<Attempt, SqlError> {
    let booking = row.int_or_null(0)?;
    Ok(booking.map_or(Attempt::Abandoned, |id| Attempt::Booked(BookingId(id))))
}

fn record(row: &Row<'_>) -> Result<Record, SqlError> {
    let unreadable = |column, what| SqlError::Unreadable { column, what };
    Ok(Record {
        reservation: ReservationId(row.uuid(1)?),
        booking: Booking {
            booking_id: BookingId(row.int(0)?),
            vaccine_id: VaccineId(row.int(2)?),
            vc_name: row.text(3)?.to_owned(),
            user_id: UserId(row.int(4)?),
            status: status(row.int(5)?).ok_or(unreadable(5, "a status"))?,
        },
        asked: row.uuid_or_null(6)?.map(|asked| Fingerprint(asked.into_bytes())),
        at: Timestamp::from_millisecond(row.int(7)?).map_err(|_| unreadable(7, "a time"))?,
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

fn save_bookings(tx: &Tx<'_>, register: &Register) -> Result<(), SqlError> {
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for (id, record, touched) in register.bookings.touched() {
        match touched {
            Touched::Added => added.push(row(record)),
            Touched::Changed | Touched::Removed => {
                changed.push([id.0.into(), code_of(record.booking.status).into()]);
            }
        }
    }
    tx.execute_each(ADD_BOOKING, &added)?;
    tx.execute_each(SAVE_BOOKING, &changed)
}

fn row(record: &Record) -> [Value<'_>; 8] {
    let booking = &record.booking;
    [
        booking.booking_id.0.into(),
        record.reservation.0.into(),
        booking.vaccine_id.0.into(),
        booking.vc_name.as_str().into(),
        booking.user_id.0.into(),
        code_of(booking.status).into(),
        record.asked.map(|asked| Uuid::from_bytes(asked.0)).into(),
        record.at.as_millisecond().into(),
    ]
}

/// Attempts end once: there is never a row to change.
fn save_attempts(tx: &Tx<'_>, register: &Register) -> Result<(), SqlError> {
    let row = |(reservation, attempt, _): (&ReservationId, &Attempt, _)| {
        let booking = match attempt {
            Attempt::Booked(id) => Some(id.0),
            Attempt::Abandoned => None,
        };
        [reservation.0.into(), booking.into()]
    };
    let rows: Vec<_> = register.attempts.touched().map(row).collect();
    tx.execute_each(ADD_ATTEMPT, &rows)
}

/// Bookings, for everybody who only looks.
#[derive(Clone, Debug)]
pub struct Reads(pub Readers);

impl Reads {
    /// One booking.
    pub async fn booking(&self, id: BookingId) -> Result<Option<Booking>, Unreadable> {
        let known = self.0.read(move |tx| tx.find(LOAD_BOOKING, &[id.0.into()], record)).await?;
        Ok(known.map(|record| record.booking))
    }

    /// Some bookings in the order of their ids, and how many there are in all.
    pub async fn bookings(
        &self,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<Booking>, u64), Unreadable> {
        self.0.read(move |tx| page(tx, offset, limit)).await
    }

    /// What became of an attempt, if it is over.
    pub async fn attempt(&self, id: ReservationId) -> Result<Option<Ended>, Unreadable> {
        self.0
            .read(move |tx| match tx.find(ATTEMPTS.id, &[id.0.into()], attempt)? {
                None => Ok(None),
                Some(Attempt::Abandoned) => Ok(Some(Ended::Abandoned)),
                Some(Attempt::Booked(booking)) => {
                    Ok(tx.find(LOAD_BOOKING, &[booking.0.into()], record)?.map(Ended::Booked))
                }
            })
            .await
    }

    /// Those of these attempts that have no end yet, and that no ticket waits with.
    pub async fn unknown(
        &self,
        attempts: Vec<ReservationId>,
    ) -> Result<Vec<ReservationId>, Unreadable> {
        self.0
            .read(move |tx| {
                let keys: Vec<_> = attempts.iter().map(|id| [Value::Uuid(id.0)]).collect();
                let known = tx.find_each(ATTEMPTS.id, &keys, attempt)?;
                let awaited = tx.find_each(LOAD_WAITING_FOR, &keys, |_| Ok(()))?;
                let unknown = attempts.iter().zip(known.iter().zip(awaited));
                let unknown =
                    unknown.filter(|(_, (known, awaited))| (*known, awaited) == (&None, &None));
                Ok(unknown.map(|(id, _)| *id).collect())
            })
            .await
    }

    /// A ticket; while it waits, with its place in the line, which is never less than the tickets
    /// ahead of it.
    pub async fn ticket(&self, id: TicketId) -> Result<Option<(Ticket, Option<i64>)>, Unreadable> {
        self.0
            .read(move |tx| {
                let Some(ticket) = tx.find(LOAD_TICKET, &[id.0.into()], ticket)? else {
                    return Ok(None);
                };
                let first = match ticket.ended {
                    None => tx.find(FIRST_WAITING, &[], |row| row.int(0))?,
                    Some(_) => None,
                };
                let position = first.map(|first| ticket.number - first + 1);
                Ok(Some((ticket, position)))
            })
            .await
    }

    /// The tickets that have waited longest, in the order of their arrival.
    pub async fn head_of_line(&self, most: usize) -> Result<Vec<Ticket>, Unreadable> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.0.read(move |tx| tx.all(HEAD_OF_LINE, &[most.into()], ticket)).await
    }
}

/// What [`Reads::bookings`] reads.
pub fn page(tx: &Tx<'_>, offset: u64, limit: u32) -> Result<(Vec<Booking>, u64), SqlError> {
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let booking = |row: &Row<'_>| record(row).map(|record| record.booking);
    let last_booking = tx.ask(LAST_BOOKING, &[])?;
    let some = tx.all(PAGE_OF_BOOKINGS, &[offset.into(), i64::from(limit).into()], booking)?;
    Ok((some, last(Some(last_booking))?.unsigned_abs()))
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this booking.
    Booked(Record),
    /// With nothing.
    Abandoned,
}
