//! What a store has to tell, written in the commit that caused it.
//!
//! Rows are only ever added, with gapless sequence numbers: the one writer hands them out inside
//! the transaction, so a reader that remembers the last number it saw has seen everything before.

use rusqlite::{Connection, Transaction};

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1.
    pub sequence: u64,
    /// What kind of thing.
    pub r#type: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The thing itself, JSON.
    pub data: String,
}

const APPEND: &str = "
    INSERT INTO outbox (type, at_ms, data)
         VALUES (?1, ?2, ?3)";

const AFTER: &str = "
    SELECT sequence, type, at_ms, data
      FROM outbox
     WHERE sequence > ?1
  ORDER BY sequence
     LIMIT ?2";

/// Adds one entry within the transaction of its cause.
pub fn append(tx: &Transaction<'_>, r#type: &str, at_ms: i64, data: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(APPEND)?.execute((r#type, at_ms, data))?;
    Ok(())
}

/// The next entries after a sequence number, at most `limit`, in order.
pub fn after(connection: &Connection, sequence: u64, limit: u32) -> rusqlite::Result<Vec<Entry>> {
    connection
        .prepare_cached(AFTER)?
        .query_map((sequence.cast_signed(), limit), |row| {
            Ok(Entry {
                sequence: row.get::<_, i64>(0)?.cast_unsigned(),
                r#type: row.get(1)?,
                at_ms: row.get(2)?,
                data: row.get(3)?,
            })
        })?
        .collect()
}
