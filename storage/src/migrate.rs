//! Migrations: SQL files that run once each, in order, and are never edited afterwards.

use crate::{
    database::{LOCK, OpenError},
    sql::{SqlError, Tx},
};

/// One step of a schema. The name orders the steps and is unique within a part.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The file's name, `0001_what.sql`, the same for both databases.
    pub name: &'static str,
    /// The text for SQLite.
    pub sqlite: &'static str,
    /// The text for PostgreSQL.
    pub postgres: &'static str,
}

impl Migration {
    fn text(&self, tx: &Tx<'_>) -> &'static str {
        match tx {
            Tx::Sqlite(_) => self.sqlite,
            Tx::Postgres(_) => self.postgres,
        }
    }
}

/// What every store has, before the part's own tables.
const STORE: Migration = Migration {
    name: "storage/0001_store.sql",
    sqlite: include_str!("../migrations/sqlite/0001_store.sql"),
    postgres: include_str!("../migrations/postgres/0001_store.sql"),
};

const BOOK: &str = "
    CREATE TABLE IF NOT EXISTS migrations (
        name TEXT NOT NULL PRIMARY KEY,
        sql  TEXT NOT NULL
    )";

const DONE: &str = "
    SELECT name, sql
      FROM migrations";

const ADD_DONE: &str = "
    INSERT INTO migrations (name, sql)
         VALUES (?1, ?2)";

/// A process of an older version may be writing beside us: it waits, or is sent away. What it added to
/// a table that a step copies would be lost. (Of a SQLite file there is one process.)
fn lock_writers_out(tx: &Tx<'_>) -> Result<(), SqlError> {
    match tx {
        Tx::Sqlite(_) => Ok(()),
        Tx::Postgres(connection) => connection.run(LOCK),
    }
}

/// Runs what has not run yet, within a transaction that nobody else writes beside. Refuses a store
/// that knows steps that we do not (a newer version made it), or another text under the same name.
pub(crate) fn run(tx: &Tx<'_>, own: &[Migration], shown: &str) -> Result<(), OpenError> {
    let database = |source| OpenError::Database { shown: shown.to_owned(), source };
    let version = |what| OpenError::Version { shown: shown.to_owned(), what };
    let steps: Vec<Migration> = [STORE].into_iter().chain(own.iter().copied()).collect();

    tx.run(BOOK).map_err(database)?;
    let done = done(tx).map_err(database)?;
    for (name, sql) in &done {
        match steps.iter().find(|step| step.name == name) {
            None => {
                return Err(version(format!("it has {name}, which this version does not know")));
            }
            Some(step) if step.text(tx) != sql => {
                return Err(version(format!("its {name} differs from this version's")));
            }
            Some(_) => {}
        }
    }
    for step in steps.iter().filter(|step| done.iter().all(|(name, _)| name != step.name)) {
        if step.name != STORE.name {
            lock_writers_out(tx).map_err(database)?;
        }
        tx.migrate(step.text(tx)).map_err(database)?;
        tx.execute(ADD_DONE, &[step.name.into(), step.text(tx).into()]).map_err(database)?;
    }
    Ok(())
}

fn done(tx: &Tx<'_>) -> Result<Vec<(String, String)>, SqlError> {
    tx.all(DONE, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
}
