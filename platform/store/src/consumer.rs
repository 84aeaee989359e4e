//! The consumer offset of each source, written in the commit of the effect.
//!
//! One row per source: an event at or below its offset was applied before. Of a snapshot the key of the last row
//! that was applied is stored too, so that none is missed.

use uuid::Uuid;

use crate::{
    error::SqlError,
    sql::{PendingQuery, Tx},
    value::Row,
};

/// How far the events of a source were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    /// The sequence number of the last event; 0 before the first.
    pub sequence: u64,
    /// A snapshot of which not all rows were applied yet.
    pub snapshot: Option<SnapshotOffset>,
}

/// How far a snapshot was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOffset {
    /// The sequence number of the events that it stands for.
    pub up_to: u64,
    /// The key of the last row.
    pub key: i64,
}

impl From<u64> for Offset {
    fn from(sequence: u64) -> Self {
        Self { sequence, snapshot: None }
    }
}

const OFFSET: &str = "
    SELECT sequence, at_ms, snapshot_up_to, snapshot_key
      FROM consumer_offsets
     WHERE source = ?1";

const ALL_OFFSETS: &str = "
    SELECT source, sequence
      FROM consumer_offsets
  ORDER BY source
     LIMIT ?1";

const SET_OFFSET: &str = "
    INSERT INTO consumer_offsets (source, sequence, at_ms, snapshot_up_to, snapshot_key)
         VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (source)
      DO UPDATE SET sequence = excluded.sequence, at_ms = excluded.at_ms,
                    snapshot_up_to = excluded.snapshot_up_to, snapshot_key = excluded.snapshot_key";

/// How far the events of a source were applied.
pub fn offset(tx: &Tx<'_>, source: Uuid) -> Result<Offset, SqlError> {
    Ok(last_event(tx, source)?.map(|(offset, _)| offset).unwrap_or_default())
}

/// The same, and when the last event happened, in milliseconds since 1970; none before the first event.
pub fn last_event(tx: &Tx<'_>, source: Uuid) -> Result<Option<(Offset, i64)>, SqlError> {
    read_last_event(enqueue_last_event(tx, source)?)
}

pub(crate) fn enqueue_last_event<'a>(
    tx: &Tx<'a>,
    source: Uuid,
) -> Result<PendingQuery<'a>, SqlError> {
    tx.enqueue(OFFSET, &[source.into()])
}

pub(crate) fn read_last_event(query: PendingQuery<'_>) -> Result<Option<(Offset, i64)>, SqlError> {
    query.first(|row: &Row<'_>| {
        let snapshot = row.int_or_null(2)?.zip(row.int_or_null(3)?);
        let snapshot =
            snapshot.map(|(up_to, key)| SnapshotOffset { up_to: up_to.cast_unsigned(), key });
        Ok((Offset { sequence: row.int(0)?.cast_unsigned(), snapshot }, row.int(1)?))
    })
}

/// The consumer offsets of at most `limit` sources.
pub fn offsets(tx: &Tx<'_>, limit: u32) -> Result<Vec<(Uuid, u64)>, SqlError> {
    tx.all(ALL_OFFSETS, &[i64::from(limit).into()], |row| {
        Ok((row.uuid(0)?, row.int(1)?.cast_unsigned()))
    })
}

/// Sets the offset of a source, whose last event happened then, in milliseconds since 1970.
pub fn set_offset(
    tx: &Tx<'_>,
    source: Uuid,
    Offset { sequence, snapshot }: Offset,
    at_ms: i64,
) -> Result<(), SqlError> {
    let snapshot = snapshot.map(|SnapshotOffset { up_to, key }| (up_to.cast_signed(), key));
    let (up_to, key) = snapshot.unzip();
    let row =
        [source.into(), sequence.cast_signed().into(), at_ms.into(), up_to.into(), key.into()];
    tx.execute(SET_OFFSET, &row)
}
