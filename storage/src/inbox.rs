//! How far a store has heard each source, written in the commit of the effect.
//!
//! One row per source: an event at or below the number has had its effect already.

use rusqlite::{Connection, OptionalExtension, Transaction};
use uuid::Uuid;

const HEARD: &str = "
    SELECT sequence
      FROM inbox
     WHERE source = ?1";

const REMEMBER: &str = "
    INSERT INTO inbox (source, sequence)
         VALUES (?1, ?2)
    ON CONFLICT (source)
      DO UPDATE SET sequence = excluded.sequence";

/// The highest sequence number heard from a source; 0 before the first.
pub fn heard(connection: &Connection, source: Uuid) -> rusqlite::Result<u64> {
    let sequence: Option<i64> =
        connection.prepare_cached(HEARD)?.query_row([source], |row| row.get(0)).optional()?;
    Ok(sequence.unwrap_or(0).cast_unsigned())
}

/// Remembers how far a source was heard.
pub fn remember(tx: &Transaction<'_>, source: Uuid, sequence: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(REMEMBER)?.execute((source, sequence.cast_signed()))?;
    Ok(())
}
