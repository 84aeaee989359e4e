//! Where views and sites are kept: load and save. All SQL is here.

mod rows;

use std::collections::BTreeSet;

use contracts::{
    ids::{BookingId, ReservationId, SiteId, UserId},
    mypage::Mypage,
};
use platform_rest::hal::List;
use platform_store::{
    Aggregate, ById, Event, Keyset, Migration, PageRange, ReadError, ReadPool, RowChange, SqlError,
    StoreError, Tx, WriteConnection, by_id, keyset,
};
use uuid::Uuid;

use self::rows::{changed_values, known_site, mypage, placed, values, view};
use crate::domain::{Command, KnownSite, NumberedView, PlacedView, Views, fold};

/// The schema.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_views.sql",
    sqlite: include_str!("../migrations/sqlite/0001_views.sql"),
    postgres: include_str!("../migrations/postgres/0001_views.sql"),
}];

const OF_RESERVATIONS: ById = by_id!(
    SELECT "number, booking, vaccine, vaccine_name, user_id, status, as_of_ms, moves,
            slot, site, starts_at_ms, slot_as_of_ms, lot_number, dose_number, occurred_at_ms,
            reservation"
      FROM "views" BY "reservation"
);

/// Numbers have no gaps and views are only deleted all at once, so the last number is also how many
/// there are.
const LAST_NUMBER: &str = "
    SELECT coalesce(max(number), 0)
      FROM views";

const INSERT: &str = "
    INSERT INTO views
                (number, vaccine_name, status, as_of_ms, moves, slot, site, starts_at_ms, slot_as_of_ms,
                 lot_number, dose_number, occurred_at_ms, reservation, booking, vaccine, user_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

const UPDATE: &str = "
    UPDATE views
       SET vaccine_name = ?2, status = ?3, as_of_ms = ?4, moves = ?5,
           slot = ?6, site = ?7, starts_at_ms = ?8, slot_as_of_ms = ?9,
           lot_number = ?10, dose_number = ?11, occurred_at_ms = ?12
     WHERE number = ?1";

const SITE: &str = "
    SELECT id, since_ms, place
      FROM sites
     WHERE id = ?1";

const INSERT_SITE: &str = "
    INSERT INTO sites (id, since_ms, place)
         VALUES (?1, ?2, ?3)";

const UPDATE_SITE: &str = "
    UPDATE sites
       SET since_ms = ?2, place = ?3
     WHERE id = ?1";

const DELETE_VIEWS: &str = "
    DELETE FROM views";

const DELETE_SITES: &str = "
    DELETE FROM sites";

const DELETE_OFFSETS: &str = "
    DELETE FROM consumer_offsets";

/// Events that still cannot be applied become dead letters again. Those that were dismissed stay, for auditors.
const DELETE_DEAD_LETTERS: &str = "
    DELETE FROM dead_letters
     WHERE dismissed_at_ms IS NULL";

/// With several booking stores a number may belong to several bookings: the first view is shown.
const OF_BOOKING: &str = "
    SELECT number, booking, vaccine, vaccine_name, user_id, status, as_of_ms, moves,
           slot, site, starts_at_ms, slot_as_of_ms, lot_number, dose_number, occurred_at_ms,
           since_ms, place
      FROM views
 LEFT JOIN sites ON sites.id = views.site
     WHERE booking = ?1
  ORDER BY number
     LIMIT 1";

/// All views, by number.
const ALL: Keyset = keyset!(
    SELECT "number, booking, vaccine, vaccine_name, user_id, status, as_of_ms, moves,
            slot, site, starts_at_ms, slot_as_of_ms, lot_number, dose_number, occurred_at_ms,
            since_ms, place"
      FROM "views LEFT JOIN sites ON sites.id = views.site" ORDER BY "number"
);

/// The views of a citizen, by number.
const OF_USER: Keyset = keyset!(
    SELECT "number, booking, vaccine, vaccine_name, user_id, status, as_of_ms, moves,
            slot, site, starts_at_ms, slot_as_of_ms, lot_number, dose_number, occurred_at_ms,
            since_ms, place"
      FROM "views LEFT JOIN sites ON sites.id = views.site" WHERE "user_id = ?4" ORDER BY "number"
);

impl Aggregate for Views {
    type Command = Command;
    type Reply = ();

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Self, SqlError> {
        let (mut reservations, mut sites) = (BTreeSet::new(), BTreeSet::new());
        for command in commands {
            match command {
                Command::UpdateView(update) => _ = reservations.insert(update.reservation.0),
                Command::RecordSite(record) => _ = sites.insert(record.id.0),
            }
        }
        let mut views = Self::default();
        load_views(tx, &mut views, &reservations)?;
        load_sites(tx, &mut views, &sites)?;
        Ok(views)
    }

    fn decide(&mut self, command: &Command) {
        fold(self, command);
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        save_views(tx, self)?;
        save_sites(tx, self)
    }

    /// No service consumes views.
    fn events(_: &Command, (): &()) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        Ok(None)
    }

    fn snapshot(_: &Tx<'_>, _: i64, _: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        Ok(Vec::new())
    }
}

fn load_views(
    tx: &Tx<'_>,
    views: &mut Views,
    reservations: &BTreeSet<Uuid>,
) -> Result<(), SqlError> {
    let found = tx.find_ids(&OF_RESERVATIONS, reservations, |row| {
        Ok((row.uuid(15)?, NumberedView { number: row.int(0)?, view: view(row)? }))
    })?;
    let is_new = found.len() < reservations.len();
    for (id, known) in found {
        views.views.load(ReservationId(id), known);
    }
    if is_new {
        views.last_number = last_number(tx)?;
    }
    Ok(())
}

fn load_sites(tx: &Tx<'_>, views: &mut Views, sites: &BTreeSet<i64>) -> Result<(), SqlError> {
    let keys: Vec<_> = sites.iter().map(|id| [(*id).into()]).collect();
    let found =
        tx.find_each(SITE, &keys, |row| Ok((SiteId(row.int(0)?), known_site(row, [1, 2])?)))?;
    for (id, site) in found.into_iter().flatten() {
        if let Some(site) = site {
            views.sites.load(id, site);
        }
    }
    Ok(())
}

fn save_views(tx: &Tx<'_>, views: &Views) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for (id, numbered, change) in views.views.changes() {
        match change {
            RowChange::Inserted => inserted.push(values(*id, numbered)),
            RowChange::Updated | RowChange::Deleted => updated.push(changed_values(numbered)),
        }
    }
    tx.execute_each(INSERT, &inserted)?;
    tx.execute_each(UPDATE, &updated)
}

fn save_sites(tx: &Tx<'_>, views: &Views) -> Result<(), SqlError> {
    for (id, KnownSite { place, since }, change) in views.sites.changes() {
        let place = serde_json::to_string(place)?;
        let sql = match change {
            RowChange::Inserted => INSERT_SITE,
            RowChange::Updated | RowChange::Deleted => UPDATE_SITE,
        };
        tx.execute(sql, &[id.0.into(), (*since).into(), place.as_str().into()])?;
    }
    Ok(())
}

/// Deletes all views and sites, and the offsets, so that all events are consumed again.
pub fn delete_all(connection: &mut WriteConnection) -> Result<(), StoreError> {
    connection.transaction(|tx| {
        tx.execute(DELETE_VIEWS, &[])?;
        tx.execute(DELETE_SITES, &[])?;
        tx.execute(DELETE_OFFSETS, &[])?;
        tx.execute(DELETE_DEAD_LETTERS, &[])
    })
}

fn last_number(tx: &Tx<'_>) -> Result<i64, SqlError> {
    Ok(tx.find(LAST_NUMBER, &[], |row| row.int(0))?.unwrap_or(0))
}

/// Reads views.
#[derive(Clone, Debug)]
pub struct Queries(pub ReadPool);

impl Queries {
    /// The view of a booking.
    pub async fn of_booking(&self, id: BookingId) -> Result<Option<PlacedView>, ReadError> {
        self.0.read(move |tx| tx.find(OF_BOOKING, &[id.0.into()], placed)).await
    }

    /// A page of all views.
    pub async fn all(&self, range: PageRange) -> Result<List<Mypage>, ReadError> {
        self.0.read(move |tx| all(tx, range)).await
    }

    /// A page of the views of a citizen. How many there are is not known without counting.
    pub async fn of_user(&self, user: UserId, range: PageRange) -> Result<List<Mypage>, ReadError> {
        self.0.read(move |tx| of_user(tx, user, range)).await
    }
}

/// The read of [`Queries::all`].
pub fn all(tx: &Tx<'_>, range: PageRange) -> Result<List<Mypage>, SqlError> {
    let total = last_number(tx)?.unsigned_abs();
    Ok(List { rows: ALL.page(tx, &[], range, mypage)?, total: Some(total) })
}

/// The read of [`Queries::of_user`].
pub fn of_user(tx: &Tx<'_>, user: UserId, range: PageRange) -> Result<List<Mypage>, SqlError> {
    let rows = OF_USER.page(tx, &[user.0.into()], range, mypage)?;
    Ok(List { rows, total: None })
}
