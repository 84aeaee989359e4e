//! Where appointments are kept: load and save. All SQL is here.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    ids::{BookingId, InjectionId},
    injection::{Cancellation, Injection, InjectionStatus},
};
use platform_rest::hal::List;
use platform_store::{
    Aggregate, ById, Event, Keyset, Migration, PageRange, PageRows, ReadError, ReadPool, RowChange,
    SqlError, Tx, Value, by_id, keyset,
};

mod day;
mod rows;

pub use self::day::{DAY_MAX, SiteDay, appointments_of_site, of_site};
use self::rows::{appointment, changed_values, values};
use crate::{
    domain::{
        Appointment, Appointments, CheckIn, Command, CompleteInjection, MarkNoShow, Reply,
        ReturnToReady, decide,
    },
    events,
};

/// The schema.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_injections.sql",
    sqlite: include_str!("../migrations/sqlite/0001_injections.sql"),
    postgres: include_str!("../migrations/postgres/0001_injections.sql"),
}];

/// Numbers have no gaps and rows are never deleted, so the last number is also how many there are.
const LAST_NUMBER: &str = "
    SELECT coalesce(max(id), 0)
      FROM injections";

const LOAD: &str = "
    SELECT id, reservation, booking, vaccine, user_id, slot, site, starts_at_ms, status,
           checked_in_at_ms, completed_at_ms, lot_number, body_site, dose_number, performer,
           occurred_at_ms, dose, moves
      FROM injections
     WHERE id = ?1";

const OF_RESERVATIONS: ById = by_id!(
    SELECT "id, reservation, booking, vaccine, user_id, slot, site, starts_at_ms, status,
            checked_in_at_ms, completed_at_ms, lot_number, body_site, dose_number, performer,
            occurred_at_ms, dose, moves"
      FROM "injections" BY "reservation"
);

const INSERT: &str = "
    INSERT INTO injections
                (id, reservation, booking, vaccine, user_id, slot, site, starts_at_ms, status,
                 checked_in_at_ms, completed_at_ms, lot_number, body_site, dose_number, performer,
                 occurred_at_ms, dose, moves)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

const UPDATE: &str = "
    UPDATE injections
       SET status = ?2, checked_in_at_ms = ?3, completed_at_ms = ?4, lot_number = ?5, body_site = ?6,
           dose_number = ?7, performer = ?8, occurred_at_ms = ?9, dose = ?10, moves = ?11, slot = ?12,
           site = ?13, starts_at_ms = ?14
     WHERE id = ?1";

/// All injections, by number.
const INJECTIONS: Keyset = keyset!(
    SELECT "id, reservation, booking, vaccine, user_id, slot, site, starts_at_ms, status,
            checked_in_at_ms, completed_at_ms, lot_number, body_site, dose_number, performer,
            occurred_at_ms, dose, moves"
      FROM "injections" ORDER BY "id"
);

/// Completed injections, by number.
const COMPLETED: Keyset = keyset!(
    SELECT "id, reservation, booking, vaccine, user_id, slot, site, starts_at_ms, status,
            checked_in_at_ms, completed_at_ms, lot_number, body_site, dose_number, performer,
            occurred_at_ms, dose, moves"
      FROM "injections" WHERE "status = 1" ORDER BY "id"
);

/// Cancelled injections, by number, from a partial index.
const CANCELLATIONS: Keyset = keyset!(
    SELECT "id, reservation, booking, vaccine, user_id, slot, site, starts_at_ms, status,
            checked_in_at_ms, completed_at_ms, lot_number, body_site, dose_number, performer,
            occurred_at_ms, dose, moves"
      FROM "injections" WHERE "status = 2" ORDER BY "id"
);

/// The injections of a booking number; with several booking stores a number may belong to several
/// bookings.
const OF_BOOKING: Keyset = keyset!(
    SELECT "id, reservation, booking, vaccine, user_id, slot, site, starts_at_ms, status,
            checked_in_at_ms, completed_at_ms, lot_number, body_site, dose_number, performer,
            occurred_at_ms, dose, moves"
      FROM "injections" WHERE "booking = ?4" ORDER BY "id"
);

impl Aggregate for Appointments {
    type Command = Command;
    type Reply = Reply;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Self, SqlError> {
        let (mut ids, mut reservations) = (BTreeSet::new(), BTreeSet::new());
        for command in commands {
            match command {
                Command::Expect(booked) | Command::CallOff(booked) => {
                    reservations.insert(booked.reservation.0);
                }
                Command::CheckIn(CheckIn { injection, at: _ })
                | Command::MarkNoShow(MarkNoShow { injection, at: _ })
                | Command::ReturnToReady(ReturnToReady { injection })
                | Command::Complete(CompleteInjection { injection, record: _, at: _ }) => {
                    ids.insert(injection.0);
                }
            }
        }
        let mut appointments = Self::default();
        if !reservations.is_empty() {
            appointments.last_number = last_number(tx)?;
        }
        let of_reservations = tx.find_ids(&OF_RESERVATIONS, &reservations, |row| {
            Ok((row.uuid(1)?, appointment(row)?))
        })?;
        let of_reservations = of_reservations.into_iter().map(|(_, known)| known);
        let ids: Vec<_> = ids.into_iter().map(|id| [Value::Int(id)]).collect();
        let of_ids = tx.find_each(LOAD, &ids, appointment)?.into_iter().flatten();
        for known in of_reservations.chain(of_ids) {
            appointments.numbers.load(known.booked.reservation, known.id);
            appointments.appointments.load(known.id, known);
        }
        Ok(appointments)
    }

    fn decide(&mut self, command: &Command) -> Reply {
        decide(self, command)
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        let (mut inserted, mut updated) = (Vec::new(), Vec::new());
        for (_, appointment, change) in self.appointments.changes() {
            match change {
                RowChange::Inserted => inserted.push(values(appointment)),
                RowChange::Updated | RowChange::Deleted => {
                    updated.push(changed_values(appointment));
                }
            }
        }
        tx.execute_each(INSERT, &inserted)?;
        tx.execute_each(UPDATE, &updated)
    }

    fn events(
        command: &Command,
        reply: &Reply,
    ) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        events::event(command, reply)
    }

    /// Every completed appointment.
    fn snapshot(tx: &Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        COMPLETED.snapshot(tx, after, limit, |row| {
            let known = appointment(row)?;
            Ok(events::completed(&known, known.completed_at.unwrap_or_default())?)
        })
    }
}

fn last_number(tx: &Tx<'_>) -> Result<i64, SqlError> {
    Ok(tx.find(LAST_NUMBER, &[], |row| row.int(0))?.unwrap_or(0))
}

/// Reads appointments.
#[derive(Clone, Debug)]
pub struct Queries(pub ReadPool);

impl Queries {
    /// One injection.
    pub async fn injection(&self, id: InjectionId) -> Result<Option<Injection>, ReadError> {
        self.0.read(move |tx| tx.find(LOAD, &[id.0.into()], rows::injection)).await
    }

    /// A page of all injections.
    pub async fn injections(&self, range: PageRange) -> Result<List<Injection>, ReadError> {
        self.0.read(move |tx| injections(tx, range)).await
    }

    /// A page of the injections of a booking.
    pub async fn of_booking(
        &self,
        booking: BookingId,
        range: PageRange,
    ) -> Result<List<Injection>, ReadError> {
        self.0.read(move |tx| of_booking(tx, booking, range)).await
    }

    /// A page of the injections of a site, by their start.
    pub async fn of_site(
        &self,
        day: SiteDay,
        range: PageRange,
    ) -> Result<List<Injection>, ReadError> {
        self.0.read(move |tx| of_site(tx, &day, range)).await
    }

    /// A page of the appointments of a site, by their start.
    pub async fn appointments_of_site(
        &self,
        day: SiteDay,
        range: PageRange,
    ) -> Result<PageRows<Appointment>, ReadError> {
        self.0.read(move |tx| appointments_of_site(tx, &day, range)).await
    }

    /// Those of these appointments that exist.
    pub async fn appointments(
        &self,
        ids: Vec<InjectionId>,
    ) -> Result<BTreeMap<InjectionId, Appointment>, ReadError> {
        self.0.read(move |tx| appointments(tx, &ids)).await
    }

    /// What commands would do, one after the other: nothing is changed.
    pub async fn dry_run(&self, commands: Vec<Command>) -> Result<Vec<Reply>, ReadError> {
        self.0.read(move |tx| Appointments::dry_run(tx, &commands)).await
    }

    /// One cancelled injection.
    pub async fn cancellation(&self, id: InjectionId) -> Result<Option<Cancellation>, ReadError> {
        let known = self.injection(id).await?;
        let known = known.filter(|known| known.status == InjectionStatus::InjectionCancelled);
        Ok(known.map(|known| cancellation(&known)))
    }

    /// A page of the cancelled injections. How many there are is not known without counting.
    pub async fn cancellations(&self, range: PageRange) -> Result<List<Cancellation>, ReadError> {
        self.0.read(move |tx| cancellations(tx, range)).await
    }
}

/// The read of [`Queries::appointments`].
pub fn appointments(
    tx: &Tx<'_>,
    ids: &[InjectionId],
) -> Result<BTreeMap<InjectionId, Appointment>, SqlError> {
    let keys: Vec<_> = ids.iter().map(|id| [Value::Int(id.0)]).collect();
    let known = tx.find_each(LOAD, &keys, appointment)?;
    Ok(known.into_iter().flatten().map(|known| (known.id, known)).collect())
}

/// The read of [`Queries::injections`].
pub fn injections(tx: &Tx<'_>, range: PageRange) -> Result<List<Injection>, SqlError> {
    let total = last_number(tx)?.unsigned_abs();
    let rows = INJECTIONS.page(tx, &[], range, rows::injection)?;
    Ok(List { rows, total: Some(total) })
}

/// The read of [`Queries::of_booking`].
pub fn of_booking(
    tx: &Tx<'_>,
    booking: BookingId,
    range: PageRange,
) -> Result<List<Injection>, SqlError> {
    let rows = OF_BOOKING.page(tx, &[booking.0.into()], range, rows::injection)?;
    Ok(List { rows, total: None })
}

/// The read of [`Queries::cancellations`].
pub fn cancellations(tx: &Tx<'_>, range: PageRange) -> Result<List<Cancellation>, SqlError> {
    let rows = CANCELLATIONS
        .page(tx, &[], range, |row| rows::injection(row).map(|known| cancellation(&known)))?;
    Ok(List { rows, total: None })
}

fn cancellation(known: &Injection) -> Cancellation {
    Cancellation {
        booking_id: known.booking_id,
        vaccine_id: known.vaccine_id,
        user_id: known.user_id,
    }
}
