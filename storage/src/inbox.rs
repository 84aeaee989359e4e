//! How far a store has heard each source, written in the commit of the effect; and what it could
//! not hear.
//!
//! One row per source: an event at or below the number has had its effect already.

use uuid::Uuid;

use crate::sql::{Asked, SqlError, Tx};

const HEARD: &str = "
    SELECT sequence
      FROM inbox
     WHERE source = ?1";

const ALL_HEARD: &str = "
    SELECT source, sequence
      FROM inbox
  ORDER BY source
     LIMIT ?1";

const REMEMBER: &str = "
    INSERT INTO inbox (source, sequence)
         VALUES (?1, ?2)
    ON CONFLICT (source)
      DO UPDATE SET sequence = excluded.sequence";

const PARK: &str = "
    INSERT INTO parked (source, sequence, type, data, why, at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (source, sequence)
      DO NOTHING";

const PARKED: &str = "
    SELECT source, sequence, type, data, why, at_ms
      FROM parked
  ORDER BY at_ms, source, sequence
     LIMIT ?1";

const COUNT_PARKED: &str = "
    SELECT count(*)
      FROM parked";

/// An event that could not be heard, kept for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Who said it.
    pub source: Uuid,
    /// Its place among everything that this source said.
    pub sequence: u64,
    /// What kind of event.
    pub r#type: String,
    /// The event itself, JSON.
    pub data: String,
    /// Why it could not be heard.
    pub why: String,
    /// When it was parked, in milliseconds since 1970.
    pub at_ms: i64,
}

/// The highest sequence number heard from a source; 0 before the first.
pub fn heard(tx: &Tx<'_>, source: Uuid) -> Result<u64, SqlError> {
    read_heard(ask_heard(tx, source)?)
}

/// Asks for the highest sequence number heard from a source.
pub(crate) fn ask_heard<'a>(tx: &Tx<'a>, source: Uuid) -> Result<Asked<'a>, SqlError> {
    tx.ask(HEARD, &[source.into()])
}

/// The answer to [`ask_heard`].
pub(crate) fn read_heard(asked: Asked<'_>) -> Result<u64, SqlError> {
    Ok(asked.first(|row| row.int(0))?.unwrap_or(0).cast_unsigned())
}

/// How far each source was heard, at most `limit` sources.
pub fn all_heard(tx: &Tx<'_>, limit: u32) -> Result<Vec<(Uuid, u64)>, SqlError> {
    tx.all(ALL_HEARD, &[i64::from(limit).into()], |row| {
        Ok((row.uuid(0)?, row.int(1)?.cast_unsigned()))
    })
}

/// Remembers how far a source was heard.
pub fn remember(tx: &Tx<'_>, source: Uuid, sequence: u64) -> Result<(), SqlError> {
    tx.execute(REMEMBER, &[source.into(), sequence.cast_signed().into()])
}

/// Puts an event aside.
pub fn park(tx: &Tx<'_>, event: &Parked) -> Result<(), SqlError> {
    let Parked { source, sequence, r#type, data, why, at_ms } = event;
    let row = [
        (*source).into(),
        sequence.cast_signed().into(),
        r#type.as_str().into(),
        data.as_str().into(),
        why.as_str().into(),
        (*at_ms).into(),
    ];
    tx.execute(PARK, &row)
}

/// What is parked, oldest first, at most `limit`.
pub fn parked(tx: &Tx<'_>, limit: u32) -> Result<Vec<Parked>, SqlError> {
    tx.all(PARKED, &[i64::from(limit).into()], |row| {
        Ok(Parked {
            source: row.uuid(0)?,
            sequence: row.int(1)?.cast_unsigned(),
            r#type: row.text(2)?.to_owned(),
            data: row.text(3)?.to_owned(),
            why: row.text(4)?.to_owned(),
            at_ms: row.int(5)?,
        })
    })
}

/// How much is parked.
pub fn count_parked(tx: &Tx<'_>) -> Result<u64, SqlError> {
    Ok(tx.find(COUNT_PARKED, &[], |row| row.int(0))?.unwrap_or(0).cast_unsigned())
}
