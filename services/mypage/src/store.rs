//! Where views are kept: load and save. All SQL is here.

use contracts::{
    booking::BookingStatus,
    ids::{BookingId, ReservationId, UserId, VaccineId},
    mypage::Mypage,
};
use platform_rest::hal::List;
use platform_store::{
    Aggregate, ById, Event, Keyset, Migration, PageRange, ReadError, ReadPool, Row, RowChange,
    SqlError, StoreError, Tx, Value, WriteConnection, by_id, keyset,
};

use crate::domain::{Command, NumberedView, Views, fold};

/// The schema.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_views.sql",
    sqlite: include_str!("../migrations/sqlite/0001_views.sql"),
    postgres: include_str!("../migrations/postgres/0001_views.sql"),
}];

const OF_RESERVATIONS: ById = by_id!(
    SELECT "number, booking, vaccine, vaccine_name, user_id, status, as_of_ms, reservation"
      FROM "views" BY "reservation"
);

/// Numbers have no gaps and views are only deleted all at once, so the last number is also how many
/// there are.
const LAST_NUMBER: &str = "
    SELECT coalesce(max(number), 0)
      FROM views";

const INSERT: &str = "
    INSERT INTO views
                (number, reservation, booking, vaccine, vaccine_name, user_id, status, as_of_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const UPDATE: &str = "
    UPDATE views
       SET vaccine_name = ?2, status = ?3, as_of_ms = ?4
     WHERE number = ?1";

const DELETE_VIEWS: &str = "
    DELETE FROM views";

const DELETE_OFFSETS: &str = "
    DELETE FROM consumer_offsets";

/// Events that still cannot be applied become dead letters again. Those that were dismissed stay, for auditors.
const DELETE_DEAD_LETTERS: &str = "
    DELETE FROM dead_letters
     WHERE dismissed_at_ms IS NULL";

/// With several booking stores a number may belong to several bookings: the first view is shown.
const OF_BOOKING: &str = "
    SELECT number, booking, vaccine, vaccine_name, user_id, status, as_of_ms
      FROM views
     WHERE booking = ?1
  ORDER BY number
     LIMIT 1";

/// All views, by number.
const ALL: Keyset = keyset!(
    SELECT "number, booking, vaccine, vaccine_name, user_id, status, as_of_ms"
      FROM "views" ORDER BY "number"
);

/// The views of a citizen, by number.
const OF_USER: Keyset = keyset!(
    SELECT "number, booking, vaccine, vaccine_name, user_id, status, as_of_ms"
      FROM "views" WHERE "user_id = ?4" ORDER BY "number"
);

impl Aggregate for Views {
    type Command = Command;
    type Reply = ();

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Self, SqlError> {
        let ids = commands.iter().map(|command| command.reservation.0).collect();
        let mut views = Self::default();
        let found =
            tx.find_ids(&OF_RESERVATIONS, &ids, |row| Ok((row.uuid(7)?, numbered(row)?)))?;
        for (id, known) in found {
            views.views.load(ReservationId(id), known);
        }
        if commands.iter().any(|command| !views.views.contains(&command.reservation)) {
            views.last_number = last_number(tx)?;
        }
        Ok(views)
    }

    fn decide(&mut self, command: &Command) {
        fold(self, command);
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        let (mut inserted, mut updated) = (Vec::new(), Vec::new());
        for (id, numbered, change) in self.views.changes() {
            match change {
                RowChange::Inserted => inserted.push(values(*id, numbered)),
                RowChange::Updated | RowChange::Deleted => updated.push(changed_values(numbered)),
            }
        }
        tx.execute_each(INSERT, &inserted)?;
        tx.execute_each(UPDATE, &updated)
    }

    /// No service consumes views.
    fn event(_: &Command, (): &()) -> serde_json::Result<Option<Event>> {
        Ok(None)
    }

    fn snapshot(_: &Tx<'_>, _: i64, _: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        Ok(Vec::new())
    }
}

/// Deletes all views, and the offsets, so that all events are consumed again.
pub fn delete_all(connection: &mut WriteConnection) -> Result<(), StoreError> {
    connection.transaction(|tx| {
        tx.execute(DELETE_VIEWS, &[])?;
        tx.execute(DELETE_OFFSETS, &[])?;
        tx.execute(DELETE_DEAD_LETTERS, &[])
    })
}

fn last_number(tx: &Tx<'_>) -> Result<i64, SqlError> {
    Ok(tx.find(LAST_NUMBER, &[], |row| row.int(0))?.unwrap_or(0))
}

fn numbered(row: &Row<'_>) -> Result<NumberedView, SqlError> {
    Ok(NumberedView { number: row.int(0)?, view: view(row)? })
}

fn view(row: &Row<'_>) -> Result<Mypage, SqlError> {
    Ok(Mypage {
        book_id: BookingId(row.int(1)?),
        vaccine_id: VaccineId(row.int(2)?),
        vc_name: row.text(3)?.to_owned(),
        user_id: UserId(row.int(4)?),
        status: status(row.int(5)?).ok_or(SqlError::Decode { column: 5, expected: "a status" })?,
        as_of: row.time(6)?,
    })
}

fn values(id: ReservationId, NumberedView { number, view }: &NumberedView) -> [Value<'_>; 8] {
    [
        (*number).into(),
        id.0.into(),
        view.book_id.0.into(),
        view.vaccine_id.0.into(),
        view.vc_name.as_str().into(),
        view.user_id.0.into(),
        code_of(view.status).into(),
        view.as_of.into(),
    ]
}

/// Only these columns ever change.
fn changed_values(NumberedView { number, view }: &NumberedView) -> [Value<'_>; 4] {
    [(*number).into(), view.vc_name.as_str().into(), code_of(view.status).into(), view.as_of.into()]
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

/// Reads views.
#[derive(Clone, Debug)]
pub struct Queries(pub ReadPool);

impl Queries {
    /// The view of a booking.
    pub async fn of_booking(&self, id: BookingId) -> Result<Option<Mypage>, ReadError> {
        self.0.read(move |tx| tx.find(OF_BOOKING, &[id.0.into()], view)).await
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
    Ok(List { rows: ALL.page(tx, &[], range, view)?, total: Some(total) })
}

/// The read of [`Queries::of_user`].
pub fn of_user(tx: &Tx<'_>, user: UserId, range: PageRange) -> Result<List<Mypage>, SqlError> {
    let rows = OF_USER.page(tx, &[user.0.into()], range, view)?;
    Ok(List { rows, total: None })
}
