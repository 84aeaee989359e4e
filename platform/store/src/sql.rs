//! The SQL that both databases speak, so that every service writes its statements once.
//!
//! Statements have numbered parameters, `?1` and up, and use only what SQLite and PostgreSQL have in
//! common. Statements for many rows are submitted together: SQLite runs them row by row, which costs
//! it nothing; PostgreSQL gets lookups as one pipeline (one round trip) and writes as one statement
//! over arrays. Queries that are needed together are enqueued first and read afterwards
//! ([`Tx::enqueue`]); writes are sent when a result is needed, at the latest with the commit.

use std::{collections::BTreeSet, iter, slice};

use uuid::Uuid;

use crate::{
    error::SqlError,
    postgres,
    value::{Row, Value},
};

/// Rows that [`Tx::find_ids`] may read in vain for each id: as many cost less than one lookup.
const SKIPPED_ROWS_MAX: usize = 4;

/// How rows are found by their ids; both statements return the same columns.
#[derive(Clone, Copy, Debug)]
pub struct ById {
    /// The row of the id `?1`.
    pub id: &'static str,
    /// The rows from the id `?1` to `?2`, at most `?3`.
    pub between: &'static str,
}

/// A query that was enqueued and whose result was not read yet.
#[derive(Debug)]
pub struct PendingQuery<'a>(Pending<'a>);

#[derive(Debug)]
enum Pending<'a> {
    /// SQLite runs the query when its result is read.
    Sqlite { tx: Tx<'a>, sql: &'static str, params: Vec<Value<'a>> },
    /// PostgreSQL runs all enqueued queries in one round trip.
    Postgres { connection: &'a postgres::Connection, result: postgres::PendingResult },
}

impl PendingQuery<'_> {
    /// The first row of the result, if there is one.
    pub fn first<T>(
        self,
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        match self.0 {
            Pending::Sqlite { tx, sql, params } => tx.find(sql, &params, read),
            Pending::Postgres { connection, result } => {
                Rows::Postgres(connection.read(result)?.iter()).next(read)
            }
        }
    }
}

/// The rows of one result: SQLite computes each when it is read, PostgreSQL has sent all.
enum Rows<'a> {
    Sqlite(rusqlite::Rows<'a>),
    Postgres(slice::Iter<'a, tokio_postgres::Row>),
}

impl Rows<'_> {
    fn next<T>(
        &mut self,
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        match self {
            Self::Sqlite(rows) => rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose(),
            Self::Postgres(rows) => rows.next().map(|row| read(&Row::Postgres(row))).transpose(),
        }
    }

    fn all<T>(
        mut self,
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        iter::from_fn(|| self.next(&read).transpose()).collect()
    }
}

/// A transaction. It blocks: not for async code.
#[derive(Clone, Copy, Debug)]
pub enum Tx<'a> {
    /// A transaction of SQLite.
    Sqlite(&'a rusqlite::Connection),
    /// A transaction of PostgreSQL.
    Postgres(&'a postgres::Connection),
}

impl<'a> Tx<'a> {
    /// Enqueues a query, so that several are one round trip: enqueue all, then read the first result.
    /// Write nothing in between that would change a result: PostgreSQL evaluates the query where it
    /// was enqueued, SQLite where it is read.
    pub fn enqueue(
        &self,
        sql: &'static str,
        params: &[Value<'a>],
    ) -> Result<PendingQuery<'a>, SqlError> {
        Ok(PendingQuery(match self {
            Self::Sqlite(_) => Pending::Sqlite { tx: *self, sql, params: params.to_vec() },
            Self::Postgres(connection) => {
                Pending::Postgres { connection, result: connection.enqueue(sql, params)? }
            }
        }))
    }

    /// The first row of a result, if there is one.
    pub fn find<T>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        let results = self.query(sql, &[params], |mut rows| rows.next(&read))?;
        Ok(results.into_iter().flatten().next())
    }

    /// Every row of a result.
    pub fn all<T>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let results = self.query(sql, &[params], |rows| rows.all(&read))?;
        Ok(results.into_iter().next().unwrap_or_default())
    }

    /// For each key the row that it names, if there is one; in the order of the keys.
    pub fn find_each<const N: usize, T>(
        &self,
        sql: &'static str,
        keys: &[[Value<'_>; N]],
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<Option<T>>, SqlError> {
        self.query(sql, keys, |mut rows| rows.next(&read))
    }

    /// For each key all rows that it names; in the order of the keys.
    pub fn all_each<const N: usize, T>(
        &self,
        sql: &'static str,
        keys: &[[Value<'_>; N]],
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<Vec<T>>, SqlError> {
        self.query(sql, keys, |rows| rows.all(&read))
    }

    /// Runs a query for each row of parameters; `collect` reads its result.
    fn query<'p, P: AsRef<[Value<'p>]>, T>(
        &self,
        sql: &'static str,
        params: &[P],
        collect: impl Fn(Rows<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let run = |params: &P| {
                    let rows = statement.query(rusqlite::params_from_iter(params.as_ref()))?;
                    collect(Rows::Sqlite(rows))
                };
                params.iter().map(run).collect()
            }
            Self::Postgres(connection) => {
                let results = connection.query(sql, params)?;
                results.iter().map(|rows| collect(Rows::Postgres(rows.iter()))).collect()
            }
        }
    }

    /// The rows of those ids that exist, in no order.
    ///
    /// Ids that begin with their creation time (UUIDv7) lie close together where they are of one
    /// moment, so one range scan finds them all. Where too many other rows lie in that range, each
    /// id is looked up.
    pub fn find_ids<T>(
        &self,
        by: &ById,
        ids: &BTreeSet<Uuid>,
        read: impl Fn(&Row<'_>) -> Result<(Uuid, T), SqlError>,
    ) -> Result<Vec<(Uuid, T)>, SqlError> {
        let is_timed = |id: &Uuid| id.get_version() == Some(uuid::Version::SortRand);
        let (timed, mut others): (Vec<Uuid>, Vec<Uuid>) = ids.iter().copied().partition(is_timed);
        let mut found = Vec::new();
        if let (Some(first), Some(last)) = (timed.first(), timed.last()) {
            let rows_max = timed.len() * SKIPPED_ROWS_MAX;
            let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
            found =
                self.all(by.between, &[(*first).into(), (*last).into(), limit.into()], &read)?;
            if found.len() < rows_max {
                found.retain(|(id, _)| ids.contains(id));
            } else {
                found.clear();
                others.extend(timed);
            }
        }
        let keys: Vec<_> = others.into_iter().map(|id| [Value::Uuid(id)]).collect();
        found.extend(self.find_each(by.id, &keys, read)?.into_iter().flatten());
        Ok(found)
    }

    /// Runs a statement without a result. Its error may surface in a later statement of the same
    /// transaction, at the latest in the commit.
    pub fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<(), SqlError> {
        self.run(sql, &[params])
    }

    /// Runs a statement once for each row of parameters, in their order.
    pub fn execute_each<const N: usize>(
        &self,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), SqlError> {
        self.run(sql, rows)
    }

    fn run<'p, P: AsRef<[Value<'p>]>>(
        &self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                for row in rows {
                    statement.execute(rusqlite::params_from_iter(row.as_ref()))?;
                }
                Ok(())
            }
            Self::Postgres(connection) => connection.execute(sql, rows),
        }
    }

    /// Runs a script: several statements, no parameters, no result.
    pub fn run_script(&self, script: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(script)?),
            Self::Postgres(connection) => connection.run_script(script),
        }
    }
}
