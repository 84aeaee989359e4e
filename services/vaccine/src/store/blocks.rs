//! The table of reservations: a row for each block.

use std::collections::BTreeSet;

use contracts::{
    ids::{ReservationId, SiteId, SlotId, StoreId, VaccineId},
    vaccine::ReservationState,
};
use platform_store::{Prunable, Row, RowChange, SqlError, Tx, Value};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::{BLOCK_MAX, PoolId, ReservationBlock, Reservations, SiteStockId};

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
       AND (claims LIKE ?5 OR claims LIKE ?6 OR claims LIKE ?7)
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
       AND (claims LIKE ?4 OR claims LIKE ?5 OR claims LIKE ?6)
  ORDER BY held_at_ms
     LIMIT ?3";

/// Blocks whose reservations are all released: until then a late hold of theirs is refused.
pub(super) const RELEASED: Prunable = Prunable {
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

/// Loads for each id the last block that does not begin after it: that is where it is, if it is known.
///
/// Ids that may be of one block are looked up together, since they mostly are: at first as many blocks as there are
/// ids, from the last one down. Where those are others, between the ids, the remaining ids are looked up one by one.
pub(super) fn load(tx: &Tx<'_>, ids: &BTreeSet<ReservationId>) -> Result<Reservations, SqlError> {
    let ids: Vec<_> = ids.iter().copied().collect();
    let ranges: Vec<_> = ids.chunk_by(|id, next| next.offset_from(*id).is_some()).collect();
    let keys: Vec<_> = ranges.iter().map(|ids| last_blocks(ids)).collect();
    let mut found = Vec::new();
    let mut remaining = Vec::new();
    for (ids, blocks) in ranges.into_iter().zip(tx.all_each(LAST_BLOCKS, &keys, block)?) {
        if let Some((last_read, _)) = blocks.last().filter(|_| blocks.len() == ids.len()) {
            remaining.extend(ids.iter().filter(|id| *id < last_read).map(|id| last_blocks(&[*id])));
        }
        found.extend(blocks);
    }
    found.extend(tx.find_each(LAST_BLOCKS, &remaining, block)?.into_iter().flatten());
    let mut reservations = Reservations::default();
    for (first, block) in found {
        reservations.load(first, block);
    }
    Ok(reservations)
}

/// The parameters of [`LAST_BLOCKS`]: one block per id, from where the block of the first one may begin.
fn last_blocks(ids: &[ReservationId]) -> [Value<'static>; 3] {
    let [first, last] = [ids.first(), ids.last()].map(|id| id.map_or(Uuid::nil(), |id| id.0));
    let begin = ReservationId(first).block_range()[0].0;
    let begin = first.as_u128().saturating_sub(u128::from(BLOCK_MAX) - 1).max(begin.as_u128());
    let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    [Uuid::from_u128(begin).into(), last.into(), limit.into()]
}

/// Saves the blocks that were changed.
pub(super) fn save(tx: &Tx<'_>, reservations: &Reservations) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for (id, block, change) in reservations.changes() {
        let states: String = block.states.iter().map(|state| code_of(*state)).collect();
        match change {
            RowChange::Inserted => inserted.push((id, block, claims(&block.claims), states)),
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

fn claims(pools: &[PoolId]) -> String {
    let claims: Vec<String> = pools.iter().copied().map(claim).collect();
    format!("[{}]", claims.join(","))
}

fn claim(pool: PoolId) -> String {
    match pool {
        PoolId::Vaccine(VaccineId(vaccine)) => vaccine.to_string(),
        PoolId::SiteDoses(SiteStockId { site, vaccine }, date) => {
            format!("\"{site}/{vaccine}/{date}\"")
        }
        PoolId::Slot(SlotId(slot)) => (-slot).to_string(),
    }
}

/// A claim as it is stored: a number, or text for doses of a site.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredClaim {
    Number(i64),
    Text(String),
}

impl StoredClaim {
    fn pool(self) -> Option<PoolId> {
        match self {
            Self::Number(slot @ ..0) => Some(SlotId(-slot).into()),
            Self::Number(vaccine) => Some(VaccineId(vaccine).into()),
            Self::Text(text) => {
                let mut parts = text.split('/');
                let mut next = || parts.next()?.parse().ok();
                let (site, vaccine) = (SiteId(next()?), VaccineId(next()?));
                Some(PoolId::SiteDoses(SiteStockId { site, vaccine }, parts.next()?.parse().ok()?))
            }
        }
    }
}

/// Patterns of the claims that have this pool, alone and with another one, wherever the doses are; of any claims, if
/// there is none. A dose is claimed first, and a slot last.
fn claiming(pool: Option<PoolId>) -> [String; 3] {
    let Some(pool) = pool else { return ["%"; 3].map(str::to_owned) };
    let alone = claim(pool);
    let [with_another, at_site] = match pool.vaccine() {
        Some(vaccine) => [format!("[{alone},%"), format!("[\"%/{vaccine}/%")],
        None => [format!("%,{alone}]"), format!("%,{alone}]")],
    };
    [format!("[{alone}]"), with_another, at_site]
}

/// What the lists of blocks are about: whether any is held, any is aborted, and all are released.
fn flags(ReservationBlock { states, .. }: &ReservationBlock) -> [Value<'static>; 3] {
    let has = |state| states.contains(&state);
    let is_released = states.iter().all(|state| *state == ReservationState::Released);
    [has(ReservationState::Held), has(ReservationState::Aborted), is_released]
        .map(|flag| i64::from(flag).into())
}

/// Reservations that were held at the first of these times or earlier, or later than the second, oldest first.
pub(super) fn orphaned(
    tx: &Tx<'_>,
    of: Option<PoolId>,
    [until, future]: [i64; 2],
    limit: u32,
) -> Result<Vec<ReservationId>, SqlError> {
    let claims = claiming(of);
    let [alone, with, at_site] = claims.each_ref().map(|claims| claims.as_str().into());
    let params = [until.into(), future.into(), blocks_max(limit), alone, with, at_site];
    let blocks = tx.all(ORPHANED_HOLDS, &params, block)?;
    Ok(in_state(&blocks, ReservationState::Held, limit))
}

/// Those of one owner.
pub(super) fn orphaned_of(
    tx: &Tx<'_>,
    owner: StoreId,
    of: Option<PoolId>,
    [until, future]: [i64; 2],
    limit: u32,
) -> Result<Vec<ReservationId>, SqlError> {
    let claims = claiming(of);
    let [alone, with, at_site] = claims.each_ref().map(|claims| claims.as_str().into());
    let [until, future] = [until.into(), future.into()];
    let params = [owner.0.into(), until, future, blocks_max(limit), alone, with, at_site];
    let blocks = tx.all(ORPHANED_HOLDS_OF, &params, block)?;
    Ok(in_state(&blocks, ReservationState::Held, limit))
}

/// Aborted reservations of one owner.
pub(super) fn aborted_of(
    tx: &Tx<'_>,
    owner: StoreId,
    limit: u32,
) -> Result<Vec<ReservationId>, SqlError> {
    let blocks = tx.all(ABORTED_OF, &[owner.0.into(), blocks_max(limit)], block)?;
    Ok(in_state(&blocks, ReservationState::Aborted, limit))
}

/// Each has one reservation of the list at least.
fn blocks_max(reservations: u32) -> Value<'static> {
    i64::from(reservations).into()
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

fn block(row: &Row<'_>) -> Result<(ReservationId, ReservationBlock), SqlError> {
    let invalid = |column, expected| SqlError::Decode { column, expected };
    let claims: Vec<StoredClaim> =
        serde_json::from_str(row.text(2)?).map_err(|_| invalid(2, "a list of pools"))?;
    let claims: Option<Vec<_>> = claims.into_iter().map(StoredClaim::pool).collect();
    let states: Option<Vec<_>> = row.text(4)?.chars().map(state).collect();
    let block = ReservationBlock {
        owner: row.uuid_or_null(1)?.map(StoreId),
        claims: claims.ok_or(invalid(2, "a list of pools"))?,
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
