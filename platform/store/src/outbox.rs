//! The outbox: events to publish, written in the commit that caused them.
//!
//! A commit adds one row, with all its events: a row for each would cost more than what is in it. Sequence numbers
//! have no gaps: a writer holds the lock of the store until its commit, so a reader that remembers the last number it
//! saw has seen everything before it. Without that lock a number could become visible after a higher one, and would be
//! missed.
//!
//! The oldest rows are deleted once every consumer has them and they are old enough ([`crate::retention`]);
//! the last row never, since it numbers the next.

use std::{borrow::Cow, ops::Deref};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    error::SqlError,
    sql::{PendingQuery, Tx},
    value::Row,
};

/// An event that has no sequence number yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its event type, without prefix and version.
    pub r#type: String,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its payload.
    pub data: Payload,
}

impl Event {
    /// An event with a payload that is serialised here.
    pub fn of(r#type: &str, at_ms: i64, data: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { r#type: r#type.to_owned(), at_ms, data: Payload::of(data)? })
    }
}

/// The payload of an event: JSON as text. That it is JSON is known, so nothing on its way parses it again.
#[derive(Clone, Debug)]
pub struct Payload(Box<RawValue>);

impl Payload {
    /// What is serialised as JSON.
    pub fn of(data: &impl Serialize) -> serde_json::Result<Self> {
        to_raw_value(data).map(Self)
    }

    /// A text that is JSON.
    pub fn parse(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).map(Self)
    }
}

impl From<Box<RawValue>> for Payload {
    fn from(data: Box<RawValue>) -> Self {
        Self(data)
    }
}

impl From<Payload> for Box<RawValue> {
    fn from(Payload(data): Payload) -> Self {
        data
    }
}

impl Deref for Payload {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload {}

/// An event of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its sequence number, from 1.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

/// An event as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEvent<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    at_ms: i64,
    #[serde(borrow)]
    data: &'a RawValue,
}

const HEAD: &str = "
    SELECT coalesce(max(sequence), 0)
      FROM outbox";

const APPEND: &str = "
    INSERT INTO outbox (sequence, at_ms, events)
         VALUES (?1, ?2, ?3)";

/// The row of an event.
const ROW_OF: &str = "
    SELECT sequence, events
      FROM outbox
     WHERE sequence >= ?1
  ORDER BY sequence
     LIMIT 1";

/// The rows of the events after `?1` up to `?2`; of those behind a gap, since events are pruned, the first row.
const AFTER: &str = "
    SELECT sequence, events
      FROM outbox
     WHERE sequence > ?1
       AND sequence <= coalesce((SELECT min(sequence) FROM outbox WHERE sequence >= ?2), ?2)
  ORDER BY sequence
     LIMIT ?3";

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
    let Some(newest_ms) = events.iter().map(|event| event.at_ms).max() else { return Ok(()) };
    let last = last.first(|row| row.int(0))?.unwrap_or(0) + number_of(events.len());
    let stored = events.iter().map(|Event { r#type, at_ms, data: Payload(data) }| StoredEvent {
        r#type: Cow::Borrowed(r#type),
        at_ms: *at_ms,
        data,
    });
    let stored = serde_json::to_string(&stored.collect::<Vec<_>>())?;
    tx.execute(APPEND, &[last.into(), newest_ms.into(), stored.as_str().into()])
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
    let events = tx.find(ROW_OF, &[sequence.cast_signed().into()], entries)?.unwrap_or_default();
    let found = events.into_iter().find(|entry| entry.sequence == sequence);
    Ok(found.map(|entry| entry.event.at_ms))
}

/// The next events after a sequence number, at most `limit`, in order. The first one is not the next number if that was
/// pruned.
pub fn after(tx: &Tx<'_>, sequence: u64, limit: u32) -> Result<Vec<OutboxEntry>, SqlError> {
    let (from, rows_max) = (sequence.cast_signed(), i64::from(limit));
    let up_to = from.saturating_add(rows_max);
    let rows = tx.all(AFTER, &[from.into(), up_to.into(), rows_max.into()], entries)?;
    let next = rows.into_iter().flatten().skip_while(|entry| entry.sequence <= sequence);
    Ok(next.zip(0..limit).map(|(entry, _)| entry).collect())
}

/// The events of a row.
fn entries(row: &Row<'_>) -> Result<Vec<OutboxEntry>, SqlError> {
    let stored = serde_json::from_str::<Vec<StoredEvent<'_>>>(row.text(1)?);
    let stored = stored.map_err(|_| SqlError::Decode { column: 1, expected: "events as JSON" })?;
    let first = row.int(0)? - number_of(stored.len()) + 1;
    let entry = |(StoredEvent { r#type, at_ms, data }, sequence): (_, i64)| {
        let event = Event { r#type: r#type.into_owned(), at_ms, data: Payload(data.to_owned()) };
        OutboxEntry { sequence: sequence.cast_unsigned(), event }
    };
    Ok(stored.into_iter().zip(first..).map(entry).collect())
}

fn number_of(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

/// Deletes the oldest rows whose events are all up to a sequence number and happened before this time, in milliseconds
/// since 1970; at most `limit`. Returns how many.
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
