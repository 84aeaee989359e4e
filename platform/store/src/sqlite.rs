//! Opening, locking and configuring a SQLite file.
//!
//! One process owns a file (a lock file beside it says so), and in it one thread writes.
//! The journal is a write-ahead log with `synchronous = FULL`: a commit that succeeded survives
//! a power cut. SQLite is bundled, because the one of Debian 12 can corrupt such a log
//! (the WAL-reset bug, fixed in 3.51.3).

use std::{
    fs::{DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::error::{OpenError, SqlError};

/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 64;

/// How long a connection waits for the lock of another one. Only a checkpoint makes it wait.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// A connection that writes; `:memory:` is a database that is deleted with it.
pub(crate) fn connect(path: &Path) -> Result<Connection, SqlError> {
    let connection = Connection::open(path)?;
    configure(&connection)?;
    Ok(connection)
}

/// A connection that cannot write.
pub(crate) fn connect_read_only(path: &Path) -> Result<Connection, SqlError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", "ON")?;
    // It writes no checkpoint either, not even when it is the last one that closes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // Without this, a statement whose LIMIT is a parameter is planned anew for each value of it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Runs `BEGIN`, `COMMIT` and the like from the statement cache; rusqlite's own transactions parse
/// them each time.
pub(crate) fn run_cached(connection: &Connection, sql: &str) -> Result<(), SqlError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Takes the lock beside the file. The operating system releases it when the process ends.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Folder { path, source }
    };
    // Personal data: a folder that is created here is readable for the owner of the process only.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable(folder))?;
    let lock_path = path.with_extension("lock");
    let file = File::create(&lock_path).map_err(unusable(&lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(&lock_path)(source)),
    }
}
