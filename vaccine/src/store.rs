//! Where the ledger is kept: load and save, for SQLite and PostgreSQL alike. All SQL is here.
//!
//! Writing: [`Model`], all commands of a batch in one transaction.
//! Reading: [`Reads`], the last commit.

use std::collections::BTreeSet;

use contracts::{
    ids::{HolderId, ReservationId, VaccineId},
    vaccine::{Reservation as ReservationView, ReservationState, Vaccine},
};
use jiff::Timestamp;
use storage::{
    database::{Readers, Unreadable},
    migrate::Migration,
    outbox::Event,
    rows::Touched,
    sql::{Asked, ById, Row, SqlError, Tx},
    store::Model,
};
use uuid::Uuid;

use crate::{
    domain::{
        Command, Hold, Ledger, Name, Outcome, Pool, PoolId, Reservation, State, Stock, decide,
    },
    events,
};

/// The ledger's tables, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_ledger.sql",
        sqlite: include_str!("../migrations/sqlite/0001_ledger.sql"),
        postgres: include_str!("../migrations/postgres/0001_ledger.sql"),
    },
    Migration {
        name: "0002_places.sql",
        sqlite: include_str!("../migrations/sqlite/0002_places.sql"),
        postgres: include_str!("../migrations/postgres/0002_places.sql"),
    },
];

const LOAD_POOL: &str = "
    SELECT id, name, stock, taken
      FROM pools
     WHERE id = ?1";

const LAST_POOL: &str = "
    SELECT id
      FROM last_pool";

const SAVE_LAST_POOL: &str = "
    UPDATE last_pool
       SET id = ?1
     WHERE id < ?1";

/// Ids only grow, so the last place is the right one.
const ADD_POOL: &str = "
    INSERT INTO pools (id, name, stock, taken, place)
         VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(place), 0) + 1 FROM pools))";

const SAVE_POOL: &str = "
    UPDATE pools
       SET name = ?2, stock = ?3, taken = ?4
     WHERE id = ?1";

const REMOVE_POOL: &str = "
    DELETE FROM pools
     WHERE id = ?1";

/// Whoever comes behind a removed pool moves up. Pools are removed by hand and rarely, and looked at
/// by everybody: so the removal pays.
const MOVE_UP: &str = "
    UPDATE pools
       SET place = in_order.place
      FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM pools) AS in_order
     WHERE pools.id = in_order.id
       AND pools.place <> in_order.place";

const RESERVATIONS: ById = ById {
    id: "
    SELECT holder, claims, state, held_at_ms, id
      FROM reservations
     WHERE id = ?1",
    between: "
    SELECT holder, claims, state, held_at_ms, id
      FROM reservations
     WHERE id BETWEEN ?1 AND ?2
     LIMIT ?3",
};

const ADD_RESERVATION: &str = "
    INSERT INTO reservations (id, holder, claims, state, held_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)";

const SAVE_RESERVATION: &str = "
    UPDATE reservations
       SET state = ?2
     WHERE id = ?1";

/// Places have no gaps, so the last one is how many there are.
const LAST_PLACE: &str = "
    SELECT coalesce(max(place), 0)
      FROM pools";

const PAGE_OF_VACCINES: &str = "
    SELECT id, name, stock, taken
      FROM pools
     WHERE place > ?1
  ORDER BY place
     LIMIT ?2";

const UNSETTLED_OF: &str = "
    SELECT id
      FROM reservations
     WHERE state = 0 AND holder = ?1 AND held_at_ms <= ?2
  ORDER BY held_at_ms
     LIMIT ?3";

const UNSETTLED: &str = "
    SELECT id
      FROM reservations
     WHERE state = 0 AND held_at_ms <= ?1
  ORDER BY held_at_ms
     LIMIT ?2";

/// How the ledger decides. Always [`decide`], except in a test that shows what happens without it.
pub type Decide = fn(&mut Ledger, &Command) -> Outcome;

/// The ledger, as its store sees it.
#[derive(Clone, Copy, Debug)]
pub struct Book {
    /// How it decides.
    pub decide: Decide,
}

impl Default for Book {
    fn default() -> Self {
        Self { decide }
    }
}

impl Model for Book {
    type Command = Command;
    type Outcome = Outcome;
    type Rows = Ledger;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Ledger, SqlError> {
        let mut named = Named::default();
        for command in commands {
            named.add(command);
        }
        let last_pool = named.last_pool.then(|| tx.ask(LAST_POOL, &[])).transpose()?;
        let mut ledger = load(tx, &named)?;
        if let Some(last_pool) = last_pool {
            ledger.last_pool = last_pool.first(|row| row.int(0))?.unwrap_or(0);
        }
        Ok(ledger)
    }

    fn decide(&self, ledger: &mut Ledger, command: &Command) -> Outcome {
        (self.decide)(ledger, command)
    }

    fn save(tx: &Tx<'_>, ledger: &Ledger) -> Result<(), SqlError> {
        save_pools(tx, ledger)?;
        save_reservations(tx, ledger)?;
        if ledger.last_pool > 0 {
            tx.execute(SAVE_LAST_POOL, &[ledger.last_pool.into()])?;
        }
        Ok(())
    }

    fn event(_: &Command, outcome: &Outcome) -> serde_json::Result<Option<Event>> {
        events::of(outcome)
    }
}

/// The rows that commands name.
#[derive(Default)]
struct Named {
    reservations: BTreeSet<Uuid>,
    pools: BTreeSet<PoolId>,
    last_pool: bool,
}

impl Named {
    fn add(&mut self, command: &Command) {
        match command {
            Command::Register { .. } => self.last_pool = true,
            Command::Change { pool, .. } | Command::Remove { pool } => {
                self.pools.insert(*pool);
            }
            Command::Hold(hold) | Command::Confirm(hold) => self.add_hold(hold),
            Command::Release { reservation, of, at: _ } => {
                self.reservations.insert(reservation.0);
                self.pools.extend(of);
            }
            Command::GiveBack { reservation, .. } => {
                self.reservations.insert(reservation.0);
            }
            Command::Administer { reservation, claims, at: _ } => {
                self.reservations.insert(reservation.0);
                self.pools.extend(claims);
            }
        }
    }

    fn add_hold(&mut self, hold: &Hold) {
        self.reservations.insert(hold.reservation.0);
        self.pools.extend(&hold.claims);
    }
}

/// The pools that are named are asked for before the reservations are known: mostly these name no
/// others.
fn load(tx: &Tx<'_>, named: &Named) -> Result<Ledger, SqlError> {
    let mut ledger = Ledger::default();
    let named_pools = ask_pools(tx, &named.pools)?;
    let found = tx.find_ids(&RESERVATIONS, &named.reservations, |row| {
        Ok((row.uuid(4)?, reservation(row)?))
    })?;
    let mut further_pools = BTreeSet::new();
    for (id, known) in found {
        further_pools.extend(known.claims.iter().filter(|id| !named.pools.contains(id)));
        ledger.reservations.loaded(ReservationId(id), known);
    }
    load_pools(&mut ledger, named_pools)?;
    load_pools(&mut ledger, ask_pools(tx, &further_pools)?)?;
    Ok(ledger)
}

fn ask_pools<'a>(tx: &Tx<'a>, ids: &BTreeSet<PoolId>) -> Result<Vec<Asked<'a>>, SqlError> {
    ids.iter().map(|id| tx.ask(LOAD_POOL, &[id.0.into()])).collect()
}

fn load_pools(ledger: &mut Ledger, asked: Vec<Asked<'_>>) -> Result<(), SqlError> {
    for asked in asked {
        if let Some((id, known)) = asked.first(pool)? {
            ledger.pools.loaded(id, known);
        }
    }
    Ok(())
}

fn pool(row: &Row<'_>) -> Result<(PoolId, Pool), SqlError> {
    let name = Name::parse(row.text(1)?);
    let stock = Stock::parse(row.int(2)?);
    let pool = Pool {
        name: name.ok_or(SqlError::Unreadable { column: 1, what: "a name" })?,
        stock: stock.ok_or(SqlError::Unreadable { column: 2, what: "a stock" })?,
        taken: row.int(3)?,
    };
    Ok((PoolId(row.int(0)?), pool))
}

fn reservation(row: &Row<'_>) -> Result<Reservation, SqlError> {
    let unreadable = |column, what| SqlError::Unreadable { column, what };
    let claims: Vec<i64> =
        serde_json::from_str(row.text(1)?).map_err(|_| unreadable(1, "a list of pools"))?;
    let held_at = Timestamp::from_millisecond(row.int(3)?);
    Ok(Reservation {
        holder: row.uuid_or_null(0)?.map(HolderId),
        claims: claims.into_iter().map(PoolId).collect(),
        state: state(row.int(2)?).ok_or(unreadable(2, "a state"))?,
        held_at: held_at.map_err(|_| unreadable(3, "a time"))?,
    })
}

fn state(code: i64) -> Option<State> {
    [State::Held, State::Booked, State::Released, State::Administered]
        .into_iter()
        .find(|state| code_of(*state) == code)
}

fn code_of(state: State) -> i64 {
    match state {
        State::Held => 0,
        State::Booked => 1,
        State::Released => 2,
        State::Administered => 3,
    }
}

fn save_pools(tx: &Tx<'_>, ledger: &Ledger) -> Result<(), SqlError> {
    let mut removed = false;
    for (id, pool, touched) in ledger.pools.touched() {
        let row =
            [id.0.into(), pool.name.as_str().into(), pool.stock.doses().into(), pool.taken.into()];
        match touched {
            Touched::Added => tx.execute(ADD_POOL, &row)?,
            Touched::Changed => tx.execute(SAVE_POOL, &row)?,
            Touched::Removed => {
                tx.execute(REMOVE_POOL, &[id.0.into()])?;
                removed = true;
            }
        }
    }
    if removed { tx.execute(MOVE_UP, &[]) } else { Ok(()) }
}

fn save_reservations(tx: &Tx<'_>, ledger: &Ledger) -> Result<(), SqlError> {
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for (id, reservation, touched) in ledger.reservations.touched() {
        match touched {
            Touched::Added => added.push((id, reservation, claims(reservation))),
            Touched::Changed | Touched::Removed => {
                changed.push([id.0.into(), code_of(reservation.state).into()]);
            }
        }
    }
    let added: Vec<_> = added
        .iter()
        .map(|(id, reservation, claims)| {
            [
                id.0.into(),
                reservation.holder.map(|holder| holder.0).into(),
                claims.as_str().into(),
                code_of(reservation.state).into(),
                reservation.held_at.as_millisecond().into(),
            ]
        })
        .collect();
    tx.execute_each(ADD_RESERVATION, &added)?;
    tx.execute_each(SAVE_RESERVATION, &changed)
}

fn claims(reservation: &Reservation) -> String {
    let claims: Vec<String> = reservation.claims.iter().map(|pool| pool.0.to_string()).collect();
    format!("[{}]", claims.join(","))
}

/// The ledger, for everybody who only looks.
#[derive(Clone, Debug)]
pub struct Reads(pub Readers);

impl Reads {
    /// One vaccine.
    pub async fn vaccine(&self, id: VaccineId) -> Result<Option<Vaccine>, Unreadable> {
        self.0.read(move |tx| tx.find(LOAD_POOL, &[id.0.into()], vaccine)).await
    }

    /// Some vaccines in the order of their ids, and how many there are in all.
    pub async fn vaccines(
        &self,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<Vaccine>, u64), Unreadable> {
        self.0.read(move |tx| page(tx, offset, limit)).await
    }

    /// The rows that holds are about, all of one moment.
    pub async fn of_holds(&self, holds: &[Hold]) -> Result<Ledger, Unreadable> {
        let mut named = Named::default();
        for hold in holds {
            named.add_hold(hold);
        }
        self.0.read(move |tx| load(tx, &named)).await
    }

    /// One reservation.
    pub async fn reservation(
        &self,
        id: ReservationId,
    ) -> Result<Option<ReservationView>, Unreadable> {
        let find = move |tx: &Tx<'_>| tx.find(RESERVATIONS.id, &[id.0.into()], reservation);
        let known = self.0.read(find).await?;
        Ok(known.and_then(|known| view(id, &known)))
    }

    /// Reservations, of one holder or of all, that are held since that time or longer, oldest first.
    pub async fn unsettled(
        &self,
        holder: Option<HolderId>,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ReservationId>, Unreadable> {
        let (until, limit) = (until.as_millisecond(), i64::from(limit));
        let id = |row: &Row<'_>| row.uuid(0).map(ReservationId);
        self.0
            .read(move |tx| match holder {
                Some(holder) => {
                    tx.all(UNSETTLED_OF, &[holder.0.into(), until.into(), limit.into()], id)
                }
                None => tx.all(UNSETTLED, &[until.into(), limit.into()], id),
            })
            .await
    }
}

/// What [`Reads::vaccines`] reads.
pub fn page(tx: &Tx<'_>, offset: u64, limit: u32) -> Result<(Vec<Vaccine>, u64), SqlError> {
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let total = tx.ask(LAST_PLACE, &[])?;
    let some = tx.all(PAGE_OF_VACCINES, &[offset.into(), i64::from(limit).into()], vaccine)?;
    Ok((some, total.first(|row| row.int(0))?.unwrap_or(0).unsigned_abs()))
}

fn vaccine(row: &Row<'_>) -> Result<Vaccine, SqlError> {
    Ok(Vaccine {
        vaccine_id: VaccineId(row.int(0)?),
        vc_name: row.text(1)?.to_owned(),
        stock: row.int(2)?,
        book_qty: row.int(3)?,
    })
}

fn view(id: ReservationId, known: &Reservation) -> Option<ReservationView> {
    let state = match known.state {
        State::Held => ReservationState::Held,
        State::Booked => ReservationState::Booked,
        State::Released => ReservationState::Released,
        State::Administered => ReservationState::Administered,
    };
    let vaccine_id = VaccineId::from(*known.claims.first()?);
    Some(ReservationView { reservation_id: id, vaccine_id, state })
}
