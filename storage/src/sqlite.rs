//! Opening, locking and migrating a SQLite file, and reading it while the writer writes.
//!
//! One process owns a file (a lock beside it says so), and in it one thread writes.
//! The journal is a write-ahead log with `synchronous = FULL`: a commit that was answered survives
//! a power cut. SQLite is bundled, because the one that Debian 12 ships can corrupt such a log
//! (the WAL-reset bug, fixed in 3.51.3).

use std::{
    fs::{DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use thiserror::Error;
use tokio::{sync::Semaphore, task};
use tracing::error;
use uuid::Uuid;

use crate::writer::StoreError;

mod migrate;

pub use migrate::Migration;

/// Readers of one file at the same time; further ones wait their turn.
pub const READERS_MAX: usize = 4;

/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 64;

/// How long a connection waits for another one's lock. Only a checkpoint ever makes it wait.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Why a store could not be opened. Every message names the file.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be made, or the lock file cannot be.
    #[error("cannot use {}", path.display())]
    Folder {
        /// The folder or lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("{} is in use by another process; give each process a --data folder of its own", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// SQLite cannot open or migrate the file.
    #[error("cannot open {}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The file was written by another version of this program.
    #[error("{} was made by another version: {what}", path.display())]
    Version {
        /// The database file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
}

/// The one connection that writes, and the lock that keeps other processes away.
#[derive(Debug)]
pub struct Writable {
    /// The connection; hand it to the writer thread.
    pub connection: Connection,
    /// Who this store is, for as long as the file exists.
    pub store_id: Uuid,
    _lock: Option<File>,
}

/// Opens a file, makes it if needed, and brings its tables up to date.
pub fn open(path: &Path, migrations: &[Migration]) -> Result<(Writable, Readers), OpenError> {
    let lock = lock(path)?;
    let database = |source| OpenError::Database { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(database)?;
    let writable = prepare(connection, migrations, path, Some(lock))?;
    let readers = Readers::open(path).map_err(database)?;
    Ok((writable, readers))
}

/// A store in memory, gone when it is dropped; for tests of a store alone.
pub fn open_in_memory(migrations: &[Migration]) -> Result<Writable, OpenError> {
    let path = Path::new(":memory:");
    let connection = Connection::open_in_memory()
        .map_err(|source| OpenError::Database { path: path.to_owned(), source })?;
    prepare(connection, migrations, path, None)
}

fn prepare(
    mut connection: Connection,
    migrations: &[Migration],
    path: &Path,
    lock: Option<File>,
) -> Result<Writable, OpenError> {
    let database = |source| OpenError::Database { path: path.to_owned(), source };
    configure(&connection).map_err(database)?;
    migrate::run(&mut connection, migrations, path)?;
    let store_id = store_id(&connection).map_err(database)?;
    Ok(Writable { connection, store_id, _lock: lock })
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")
}

/// Takes the lock beside the file. The system gives it back when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, OpenError> {
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

/// The id given to this store when it was made.
fn store_id(connection: &Connection) -> rusqlite::Result<Uuid> {
    let known = connection.query_row("SELECT id FROM store", [], |row| row.get(0)).optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    let id = Uuid::now_v7();
    connection.execute("INSERT INTO store (id) VALUES (?1)", [id])?;
    Ok(id)
}

/// A few connections that read the last commit, off the async threads.
#[derive(Debug)]
pub struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// The store could not be read. The cause is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the store could not be read")]
pub struct Unreadable;

impl Readers {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let first = Self::connect(path)?;
        Ok(Self {
            path: path.to_owned(),
            idle: Mutex::new(vec![first]),
            permits: Arc::new(Semaphore::new(READERS_MAX)),
        })
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        configure(&connection)?;
        connection.pragma_update(None, "query_only", "ON")?;
        Ok(connection)
    }

    /// Runs one read; it sees everything committed before it began.
    pub async fn read<T, F>(&self, read: F) -> Result<T, Unreadable>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Unreadable)?;
        let idle = self.idle.lock().map_err(|_| Unreadable)?.pop();
        let path = self.path.clone();
        let reading = task::spawn_blocking(move || {
            let connection = match idle {
                Some(connection) => connection,
                None => Self::connect(&path)?,
            };
            // One transaction: several queries of one read see the same moment.
            let transaction = connection.unchecked_transaction()?;
            let answer = read(&transaction)?;
            drop(transaction);
            drop(permit); // Not before: a caller that went away does not end the read.
            Ok::<_, rusqlite::Error>((connection, answer))
        });
        match reading.await {
            Ok(Ok((connection, answer))) => {
                self.idle.lock().map_err(|_| Unreadable)?.push(connection);
                Ok(answer)
            }
            Ok(Err(cause)) => {
                error!(%cause, path = %self.path.display(), "cannot read the store");
                Err(Unreadable)
            }
            Err(cause) => {
                error!(%cause, path = %self.path.display(), "a read of the store did not end");
                Err(Unreadable)
            }
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(cause: rusqlite::Error) -> Self {
        match cause.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
                Self::Rejected(Box::new(cause))
            }
            _ => Self::Unavailable(Box::new(cause)),
        }
    }
}
