//! Where views are kept: load and save, for SQLite and PostgreSQL alike. All SQL is here.

use std::{
    array::from_fn,
    collections::{BTreeMap, BTreeSet},
};

use contracts::{
    ids::{BookingId, ReservationId, UserId, VaccineId},
    mypage::{Mypage, MypageStatus},
};
use jiff::Timestamp;
use storage::{
    database::{Readers, Unreadable, Writable},
    migrate::Migration,
    outbox::Event,
    rows::Touched,
    sql::{ById, Row, SqlError, Tx, Value},
    store::Model,
    writer::StoreError,
};

use crate::domain::{Command, Listed, View, Views, fold};

/// The tables, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_views.sql",
        sqlite: include_str!("../migrations/sqlite/0001_views.sql"),
        postgres: include_str!("../migrations/postgres/0001_views.sql"),
    },
    Migration {
        name: "0002_places.sql",
        sqlite: include_str!("../migrations/sqlite/0002_places.sql"),
        postgres: include_str!("../migrations/postgres/0002_places.sql"),
    },
];

const LISTED: ById = ById {
    id: "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms, reservation, number, of_user
      FROM mypages
     WHERE reservation = ?1",
    between: "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms, reservation, number, of_user
      FROM mypages
     WHERE reservation BETWEEN ?1 AND ?2
     LIMIT ?3",
};

/// Numbers have no gaps, so the last one is how many views there are.
const LAST: &str = "
    SELECT coalesce(max(number), 0)
      FROM mypages";

/// The same among those of a citizen.
const LAST_OF_USER: &str = "
    SELECT of_user
      FROM mypages
     WHERE user_id = ?1
  ORDER BY of_user DESC
     LIMIT 1";

/// Of eight citizens in one row: asking costs PostgreSQL more than looking.
const LAST_OF_USERS: &str = "
    SELECT (SELECT max(of_user) FROM mypages WHERE user_id = ?1),
           (SELECT max(of_user) FROM mypages WHERE user_id = ?2),
           (SELECT max(of_user) FROM mypages WHERE user_id = ?3),
           (SELECT max(of_user) FROM mypages WHERE user_id = ?4),
           (SELECT max(of_user) FROM mypages WHERE user_id = ?5),
           (SELECT max(of_user) FROM mypages WHERE user_id = ?6),
           (SELECT max(of_user) FROM mypages WHERE user_id = ?7),
           (SELECT max(of_user) FROM mypages WHERE user_id = ?8)";

const ADD: &str = "
    INSERT INTO mypages
                (number, of_user, reservation, booking, vaccine, vaccine_name, user_id, status,
                 as_of_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const SAVE: &str = "
    UPDATE mypages
       SET vaccine_name = ?2, status = ?3, as_of_ms = ?4
     WHERE number = ?1";

const FORGET: &str = "
    DELETE FROM mypages";

/// The sources are heard from the beginning again.
const FORGET_SOURCES: &str = "
    DELETE FROM inbox";

/// What still cannot be heard is put aside again.
const FORGET_PARKED: &str = "
    DELETE FROM parked";

/// With several booking stores a number may belong to several bookings: the first comes first.
const OF_BOOKING: &str = "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms
      FROM mypages
     WHERE booking = ?1
  ORDER BY number
     LIMIT 1";

/// Views are never removed one by one, so a page begins at a known place.
const PAGE: &str = "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms
      FROM mypages
     WHERE number > ?1
  ORDER BY number
     LIMIT ?2";

const PAGE_OF_USER: &str = "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms
      FROM mypages
     WHERE user_id = ?3
       AND of_user > ?1
  ORDER BY of_user
     LIMIT ?2";

/// Views, as their store sees them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Book;

impl Model for Book {
    type Command = Command;
    type Outcome = ();
    type Rows = Views;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Views, SqlError> {
        let ids = commands.iter().map(|command| command.reservation.0).collect();
        let mut views = Views::default();
        for (id, known) in tx.find_ids(&LISTED, &ids, |row| Ok((row.uuid(6)?, listed(row)?)))? {
            views.listed.loaded(ReservationId(id), known);
        }
        let new = commands.iter().filter(|command| !views.listed.knows(&command.reservation));
        let users: BTreeSet<UserId> = new.map(|command| command.view.user).collect();
        if !users.is_empty() {
            views.last = last(tx)?;
            views.last_of_user = last_of_users(tx, users)?;
        }
        Ok(views)
    }

    fn decide(&self, views: &mut Views, command: &Command) {
        fold(views, command);
    }

    fn save(tx: &Tx<'_>, views: &Views) -> Result<(), SqlError> {
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for (id, listed, touched) in views.listed.touched() {
            match touched {
                Touched::Added => added.push(row(*id, listed)),
                Touched::Changed | Touched::Removed => changed.push(change(listed)),
            }
        }
        tx.execute_each(ADD, &added)?;
        tx.execute_each(SAVE, &changed)
    }

    /// Nobody needs to hear what was heard.
    fn event(_: &Command, (): &()) -> serde_json::Result<Option<Event>> {
        Ok(None)
    }
}

/// Forgets everything, so that it is heard again from the beginning.
pub fn forget(writable: &mut Writable) -> Result<(), StoreError> {
    writable.transaction(|tx| {
        tx.execute(FORGET, &[])?;
        tx.execute(FORGET_SOURCES, &[])?;
        tx.execute(FORGET_PARKED, &[])
    })
}

fn last(tx: &Tx<'_>) -> Result<i64, SqlError> {
    Ok(tx.find(LAST, &[], |row| row.int(0))?.unwrap_or(0))
}

fn last_of_users(tx: &Tx<'_>, users: BTreeSet<UserId>) -> Result<BTreeMap<UserId, i64>, SqlError> {
    let users: Vec<UserId> = users.into_iter().collect();
    let key = |some: &[UserId]| from_fn(|at| some.get(at).map(|user| user.0).into());
    let keys: Vec<[Value<'_>; 8]> = users.chunks(8).map(key).collect();
    let found = tx.find_each(LAST_OF_USERS, &keys, |row| {
        (0..8).map(|column| row.int_or_null(column)).collect::<Result<Vec<_>, _>>()
    })?;
    let last = users.into_iter().zip(found.into_iter().flatten().flatten());
    Ok(last.filter_map(|(user, last)| Some((user, last?))).collect())
}

fn listed(row: &Row<'_>) -> Result<Listed, SqlError> {
    Ok(Listed { number: row.int(7)?, of_user: row.int(8)?, view: view(row)? })
}

fn view(row: &Row<'_>) -> Result<View, SqlError> {
    let unreadable = |column, what| SqlError::Unreadable { column, what };
    Ok(View {
        booking: BookingId(row.int(0)?),
        vaccine: VaccineId(row.int(1)?),
        vaccine_name: row.text(2)?.to_owned(),
        user: UserId(row.int(3)?),
        status: status(row.int(4)?).ok_or(unreadable(4, "a status"))?,
        as_of: Timestamp::from_millisecond(row.int(5)?).map_err(|_| unreadable(5, "a time"))?,
    })
}

fn row(id: ReservationId, Listed { number, of_user, view }: &Listed) -> [Value<'_>; 9] {
    [
        (*number).into(),
        (*of_user).into(),
        id.0.into(),
        view.booking.0.into(),
        view.vaccine.0.into(),
        view.vaccine_name.as_str().into(),
        view.user.0.into(),
        code_of(view.status).into(),
        view.as_of.as_millisecond().into(),
    ]
}

/// Whose view it is, and of what, never changes.
fn change(Listed { number, view, .. }: &Listed) -> [Value<'_>; 4] {
    [
        (*number).into(),
        view.vaccine_name.as_str().into(),
        code_of(view.status).into(),
        view.as_of.as_millisecond().into(),
    ]
}

fn status(code: i64) -> Option<MypageStatus> {
    use MypageStatus::{Booked, BookingCancelled, InjectionCompleted};
    [Booked, BookingCancelled, InjectionCompleted]
        .into_iter()
        .find(|status| code_of(*status) == code)
}

fn code_of(status: MypageStatus) -> i64 {
    match status {
        MypageStatus::Booked => 0,
        MypageStatus::BookingCancelled => 1,
        MypageStatus::InjectionCompleted => 2,
    }
}

/// Views, for everybody who looks.
#[derive(Clone, Debug)]
pub struct Reads(pub Readers);

impl Reads {
    /// One booking.
    pub async fn of_booking(&self, id: BookingId) -> Result<Option<Mypage>, Unreadable> {
        self.0.read(move |tx| tx.find(OF_BOOKING, &[id.0.into()], mypage)).await
    }

    /// Some views in the order in which they were first heard of, and how many there are in all.
    pub async fn all(&self, offset: u64, limit: u32) -> Result<(Vec<Mypage>, u64), Unreadable> {
        self.0.read(move |tx| page(tx, offset, limit)).await
    }

    /// The same of one citizen.
    pub async fn of_user(
        &self,
        user: UserId,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<Mypage>, u64), Unreadable> {
        self.0.read(move |tx| page_of_user(tx, user, offset, limit)).await
    }
}

/// What [`Reads::all`] reads.
pub fn page(tx: &Tx<'_>, offset: u64, limit: u32) -> Result<(Vec<Mypage>, u64), SqlError> {
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let some = tx.all(PAGE, &[offset.into(), i64::from(limit).into()], mypage)?;
    Ok((some, last(tx)?.unsigned_abs()))
}

/// What [`Reads::of_user`] reads.
pub fn page_of_user(
    tx: &Tx<'_>,
    user: UserId,
    offset: u64,
    limit: u32,
) -> Result<(Vec<Mypage>, u64), SqlError> {
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let page = [offset.into(), i64::from(limit).into(), user.0.into()];
    let some = tx.all(PAGE_OF_USER, &page, mypage)?;
    let total = tx.find(LAST_OF_USER, &[user.0.into()], |row| row.int(0))?;
    Ok((some, total.unwrap_or(0).unsigned_abs()))
}

fn mypage(row: &Row<'_>) -> Result<Mypage, SqlError> {
    let View { booking, vaccine, vaccine_name, user, status, as_of } = view(row)?;
    Ok(Mypage {
        book_id: booking,
        vaccine_id: vaccine,
        vc_name: vaccine_name,
        user_id: user,
        status,
        as_of,
    })
}
