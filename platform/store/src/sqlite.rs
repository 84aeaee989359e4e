//! Opening, locking and configuring a SQLite file.
//!
//! One process owns a file (a lock file beside it says so), and in it one thread writes.
//! The journal is a write-ahead log with `synchronous = FULL`: a commit that succeeded survives
//! a power cut. SQLite is bundled, because the one of Debian 12 can corrupt such a log
//! (the WAL-reset bug, fixed in 3.51.3).

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tracing::{info, warn};

use crate::error::{OpenError, SqlError};

/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 64;

/// Personal data: the folder and the files are for the owner of the process only.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

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

/// Takes permissions from others: the file holds personal data. Not from a folder that is meant for all, such as
/// `/tmp`; and a process that does not own it, as in a volume of Kubernetes, cannot.
fn close_to_others(path: &Path, mode: u32) {
    const STICKY: u32 = 0o1000;
    let Ok(metadata) = path.metadata() else { return };
    let now = metadata.permissions().mode();
    let of_others = now & 0o077;
    if of_others == 0 || now & STICKY != 0 {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => info!("{} is closed to other users now", path.display()),
        Err(cause) => warn!(%cause, "{} can be read by other users", path.display()),
    }
}

/// Takes the lock beside the file. The operating system releases it when the process ends.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Folder { path, source }
    };
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder).map_err(unusable(folder))?;
    close_to_others(folder, FOLDER_MODE);
    // The files that SQLite makes beside it get its permissions.
    let mut private = File::options();
    private.create(true).truncate(false).write(true).mode(FILE_MODE);
    private.open(path).map_err(unusable(path))?;
    close_to_others(path, FILE_MODE);
    let lock_path = path.with_extension("lock");
    let file = private.open(&lock_path).map_err(unusable(&lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(&lock_path)(source)),
    }
}
