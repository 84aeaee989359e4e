//! Opening and migrating the database of a store.

use std::time::{Duration, Instant};

use platform_telemetry::error_chain;
use tokio::{task, time::sleep};
use tracing::warn;

use crate::{
    connection::Database, error::OpenError, migrate::Migration, read::ReadPool, sqlite,
    write::WriteConnection,
};

/// How long a database that cannot be reached is waited for. In Kubernetes a pod may start before its
/// database, or before the network lets it through; the startup probe allows a little more.
pub const OPEN_TIMEOUT: Duration = Duration::from_mins(2);

/// The first and the longest pause before the next try; it doubles in between.
const OPEN_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Opens a store, creates it if needed, and migrates it. A database that cannot be reached is tried again for
/// [`OPEN_TIMEOUT`]; every other error ends it at once.
pub async fn open(
    database: &Database,
    service: &'static str,
    migrations: &'static [Migration],
) -> Result<(WriteConnection, ReadPool), OpenError> {
    let end = Instant::now() + OPEN_TIMEOUT;
    let mut pause = OPEN_PAUSE.0;
    loop {
        let database = database.clone();
        let opening = task::spawn_blocking(move || open_blocking(&database, service, migrations));
        match opening.await.map_err(|_| OpenError::ShuttingDown)? {
            Err(error) if error.may_pass() && Instant::now() + pause < end => {
                warn!(cause = error_chain(&error), "{service} waits for its database");
            }
            opened => return opened,
        }
        sleep(pause).await;
        pause = (pause * 2).min(OPEN_PAUSE.1);
    }
}

/// [`open`] for code that may block.
pub fn open_blocking(
    database: &Database,
    service: &'static str,
    migrations: &[Migration],
) -> Result<(WriteConnection, ReadPool), OpenError> {
    let lock = match database {
        Database::Sqlite(path) => Some(sqlite::lock(path)?),
        Database::Postgres(_) => None,
    };
    let connection = WriteConnection::open(database.clone(), service, lock, migrations)?;
    let reads = ReadPool::new(database.clone(), connection.file(), service);
    Ok((connection, reads))
}

/// A store in memory, deleted when it is dropped; for tests.
pub fn open_in_memory(migrations: &[Migration]) -> Result<WriteConnection, OpenError> {
    WriteConnection::open(Database::Sqlite(":memory:".into()), "memory", None, migrations)
}
