//! Bookings in a SQLite file: load, decide, save, in one transaction.

use contracts::{
    booking::{Booking, BookingStatus},
    event::EventType,
    ids::{BookingId, ReservationId, UserId, VaccineId},
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, TransactionBehavior, types::Type::Integer};
use storage::{
    outbox::{self, Entry},
    rows::Touched,
    sqlite::{Migration, Readers, Unreadable, Writable},
    writer::{Store, StoreError},
};

use crate::{
    domain::{Attempt, Command, Fingerprint, Outcome, Record, Register, decide},
    events,
};

/// The tables, step by step.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_bookings.sql",
    sql: include_str!("../../migrations/sqlite/0001_bookings.sql"),
}];

const LAST_BOOKING: &str = "
    SELECT coalesce(max(id), 0)
      FROM bookings";

const LOAD_ATTEMPT: &str = "
    SELECT booking
      FROM attempts
     WHERE reservation = ?1";

const ADD_ATTEMPT: &str = "
    INSERT INTO attempts (reservation, booking)
         VALUES (?1, ?2)";

const LOAD_BOOKING: &str = "
    SELECT id, reservation, vaccine, vaccine_name, user, status, asked, booked_at_ms
      FROM bookings
     WHERE id = ?1";

const ADD_BOOKING: &str = "
    INSERT INTO bookings (id, reservation, vaccine, vaccine_name, user, status, asked, booked_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const SAVE_BOOKING: &str = "
    UPDATE bookings
       SET status = ?2
     WHERE id = ?1";

/// Ids have no gaps and bookings are never removed, so a page begins at a known id.
const PAGE_OF_BOOKINGS: &str = "
    SELECT id, reservation, vaccine, vaccine_name, user, status, asked, booked_at_ms
      FROM bookings
     WHERE id > ?1
  ORDER BY id
     LIMIT ?2";

/// Bookings, for their one writer.
#[derive(Debug)]
pub struct Sqlite(Writable);

impl Sqlite {
    /// Bookings in an opened file.
    pub fn new(writable: Writable) -> Self {
        Self(writable)
    }
}

impl Store for Sqlite {
    type Command = Command;
    type Outcome = Outcome;

    fn apply(&mut self, batch: &[Command]) -> Result<Vec<Outcome>, StoreError> {
        let tx = self.0.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut register = load(&tx, batch)?;
        let outcomes: Vec<_> = batch.iter().map(|command| decide(&mut register, command)).collect();
        save(&tx, &register)?;
        for (command, outcome) in batch.iter().zip(&outcomes) {
            tell(&tx, command, outcome)?;
        }
        tx.commit()?;
        Ok(outcomes)
    }
}

/// Everything that the commands name, and everything that those rows name.
fn load(tx: &Transaction<'_>, batch: &[Command]) -> rusqlite::Result<Register> {
    let last_booking = tx.prepare_cached(LAST_BOOKING)?.query_row([], |row| row.get(0))?;
    let mut register = Register { last_booking, ..Register::default() };
    for command in batch {
        match command {
            Command::Book(book) => load_attempt(tx, &mut register, book.reservation)?,
            Command::Settle { reservation, .. } | Command::GiveUp { reservation, .. } => {
                load_attempt(tx, &mut register, *reservation)?;
            }
            Command::Cancel { booking, .. } => load_booking(tx, &mut register, *booking)?,
        }
    }
    Ok(register)
}

fn load_attempt(
    tx: &Transaction<'_>,
    register: &mut Register,
    reservation: ReservationId,
) -> rusqlite::Result<()> {
    if register.attempts.knows(&reservation) {
        return Ok(());
    }
    let known = tx.prepare_cached(LOAD_ATTEMPT)?.query_row([reservation.0], attempt).optional()?;
    if let Some(Attempt::Booked(booking)) = known {
        load_booking(tx, register, booking)?;
    }
    if let Some(known) = known {
        register.attempts.loaded(reservation, known);
    }
    Ok(())
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let booking: Option<i64> = row.get(0)?;
    Ok(booking.map_or(Attempt::Abandoned, |id| Attempt::Booked(BookingId(id))))
}

fn load_booking(
    tx: &Transaction<'_>,
    register: &mut Register,
    id: BookingId,
) -> rusqlite::Result<()> {
    if register.bookings.knows(&id) {
        return Ok(());
    }
    let known = tx.prepare_cached(LOAD_BOOKING)?.query_row([id.0], record).optional()?;
    if let Some(known) = known {
        register.bookings.loaded(id, known);
    }
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let unreadable = |column, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(column, Integer, format!("not {what}").into())
    };
    let asked: Option<[u8; 16]> = row.get(6)?;
    Ok(Record {
        reservation: ReservationId(row.get(1)?),
        booking: Booking {
            booking_id: BookingId(row.get(0)?),
            vaccine_id: VaccineId(row.get(2)?),
            vc_name: row.get(3)?,
            user_id: UserId(row.get(4)?),
            status: status(row.get(5)?).ok_or_else(|| unreadable(5, "a status"))?,
        },
        asked: asked.map(Fingerprint),
        at: Timestamp::from_millisecond(row.get(7)?).map_err(|_| unreadable(7, "a time"))?,
    })
}

fn status(code: i64) -> Option<BookingStatus> {
    [BookingStatus::Booked, BookingStatus::BookingCancelled]
        .into_iter()
        .find(|status| code_of(*status) == code)
}

fn code_of(status: BookingStatus) -> i64 {
    match status {
        BookingStatus::Booked => 0,
        BookingStatus::BookingCancelled => 1,
    }
}

fn save(tx: &Transaction<'_>, register: &Register) -> rusqlite::Result<()> {
    for (id, record, touched) in register.bookings.touched() {
        match touched {
            Touched::Added => add_booking(tx, record)?,
            Touched::Changed | Touched::Removed => {
                tx.prepare_cached(SAVE_BOOKING)?.execute((id.0, code_of(record.booking.status)))?;
            }
        }
    }
    // Attempts end once: there is never a row to change.
    for (reservation, attempt, _) in register.attempts.touched() {
        let booking = match attempt {
            Attempt::Booked(id) => Some(id.0),
            Attempt::Abandoned => None,
        };
        tx.prepare_cached(ADD_ATTEMPT)?.execute((reservation.0, booking))?;
    }
    Ok(())
}

fn add_booking(tx: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    let booking = &record.booking;
    tx.prepare_cached(ADD_BOOKING)?.execute((
        booking.booking_id.0,
        record.reservation.0,
        booking.vaccine_id.0,
        &booking.vc_name,
        booking.user_id.0,
        code_of(booking.status),
        record.asked.map(|asked| asked.0),
        record.at.as_millisecond(),
    ))?;
    Ok(())
}

fn tell(tx: &Transaction<'_>, command: &Command, outcome: &Outcome) -> Result<(), StoreError> {
    let event = events::of(outcome).map_err(|cause| StoreError::Rejected(cause.into()))?;
    let at = match command {
        Command::Book(book) => book.at,
        Command::Cancel { at, .. } | Command::Settle { at, .. } | Command::GiveUp { at, .. } => *at,
    };
    if let Some(event) = event {
        outbox::append(tx, name(event.r#type), at.as_millisecond(), &event.data)?;
    }
    Ok(())
}

fn name(r#type: EventType) -> &'static str {
    match r#type {
        EventType::Booked => "Booked",
        EventType::BookingCancelled => "BookingCancelled",
        EventType::ReservationAbandoned => "ReservationAbandoned",
    }
}

/// The type that a name in the outbox stands for.
pub fn event_type(text: &str) -> Option<EventType> {
    [EventType::Booked, EventType::BookingCancelled, EventType::ReservationAbandoned]
        .into_iter()
        .find(|r#type| name(*r#type) == text)
}

/// Bookings, for everybody who only looks.
#[derive(Debug)]
pub struct Reads(Readers);

impl Reads {
    /// Reads of an opened file.
    pub fn new(readers: Readers) -> Self {
        Self(readers)
    }

    /// One booking.
    pub async fn booking(&self, id: BookingId) -> Result<Option<Booking>, Unreadable> {
        let known = self
            .0
            .read(move |connection| {
                connection.prepare_cached(LOAD_BOOKING)?.query_row([id.0], record).optional()
            })
            .await?;
        Ok(known.map(|record| record.booking))
    }

    /// Some bookings in the order of their ids, and how many there are in all.
    pub async fn bookings(
        &self,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<Booking>, u64), Unreadable> {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        self.0
            .read(move |connection| {
                let last: i64 =
                    connection.prepare_cached(LAST_BOOKING)?.query_row([], |row| row.get(0))?;
                let page = connection
                    .prepare_cached(PAGE_OF_BOOKINGS)?
                    .query_map((offset, limit), |row| record(row).map(|record| record.booking))?
                    .collect::<Result<_, _>>()?;
                Ok((page, last.unsigned_abs()))
            })
            .await
    }

    /// What became of an attempt, if it is over.
    pub async fn attempt(&self, id: ReservationId) -> Result<Option<Ended>, Unreadable> {
        self.0
            .read(move |connection| {
                let known = connection
                    .prepare_cached(LOAD_ATTEMPT)?
                    .query_row([id.0], attempt)
                    .optional()?;
                match known {
                    None => Ok(None),
                    Some(Attempt::Abandoned) => Ok(Some(Ended::Abandoned)),
                    Some(Attempt::Booked(booking)) => connection
                        .prepare_cached(LOAD_BOOKING)?
                        .query_row([booking.0], record)
                        .map(|record| Some(Ended::Booked(record))),
                }
            })
            .await
    }

    /// The next entries of the outbox after a sequence number, in order.
    pub async fn told_after(&self, sequence: u64, limit: u32) -> Result<Vec<Entry>, Unreadable> {
        self.0.read(move |connection| outbox::after(connection, sequence, limit)).await
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this booking.
    Booked(Record),
    /// With nothing.
    Abandoned,
}
