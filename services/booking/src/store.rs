//! Where bookings are kept: load and save. All SQL is here.

use std::collections::BTreeSet;

use contracts::{
    booking::Booking,
    ids::{BookingId, ReservationId, TicketId, UserId},
};
use platform_rest::hal::List;
use platform_store::{
    Aggregate, ById, Event, Keyset, Migration, PageRange, PendingQuery, Prunable, ReadError,
    ReadPool, RowChange, SqlError, Tx, Value, by_id, keyset,
};
use uuid::Uuid;

use self::{
    rows::{changed_values, fence, previous_text, record, slot_values, values},
    tickets::{LOAD_TICKET, read_ticket},
};
use crate::{
    domain::{
        Abort, Abortable, AttemptId, BookingFence, Bookings, Command, CompleteBooking,
        CreateBooking, HeldDose, MoveBooking, Record, Reply, ResolveHold, decide,
        tickets::{Answer, QueuedTicket, ServeTicket, WAITING_PER_USER_MAX, attempt_of, ticket_of},
    },
    events,
};

mod live;
mod rows;
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

const BY_ATTEMPT: ById = by_id!(
    SELECT "id, attempt, reservation, vaccine, vaccine_name, user_id, status, fingerprint,
            booked_at_ms, cancelled_at_ms, slot, site, starts_at_ms, previous, campaign, dose,
            nth, other_dose, min_days, max_days"
      FROM "bookings" BY "attempt"
);

const BY_RESERVATION: ById = by_id!(
    SELECT "id, attempt, reservation, vaccine, vaccine_name, user_id, status, fingerprint,
            booked_at_ms, cancelled_at_ms, slot, site, starts_at_ms, previous, campaign, dose,
            nth, other_dose, min_days, max_days"
      FROM "bookings" BY "reservation"
);

const LOAD_BOOKING: &str = "
    SELECT id, attempt, reservation, vaccine, vaccine_name, user_id, status, fingerprint,
           booked_at_ms, cancelled_at_ms, slot, site, starts_at_ms, previous, campaign, dose, nth,
           other_dose, min_days, max_days
      FROM bookings
     WHERE id = ?1";

const INSERT_BOOKING: &str = "
    INSERT INTO bookings
                (id, attempt, reservation, vaccine, vaccine_name, user_id, status, fingerprint,
                 booked_at_ms, cancelled_at_ms, slot, site, starts_at_ms, previous, campaign, dose,
                 nth, other_dose, min_days, max_days)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
                 ?20)";

const UPDATE_BOOKING: &str = "
    UPDATE bookings
       SET status = ?2, cancelled_at_ms = ?3, reservation = ?4, slot = ?5, site = ?6,
           starts_at_ms = ?7, previous = ?8, campaign = ?9, dose = ?10, nth = ?11,
           min_days = ?12, max_days = ?13
     WHERE id = ?1";

/// All bookings, by number.
const BOOKINGS: Keyset = keyset!(
    SELECT "id, attempt, reservation, vaccine, vaccine_name, user_id, status, fingerprint,
            booked_at_ms, cancelled_at_ms, slot, site, starts_at_ms, previous, campaign, dose,
            nth, other_dose, min_days, max_days"
      FROM "bookings" ORDER BY "id"
);

const ABORTED: ById =
    by_id!(SELECT "id, at_ms, booking, slot, site, starts_at_ms" FROM "aborted" BY "id");

const INSERT_ABORTED: &str = "
    INSERT INTO aborted (id, at_ms, booking, slot, site, starts_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// What was aborted so long ago that nothing of it can still be under way. Former doses lead to their bookings for as
/// long as those exist.
const OLD_ABORTED: Prunable = Prunable {
    oldest: "
        SELECT id
          FROM aborted
         WHERE at_ms < ?1
           AND booking IS NULL
      ORDER BY at_ms
         LIMIT ?2",
    delete: "
        DELETE FROM aborted
         WHERE id = ?1",
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

const WAITING_OF_USER: &str = "
    SELECT count(*)
      FROM (SELECT 1
              FROM tickets
             WHERE user_id = ?1
               AND outcome IS NULL
             LIMIT ?2) AS waiting";

const QUEUE_HEAD: &str = "
    SELECT number, id, fingerprint, vaccine, user_id, queued_at_ms, outcome, booking, slot, next_slot
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
        let last_booking = enqueue(LAST_BOOKING, named.new_bookings)?;
        let last_ticket = enqueue(LAST_TICKET, named.queue)?;
        let first_waiting = enqueue(FIRST_WAITING, named.queue)?;
        let mut bookings = Self::default();
        let of_attempts =
            tx.find_ids(&BY_ATTEMPT, &named.attempts, |row| Ok((row.uuid(1)?, record(row)?)))?;
        let of_doses =
            tx.find_ids(&BY_RESERVATION, &named.doses, |row| Ok((row.uuid(2)?, record(row)?)))?;
        of_attempts.into_iter().chain(of_doses).for_each(|(_, known)| bookings.load(known));
        let fences: BTreeSet<_> = named.attempts.union(&named.doses).copied().collect();
        for (id, known) in tx.find_ids(&ABORTED, &fences, |row| Ok((row.uuid(0)?, fence(row)?)))? {
            named.bookings.extend(known.former.map(|former| former.booking));
            bookings.aborted.load(id, known);
        }
        bookings.last_booking = number(last_booking)?.unwrap_or(0);
        bookings.last_ticket = number(last_ticket)?.unwrap_or(0);
        bookings.ended_up_to =
            number(first_waiting)?.map_or(bookings.last_ticket, |first| first - 1);
        load_bookings(tx, &mut bookings, &named.bookings)?;
        let others = other_doses(&bookings);
        load_bookings(tx, &mut bookings, &others)?;
        tickets::load(tx, &mut bookings, &named.tickets)?;
        load_waiting_of_user(tx, &mut bookings, &named.users)?;
        live::load(tx, &mut bookings, commands)?;
        Ok(bookings)
    }

    fn decide(&mut self, command: &Command) -> Reply {
        decide(self, command)
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        save_bookings(tx, self)?;
        live::save(tx, self)?;
        save_aborted(tx, self)?;
        tickets::save(tx, self)
    }

    fn events(
        command: &Command,
        reply: &Reply,
    ) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        events::events(command, reply)
    }

    /// Every booking. Holds without one are aborted again.
    fn snapshot(tx: &Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        BOOKINGS.snapshot(tx, after, limit, |row| Ok(events::snapshot(&record(row)?)?))
    }

    fn prune(tx: &Tx<'_>, before_ms: i64) -> Result<usize, SqlError> {
        let aborted = OLD_ABORTED.prune(tx, before_ms, |row| row.uuid(0))?;
        let tickets = tickets::ENDED.prune(tx, before_ms, |row| row.int(0))?;
        Ok(aborted.max(tickets))
    }
}

/// What the commands of a batch name.
#[derive(Default)]
struct Named {
    attempts: BTreeSet<Uuid>,
    doses: BTreeSet<Uuid>,
    bookings: BTreeSet<BookingId>,
    tickets: BTreeSet<TicketId>,
    /// Citizens that request tickets.
    users: BTreeSet<UserId>,
    /// Whether there may be new bookings.
    new_bookings: bool,
    /// Whether the queue may change.
    queue: bool,
}

impl Named {
    fn add(&mut self, command: &Command) {
        match command {
            Command::Create(CreateBooking { attempt, dose, at: _ }) => {
                self.new_bookings = true;
                self.attempts.extend(attempt.id.map(|id| id.0));
                // Only the attempt of a key may have a ticket.
                let key = attempt.fingerprint.and(attempt.id);
                self.tickets.extend(key.map(ticket_of));
                self.add_dose(dose);
            }
            Command::Resolve(ResolveHold { reservation, at: _ })
            | Command::Complete(CompleteBooking { reservation, at: _ }) => {
                self.doses.insert(reservation.0);
            }
            Command::Abort(Abort { what: Abortable::Dose(ReservationId(id)), at: _ }) => {
                self.doses.insert(*id);
            }
            Command::Abort(Abort { what: Abortable::Attempt(AttemptId(id)), at: _ }) => {
                self.attempts.insert(*id);
            }
            Command::Cancel(cancel) => {
                self.bookings.insert(cancel.booking);
            }
            Command::Move(MoveBooking { booking, dose, from: _, at: _ }) => {
                self.bookings.insert(*booking);
                self.add_dose(dose);
            }
            Command::Enqueue(enqueue) => {
                self.queue = true;
                self.tickets.insert(enqueue.ticket);
                self.users.insert(enqueue.user);
                self.attempts.insert(attempt_of(enqueue.ticket).0);
            }
            Command::Serve(ServeTicket { ticket, answer, at: _ }) => {
                self.new_bookings = true;
                self.queue = true;
                self.tickets.insert(*ticket);
                self.attempts.insert(attempt_of(*ticket).0);
                if let Answer::Held(dose) = answer {
                    self.add_dose(dose);
                }
            }
        }
    }

    fn add_dose(&mut self, dose: &HeldDose) {
        self.doses.insert(dose.reservation.0);
        self.doses.extend(dose.next.as_ref().map(|next| next.reservation.0));
    }
}

/// The number that was queried, if it was.
fn number(query: Option<PendingQuery<'_>>) -> Result<Option<i64>, SqlError> {
    let number = query.map(|query| query.first(|row| row.int(0))).transpose()?;
    Ok(number.flatten())
}

/// The bookings of the other doses of series, where they are not loaded.
fn other_doses(bookings: &Bookings) -> BTreeSet<BookingId> {
    let series = bookings.bookings.iter().filter_map(|(_, known)| known.booking.series);
    let others = series.map(|series| series.other_dose_booking_id);
    others.filter(|id| !bookings.bookings.contains(id)).collect()
}

fn load_bookings(
    tx: &Tx<'_>,
    bookings: &mut Bookings,
    ids: &BTreeSet<BookingId>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = ids.iter().map(|id| [Value::Int(id.0)]).collect();
    for known in tx.find_each(LOAD_BOOKING, &keys, record)?.into_iter().flatten() {
        bookings.load(known);
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

fn save_bookings(tx: &Tx<'_>, bookings: &Bookings) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for (id, record, change) in bookings.bookings.changes() {
        match change {
            RowChange::Inserted => inserted.push((record, previous_text(record))),
            RowChange::Updated | RowChange::Deleted => {
                updated.push((id, record, previous_text(record)));
            }
        }
    }
    let inserted: Vec<_> = inserted.iter().map(|(it, previous)| values(it, previous)).collect();
    let updated: Vec<_> =
        updated.iter().map(|(id, it, previous)| changed_values(**id, it, previous)).collect();
    tx.execute_each(INSERT_BOOKING, &inserted)?;
    tx.execute_each(UPDATE_BOOKING, &updated)
}

/// What can never become a booking stays so, and no row is ever updated.
fn save_aborted(tx: &Tx<'_>, bookings: &Bookings) -> Result<(), SqlError> {
    let rows = bookings.aborted.changes().map(|(id, BookingFence { at, former }, _)| {
        let [slot, site, starts_at] = slot_values(former.and_then(|former| former.slot));
        let booking = former.map(|former| former.booking.0);
        [(*id).into(), (*at).into(), booking.into(), slot, site, starts_at]
    });
    tx.execute_each(INSERT_ABORTED, &rows.collect::<Vec<_>>())
}

/// A ticket, if there is one; while it waits, with its position in the queue.
pub type PlacedTicket = Option<(QueuedTicket, Option<i64>)>;

/// Reads bookings, what was aborted, and tickets.
#[derive(Clone, Debug)]
pub struct Queries(pub ReadPool);

impl Queries {
    /// One booking.
    pub async fn booking(&self, id: BookingId) -> Result<Option<Booking>, ReadError> {
        Ok(self.record(id).await?.map(|record| record.booking))
    }

    /// One booking as it is stored.
    pub async fn record(&self, id: BookingId) -> Result<Option<Record>, ReadError> {
        self.0.read(move |tx| tx.find(LOAD_BOOKING, &[id.0.into()], record)).await
    }

    /// A page of all bookings.
    pub async fn bookings(&self, range: PageRange) -> Result<List<Booking>, ReadError> {
        self.0.read(move |tx| bookings(tx, range)).await
    }

    /// The booking of an attempt.
    pub async fn booking_of(&self, id: AttemptId) -> Result<Option<Record>, ReadError> {
        self.0.read(move |tx| tx.find(BY_ATTEMPT.id, &[id.0.into()], record)).await
    }

    /// The ticket and the booking of the attempt of a key, both of one moment.
    pub async fn of_key(&self, id: AttemptId) -> Result<(PlacedTicket, Option<Record>), ReadError> {
        let read = self.0.read(move |tx| {
            Ok((ticket(tx, ticket_of(id))?, tx.find(BY_ATTEMPT.id, &[id.0.into()], record)?))
        });
        read.await
    }

    /// Whether it was aborted.
    pub async fn is_aborted(&self, what: Abortable) -> Result<bool, ReadError> {
        let found =
            self.0.read(move |tx| tx.find(ABORTED.id, &[what.id().into()], |_| Ok(()))).await?;
        Ok(found.is_some())
    }

    /// Those of these doses that are not aborted.
    pub async fn not_aborted(
        &self,
        doses: Vec<ReservationId>,
    ) -> Result<Vec<ReservationId>, ReadError> {
        self.those(doses, |_, is_aborted| !is_aborted).await
    }

    /// Those of these doses that have no booking.
    pub async fn unbooked(
        &self,
        doses: Vec<ReservationId>,
    ) -> Result<Vec<ReservationId>, ReadError> {
        self.those(doses, |is_booked, _| !is_booked).await
    }

    /// Those of these doses that have no booking and are not aborted.
    pub async fn orphaned(
        &self,
        doses: Vec<ReservationId>,
    ) -> Result<Vec<ReservationId>, ReadError> {
        self.those(doses, |is_booked, is_aborted| !is_booked && !is_aborted).await
    }

    /// Those of these doses that are of this kind, by whether they are booked and whether they are aborted.
    async fn those(
        &self,
        doses: Vec<ReservationId>,
        is_kind: fn(bool, bool) -> bool,
    ) -> Result<Vec<ReservationId>, ReadError> {
        self.0
            .read(move |tx| {
                let ids: BTreeSet<_> = doses.iter().map(|id| id.0).collect();
                let found = |by, column| {
                    let found = tx.find_ids(by, &ids, |row| Ok((row.uuid(column)?, ())))?;
                    Ok::<BTreeSet<Uuid>, SqlError>(found.into_iter().map(|(id, ())| id).collect())
                };
                let (booked, aborted) = (found(&BY_RESERVATION, 2)?, found(&ABORTED, 0)?);
                let is_one =
                    |ReservationId(id): &_| is_kind(booked.contains(id), aborted.contains(id));
                Ok(doses.into_iter().filter(is_one).collect())
            })
            .await
    }

    /// A ticket; while it waits, with its position in the queue, which is never less than the number of
    /// tickets ahead of it.
    pub async fn ticket(&self, id: TicketId) -> Result<PlacedTicket, ReadError> {
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
pub fn ticket(tx: &Tx<'_>, id: TicketId) -> Result<PlacedTicket, SqlError> {
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
