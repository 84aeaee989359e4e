//! Migrations: SQL files that run once each, in order, and are never edited afterwards.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// One step of a schema. The name orders the steps and is unique within a part.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The file's name, `0001_what.sql`.
    pub name: &'static str,
    /// The file's text.
    pub sql: &'static str,
}

/// What every store has, before the part's own tables.
const STORE: Migration = Migration {
    name: "storage/0001_store.sql",
    sql: include_str!("../../migrations/sqlite/0001_store.sql"),
};

const BOOK: &str = "
    CREATE TABLE IF NOT EXISTS migrations (
        name TEXT NOT NULL PRIMARY KEY,
        sql  TEXT NOT NULL
    ) WITHOUT ROWID";

/// Runs what has not run yet, all or nothing. Refuses a file that knows steps that we do not
/// (a newer version wrote it), or another text under the same name.
pub(super) fn run(
    connection: &mut Connection,
    own: &[Migration],
    path: &Path,
) -> Result<(), OpenError> {
    let database = |source| OpenError::Database { path: path.to_owned(), source };
    let version = |what| OpenError::Version { path: path.to_owned(), what };
    let steps: Vec<Migration> = [STORE].into_iter().chain(own.iter().copied()).collect();

    let tx =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
    tx.execute(BOOK, []).map_err(database)?;
    let done = done(&tx).map_err(database)?;
    for (name, sql) in &done {
        match steps.iter().find(|step| step.name == name) {
            None => {
                return Err(version(format!("it has {name}, which this version does not know")));
            }
            Some(step) if step.sql != sql => {
                return Err(version(format!("its {name} differs from this version's")));
            }
            Some(_) => {}
        }
    }
    for step in steps.iter().filter(|step| done.iter().all(|(name, _)| name != step.name)) {
        tx.execute_batch(step.sql).map_err(database)?;
        tx.execute("INSERT INTO migrations (name, sql) VALUES (?1, ?2)", (step.name, step.sql))
            .map_err(database)?;
    }
    tx.commit().map_err(database)
}

fn done(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare("SELECT name, sql FROM migrations")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
