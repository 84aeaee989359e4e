//! Where the ledger is kept: load and save. All SQL is here.

use std::{collections::BTreeSet, time::Duration};

use contracts::{
    ids::{ReservationId, StoreId, VaccineId},
    vaccine::{OrphanedHolds, Reservation, ReservationState, Vaccine},
};
use jiff::Timestamp;
use platform_rest::hal::List;
use platform_store::{
    Aggregate, Event, Keyset, Migration, PageRange, PendingQuery, Prunable, ReadError, ReadPool,
    Row, RowChange, SqlError, Tx, Value, keyset,
};
use uuid::Uuid;

use crate::{
    domain::{
        AbortReservation, AdministerDose, BLOCK_MAX, ChangeVaccine, Command, ConfirmHold, Doses,
        HoldDoses, Ledger, Name, Pool, PoolId, ReleaseReservation, RemoveVaccine, Reply,
        ReservationBlock, ReservationRecord, Reservations, ReturnDose, decide,
    },
    events,
};

/// The schema.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_ledger.sql",
    sqlite: include_str!("../migrations/sqlite/0001_ledger.sql"),
    postgres: include_str!("../migrations/postgres/0001_ledger.sql"),
}];

const LOAD_POOL: &str = "
    SELECT id, name, stock, taken, overcommitted
      FROM pools
     WHERE id = ?1";

const LAST_POOL: &str = "
    SELECT id
      FROM last_pool";

const SAVE_LAST_POOL: &str = "
    UPDATE last_pool
       SET id = ?1
     WHERE id < ?1";

const INSERT_POOL: &str = "
    INSERT INTO pools (id, name, stock, taken, overcommitted)
         VALUES (?1, ?2, ?3, ?4, ?5)";

const UPDATE_POOL: &str = "
    UPDATE pools
       SET name = ?2, stock = ?3, taken = ?4, overcommitted = ?5
     WHERE id = ?1";

const DELETE_POOL: &str = "
    DELETE FROM pools
     WHERE id = ?1";

/// All pools, by number.
const POOLS: Keyset =
    keyset!(SELECT "id, name, stock, taken, overcommitted" FROM "pools" ORDER BY "id");

const OVERCOMMITTED: &str = "
    SELECT overcommitted
      FROM pools
     WHERE overcommitted > 0";

/// The last blocks that begin between two ids.
const LAST_BLOCKS: &str = "
    SELECT id, owner, claims, held_at_ms, states
      FROM reservations
     WHERE id BETWEEN ?1 AND ?2
  ORDER BY id DESC
     LIMIT ?3";

const INSERT_BLOCK: &str = "
    INSERT INTO reservations
                (id, owner, claims, held_at_ms, states, has_held, has_aborted, is_released)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const UPDATE_BLOCK: &str = "
    UPDATE reservations
       SET states = ?2, has_held = ?3, has_aborted = ?4, is_released = ?5
     WHERE id = ?1";

const ORPHANED_HOLDS_OF: &str = "
    SELECT id, owner, claims, held_at_ms, states
      FROM reservations
     WHERE has_held = 1 AND owner = ?1 AND (held_at_ms <= ?2 OR held_at_ms > ?3)
  ORDER BY held_at_ms
     LIMIT ?4";

const ABORTED_OF: &str = "
    SELECT id, owner, claims, held_at_ms, states
      FROM reservations
     WHERE has_aborted = 1 AND owner = ?1
     LIMIT ?2";

const ORPHANED_HOLDS: &str = "
    SELECT id, owner, claims, held_at_ms, states
      FROM reservations
     WHERE has_held = 1 AND (held_at_ms <= ?1 OR held_at_ms > ?2)
  ORDER BY held_at_ms
     LIMIT ?3";

/// Blocks whose reservations are all released: until then a late hold of theirs is refused.
const RELEASED: Prunable = Prunable {
    oldest: "
        SELECT id
          FROM reservations
         WHERE is_released = 1
           AND held_at_ms < ?1
      ORDER BY held_at_ms
         LIMIT ?2",
    delete: "
        DELETE FROM reservations
         WHERE id = ?1",
};

/// A hold that is so far in the future was requested before the wall clock was set back: nobody knows its age. Two
/// processes on one database may differ by less.
const CLOCK_STEP_MIN: Duration = Duration::from_mins(1);

impl Aggregate for Ledger {
    type Command = Command;
    type Reply = Reply;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Self, SqlError> {
        let mut named = Named::default();
        for command in commands {
            named.add(command);
        }
        let last_pool = named.last_pool.then(|| tx.enqueue(LAST_POOL, &[])).transpose()?;
        let mut ledger = load(tx, &named)?;
        if let Some(last_pool) = last_pool {
            ledger.last_pool = last_pool.first(|row| row.int(0))?.unwrap_or(0);
        }
        Ok(ledger)
    }

    fn decide(&mut self, command: &Command) -> Reply {
        decide(self, command)
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        save_pools(tx, self)?;
        save_reservations(tx, self)?;
        if self.last_pool > 0 {
            tx.execute(SAVE_LAST_POOL, &[self.last_pool.into()])?;
        }
        Ok(())
    }

    fn event(command: &Command, reply: &Reply) -> serde_json::Result<Option<Event>> {
        events::event(command, reply)
    }

    /// None: no service consumes the events of vaccines.
    fn snapshot(_: &Tx<'_>, _: i64, _: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        Ok(Vec::new())
    }

    fn prune(tx: &Tx<'_>, before_ms: i64) -> Result<usize, SqlError> {
        RELEASED.prune(tx, before_ms, |row| row.uuid(0))
    }
}

/// The rows that commands name.
#[derive(Default)]
struct Named {
    reservations: BTreeSet<ReservationId>,
    pools: BTreeSet<PoolId>,
    last_pool: bool,
}

impl Named {
    fn add(&mut self, command: &Command) {
        match command {
            Command::Register(_) => self.last_pool = true,
            Command::Change(ChangeVaccine { pool, .. })
            | Command::Remove(RemoveVaccine { pool, .. }) => {
                self.pools.insert(*pool);
            }
            Command::Hold(hold) => self.add_hold(hold),
            Command::Confirm(ConfirmHold(hold)) => {
                self.reservations.insert(hold.reservation);
                self.pools.extend(&hold.claims);
            }
            Command::Release(ReleaseReservation { reservation, of, at: _ }) => {
                self.reservations.insert(*reservation);
                self.pools.extend(of);
            }
            Command::Return(ReturnDose { reservation, .. })
            | Command::Abort(AbortReservation { reservation, .. }) => {
                self.reservations.insert(*reservation);
            }
            Command::Administer(AdministerDose { reservation, claims, at: _ }) => {
                self.reservations.insert(*reservation);
                self.pools.extend(claims);
            }
        }
    }

    /// The blocks of its first and its last reservation say whether the others are known.
    fn add_hold(&mut self, hold: &HoldDoses) {
        self.reservations.insert(hold.first);
        self.reservations.extend(hold.last());
        self.pools.extend(&hold.claims);
    }
}

/// Queries the named pools before the reservations are known: most of these name no other pools.
fn load(tx: &Tx<'_>, named: &Named) -> Result<Ledger, SqlError> {
    let mut ledger = Ledger::default();
    let named_pools = query_pools(tx, &named.pools)?;
    load_blocks(tx, &named.reservations, &mut ledger.reservations)?;
    let mut further_pools = BTreeSet::new();
    for known in named.reservations.iter().filter_map(|id| ledger.reservations.get(id)) {
        further_pools.extend(known.claims.iter().filter(|id| !named.pools.contains(id)));
    }
    load_pools(&mut ledger, named_pools)?;
    load_pools(&mut ledger, query_pools(tx, &further_pools)?)?;
    Ok(ledger)
}

/// Loads for each id the last block that does not begin after it: that is where it is, if it is known.
///
/// Ids that may be of one block are looked up together, since they mostly are: at first as many blocks as there are
/// ids, from the last one down. Where those are others, between the ids, the remaining ids are looked up one by one.
fn load_blocks(
    tx: &Tx<'_>,
    ids: &BTreeSet<ReservationId>,
    reservations: &mut Reservations,
) -> Result<(), SqlError> {
    let ids: Vec<_> = ids.iter().copied().collect();
    let ranges: Vec<_> = ids.chunk_by(|id, next| next.offset_from(*id).is_some()).collect();
    let keys: Vec<_> = ranges.iter().map(|ids| last_blocks(ids)).collect();
    let mut remaining = Vec::new();
    for (ids, blocks) in ranges.into_iter().zip(tx.all_each(LAST_BLOCKS, &keys, block)?) {
        if let Some((last_read, _)) = blocks.last().filter(|_| blocks.len() == ids.len()) {
            remaining.extend(ids.iter().filter(|id| *id < last_read).map(|id| last_blocks(&[*id])));
        }
        load_each(reservations, blocks);
    }
    load_each(reservations, tx.find_each(LAST_BLOCKS, &remaining, block)?.into_iter().flatten());
    Ok(())
}

/// The parameters of [`LAST_BLOCKS`]: one block per id, from where the block of the first one may begin.
fn last_blocks(ids: &[ReservationId]) -> [Value<'static>; 3] {
    let [first, last] = [ids.first(), ids.last()].map(|id| id.map_or(Uuid::nil(), |id| id.0));
    let begin = ReservationId(first).block_range()[0].0;
    let begin = first.as_u128().saturating_sub(u128::from(BLOCK_MAX) - 1).max(begin.as_u128());
    let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    [Uuid::from_u128(begin).into(), last.into(), limit.into()]
}

fn load_each(
    reservations: &mut Reservations,
    blocks: impl IntoIterator<Item = (ReservationId, ReservationBlock)>,
) {
    for (first, block) in blocks {
        reservations.load(first, block);
    }
}

fn query_pools<'a>(tx: &Tx<'a>, ids: &BTreeSet<PoolId>) -> Result<Vec<PendingQuery<'a>>, SqlError> {
    ids.iter().map(|id| tx.enqueue(LOAD_POOL, &[id.0.into()])).collect()
}

fn load_pools(ledger: &mut Ledger, pending: Vec<PendingQuery<'_>>) -> Result<(), SqlError> {
    for pending in pending {
        if let Some((id, known)) = pending.first(pool)? {
            ledger.pools.load(id, known);
        }
    }
    Ok(())
}

fn pool(row: &Row<'_>) -> Result<(PoolId, Pool), SqlError> {
    let name = Name::parse(row.text(1)?);
    let stock = Doses::parse(row.int(2)?);
    let pool = Pool {
        name: name.ok_or(SqlError::Decode { column: 1, expected: "a name" })?,
        stock: stock.ok_or(SqlError::Decode { column: 2, expected: "a number of doses" })?,
        taken: row.int(3)?,
        overcommitted: row.int(4)?,
    };
    Ok((PoolId(row.int(0)?), pool))
}

fn block(row: &Row<'_>) -> Result<(ReservationId, ReservationBlock), SqlError> {
    let invalid = |column, expected| SqlError::Decode { column, expected };
    let claims: Vec<i64> =
        serde_json::from_str(row.text(2)?).map_err(|_| invalid(2, "a list of pools"))?;
    let states: Option<Vec<_>> = row.text(4)?.chars().map(state).collect();
    let block = ReservationBlock {
        owner: row.uuid_or_null(1)?.map(StoreId),
        claims: claims.into_iter().map(PoolId).collect(),
        held_at: row.time(3)?,
        states: states.ok_or(invalid(4, "states of reservations"))?,
    };
    Ok((ReservationId(row.uuid(0)?), block))
}

fn state(code: char) -> Option<ReservationState> {
    [
        ReservationState::Held,
        ReservationState::Booked,
        ReservationState::Released,
        ReservationState::Administered,
        ReservationState::Aborted,
    ]
    .into_iter()
    .find(|state| code_of(*state) == code)
}

fn code_of(state: ReservationState) -> char {
    match state {
        ReservationState::Held => '0',
        ReservationState::Booked => '1',
        ReservationState::Released => '2',
        ReservationState::Administered => '3',
        ReservationState::Aborted => '4',
    }
}

fn save_pools(tx: &Tx<'_>, ledger: &Ledger) -> Result<(), SqlError> {
    for (id, pool, change) in ledger.pools.changes() {
        let row = [
            id.0.into(),
            pool.name.as_str().into(),
            pool.stock.count().into(),
            pool.taken.into(),
            pool.overcommitted.into(),
        ];
        match change {
            RowChange::Inserted => tx.execute(INSERT_POOL, &row)?,
            RowChange::Updated => tx.execute(UPDATE_POOL, &row)?,
            RowChange::Deleted => tx.execute(DELETE_POOL, &[id.0.into()])?,
        }
    }
    Ok(())
}

fn save_reservations(tx: &Tx<'_>, ledger: &Ledger) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for (id, block, change) in ledger.reservations.changes() {
        let states: String = block.states.iter().map(|state| code_of(*state)).collect();
        match change {
            RowChange::Inserted => inserted.push((id, block, claims(block), states)),
            RowChange::Updated | RowChange::Deleted => updated.push((id, block, states)),
        }
    }
    let inserted: Vec<_> = inserted
        .iter()
        .map(|(id, block, claims, states)| -> [Value<'_>; 8] {
            let owner = block.owner.map(|owner| owner.0);
            let [has_held, has_aborted, is_released] = flags(block);
            [
                id.0.into(),
                owner.into(),
                claims.as_str().into(),
                block.held_at.into(),
                states.as_str().into(),
                has_held,
                has_aborted,
                is_released,
            ]
        })
        .collect();
    let updated: Vec<_> = updated
        .iter()
        .map(|(id, block, states)| -> [Value<'_>; 5] {
            let [has_held, has_aborted, is_released] = flags(block);
            [id.0.into(), states.as_str().into(), has_held, has_aborted, is_released]
        })
        .collect();
    tx.execute_each(INSERT_BLOCK, &inserted)?;
    tx.execute_each(UPDATE_BLOCK, &updated)
}

fn claims(block: &ReservationBlock) -> String {
    let claims: Vec<String> = block.claims.iter().map(|pool| pool.0.to_string()).collect();
    format!("[{}]", claims.join(","))
}

/// What the lists of blocks are about: whether any is held, any is aborted, and all are released.
fn flags(ReservationBlock { states, .. }: &ReservationBlock) -> [Value<'static>; 3] {
    let has = |state| states.contains(&state);
    let is_released = states.iter().all(|state| *state == ReservationState::Released);
    [has(ReservationState::Held), has(ReservationState::Aborted), is_released]
        .map(|flag| i64::from(flag).into())
}

/// Reads the ledger.
#[derive(Clone, Debug)]
pub struct Queries(pub ReadPool);

impl Queries {
    /// One vaccine.
    pub async fn vaccine(&self, id: VaccineId) -> Result<Option<Vaccine>, ReadError> {
        self.0.read(move |tx| tx.find(LOAD_POOL, &[id.0.into()], vaccine)).await
    }

    /// One vaccine, as decisions see it.
    pub async fn pool(&self, id: PoolId) -> Result<Option<Pool>, ReadError> {
        let find = move |tx: &Tx<'_>| tx.find(LOAD_POOL, &[id.0.into()], pool);
        Ok(self.0.read(find).await?.map(|(_, pool)| pool))
    }

    /// A page of the vaccines. How many there are is not known without counting: numbers have gaps.
    pub async fn vaccines(&self, range: PageRange) -> Result<List<Vaccine>, ReadError> {
        self.0.read(move |tx| vaccines(tx, range)).await
    }

    /// The rows that holds name, all of one moment.
    pub async fn of_holds<'a>(
        &self,
        holds: impl Iterator<Item = &'a HoldDoses>,
    ) -> Result<Ledger, ReadError> {
        let mut named = Named::default();
        for hold in holds {
            named.add_hold(hold);
        }
        self.0.read(move |tx| load(tx, &named)).await
    }

    /// Doses by which all vaccines are overcommitted.
    pub async fn overcommitted(&self) -> Result<i64, ReadError> {
        let doses = self.0.read(move |tx| tx.all(OVERCOMMITTED, &[], |row| row.int(0))).await?;
        Ok(doses.into_iter().sum())
    }

    /// One reservation.
    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, ReadError> {
        let read = self.0.read(move |tx| {
            let mut reservations = Reservations::default();
            load_blocks(tx, &BTreeSet::from([id]), &mut reservations)?;
            Ok(reservations.get(&id).and_then(|known| view(id, known)))
        });
        read.await
    }

    /// Holds, of one owner or of all, that were requested so long ago or longer and not resolved since, oldest
    /// first; and what was aborted for one owner.
    pub async fn orphaned_holds(
        &self,
        owner: Option<StoreId>,
        now: Timestamp,
        held_for: Duration,
        limit: u32,
    ) -> Result<OrphanedHolds, ReadError> {
        let [until, future] = [now - held_for, now + CLOCK_STEP_MIN].map(Timestamp::as_millisecond);
        let rows_max = i64::from(limit); // Each has one at least.
        let read = self.0.read(move |tx| {
            let Some(StoreId(owner)) = owner else {
                let held = [until.into(), future.into(), rows_max.into()];
                let held = tx.all(ORPHANED_HOLDS, &held, block)?;
                let reservation_ids = in_state(&held, ReservationState::Held, limit);
                return Ok(OrphanedHolds { reservation_ids, aborted: Vec::new() });
            };
            let held = [owner.into(), until.into(), future.into(), rows_max.into()];
            let held = tx.all(ORPHANED_HOLDS_OF, &held, block)?;
            let aborted = tx.all(ABORTED_OF, &[owner.into(), rows_max.into()], block)?;
            Ok(OrphanedHolds {
                reservation_ids: in_state(&held, ReservationState::Held, limit),
                aborted: in_state(&aborted, ReservationState::Aborted, limit),
            })
        });
        read.await
    }
}

/// The reservations of these blocks that have a state, at most so many.
fn in_state(
    blocks: &[(ReservationId, ReservationBlock)],
    state: ReservationState,
    limit: u32,
) -> Vec<ReservationId> {
    let all = blocks.iter().flat_map(|(first, block)| {
        let states = (0..).zip(&block.states).filter(move |(_, known)| **known == state);
        states.filter_map(|(offset, _)| first.nth(offset))
    });
    all.zip(0..limit).map(|(id, _)| id).collect()
}

/// The read of [`Queries::vaccines`].
pub fn vaccines(tx: &Tx<'_>, range: PageRange) -> Result<List<Vaccine>, SqlError> {
    Ok(List { rows: POOLS.page(tx, &[], range, vaccine)?, total: None })
}

fn vaccine(row: &Row<'_>) -> Result<Vaccine, SqlError> {
    pool(row).map(|(id, pool)| events::vaccine(id, &pool))
}

fn view(id: ReservationId, known: ReservationRecord<'_>) -> Option<Reservation> {
    let vaccine_id = VaccineId::from(*known.claims.first()?);
    Some(Reservation { reservation_id: id, vaccine_id, state: known.state })
}
