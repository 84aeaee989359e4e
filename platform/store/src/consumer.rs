//! The consumer offset of each source, written in the commit of the effect.
//!
//! One row per source: an event at or below its offset was applied before.

use uuid::Uuid;

use crate::{
    error::SqlError,
    sql::{PendingQuery, Tx},
    value::Row,
};

const OFFSET: &str = "
    SELECT sequence
      FROM consumer_offsets
     WHERE source = ?1";

const ALL_OFFSETS: &str = "
    SELECT source, sequence
      FROM consumer_offsets
  ORDER BY source
     LIMIT ?1";

const SET_OFFSET: &str = "
    INSERT INTO consumer_offsets (source, sequence, at_ms)
         VALUES (?1, ?2, ?3)
    ON CONFLICT (source)
      DO UPDATE SET sequence = excluded.sequence, at_ms = excluded.at_ms";

const LAST_EVENT: &str = "
    SELECT sequence, at_ms
      FROM consumer_offsets
     WHERE source = ?1";

/// The consumer offset of a source: the sequence number of its last applied event; 0 before the first.
pub fn offset(tx: &Tx<'_>, source: Uuid) -> Result<u64, SqlError> {
    read_offset(enqueue_offset(tx, source)?)
}

/// The last applied event of a source: its sequence number, and when it happened, in milliseconds since 1970.
pub fn last_event(tx: &Tx<'_>, source: Uuid) -> Result<Option<(u64, i64)>, SqlError> {
    let read = |row: &Row<'_>| Ok((row.int(0)?.cast_unsigned(), row.int(1)?));
    tx.find(LAST_EVENT, &[source.into()], read)
}

pub(crate) fn enqueue_offset<'a>(tx: &Tx<'a>, source: Uuid) -> Result<PendingQuery<'a>, SqlError> {
    tx.enqueue(OFFSET, &[source.into()])
}

pub(crate) fn read_offset(query: PendingQuery<'_>) -> Result<u64, SqlError> {
    Ok(query.first(|row| row.int(0))?.unwrap_or(0).cast_unsigned())
}

/// The consumer offsets of at most `limit` sources.
pub fn offsets(tx: &Tx<'_>, limit: u32) -> Result<Vec<(Uuid, u64)>, SqlError> {
    tx.all(ALL_OFFSETS, &[i64::from(limit).into()], |row| {
        Ok((row.uuid(0)?, row.int(1)?.cast_unsigned()))
    })
}

/// Sets the consumer offset of a source, to an event that happened then, in milliseconds since 1970.
pub fn set_offset(tx: &Tx<'_>, source: Uuid, offset: u64, at_ms: i64) -> Result<(), SqlError> {
    tx.execute(SET_OFFSET, &[source.into(), offset.cast_signed().into(), at_ms.into()])
}
