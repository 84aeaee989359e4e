//! The one connection of a process that writes.

use std::fs::File;

use uuid::Uuid;

use crate::{
    connection::{Connection, Database},
    error::{OpenError, SqlError, StoreError},
    migrate::{self, Migration},
    sql::Tx,
};

/// Changes nothing, but is written.
const PROBE: &str = "
    UPDATE store
       SET id = id";

/// The connection that writes, and the lock that excludes other processes.
#[derive(Debug)]
pub struct WriteConnection {
    /// The id of the store, for as long as it exists.
    pub store_id: Uuid,
    database: Database,
    service: &'static str,
    connection: Option<Connection>,
    _lock: Option<File>,
}

impl WriteConnection {
    /// Connects and migrates. After an error the connection is dropped, and its transaction with it.
    pub(crate) fn open(
        database: Database,
        service: &'static str,
        lock: Option<File>,
        migrations: &[Migration],
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database { database: database.to_string(), source };
        let connection = database.connect(service).map_err(failed)?;
        let store_id = migrate::run(&connection.tx(), service, migrations)
            .map_err(failed)?
            .map_err(|mismatch| OpenError::Version { database: database.to_string(), mismatch })?;
        connection.commit().map_err(failed)?;
        Ok(Self { store_id, database, service, connection: Some(connection), _lock: lock })
    }

    /// Runs `work` in one transaction; after an error nothing is committed. From its first statement
    /// to its commit no other process writes to this store.
    pub fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        let open = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(open) => open,
            None => self.database.connect(self.service)?,
        };
        let done = open.write(work);
        // A connection whose rollback failed is in an unknown state: it is dropped. The error of the
        // rollback is not reported: the first one is the cause.
        if done.is_ok() || (!open.is_closed() && open.roll_back().is_ok()) {
            self.connection = Some(open);
        }
        Ok(done?)
    }
}

impl WriteConnection {
    /// Whether a commit succeeds: one that changes nothing, but is written.
    pub(crate) fn probe(&mut self) -> Result<(), StoreError> {
        self.transaction(|tx| tx.execute(PROBE, &[]))
    }
}
