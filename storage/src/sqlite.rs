//! Opening, locking and configuring a SQLite file.
//!
//! One process owns a file (a lock beside it says so), and in it one thread writes.
//! The journal is a write-ahead log with `synchronous = FULL`: a commit that was answered survives
//! a power cut. SQLite is bundled, because the one that Debian 12 ships can corrupt such a log
//! (the WAL-reset bug, fixed in 3.51.3).

use std::{
    fs::{DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::database::OpenError;

/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 64;

/// How long a connection waits for another one's lock. Only a checkpoint ever makes it wait.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// A connection that writes.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    configure(&connection)?;
    Ok(connection)
}

/// A database in memory, gone with its connection.
pub(crate) fn connect_in_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    configure(&connection)?;
    Ok(connection)
}

/// A connection that cannot write.
pub(crate) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // A plan is made once: without this, a statement whose LIMIT is a parameter is read and planned
    // anew whenever that has another value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Takes the lock beside the file. The system gives it back when the process ends, however it ends.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Folder { path, source }
    };
    // People's bookings: nobody but the owner of the process may read a folder that we make.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable(folder))?;
    let beside = path.with_extension("lock");
    let file = File::create(&beside).map_err(unusable(&beside))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(&beside)(source)),
    }
}
