//! The SQL that both databases speak, so that every part writes its statements once.
//!
//! Statements have numbered parameters, `?1` and up, and use what SQLite and PostgreSQL understand
//! alike. Whatever is done for many rows is handed over together: SQLite runs it row by row, which
//! costs it nothing; PostgreSQL gets lookups in one pipeline, one round trip, and writes as one
//! statement over arrays. What is to be known at once is asked first and read then ([`Tx::ask`]);
//! what is written is sent when an answer is needed, at the latest with the commit.

use std::collections::BTreeSet;

use rusqlite::{ErrorCode, OptionalExtension, ToSql, types::ToSqlOutput};
use thiserror::Error;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::{postgres, writer::StoreError};

/// A parameter of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// An id, or anything else of 16 bytes.
    Uuid(Uuid),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl From<Uuid> for Value<'_> {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => rusqlite::types::Null.to_sql(),
            Self::Int(value) => value.to_sql(),
            Self::Text(value) => value.to_sql(),
            Self::Uuid(value) => value.to_sql(),
        }
    }
}

/// Why a statement failed.
#[derive(Debug, Error)]
pub enum SqlError {
    /// SQLite says.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL says.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// There is no connection to PostgreSQL.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row holds what this program never wrote.
    #[error("column {column} is not {what}")]
    Unreadable {
        /// Counted from 0.
        column: usize,
        /// What it should be.
        what: &'static str,
    },
    /// What was to be written cannot be written as it should be.
    #[error("cannot be written")]
    Unwritable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        if error.is_about_the_command() {
            Self::Rejected(error.into())
        } else {
            Self::Unavailable(error.into())
        }
    }
}

impl SqlError {
    /// Whether other commands may succeed where this one fails.
    fn is_about_the_command(&self) -> bool {
        match self {
            Self::Sqlite(cause) => matches!(
                cause.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
            ),
            // Classes 22 and 23: wrong data, and broken constraints.
            Self::Postgres(cause) => cause
                .code()
                .map(SqlState::code)
                .is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
            Self::Unwritable(_) | Self::Unreadable { .. } => true,
            Self::Unreachable(_) => false,
        }
    }
}

/// An error and all its causes in one line: what PostgreSQL says stands behind "db error".
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}

/// A row of an answer.
#[derive(Debug)]
pub enum Row<'a> {
    /// From SQLite.
    Sqlite(&'a rusqlite::Row<'a>),
    /// From PostgreSQL.
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// A whole number.
    pub fn int(&self, column: usize) -> Result<i64, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// A whole number, or nothing.
    pub fn int_or_null(&self, column: usize) -> Result<Option<i64>, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// Text.
    pub fn text(&self, column: usize) -> Result<&str, SqlError> {
        match self {
            Self::Sqlite(row) => row
                .get_ref(column)?
                .as_str()
                .map_err(|_| SqlError::Unreadable { column, what: "text" }),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// An id.
    pub fn uuid(&self, column: usize) -> Result<Uuid, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// An id, or nothing.
    pub fn uuid_or_null(&self, column: usize) -> Result<Option<Uuid>, SqlError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }
}

/// How rows are found by their ids; both statements answer the same columns.
#[derive(Clone, Copy, Debug)]
pub struct ById {
    /// The row of the id `?1`.
    pub id: &'static str,
    /// The rows from the id `?1` to `?2`, at most `?3`.
    pub between: &'static str,
}

/// Rows that may be passed over for each that is looked for: as many cost less than a lookup.
const PASSED_OVER_MAX: usize = 4;

/// A question whose answer nobody has waited for yet.
#[derive(Debug)]
pub enum Asked<'a> {
    /// SQLite answers when it is read: it has not far to go.
    Sqlite {
        /// What runs it.
        tx: Tx<'a>,
        /// The query.
        sql: &'static str,
        /// Its parameters.
        params: Vec<Value<'a>>,
    },
    /// PostgreSQL answers all that was asked before in one round trip.
    Postgres {
        /// What brings the answer.
        connection: &'a postgres::Connection,
        /// Where it will be.
        answer: postgres::Answer,
    },
}

impl Asked<'_> {
    /// The first row of the answer, if there is one.
    pub fn first<T>(
        self,
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        match self {
            Self::Sqlite { tx, sql, params } => tx.find(sql, &params, read),
            Self::Postgres { connection, answer } => {
                let rows = connection.read(answer)?;
                rows.first().map(|row| read(&Row::Postgres(row))).transpose()
            }
        }
    }
}

/// A transaction, or a read: what statements are run on. It blocks; not for async code.
#[derive(Clone, Copy, Debug)]
pub enum Tx<'a> {
    /// On SQLite.
    Sqlite(&'a rusqlite::Connection),
    /// On PostgreSQL.
    Postgres(&'a postgres::Connection),
}

impl<'a> Tx<'a> {
    /// Asks without waiting, so that several questions are one round trip. Ask them all, then read
    /// the first answer. Write nothing in between that would change an answer: PostgreSQL answers as
    /// of the question, SQLite as of the reading.
    pub fn ask(&self, sql: &'static str, params: &[Value<'a>]) -> Result<Asked<'a>, SqlError> {
        match self {
            Self::Sqlite(_) => Ok(Asked::Sqlite { tx: *self, sql, params: params.to_vec() }),
            Self::Postgres(connection) => {
                Ok(Asked::Postgres { connection, answer: connection.ask(sql, params)? })
            }
        }
    }

    /// The first row of an answer, if there is one.
    pub fn find<T>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(params))?;
                rows.next()?.map(|row| read(&Row::Sqlite(row))).transpose()
            }
            Self::Postgres(connection) => {
                let rows = connection.query(sql, &[params])?;
                rows.iter().flatten().next().map(|row| read(&Row::Postgres(row))).transpose()
            }
        }
    }

    /// Every row of an answer.
    pub fn all<T>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(params))?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    all.push(read(&Row::Sqlite(row))?);
                }
                Ok(all)
            }
            Self::Postgres(connection) => {
                let rows = connection.query(sql, &[params])?;
                rows.iter().flatten().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }

    /// For each key the row that it names, if there is one; in the order of the keys.
    pub fn find_each<const N: usize, T>(
        &self,
        sql: &'static str,
        keys: &[[Value<'_>; N]],
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<Option<T>>, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let find = |key: &[Value<'_>; N]| {
                    statement
                        .query_row(rusqlite::params_from_iter(key), |row| {
                            Ok(read(&Row::Sqlite(row)))
                        })
                        .optional()?
                        .transpose()
                };
                keys.iter().map(find).collect()
            }
            Self::Postgres(connection) => {
                let first = |rows: &Vec<tokio_postgres::Row>| {
                    rows.first().map(|row| read(&Row::Postgres(row))).transpose()
                };
                connection.query(sql, keys)?.iter().map(first).collect()
            }
        }
    }

    /// The rows of those ids that are known, in no order.
    ///
    /// Ids that begin with the time at which they were made (UUIDv7) lie close together where they
    /// are of one moment, so one look at all rows between them finds them. Where too many others
    /// lie there too, each id is looked up.
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
            let most = timed.len() * PASSED_OVER_MAX;
            let limit = i64::try_from(most).unwrap_or(i64::MAX);
            found =
                self.all(by.between, &[(*first).into(), (*last).into(), limit.into()], &read)?;
            if found.len() < most {
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

    /// Runs a statement that answers nothing. If it fails, either this is an error or what comes
    /// after it in the transaction.
    pub fn execute(&self, sql: &'static str, params: &[Value<'_>]) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => {
                connection.prepare_cached(sql)?.execute(rusqlite::params_from_iter(params))?;
                Ok(())
            }
            Self::Postgres(connection) => connection.execute(sql, &[params]),
        }
    }

    /// The same for each of many rows, in their order.
    pub fn execute_each<const N: usize>(
        &self,
        sql: &'static str,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                for row in rows {
                    statement.execute(rusqlite::params_from_iter(row))?;
                }
                Ok(())
            }
            Self::Postgres(connection) => connection.execute(sql, rows),
        }
    }

    /// Runs text as it is: several statements, no parameters, no answer.
    pub fn run(&self, text: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(text)?),
            Self::Postgres(connection) => connection.run(text),
        }
    }

    /// The same for a step of a schema, which may have millions of rows to move.
    pub(crate) fn migrate(&self, text: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(_) => self.run(text),
            Self::Postgres(connection) => connection.migrate(text),
        }
    }
}
