//! The one connection of a process that writes.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
};

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
    /// The file as it was opened.
    file: StoreFile,
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
        let (connection, file) = (Some(connection), StoreFile::of(&database));
        Ok(Self { store_id, database, service, connection, file, _lock: lock })
    }

    /// Runs `work` in one transaction; after an error nothing is committed. From its first statement
    /// to its commit no other process writes to this store.
    pub fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        self.file.check(&self.database)?;
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

    /// The file as it was opened.
    pub(crate) fn file(&self) -> StoreFile {
        self.file
    }

    /// Whether a commit succeeds: one that changes nothing, but is written.
    pub(crate) fn probe(&mut self) -> Result<(), StoreError> {
        self.transaction(|tx| tx.execute(PROBE, &[]))
    }
}

/// The device and the number of a file: another file at the same path has another one. None in memory, and on
/// PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreFile(Option<(u64, u64)>);

impl StoreFile {
    fn of(database: &Database) -> Self {
        Self(match database {
            Database::Sqlite(path) => fs::metadata(path).ok().map(|file| (file.dev(), file.ino())),
            Database::Postgres(_) => None,
        })
    }

    /// What is written to a file that was removed or replaced would be lost with the process; and a new
    /// connection would apply the log of this file to another.
    pub(crate) fn check(self, database: &Database) -> Result<(), SqlError> {
        if self.0.is_none() || Self::of(database) == self {
            return Ok(());
        }
        Err(SqlError::Replaced { file: database.to_string() })
    }
}
