//! Dead letters: events that could not be applied. An operator has one applied after all, which deletes it,
//! or dismisses it, which keeps it for auditors.

use uuid::Uuid;

use crate::{
    error::SqlError,
    outbox::{Event, Payload},
    sql::Tx,
    value::{Row, Value},
};

/// An event that is dead-lettered again, since its source sent everything again, keeps its row: what was
/// dismissed stays dismissed.
const ADD: &str = "
    INSERT INTO dead_letters (source, sequence, type, at_ms, data, reason, dead_lettered_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (source, sequence)
      DO NOTHING";

const FIND: &str = "
    SELECT source, sequence, type, at_ms, data, reason, dead_lettered_at_ms,
           dismissed_at_ms, dismissal_reason
      FROM dead_letters
     WHERE source = ?1 AND sequence = ?2";

const OPEN: &str = "
    SELECT source, sequence, type, at_ms, data, reason, dead_lettered_at_ms,
           dismissed_at_ms, dismissal_reason
      FROM dead_letters
     WHERE dismissed_at_ms IS NULL
  ORDER BY dead_lettered_at_ms, source, sequence
     LIMIT ?1";

const DISMISSED: &str = "
    SELECT source, sequence, type, at_ms, data, reason, dead_lettered_at_ms,
           dismissed_at_ms, dismissal_reason
      FROM dead_letters
     WHERE dismissed_at_ms IS NOT NULL
  ORDER BY dismissed_at_ms DESC, source, sequence
     LIMIT ?1";

const COUNT_OPEN: &str = "
    SELECT count(*)
      FROM dead_letters
     WHERE dismissed_at_ms IS NULL";

const COUNT_DISMISSED: &str = "
    SELECT count(*)
      FROM dead_letters
     WHERE dismissed_at_ms IS NOT NULL";

const DISMISSED_AT: &str = "
    SELECT dismissed_at_ms
      FROM dead_letters
     WHERE source = ?1 AND sequence = ?2";

const DELETE: &str = "
    DELETE FROM dead_letters
     WHERE source = ?1 AND sequence = ?2";

const SET_REASON: &str = "
    UPDATE dead_letters
       SET reason = ?3
     WHERE source = ?1 AND sequence = ?2";

const DISMISS: &str = "
    UPDATE dead_letters
       SET dismissed_at_ms = ?3, dismissal_reason = ?4
     WHERE source = ?1 AND sequence = ?2";

/// An event that could not be applied, stored for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which event.
    pub id: DeadLetterId,
    /// The event.
    pub event: Event,
    /// Why it could not be applied.
    pub reason: String,
    /// When it was dead-lettered, in milliseconds since 1970.
    pub dead_lettered_at_ms: i64,
    /// Set once an operator has decided that it will not be applied.
    pub dismissal: Option<Dismissal>,
}

/// The event of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterId {
    /// The store that published it.
    pub source: Uuid,
    /// Its sequence number among the events of that source.
    pub sequence: u64,
}

/// The decision of an operator that an event will not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dismissal {
    /// In milliseconds since 1970.
    pub at_ms: i64,
    /// Why, in the words of the operator.
    pub reason: String,
}

/// What an operator does with an open dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterChange<C> {
    /// Applies the command, if the event means one here, and deletes the dead letter.
    Apply(Option<C>),
    /// Keeps it: it could still not be applied, for this reason.
    Keep(String),
    /// Keeps it as dismissed.
    Dismiss(Dismissal),
}

/// What a dead letter was before a [`DeadLetterChange`]; only an open one is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterState {
    /// It waits for an operator.
    Open,
    /// It was dismissed.
    Dismissed,
    /// There is none: it was applied, or the event was never dead-lettered.
    Absent,
}

/// Stores a dead letter, once.
pub fn add(tx: &Tx<'_>, dead_letter: &DeadLetter) -> Result<(), SqlError> {
    let DeadLetter { id, event, reason, dead_lettered_at_ms, dismissal: _ } = dead_letter;
    let [source, sequence] = id.key();
    let row = [
        source,
        sequence,
        event.r#type.as_str().into(),
        event.at_ms.into(),
        (*event.data).into(),
        reason.as_str().into(),
        (*dead_lettered_at_ms).into(),
    ];
    tx.execute(ADD, &row)
}

/// A dead letter, open or dismissed.
pub fn find(tx: &Tx<'_>, id: DeadLetterId) -> Result<Option<DeadLetter>, SqlError> {
    tx.find(FIND, &id.key(), dead_letter)
}

/// The oldest open dead letters, at most `limit`.
pub fn open(tx: &Tx<'_>, limit: u32) -> Result<Vec<DeadLetter>, SqlError> {
    tx.all(OPEN, &[i64::from(limit).into()], dead_letter)
}

/// The dead letters that were dismissed last, at most `limit`.
pub fn dismissed(tx: &Tx<'_>, limit: u32) -> Result<Vec<DeadLetter>, SqlError> {
    tx.all(DISMISSED, &[i64::from(limit).into()], dead_letter)
}

/// Whether any dead letter is open.
pub(crate) fn is_open(tx: &Tx<'_>) -> Result<bool, SqlError> {
    Ok(!open(tx, 1)?.is_empty())
}

/// How many dead letters are open.
pub fn count_open(tx: &Tx<'_>) -> Result<u64, SqlError> {
    count(tx, COUNT_OPEN)
}

/// How many dead letters are dismissed.
pub fn count_dismissed(tx: &Tx<'_>) -> Result<u64, SqlError> {
    count(tx, COUNT_DISMISSED)
}

fn count(tx: &Tx<'_>, sql: &'static str) -> Result<u64, SqlError> {
    Ok(tx.find(sql, &[], |row| row.int(0))?.unwrap_or(0).cast_unsigned())
}

fn dead_letter(row: &Row<'_>) -> Result<DeadLetter, SqlError> {
    let dismissal = match row.int_or_null(7)? {
        Some(at_ms) => Some(Dismissal { at_ms, reason: row.text(8)?.to_owned() }),
        None => None,
    };
    Ok(DeadLetter {
        id: DeadLetterId { source: row.uuid(0)?, sequence: row.int(1)?.cast_unsigned() },
        event: Event {
            r#type: row.text(2)?.to_owned(),
            at_ms: row.int(3)?,
            data: Payload::parse(row.text(4)?.to_owned())?,
        },
        reason: row.text(5)?.to_owned(),
        dead_lettered_at_ms: row.int(6)?,
        dismissal,
    })
}

/// Changes a dead letter if it is open; its state before. The command is applied elsewhere.
pub(crate) fn change<C>(
    tx: &Tx<'_>,
    id: DeadLetterId,
    change: &DeadLetterChange<C>,
) -> Result<DeadLetterState, SqlError> {
    let state = state(tx, id)?;
    if state == DeadLetterState::Open {
        let [source, sequence] = id.key();
        match change {
            DeadLetterChange::Apply(_) => tx.execute(DELETE, &[source, sequence])?,
            DeadLetterChange::Keep(reason) => {
                tx.execute(SET_REASON, &[source, sequence, reason.as_str().into()])?;
            }
            DeadLetterChange::Dismiss(Dismissal { at_ms, reason }) => {
                let row = [source, sequence, (*at_ms).into(), reason.as_str().into()];
                tx.execute(DISMISS, &row)?;
            }
        }
    }
    Ok(state)
}

fn state(tx: &Tx<'_>, id: DeadLetterId) -> Result<DeadLetterState, SqlError> {
    Ok(match tx.find(DISMISSED_AT, &id.key(), |row| row.int_or_null(0))? {
        None => DeadLetterState::Absent,
        Some(None) => DeadLetterState::Open,
        Some(Some(_)) => DeadLetterState::Dismissed,
    })
}

impl<C> DeadLetterChange<C> {
    /// The command to apply.
    pub(crate) fn command(&self) -> Option<&C> {
        match self {
            Self::Apply(command) => command.as_ref(),
            Self::Keep(_) | Self::Dismiss(_) => None,
        }
    }
}

impl DeadLetterId {
    fn key(self) -> [Value<'static>; 2] {
        [self.source.into(), self.sequence.cast_signed().into()]
    }
}
