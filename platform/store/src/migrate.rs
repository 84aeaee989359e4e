//! Migrations: SQL scripts that run once each, in order, and are never edited after a release.

use thiserror::Error;

use crate::{
    error::{OpenError, SqlError},
    sql::Tx,
};

/// Why a store could not be migrated.
#[derive(Debug, Error)]
pub(crate) enum MigrateError {
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The migration that differs.
    #[error("{0}")]
    Version(String),
}

impl MigrateError {
    pub(crate) fn into_open_error(self, database: &str) -> OpenError {
        let database = database.to_owned();
        match self {
            Self::Sql(source) => OpenError::Database { database, source },
            Self::Version(mismatch) => OpenError::Version { database, mismatch },
        }
    }
}

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The file's name, `0001_what.sql`, the same for both databases; it orders the steps.
    pub name: &'static str,
    /// The script for SQLite.
    pub sqlite: &'static str,
    /// The script for PostgreSQL.
    pub postgres: &'static str,
}

impl Migration {
    fn script(&self, tx: &Tx<'_>) -> &'static str {
        match tx {
            Tx::Sqlite(_) => self.sqlite,
            Tx::Postgres(_) => self.postgres,
        }
    }
}

/// The tables of every store, before those of its service.
const STORE: Migration = Migration {
    name: "store/0001_store.sql",
    sqlite: include_str!("../migrations/sqlite/0001_store.sql"),
    postgres: include_str!("../migrations/postgres/0001_store.sql"),
};

/// Taken by every transaction that writes, so that one process writes at a time: the row of the store.
/// Of two stores in one database each has its own.
pub(crate) const LOCK: &str = "
    SELECT id
      FROM store
       FOR UPDATE";

const CREATE_MIGRATIONS: &str = "
    CREATE TABLE IF NOT EXISTS migrations (
        name TEXT NOT NULL PRIMARY KEY,
        sql  TEXT NOT NULL
    )";

const APPLIED: &str = "
    SELECT name, sql
      FROM migrations";

const ADD_APPLIED: &str = "
    INSERT INTO migrations (name, sql)
         VALUES (?1, ?2)";

/// A process of an older version may be writing at the same time; what it added to a table that a
/// migration copies would be lost. (A SQLite file has one process.)
fn lock_out_writers(tx: &Tx<'_>) -> Result<(), SqlError> {
    match tx {
        Tx::Sqlite(_) => Ok(()),
        Tx::Postgres(connection) => connection.run_script(LOCK),
    }
}

/// Runs the migrations that were not applied yet, within a transaction that excludes all other
/// writers. Refuses a store with a migration that is unknown here (a newer version created it), or
/// with another script under the same name.
pub(crate) fn run(tx: &Tx<'_>, own: &[Migration]) -> Result<(), MigrateError> {
    let steps: Vec<Migration> = [STORE].into_iter().chain(own.iter().copied()).collect();
    tx.run_script(CREATE_MIGRATIONS)?;
    let applied =
        tx.all(APPLIED, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?;
    for (name, sql) in &applied {
        let mismatch = match steps.iter().find(|step| step.name == name) {
            None => format!("it has {name}, which this version does not know"),
            Some(step) if step.script(tx) != sql => {
                format!("its {name} differs from this version's")
            }
            Some(_) => continue,
        };
        return Err(MigrateError::Version(mismatch));
    }
    for step in steps.iter().filter(|step| applied.iter().all(|(name, _)| name != step.name)) {
        if step.name != STORE.name {
            lock_out_writers(tx)?;
        }
        tx.migrate(step.script(tx))?;
        tx.execute(ADD_APPLIED, &[step.name.into(), step.script(tx).into()])?;
    }
    Ok(())
}
