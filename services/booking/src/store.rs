//! Where bookings are kept: load and save. All SQL is here.

use std::collections::BTreeSet;

use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
};
use platform_rest::hal::List;
use platform_store::{
    Aggregate, ById, Event, Keyset, Migration, PageRange, PendingQuery, Prunable, ReadError,
    ReadPool, Row, RowChange, SqlError, Tx, Value, by_id, keyset,
};
use uuid::Uuid;

use self::tickets::read_ticket;
use crate::{
    domain::{
        AttemptEnd, Bookings, Command, Fingerprint, Record, Reply, decide, is_of_key,
        tickets::{QueuedTicket, WAITING_PER_USER_MAX},
    },
    events,
};

mod tickets;

/// The schema.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_bookings.sql",
    sqlite: include_str!("../migrations/sqlite/0001_bookings.sql"),
    postgres: include_str!("../migrations/postgres/0001_bookings.sql"),
}];

/// Numbers have no gaps and rows are never deleted, so the last number is also how many there are.
const LAST_BOOKING: &str = "
    SELECT coalesce(max(id), 0)
      FROM bookings";

const ATTEMPTS: ById =
    by_id!(SELECT "booking, reservation, aborted_at_ms" FROM "attempts" BY "reservation");

const INSERT_ATTEMPT: &str = "
    INSERT INTO attempts (reservation, booking, aborted_at_ms)
         VALUES (?1, ?2, ?3)";

const LOAD_BOOKING: &str = "
    SELECT id, reservation, vaccine, vaccine_name, user_id, status, fingerprint, booked_at_ms,
           cancelled_at_ms
      FROM bookings
     WHERE id = ?1";

const INSERT_BOOKING: &str = "
    INSERT INTO bookings
                (id, reservation, vaccine, vaccine_name, user_id, status, fingerprint, booked_at_ms,
                 cancelled_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const UPDATE_BOOKING: &str = "
    UPDATE bookings
       SET status = ?2, cancelled_at_ms = ?3
     WHERE id = ?1";

/// All bookings, by number.
const BOOKINGS: Keyset = keyset!(
    SELECT "id, reservation, vaccine, vaccine_name, user_id, status, fingerprint, booked_at_ms,
            cancelled_at_ms"
      FROM "bookings" ORDER BY "id"
);

/// The time of an aborted attempt of a key, in milliseconds since 1970. It is kept: the key goes on with the next
/// attempt, and without this one it would begin again.
const NEVER_OLD: i64 = 253_402_207_200_000; // The last whole second that a timestamp has.

/// Attempts without a key that ended without a booking.
const ABORTED: Prunable = Prunable {
    oldest: "
        SELECT reservation
          FROM attempts
         WHERE booking IS NULL
           AND aborted_at_ms < ?1
      ORDER BY aborted_at_ms
         LIMIT ?2",
    delete: "
        DELETE FROM attempts
         WHERE reservation = ?1",
};

const LAST_TICKET: &str = "
    SELECT coalesce(max(number), 0)
      FROM tickets";

const FIRST_WAITING: &str = "
    SELECT number
      FROM tickets
     WHERE outcome IS NULL
  ORDER BY number
     LIMIT 1";

const LOAD_TICKET: &str = "
    SELECT number, id, client_key, fingerprint, vaccine, user_id, queued_at_ms, attempt, reservation,
           outcome, booking
      FROM tickets
     WHERE id = ?1";

const WAITING_WITH: &str = "
    SELECT number, id, client_key, fingerprint, vaccine, user_id, queued_at_ms, attempt, reservation,
           outcome, booking
      FROM tickets
     WHERE reservation = ?1
       AND outcome IS NULL";

const WAITING_OF_USER: &str = "
    SELECT count(*)
      FROM (SELECT 1
              FROM tickets
             WHERE user_id = ?1
               AND outcome IS NULL
             LIMIT ?2) AS waiting";

const QUEUE_HEAD: &str = "
    SELECT number, id, client_key, fingerprint, vaccine, user_id, queued_at_ms, attempt, reservation,
           outcome, booking
      FROM tickets
     WHERE outcome IS NULL
  ORDER BY number
     LIMIT ?1";

impl Aggregate for Bookings {
    type Command = Command;
    type Reply = Reply;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Self, SqlError> {
        let mut named = Named::default();
        for command in commands {
            named.add(command);
        }
        let enqueue = |sql, needed: bool| needed.then(|| tx.enqueue(sql, &[])).transpose();
        let has_tickets = !named.tickets.is_empty();
        let last_booking = enqueue(LAST_BOOKING, named.new_bookings)?;
        let last_ticket = enqueue(LAST_TICKET, has_tickets)?;
        let first_waiting = enqueue(FIRST_WAITING, has_tickets)?;
        let mut bookings = Self::default();
        load_attempts(tx, &mut bookings, &named.attempts, &mut named.bookings)?;
        bookings.last_booking = number(last_booking)?.unwrap_or(0);
        bookings.last_ticket = number(last_ticket)?.unwrap_or(0);
        bookings.ended_up_to =
            number(first_waiting)?.map_or(bookings.last_ticket, |first| first - 1);
        load_bookings(tx, &mut bookings, &named.bookings)?;
        tickets::load(tx, &mut bookings, LOAD_TICKET, named.tickets.iter().map(|id| id.0))?;
        tickets::load(tx, &mut bookings, WAITING_WITH, named.resolved.iter().map(|id| id.0))?;
        load_waiting_of_user(tx, &mut bookings, &named.users)?;
        Ok(bookings)
    }

    fn decide(&mut self, command: &Command) -> Reply {
        decide(self, command)
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        save_bookings(tx, self)?;
        save_attempts(tx, self)?;
        tickets::save(tx, self)
    }

    fn event(command: &Command, reply: &Reply) -> serde_json::Result<Option<Event>> {
        events::event(command, reply)
    }

    /// Every booking. Attempts without one are aborted again where a dose is held for them.
    fn snapshot(tx: &Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        BOOKINGS.snapshot(tx, after, limit, |row| Ok(events::snapshot(&record(row)?)?))
    }

    fn prune(tx: &Tx<'_>, before_ms: i64) -> Result<usize, SqlError> {
        let aborted = ABORTED.prune(tx, before_ms, |row| row.uuid(0))?;
        let tickets = tickets::ENDED.prune(tx, before_ms, |row| row.int(0))?;
        Ok(aborted.max(tickets))
    }
}

/// What the commands of a batch name.
#[derive(Default)]
struct Named {
    attempts: BTreeSet<Uuid>,
    bookings: BTreeSet<BookingId>,
    tickets: BTreeSet<TicketId>,
    /// Citizens that request tickets.
    users: BTreeSet<UserId>,
    /// Attempts that are resolved, unless a ticket waits with them.
    resolved: BTreeSet<ReservationId>,
    /// Whether there may be new bookings.
    new_bookings: bool,
}

impl Named {
    fn add(&mut self, command: &Command) {
        match command {
            Command::Create(create) => {
                self.new_bookings = true;
                self.attempts.insert(create.attempt.reservation.0);
            }
            Command::Resolve(resolve) => self.resolve(resolve.reservation),
            Command::Abort(abort) => self.resolve(abort.reservation),
            Command::Complete(complete) => {
                self.attempts.insert(complete.reservation.0);
            }
            Command::Cancel(cancel) => {
                self.bookings.insert(cancel.booking);
            }
            Command::Enqueue(enqueue) => {
                self.tickets.insert(enqueue.ticket);
                self.users.insert(enqueue.attempt.user);
                self.attempts.insert(enqueue.attempt.reservation.0);
            }
            Command::Serve(serve) => {
                self.new_bookings = true;
                self.tickets.insert(serve.ticket);
                self.attempts.insert(serve.reservation.0);
            }
        }
    }

    fn resolve(&mut self, reservation: ReservationId) {
        self.attempts.insert(reservation.0);
        self.resolved.insert(reservation);
    }
}

/// The number that was queried, if it was.
fn number(query: Option<PendingQuery<'_>>) -> Result<Option<i64>, SqlError> {
    let number = query.map(|query| query.first(|row| row.int(0))).transpose()?;
    Ok(number.flatten())
}

fn load_attempts(
    tx: &Tx<'_>,
    bookings: &mut Bookings,
    ids: &BTreeSet<Uuid>,
    booking_ids: &mut BTreeSet<BookingId>,
) -> Result<(), SqlError> {
    let found = tx.find_ids(&ATTEMPTS, ids, |row| Ok((row.uuid(1)?, attempt_end(row)?)))?;
    for (id, end) in found {
        if let AttemptEnd::Booked(booking) = end {
            booking_ids.insert(booking);
        }
        bookings.attempts.load(ReservationId(id), end);
    }
    Ok(())
}

fn load_bookings(
    tx: &Tx<'_>,
    bookings: &mut Bookings,
    ids: &BTreeSet<BookingId>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = ids.iter().map(|id| [Value::Int(id.0)]).collect();
    for known in tx.find_each(LOAD_BOOKING, &keys, record)?.into_iter().flatten() {
        bookings.bookings.load(known.booking.booking_id, known);
    }
    Ok(())
}

fn load_waiting_of_user(
    tx: &Tx<'_>,
    bookings: &mut Bookings,
    users: &BTreeSet<UserId>,
) -> Result<(), SqlError> {
    let keys: Vec<_> =
        users.iter().map(|user| [user.0.into(), WAITING_PER_USER_MAX.into()]).collect();
    let counts = tx.find_each(WAITING_OF_USER, &keys, |row| row.int(0))?;
    let counted = users.iter().zip(counts).map(|(user, count)| (*user, count.unwrap_or(0)));
    bookings.waiting_of_user.extend(counted);
    Ok(())
}

fn attempt_end(row: &Row<'_>) -> Result<AttemptEnd<BookingId>, SqlError> {
    Ok(match row.int_or_null(0)? {
        Some(id) => AttemptEnd::Booked(BookingId(id)),
        None => AttemptEnd::Aborted(row.time(2)?),
    })
}

fn record(row: &Row<'_>) -> Result<Record, SqlError> {
    let decode = |column, expected| SqlError::Decode { column, expected };
    Ok(Record {
        reservation: ReservationId(row.uuid(1)?),
        booking: Booking {
            booking_id: BookingId(row.int(0)?),
            vaccine_id: VaccineId(row.int(2)?),
            vc_name: row.text(3)?.to_owned(),
            user_id: UserId(row.int(4)?),
            status: status(row.int(5)?).ok_or(decode(5, "a status"))?,
        },
        fingerprint: row.uuid_or_null(6)?.map(|id| Fingerprint(id.into_bytes())),
        booked_at: row.time(7)?,
        cancelled_at: row.time_or_null(8)?,
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

fn save_bookings(tx: &Tx<'_>, bookings: &Bookings) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for (id, record, change) in bookings.bookings.changes() {
        match change {
            RowChange::Inserted => inserted.push(values(record)),
            RowChange::Updated | RowChange::Deleted => {
                let status = code_of(record.booking.status);
                updated.push([id.0.into(), status.into(), record.cancelled_at.into()]);
            }
        }
    }
    tx.execute_each(INSERT_BOOKING, &inserted)?;
    tx.execute_each(UPDATE_BOOKING, &updated)
}

fn values(record: &Record) -> [Value<'_>; 9] {
    let booking = &record.booking;
    [
        booking.booking_id.0.into(),
        record.reservation.0.into(),
        booking.vaccine_id.0.into(),
        booking.vc_name.as_str().into(),
        booking.user_id.0.into(),
        code_of(booking.status).into(),
        record.fingerprint.map(|fingerprint| Uuid::from_bytes(fingerprint.0)).into(),
        record.booked_at.into(),
        record.cancelled_at.into(),
    ]
}

/// Attempts end once, so no row is ever updated.
fn save_attempts(tx: &Tx<'_>, bookings: &Bookings) -> Result<(), SqlError> {
    let row = |(reservation, end, _): (&ReservationId, &AttemptEnd<BookingId>, _)| {
        let (booking, aborted_at) = match end {
            AttemptEnd::Booked(id) => (Some(id.0), None),
            AttemptEnd::Aborted(_) if is_of_key(*reservation) => (None, Some(NEVER_OLD)),
            AttemptEnd::Aborted(at) => (None, Some(at.as_millisecond())),
        };
        [reservation.0.into(), booking.into(), aborted_at.into()]
    };
    let rows: Vec<_> = bookings.attempts.changes().map(row).collect();
    tx.execute_each(INSERT_ATTEMPT, &rows)
}

/// Reads bookings, attempts and tickets.
#[derive(Clone, Debug)]
pub struct Queries(pub ReadPool);

impl Queries {
    /// One booking.
    pub async fn booking(&self, id: BookingId) -> Result<Option<Booking>, ReadError> {
        let known = self.0.read(move |tx| tx.find(LOAD_BOOKING, &[id.0.into()], record)).await?;
        Ok(known.map(|record| record.booking))
    }

    /// A page of all bookings.
    pub async fn bookings(&self, range: PageRange) -> Result<List<Booking>, ReadError> {
        self.0.read(move |tx| bookings(tx, range)).await
    }

    /// How an attempt ended; `None` if it has not.
    pub async fn attempt(
        &self,
        id: ReservationId,
    ) -> Result<Option<AttemptEnd<Record>>, ReadError> {
        self.0
            .read(move |tx| match tx.find(ATTEMPTS.id, &[id.0.into()], attempt_end)? {
                None => Ok(None),
                Some(AttemptEnd::Aborted(at)) => Ok(Some(AttemptEnd::Aborted(at))),
                Some(AttemptEnd::Booked(booking)) => {
                    let record = tx.find(LOAD_BOOKING, &[booking.0.into()], record)?;
                    Ok(record.map(AttemptEnd::Booked))
                }
            })
            .await
    }

    /// Those of these attempts that are not aborted.
    pub async fn not_aborted(
        &self,
        attempts: Vec<ReservationId>,
    ) -> Result<Vec<ReservationId>, ReadError> {
        self.those(attempts, |end, _| !matches!(end, Some(AttemptEnd::Aborted(_)))).await
    }

    /// Those of these attempts that have not ended, and that no ticket waits with.
    pub async fn orphaned(
        &self,
        attempts: Vec<ReservationId>,
    ) -> Result<Vec<ReservationId>, ReadError> {
        self.those(attempts, |end, is_waiting| end.is_none() && !is_waiting).await
    }

    /// Those of these attempts that are of this kind, by how they ended and whether a ticket waits with them.
    async fn those(
        &self,
        attempts: Vec<ReservationId>,
        is_kind: fn(Option<AttemptEnd<BookingId>>, bool) -> bool,
    ) -> Result<Vec<ReservationId>, ReadError> {
        self.0
            .read(move |tx| {
                let keys: Vec<_> = attempts.iter().map(|id| [Value::Uuid(id.0)]).collect();
                let ended = tx.find_each(ATTEMPTS.id, &keys, attempt_end)?;
                let waiting = tx.find_each(WAITING_WITH, &keys, |_| Ok(()))?;
                let known = attempts.into_iter().zip(ended.into_iter().zip(waiting));
                let those = known.filter(|(_, (end, waiting))| is_kind(*end, waiting.is_some()));
                Ok(those.map(|(id, _)| id).collect())
            })
            .await
    }

    /// A ticket; while it waits, with its position in the queue, which is never less than the number of
    /// tickets ahead of it.
    pub async fn ticket(
        &self,
        id: TicketId,
    ) -> Result<Option<(QueuedTicket, Option<i64>)>, ReadError> {
        self.0.read(move |tx| ticket(tx, id)).await
    }

    /// The tickets that have waited longest, in the order of their arrival.
    pub async fn queue_head(&self, limit: usize) -> Result<Vec<QueuedTicket>, ReadError> {
        self.0.read(move |tx| queue_head(tx, limit)).await
    }
}

/// The read of [`Queries::bookings`].
pub fn bookings(tx: &Tx<'_>, range: PageRange) -> Result<List<Booking>, SqlError> {
    let last_booking = tx.enqueue(LAST_BOOKING, &[])?;
    let rows = BOOKINGS.page(tx, &[], range, |row| record(row).map(|record| record.booking))?;
    Ok(List { rows, total: number(Some(last_booking))?.map(i64::unsigned_abs) })
}

/// The read of [`Queries::ticket`].
pub fn ticket(tx: &Tx<'_>, id: TicketId) -> Result<Option<(QueuedTicket, Option<i64>)>, SqlError> {
    let Some(ticket) = tx.find(LOAD_TICKET, &[id.0.into()], read_ticket)? else {
        return Ok(None);
    };
    let first = match ticket.end {
        None => tx.find(FIRST_WAITING, &[], |row| row.int(0))?,
        Some(_) => None,
    };
    let position = first.map(|first| ticket.number - first + 1);
    Ok(Some((ticket, position)))
}

/// The read of [`Queries::queue_head`].
pub fn queue_head(tx: &Tx<'_>, limit: usize) -> Result<Vec<QueuedTicket>, SqlError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    tx.all(QUEUE_HEAD, &[limit.into()], read_ticket)
}
