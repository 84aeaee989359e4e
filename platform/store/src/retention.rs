//! Retention: what nobody needs any more is deleted once it is old enough, a little at a time, in commits of the
//! writer like everything else.

use crate::{
    error::SqlError,
    sql::Tx,
    value::{Row, Value},
};

/// Rows of one table that one commit deletes at most, so that no other command waits long.
pub const PRUNED_MAX: u32 = 512;

/// What is not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prune {
    /// Only what is older, in milliseconds since 1970.
    pub before_ms: i64,
    /// Events up to this sequence number: every consumer has them.
    pub events_up_to: u64,
}

/// Rows that are deleted when they are old enough: one statement selects the ids of the oldest, created before
/// `?1` and at most `?2`; the other deletes the row of the id `?1`.
#[derive(Clone, Copy, Debug)]
pub struct Prunable {
    /// Selects ids.
    pub oldest: &'static str,
    /// Deletes one row.
    pub delete: &'static str,
}

impl Prunable {
    /// Deletes at most [`PRUNED_MAX`] rows; returns how many.
    pub fn prune<K: Into<Value<'static>>>(
        &self,
        tx: &Tx<'_>,
        before_ms: i64,
        id: impl Fn(&Row<'_>) -> Result<K, SqlError>,
    ) -> Result<usize, SqlError> {
        let ids = tx.all(self.oldest, &[before_ms.into(), i64::from(PRUNED_MAX).into()], id)?;
        let ids: Vec<[Value<'_>; 1]> = ids.into_iter().map(|id| [id.into()]).collect();
        tx.execute_each(self.delete, &ids)?;
        Ok(ids.len())
    }
}
