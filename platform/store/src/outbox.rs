//! The outbox: events to publish, written in the commit that caused them.
//!
//! Rows are added with sequence numbers without gaps: a writer holds the lock of the store until its
//! commit, so a reader that remembers the last number it saw has seen everything before it. Without that
//! lock a number could become visible after a higher one, and would be missed.
//!
//! The oldest rows are deleted once every consumer has them and they are old enough ([`crate::retention`]);
//! the last row never, since it numbers the next.

use serde::Serialize;

use crate::{
    error::SqlError,
    sql::{PendingQuery, Tx},
};

/// An event that has no sequence number yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its event type, without prefix and version.
    pub r#type: String,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its payload, JSON as text.
    pub data: String,
}

impl Event {
    /// An event with a payload that is serialised here.
    pub fn of(r#type: &str, at_ms: i64, data: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { r#type: r#type.to_owned(), at_ms, data: serde_json::to_string(data)? })
    }
}

/// An event of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its sequence number, from 1.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

const HEAD: &str = "
    SELECT coalesce(max(sequence), 0)
      FROM outbox";

const APPEND: &str = "
    INSERT INTO outbox (sequence, type, at_ms, data)
         VALUES (?1, ?2, ?3, ?4)";

const AT: &str = "
    SELECT at_ms
      FROM outbox
     WHERE sequence = ?1";

const AFTER: &str = "
    SELECT sequence, type, at_ms, data
      FROM outbox
     WHERE sequence > ?1
  ORDER BY sequence
     LIMIT ?2";

/// The oldest rows up to `?1`, but for the last one.
const OLDEST: &str = "
    SELECT sequence, at_ms
      FROM outbox
     WHERE sequence <= ?1
       AND sequence < (SELECT max(sequence) FROM outbox)
  ORDER BY sequence
     LIMIT ?2";

const DELETE_UP_TO: &str = "
    DELETE FROM outbox
     WHERE sequence <= ?1";

/// Appends events within the transaction of their cause.
pub fn append(tx: &Tx<'_>, events: &[Event]) -> Result<(), SqlError> {
    append_after(tx, enqueue_last(tx)?, events)
}

/// Appends events after the result of [`enqueue_last`].
pub(crate) fn append_after(
    tx: &Tx<'_>,
    last: PendingQuery<'_>,
    events: &[Event],
) -> Result<(), SqlError> {
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

pub(crate) fn enqueue_last<'a>(tx: &Tx<'a>) -> Result<PendingQuery<'a>, SqlError> {
    tx.enqueue(HEAD, &[])
}

/// The sequence number of the last event; 0 before the first.
pub fn head(tx: &Tx<'_>) -> Result<u64, SqlError> {
    Ok(tx.find(HEAD, &[], |row| row.int(0))?.unwrap_or(0).cast_unsigned())
}

/// When an event happened, in milliseconds since 1970; none if there is no event with this number.
pub fn at_ms(tx: &Tx<'_>, sequence: u64) -> Result<Option<i64>, SqlError> {
    tx.find(AT, &[sequence.cast_signed().into()], |row| row.int(0))
}

/// The next events after a sequence number, at most `limit`, in order.
pub fn after(tx: &Tx<'_>, sequence: u64, limit: u32) -> Result<Vec<OutboxEntry>, SqlError> {
    tx.all(AFTER, &[sequence.cast_signed().into(), i64::from(limit).into()], |row| {
        let event = Event {
            r#type: row.text(1)?.to_owned(),
            at_ms: row.int(2)?,
            data: row.text(3)?.to_owned(),
        };
        Ok(OutboxEntry { sequence: row.int(0)?.cast_unsigned(), event })
    })
}

/// Deletes the oldest events up to a sequence number that happened before this time, in milliseconds since 1970;
/// at most `limit`. Returns how many.
pub(crate) fn prune(
    tx: &Tx<'_>,
    up_to: u64,
    before_ms: i64,
    limit: u32,
) -> Result<usize, SqlError> {
    let oldest = tx.all(OLDEST, &[up_to.cast_signed().into(), i64::from(limit).into()], |row| {
        Ok((row.int(0)?, row.int(1)?))
    })?;
    // Not those behind a newer one: what is left has no gaps.
    let pruned: Vec<_> = oldest.iter().take_while(|(_, at_ms)| *at_ms < before_ms).collect();
    if let Some((last, _)) = pruned.last() {
        tx.execute(DELETE_UP_TO, &[(*last).into()])?;
    }
    Ok(pruned.len())
}
