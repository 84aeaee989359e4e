//! The ledger in a SQLite file: load, decide, save, in one transaction.

use contracts::{
    ids::{HolderId, ReservationId, VaccineId},
    vaccine::{Reservation as ReservationView, ReservationState, Vaccine},
};
use jiff::Timestamp;
use rusqlite::{
    Connection, OptionalExtension, Row, Transaction, TransactionBehavior,
    types::Type::{Integer, Text},
};
use storage::{
    inbox,
    rows::Touched,
    sqlite::{Migration, Readers, Unreadable, Writable},
    writer::{Store, StoreError},
};

use crate::domain::{
    Command, Ledger, Name, Outcome, Pool, PoolId, Reservation, Said, State, Stock, decide,
};

/// The ledger's tables, step by step.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_ledger.sql",
    sql: include_str!("../../migrations/sqlite/0001_ledger.sql"),
}];

const LOAD_POOL: &str = "
    SELECT name, stock, taken
      FROM pools
     WHERE id = ?1";

const LAST_POOL: &str = "
    SELECT id
      FROM last_pool";

const SAVE_LAST_POOL: &str = "
    UPDATE last_pool
       SET id = ?1
     WHERE id < ?1";

const ADD_POOL: &str = "
    INSERT INTO pools (id, name, stock, taken)
         VALUES (?1, ?2, ?3, ?4)";

const SAVE_POOL: &str = "
    UPDATE pools
       SET name = ?2, stock = ?3, taken = ?4
     WHERE id = ?1";

const REMOVE_POOL: &str = "
    DELETE FROM pools
     WHERE id = ?1";

const LOAD_RESERVATION: &str = "
    SELECT holder, claims, state, held_at_ms
      FROM reservations
     WHERE id = ?1";

const ADD_RESERVATION: &str = "
    INSERT INTO reservations (id, holder, claims, state, held_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)";

const SAVE_RESERVATION: &str = "
    UPDATE reservations
       SET state = ?2
     WHERE id = ?1";

const VACCINE: &str = "
    SELECT id, name, stock, taken
      FROM pools
     WHERE id = ?1";

const COUNT_VACCINES: &str = "
    SELECT count(*)
      FROM pools";

const PAGE_OF_VACCINES: &str = "
    SELECT id, name, stock, taken
      FROM pools
  ORDER BY id
     LIMIT ?1 OFFSET ?2";

const UNSETTLED_OF: &str = "
    SELECT id
      FROM reservations
     WHERE state = 0 AND holder = ?1 AND held_at_ms <= ?2
  ORDER BY held_at_ms
     LIMIT ?3";

const UNSETTLED: &str = "
    SELECT id
      FROM reservations INDEXED BY unsettled
     WHERE state = 0 AND held_at_ms <= ?1
  ORDER BY held_at_ms
     LIMIT ?2";

/// How the ledger decides. Always [`decide`], except in a test that shows what happens without it.
pub type Decide = fn(&mut Ledger, &Command) -> Outcome;

/// The ledger, for its one writer.
#[derive(Debug)]
pub struct Sqlite {
    writable: Writable,
    decide: Decide,
}

impl Sqlite {
    /// A ledger in an opened file.
    pub fn new(writable: Writable) -> Self {
        Self::deciding_by(writable, decide)
    }

    /// A ledger that decides in another way: for mutants.
    pub fn deciding_by(writable: Writable, decide: Decide) -> Self {
        Self { writable, decide }
    }
}

impl Store for Sqlite {
    type Command = Command;
    type Outcome = Outcome;

    fn apply(&mut self, batch: &[Command]) -> Result<Vec<Outcome>, StoreError> {
        let tx =
            self.writable.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut ledger = load(&tx, batch)?;
        let outcomes = batch.iter().map(|command| (self.decide)(&mut ledger, command)).collect();
        save(&tx, &ledger)?;
        tx.commit()?;
        Ok(outcomes)
    }
}

/// Everything that the commands name, and everything that those rows name.
fn load(tx: &Transaction<'_>, batch: &[Command]) -> rusqlite::Result<Ledger> {
    let mut ledger = Ledger::default();
    for command in batch {
        match command {
            Command::Register { .. } => ledger.last_pool = last_pool(tx)?,
            Command::Change { pool, .. } | Command::Remove { pool } => {
                load_pool(tx, &mut ledger, *pool)?;
            }
            Command::Hold(hold) | Command::Confirm(hold) => {
                load_reservation(tx, &mut ledger, hold.reservation)?;
                load_pools(tx, &mut ledger, &hold.claims)?;
            }
            Command::Release { reservation, of, at: _ } => {
                load_reservation(tx, &mut ledger, *reservation)?;
                load_pools(tx, &mut ledger, of.as_slice())?;
            }
            Command::Hear { source, said, .. } => {
                if !ledger.heard.knows(source) {
                    ledger.heard.loaded(*source, inbox::heard(tx, source.0)?);
                }
                match said {
                    Said::Booked(hold) => {
                        load_reservation(tx, &mut ledger, hold.reservation)?;
                        load_pools(tx, &mut ledger, &hold.claims)?;
                    }
                    Said::GivenBack { reservation, .. } => {
                        load_reservation(tx, &mut ledger, *reservation)?;
                    }
                }
            }
        }
    }
    Ok(ledger)
}

fn last_pool(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.prepare_cached(LAST_POOL)?.query_row([], |row| row.get(0))
}

fn load_pools(tx: &Transaction<'_>, ledger: &mut Ledger, ids: &[PoolId]) -> rusqlite::Result<()> {
    ids.iter().try_for_each(|id| load_pool(tx, ledger, *id))
}

fn load_pool(tx: &Transaction<'_>, ledger: &mut Ledger, id: PoolId) -> rusqlite::Result<()> {
    if ledger.pools.knows(&id) {
        return Ok(());
    }
    let pool = tx.prepare_cached(LOAD_POOL)?.query_row([id.0], pool).optional()?;
    if let Some(pool) = pool {
        ledger.pools.loaded(id, pool);
    }
    Ok(())
}

fn pool(row: &Row<'_>) -> rusqlite::Result<Pool> {
    let name = row.get_ref(0)?.as_str()?;
    let stock = row.get(1)?;
    Ok(Pool {
        name: Name::parse(name).ok_or_else(|| unreadable(0, Text, "a name"))?,
        stock: Stock::parse(stock).ok_or_else(|| unreadable(1, Integer, "a stock"))?,
        taken: row.get(2)?,
    })
}

fn load_reservation(
    tx: &Transaction<'_>,
    ledger: &mut Ledger,
    id: ReservationId,
) -> rusqlite::Result<()> {
    if ledger.reservations.knows(&id) {
        return Ok(());
    }
    let known = tx.prepare_cached(LOAD_RESERVATION)?.query_row([id.0], reservation).optional()?;
    if let Some(known) = known {
        load_pools(tx, ledger, &known.claims)?;
        ledger.reservations.loaded(id, known);
    }
    Ok(())
}

fn reservation(row: &Row<'_>) -> rusqlite::Result<Reservation> {
    let holder: Option<_> = row.get(0)?;
    let claims: Vec<i64> = serde_json::from_str(row.get_ref(1)?.as_str()?)
        .map_err(|_| unreadable(1, Text, "a list of pools"))?;
    let at = row.get(3)?;
    Ok(Reservation {
        holder: holder.map(HolderId),
        claims: claims.into_iter().map(PoolId).collect(),
        state: state(row.get(2)?).ok_or_else(|| unreadable(2, Integer, "a state"))?,
        held_at: Timestamp::from_millisecond(at).map_err(|_| unreadable(3, Integer, "a time"))?,
    })
}

fn state(code: i64) -> Option<State> {
    [State::Held, State::Booked, State::Released].into_iter().find(|state| code_of(*state) == code)
}

fn code_of(state: State) -> i64 {
    match state {
        State::Held => 0,
        State::Booked => 1,
        State::Released => 2,
    }
}

fn unreadable(column: usize, r#type: rusqlite::types::Type, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, r#type, format!("not {what}").into())
}

fn save(tx: &Transaction<'_>, ledger: &Ledger) -> rusqlite::Result<()> {
    for (id, pool, touched) in ledger.pools.touched() {
        let (name, stock, taken) = (pool.name.as_str(), pool.stock.doses(), pool.taken);
        match touched {
            Touched::Added => tx.prepare_cached(ADD_POOL)?.execute((id.0, name, stock, taken))?,
            Touched::Changed => {
                tx.prepare_cached(SAVE_POOL)?.execute((id.0, name, stock, taken))?
            }
            Touched::Removed => tx.prepare_cached(REMOVE_POOL)?.execute([id.0])?,
        };
    }
    for (id, reservation, touched) in ledger.reservations.touched() {
        match touched {
            Touched::Added => add_reservation(tx, *id, reservation)?,
            Touched::Changed | Touched::Removed => {
                let state = code_of(reservation.state);
                tx.prepare_cached(SAVE_RESERVATION)?.execute((id.0, state))?;
            }
        }
    }
    if ledger.last_pool > 0 {
        tx.prepare_cached(SAVE_LAST_POOL)?.execute([ledger.last_pool])?;
    }
    for (source, sequence, _) in ledger.heard.touched() {
        inbox::remember(tx, source.0, *sequence)?;
    }
    Ok(())
}

fn add_reservation(
    tx: &Transaction<'_>,
    id: ReservationId,
    reservation: &Reservation,
) -> rusqlite::Result<()> {
    let claims: Vec<String> = reservation.claims.iter().map(|pool| pool.0.to_string()).collect();
    tx.prepare_cached(ADD_RESERVATION)?.execute((
        id.0,
        reservation.holder.map(|holder| holder.0),
        format!("[{}]", claims.join(",")),
        code_of(reservation.state),
        reservation.held_at.as_millisecond(),
    ))?;
    Ok(())
}

/// The ledger, for everybody who only looks.
#[derive(Debug)]
pub struct Reads(Readers);

impl Reads {
    /// Reads of an opened file.
    pub fn new(readers: Readers) -> Self {
        Self(readers)
    }

    /// One vaccine.
    pub async fn vaccine(&self, id: VaccineId) -> Result<Option<Vaccine>, Unreadable> {
        self.0
            .read(move |connection| {
                connection.prepare_cached(VACCINE)?.query_row([id.0], vaccine).optional()
            })
            .await
    }

    /// Some vaccines in the order of their ids, and how many there are in all.
    pub async fn vaccines(
        &self,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<Vaccine>, u64), Unreadable> {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        self.0
            .read(move |connection| {
                let count: i64 =
                    connection.prepare_cached(COUNT_VACCINES)?.query_row([], |row| row.get(0))?;
                let page = connection
                    .prepare_cached(PAGE_OF_VACCINES)?
                    .query_map((limit, offset), vaccine)?
                    .collect::<Result<_, _>>()?;
                Ok((page, count.unsigned_abs()))
            })
            .await
    }

    /// One reservation.
    pub async fn reservation(
        &self,
        id: ReservationId,
    ) -> Result<Option<ReservationView>, Unreadable> {
        let known = self
            .0
            .read(move |connection| {
                connection
                    .prepare_cached(LOAD_RESERVATION)?
                    .query_row([id.0], reservation)
                    .optional()
            })
            .await?;
        Ok(known.and_then(|known| view(id, &known)))
    }

    /// Reservations, of one holder or of all, that are held since that time or longer, oldest first.
    pub async fn unsettled(
        &self,
        holder: Option<HolderId>,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ReservationId>, Unreadable> {
        let until = until.as_millisecond();
        let id = |row: &Row<'_>| row.get(0).map(ReservationId);
        self.0
            .read(move |connection| match holder {
                Some(holder) => connection
                    .prepare_cached(UNSETTLED_OF)?
                    .query_map((holder.0, until, limit), id)?
                    .collect(),
                None => {
                    connection.prepare_cached(UNSETTLED)?.query_map((until, limit), id)?.collect()
                }
            })
            .await
    }

    /// How far a source was heard.
    pub async fn heard(&self, source: HolderId) -> Result<u64, Unreadable> {
        self.0.read(move |connection: &Connection| inbox::heard(connection, source.0)).await
    }
}

fn vaccine(row: &Row<'_>) -> rusqlite::Result<Vaccine> {
    Ok(Vaccine {
        vaccine_id: VaccineId(row.get(0)?),
        vc_name: row.get(1)?,
        stock: row.get(2)?,
        book_qty: row.get(3)?,
    })
}

fn view(id: ReservationId, known: &Reservation) -> Option<ReservationView> {
    let state = match known.state {
        State::Held => ReservationState::Held,
        State::Booked => ReservationState::Booked,
        State::Released => ReservationState::Released,
    };
    let vaccine_id = VaccineId::from(*known.claims.first()?);
    Some(ReservationView { reservation_id: id, vaccine_id, state })
}
