//! Opening and migrating the database of a store.

use tokio::task;

use crate::{
    connection::Database, error::OpenError, migrate::Migration, read::ReadPool, sqlite,
    write::WriteConnection,
};

/// Opens a store, creates it if needed, and migrates it.
pub async fn open(
    database: &Database,
    service: &'static str,
    migrations: &'static [Migration],
) -> Result<(WriteConnection, ReadPool), OpenError> {
    let database = database.clone();
    let opening = task::spawn_blocking(move || open_blocking(&database, service, migrations));
    opening.await.map_err(|_| OpenError::ShuttingDown)?
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
    Ok((connection, ReadPool::new(database.clone(), service)))
}

/// A store in memory, deleted when it is dropped; for tests.
pub fn open_in_memory(migrations: &[Migration]) -> Result<WriteConnection, OpenError> {
    WriteConnection::open(Database::Sqlite(":memory:".into()), "memory", None, migrations)
}
