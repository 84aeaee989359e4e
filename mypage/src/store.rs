//! Where views are kept: load and save, for SQLite and PostgreSQL alike. All SQL is here.

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

use crate::domain::{Command, View, Views, fold};

/// The tables, step by step.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_views.sql",
    sqlite: include_str!("../migrations/sqlite/0001_views.sql"),
    postgres: include_str!("../migrations/postgres/0001_views.sql"),
}];

const VIEWS: ById = ById {
    id: "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms, reservation
      FROM views
     WHERE reservation = ?1",
    between: "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms, reservation
      FROM views
     WHERE reservation BETWEEN ?1 AND ?2
     LIMIT ?3",
};

const ADD: &str = "
    INSERT INTO views (reservation, booking, vaccine, vaccine_name, user_id, status, as_of_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const SAVE: &str = "
    UPDATE views
       SET booking = ?2, vaccine = ?3, vaccine_name = ?4, user_id = ?5, status = ?6, as_of_ms = ?7
     WHERE reservation = ?1";

const FORGET: &str = "
    DELETE FROM views";

/// The sources are heard from the beginning again.
const FORGET_SOURCES: &str = "
    DELETE FROM inbox";

/// What still cannot be heard is put aside again.
const FORGET_PARKED: &str = "
    DELETE FROM parked";

/// With several booking stores a number may belong to several bookings: the first comes first.
const OF_BOOKING: &str = "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms
      FROM views
     WHERE booking = ?1
  ORDER BY reservation
     LIMIT 1";

const PAGE: &str = "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms
      FROM views
  ORDER BY booking, reservation
     LIMIT ?2 OFFSET ?1";

const COUNT: &str = "
    SELECT count(*)
      FROM views";

const PAGE_OF_USER: &str = "
    SELECT booking, vaccine, vaccine_name, user_id, status, as_of_ms
      FROM views
     WHERE user_id = ?3
  ORDER BY booking, reservation
     LIMIT ?2 OFFSET ?1";

const COUNT_OF_USER: &str = "
    SELECT count(*)
      FROM views
     WHERE user_id = ?1";

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
        for (id, known) in tx.find_ids(&VIEWS, &ids, |row| Ok((row.uuid(6)?, view(row)?)))? {
            views.loaded(ReservationId(id), known);
        }
        Ok(views)
    }

    fn decide(&self, views: &mut Views, command: &Command) {
        fold(views, command);
    }

    fn save(tx: &Tx<'_>, views: &Views) -> Result<(), SqlError> {
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for (id, view, touched) in views.touched() {
            match touched {
                Touched::Added => added.push(row(*id, view)),
                Touched::Changed | Touched::Removed => changed.push(row(*id, view)),
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

fn row(id: ReservationId, view: &View) -> [Value<'_>; 7] {
    [
        id.0.into(),
        view.booking.0.into(),
        view.vaccine.0.into(),
        view.vaccine_name.as_str().into(),
        view.user.0.into(),
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

    /// Some views in the order of their bookings, and how many there are in all.
    pub async fn all(&self, offset: u64, limit: u32) -> Result<(Vec<Mypage>, u64), Unreadable> {
        let (offset, limit) = (i64::try_from(offset).unwrap_or(i64::MAX), i64::from(limit));
        self.0
            .read(move |tx| {
                let some = tx.all(PAGE, &[offset.into(), limit.into()], mypage)?;
                Ok((some, tx.find(COUNT, &[], |row| row.int(0))?.unwrap_or(0).unsigned_abs()))
            })
            .await
    }

    /// The same of one citizen.
    pub async fn of_user(
        &self,
        user: UserId,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<Mypage>, u64), Unreadable> {
        let (offset, limit) = (i64::try_from(offset).unwrap_or(i64::MAX), i64::from(limit));
        self.0
            .read(move |tx| {
                let page = [offset.into(), limit.into(), user.0.into()];
                let some = tx.all(PAGE_OF_USER, &page, mypage)?;
                let total = tx.find(COUNT_OF_USER, &[user.0.into()], |row| row.int(0))?;
                Ok((some, total.unwrap_or(0).unsigned_abs()))
            })
            .await
    }
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
