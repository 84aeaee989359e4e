//! The one connection of a process that writes.

use std::{fmt, fs::File};

use uuid::Uuid;

use crate::{
    error::{SqlError, StoreError},
    migrate::LOCK,
    postgres,
    sql::Tx,
    sqlite,
};

/// Whatever the server's default is, a read after the lock must see what was committed before it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const COMMIT: &str = "COMMIT";

/// Changes nothing, but is written.
const PROBE: &str = "
    UPDATE store
       SET id = id";

/// The connection that writes, and the lock that excludes other processes.
pub struct WriteConnection {
    /// The id of the store, for as long as it exists.
    pub store_id: Uuid,
    backend: Backend,
}

enum Backend {
    Sqlite { connection: rusqlite::Connection, _lock: Option<File> },
    Postgres { server: postgres::Server, connection: Option<postgres::Connection> },
}

impl fmt::Debug for WriteConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteConnection").field("store_id", &self.store_id).finish_non_exhaustive()
    }
}

impl WriteConnection {
    pub(crate) fn sqlite(
        store_id: Uuid,
        connection: rusqlite::Connection,
        lock: Option<File>,
    ) -> Self {
        Self { store_id, backend: Backend::Sqlite { connection, _lock: lock } }
    }

    pub(crate) fn postgres(
        store_id: Uuid,
        server: postgres::Server,
        connection: postgres::Connection,
    ) -> Self {
        Self { store_id, backend: Backend::Postgres { server, connection: Some(connection) } }
    }

    /// Runs `work` in one transaction; after an error nothing is committed. From its first statement
    /// to its commit no other process writes to this store.
    pub fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        match &mut self.backend {
            Backend::Sqlite { connection, .. } => Ok(on_sqlite(connection, work)?),
            Backend::Postgres { server, connection } => {
                let open = match connection.take().filter(|connection| !connection.is_closed()) {
                    Some(open) => open,
                    None => server.connect()?,
                };
                let done = on_postgres(&open, work);
                // A connection whose rollback failed is in an unknown state: it is dropped.
                if done.is_ok() || (!open.is_closed() && open.roll_back().is_ok()) {
                    *connection = Some(open);
                }
                Ok(done?)
            }
        }
    }
}

impl WriteConnection {
    /// Whether a commit succeeds: one that changes nothing, but is written.
    pub(crate) fn probe(&mut self) -> Result<(), StoreError> {
        self.transaction(|tx| tx.execute(PROBE, &[]))
    }
}

fn on_sqlite<T>(
    connection: &rusqlite::Connection,
    work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    sqlite::run_cached(connection, "BEGIN IMMEDIATE")?;
    let done = work(&Tx::Sqlite(connection)).and_then(|done| {
        sqlite::run_cached(connection, COMMIT)?;
        Ok(done)
    });
    if done.is_err() && !connection.is_autocommit() {
        // The first error is the cause; that of the rollback is not reported.
        drop(sqlite::run_cached(connection, "ROLLBACK"));
    }
    done
}

fn on_postgres<T>(
    connection: &postgres::Connection,
    work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    connection.enqueue(BEGIN, &[])?;
    connection.enqueue(LOCK, &[])?;
    let done = work(&Tx::Postgres(connection))?;
    connection.enqueue(COMMIT, &[])?;
    connection.flush()?;
    // `work` may have ignored an error.
    if connection.has_failed() {
        return Err(SqlError::Encode("a statement failed before the commit".into()));
    }
    Ok(done)
}
