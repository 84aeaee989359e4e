//! What a store has to tell, written in the commit that caused it.
//!
//! Rows are only ever added, with gapless sequence numbers: whoever writes holds the store's lock
//! until it has committed, so a reader that remembers the last number it saw has seen everything
//! before. Without that lock a number can become visible after a higher one, and would be missed.

use serde::Serialize;

use crate::sql::{Asked, SqlError, Tx};

/// Something to tell, before it has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing.
    pub r#type: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The thing itself, JSON.
    pub data: String,
}

impl Event {
    /// An event with its data as JSON.
    pub fn of(name: &str, at_ms: i64, data: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { r#type: name.to_owned(), at_ms, data: serde_json::to_string(data)? })
    }
}

/// Something told.
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

const LAST: &str = "
    SELECT coalesce(max(sequence), 0)
      FROM outbox";

const APPEND: &str = "
    INSERT INTO outbox (sequence, type, at_ms, data)
         VALUES (?1, ?2, ?3, ?4)";

const AFTER: &str = "
    SELECT sequence, type, at_ms, data
      FROM outbox
     WHERE sequence > ?1
  ORDER BY sequence
     LIMIT ?2";

/// Adds events within the transaction of their cause.
pub fn append(tx: &Tx<'_>, events: &[Event]) -> Result<(), SqlError> {
    append_after(tx, ask_last(tx)?, events)
}

/// The same, where [`ask_last`] was asked before.
pub(crate) fn append_after(tx: &Tx<'_>, last: Asked<'_>, events: &[Event]) -> Result<(), SqlError> {
    if events.is_empty() {
        return Ok(());
    }
    let last = last.first(|row| row.int(0))?.unwrap_or(0);
    let rows = events.iter().zip(last + 1..).map(|(event, sequence)| {
        let Event { r#type, at_ms, data } = event;
        [sequence.into(), r#type.as_str().into(), (*at_ms).into(), data.as_str().into()]
    });
    tx.execute_each(APPEND, &rows.collect::<Vec<_>>())
}

/// Asks for the sequence number of the last event.
pub(crate) fn ask_last<'a>(tx: &Tx<'a>) -> Result<Asked<'a>, SqlError> {
    tx.ask(LAST, &[])
}

/// The sequence number of the last event; 0 before the first.
pub fn last(tx: &Tx<'_>) -> Result<u64, SqlError> {
    Ok(tx.find(LAST, &[], |row| row.int(0))?.unwrap_or(0).cast_unsigned())
}

/// The next entries after a sequence number, at most `limit`, in order.
pub fn after(tx: &Tx<'_>, sequence: u64, limit: u32) -> Result<Vec<Entry>, SqlError> {
    tx.all(AFTER, &[sequence.cast_signed().into(), i64::from(limit).into()], |row| {
        Ok(Entry {
            sequence: row.int(0)?.cast_unsigned(),
            r#type: row.text(1)?.to_owned(),
            at_ms: row.int(2)?,
            data: row.text(3)?.to_owned(),
        })
    })
}
