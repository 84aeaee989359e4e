//! Reading a store while its writer writes.

use std::sync::Arc;

use parking_lot::Mutex;
use platform_telemetry::error_chain;
use thiserror::Error;
use tokio::{sync::Semaphore, task};
use tracing::{error, warn};

use crate::{
    connection::{Connection, Database},
    error::SqlError,
    outbox,
    sql::Tx,
    write::StoreFile,
};

/// Reads of one store at the same time, each on a connection of its own; further reads wait, except
/// for one health check.
pub const READ_CONNECTIONS_MAX: usize = 4;

/// The store could not be read; the cause is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the store could not be read")]
pub struct ReadError;

/// A pool of connections that only read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadPool {
    database: Arc<Database>,
    file: StoreFile,
    service: &'static str,
    idle: Arc<Mutex<Vec<Connection>>>,
    reads: Arc<Semaphore>,
    /// Separate, so that the health check does not wait for other reads.
    health_checks: Arc<Semaphore>,
}

impl ReadPool {
    pub(crate) fn new(database: Database, file: StoreFile, service: &'static str) -> Self {
        Self {
            database: Arc::new(database),
            file,
            service,
            idle: Arc::default(),
            reads: Arc::new(Semaphore::new(READ_CONNECTIONS_MAX)),
            health_checks: Arc::new(Semaphore::new(1)),
        }
    }

    /// Runs one read. It sees everything that was committed before it began, and all its queries see
    /// the same snapshot.
    pub async fn read<T, F>(&self, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        self.read_within(&self.reads, read).await?.map_err(|cause| {
            error!(cause = error_chain(&cause), "cannot read {}", self.database);
            ReadError
        })
    }

    /// Whether the store can be read: one small read, beside all others. Nothing is logged.
    pub async fn is_available(&self) -> bool {
        matches!(self.read_within(&self.health_checks, outbox::head).await, Ok(Ok(_)))
    }

    async fn read_within<T, F>(
        &self,
        permits: &Arc<Semaphore>,
        read: F,
    ) -> Result<Result<T, SqlError>, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        let permit = Arc::clone(permits).acquire_owned().await.map_err(|_| ReadError)?;
        let Self { database, file, service, idle, .. } = self.clone();
        // A cancelled caller does not end the read; its permit is returned when the read has ended.
        let reading = task::spawn_blocking(move || {
            let known = idle.lock().pop();
            let connection = if let Some(open) = known.filter(|known| !known.is_closed()) {
                open
            } else {
                file.check(&database)?;
                database.connect_read_only(service)?
            };
            let result = connection.read(read)?; // After an error the connection is dropped.
            idle.lock().push(connection);
            drop(permit);
            Ok::<_, SqlError>(result)
        });
        match reading.await {
            Ok(result) => Ok(result),
            Err(cause) => {
                warn!(%cause, "a read of {} was aborted", self.database);
                Err(ReadError)
            }
        }
    }
}
