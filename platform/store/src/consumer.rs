//! The consumer offset of each source, written in the commit of the effect; and dead letters: events
//! that could not be applied.
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

const ADD_DEAD_LETTER: &str = "
    INSERT INTO dead_letters (source, sequence, type, data, reason, at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (source, sequence)
      DO NOTHING";

const DEAD_LETTERS: &str = "
    SELECT source, sequence, type, data, reason, at_ms
      FROM dead_letters
  ORDER BY at_ms, source, sequence
     LIMIT ?1";

const COUNT_DEAD_LETTERS: &str = "
    SELECT count(*)
      FROM dead_letters";

/// An event that could not be applied, stored for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The store that published it.
    pub source: Uuid,
    /// Its sequence number among the events of that source.
    pub sequence: u64,
    /// Its event type.
    pub r#type: String,
    /// Its payload, JSON as text.
    pub data: String,
    /// Why it could not be applied.
    pub reason: String,
    /// When it was dead-lettered, in milliseconds since 1970.
    pub at_ms: i64,
}

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

/// Stores a dead letter, once.
pub fn add_dead_letter(tx: &Tx<'_>, event: &DeadLetter) -> Result<(), SqlError> {
    let DeadLetter { source, sequence, r#type, data, reason, at_ms } = event;
    let row = [
        (*source).into(),
        sequence.cast_signed().into(),
        r#type.as_str().into(),
        data.as_str().into(),
        reason.as_str().into(),
        (*at_ms).into(),
    ];
    tx.execute(ADD_DEAD_LETTER, &row)
}

/// The oldest dead letters, at most `limit`.
pub fn dead_letters(tx: &Tx<'_>, limit: u32) -> Result<Vec<DeadLetter>, SqlError> {
    tx.all(DEAD_LETTERS, &[i64::from(limit).into()], |row| {
        Ok(DeadLetter {
            source: row.uuid(0)?,
            sequence: row.int(1)?.cast_unsigned(),
            r#type: row.text(2)?.to_owned(),
            data: row.text(3)?.to_owned(),
            reason: row.text(4)?.to_owned(),
            at_ms: row.int(5)?,
        })
    })
}

/// How many dead letters there are.
pub fn count_dead_letters(tx: &Tx<'_>) -> Result<u64, SqlError> {
    Ok(tx.find(COUNT_DEAD_LETTERS, &[], |row| row.int(0))?.unwrap_or(0).cast_unsigned())
}
