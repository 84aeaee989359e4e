//! Migrations: SQL scripts that run once each, in order, and are never edited after a release.

use uuid::Uuid;

use crate::{error::SqlError, postgres::LOCK, sql::Tx};

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

    fn run(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        match tx {
            Tx::Sqlite(connection) => connection.execute_batch(self.sqlite)?,
            Tx::Postgres(connection) => {
                if self.name != STORE.name {
                    // A process of an older version may be writing at the same time; what it added to
                    // a table that a migration copies would be lost.
                    connection.run_script(LOCK)?;
                }
                connection.migrate(self.postgres)?;
            }
        }
        tx.execute(ADD_APPLIED, &[self.name.into(), self.script(tx).into()])
    }
}

/// The tables of every store, before those of its service.
const STORE: Migration = Migration {
    name: "store/0001_store.sql",
    sqlite: include_str!("../migrations/sqlite/0001_store.sql"),
    postgres: include_str!("../migrations/postgres/0001_store.sql"),
};

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

const STORE_ID: &str = "
    SELECT id
      FROM store";

const ADD_STORE_ID: &str = "
    INSERT INTO store (id)
         VALUES (?1)";

/// Two processes of a service that start at once must not both create its tables: the second one
/// waits for the first. A migration may have to rewrite every row. (A SQLite file has one process.)
fn begin(tx: &Tx<'_>, service: &str) -> Result<(), SqlError> {
    let Tx::Postgres(connection) = tx else { return tx.run_script("BEGIN IMMEDIATE") };
    connection.migrate(&format!(
        "
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL statement_timeout = '10min';
    SET LOCAL lock_timeout = '10min';
    SELECT pg_advisory_xact_lock(539102, hashtext('{service}'));
    SET LOCAL lock_timeout = '5s';
    CREATE SCHEMA IF NOT EXISTS {service}"
    ))
}

/// Begins a transaction that excludes all other writers, and runs the migrations that were not applied
/// yet; returns the id that the store was given when it was created. Where the store has a migration
/// that is unknown here (a newer version created it), or another script under the same name, nothing
/// is run, and the mismatch is returned.
pub(crate) fn run(
    tx: &Tx<'_>,
    service: &str,
    own: &[Migration],
) -> Result<Result<Uuid, String>, SqlError> {
    begin(tx, service)?;
    tx.run_script(CREATE_MIGRATIONS)?;
    let applied =
        tx.all(APPLIED, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?;
    let steps: Vec<Migration> = [STORE].into_iter().chain(own.iter().copied()).collect();
    for (name, sql) in &applied {
        let mismatch = match steps.iter().find(|step| step.name == name) {
            None => format!("it has {name}, which this version does not know"),
            Some(step) if step.script(tx) != sql => {
                format!("its {name} differs from this version's")
            }
            Some(_) => continue,
        };
        return Ok(Err(mismatch));
    }
    for step in steps.iter().filter(|step| applied.iter().all(|(name, _)| name != step.name)) {
        step.run(tx)?;
    }
    if let Some(id) = tx.find(STORE_ID, &[], |row| row.uuid(0))? {
        return Ok(Ok(id));
    }
    let id = Uuid::now_v7();
    tx.execute(ADD_STORE_ID, &[id.into()])?;
    Ok(Ok(id))
}
