//! Which database a store is kept in, opening it, and reading it while the writer writes.

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use thiserror::Error;
use tokio::{sync::Semaphore, task};
use tokio_postgres::Config;
use tracing::{error, warn};
use uuid::Uuid;

use crate::{
    migrate::{self, Migration},
    postgres,
    sql::{SqlError, Tx, causes},
    sqlite,
    writer::StoreError,
};

/// Readers of one store at the same time, beside the one that looks whether it answers; further ones
/// wait their turn.
pub const READERS_MAX: usize = 4;

/// Whatever the server's default is, what is read after the lock must be what was committed before.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// One writer at a time, in whichever process: the row of the store is the lock. Of two stores in
/// one process each has its own.
pub(crate) const LOCK: &str = "
    SELECT id
      FROM store
       FOR UPDATE";

const COMMIT: &str = "COMMIT";

/// Two processes of a part that start at once must not both make its tables: whoever comes second
/// waits for the first. Every row may have to move.
fn lock_to_migrate(schema: &str) -> String {
    format!(
        "
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL statement_timeout = '10min';
    SET LOCAL lock_timeout = '10min';
    SELECT pg_advisory_xact_lock(539102, hashtext('{schema}'));
    SET LOCAL lock_timeout = '5s'"
    )
}

const STORE_ID: &str = "
    SELECT id
      FROM store";

const ADD_STORE_ID: &str = "
    INSERT INTO store (id)
         VALUES (?1)";

/// Where a store is kept.
#[derive(Clone)]
pub enum Database {
    /// In a file of this machine.
    Sqlite(PathBuf),
    /// On a PostgreSQL server, in a schema of the part's name.
    Postgres(Box<Config>),
}

/// Not the address of a database.
#[derive(Debug, Error)]
pub enum NotADatabase {
    /// Another kind.
    #[error("must be sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Unknown,
    /// PostgreSQL, but wrong.
    #[error("not an address of PostgreSQL: {0}")]
    Postgres(String),
    /// PostgreSQL over TLS.
    #[error("sslmode=require is not possible: encrypt the way to PostgreSQL in the network")]
    Tls,
}

impl FromStr for Database {
    type Err = NotADatabase;

    fn from_str(text: &str) -> Result<Self, NotADatabase> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(path.into()));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(NotADatabase::Unknown);
        }
        let config: Config = text.parse().map_err(|cause: tokio_postgres::Error| {
            let why = std::error::Error::source(&cause).map(ToString::to_string);
            NotADatabase::Postgres(why.unwrap_or_else(|| cause.to_string()))
        })?;
        if config.get_ssl_mode() == tokio_postgres::config::SslMode::Require {
            return Err(NotADatabase::Tls);
        }
        Ok(Self::Postgres(Box::new(config)))
    }
}

/// Where it is, without what must stay secret.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(config) => {
                let hosts = config.get_hosts().iter().map(|host| match host {
                    // Behind the last @, should a password have one that is not encoded.
                    tokio_postgres::config::Host::Tcp(name) => {
                        name.rsplit('@').next().unwrap_or_default().to_owned()
                    }
                    tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
                });
                let hosts: Vec<_> = hosts.collect();
                let name = config.get_dbname().unwrap_or("?");
                write!(f, "PostgreSQL at {}, database {name}", hosts.join(", "))
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a store could not be opened. Every message names it.
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
    /// Another process has the file open.
    #[error("{} is in use by another process; give each process a --data folder of its own", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The database does not let itself be opened or migrated.
    #[error("cannot open {shown}")]
    Database {
        /// Which.
        shown: String,
        /// What it said.
        #[source]
        source: SqlError,
    },
    /// The store was made by another version of this program.
    #[error("{shown} was made by another version: {what}")]
    Version {
        /// Which.
        shown: String,
        /// What does not fit.
        what: String,
    },
    /// The runtime is ending.
    #[error("the process is ending")]
    Ending,
}

/// Opens a store, makes it if needed, and brings its tables up to date.
pub async fn open(
    database: &Database,
    part: &'static str,
    migrations: &'static [Migration],
) -> Result<(Writable, Readers), OpenError> {
    let database = database.clone();
    let opening = task::spawn_blocking(move || open_blocking(&database, part, migrations));
    opening.await.map_err(|_| OpenError::Ending)?
}

/// The same where waiting is allowed.
pub fn open_blocking(
    database: &Database,
    part: &'static str,
    migrations: &[Migration],
) -> Result<(Writable, Readers), OpenError> {
    let shown = database.to_string();
    match database {
        Database::Sqlite(path) => {
            let lock = sqlite::lock(path)?;
            let failed = |source: rusqlite::Error| OpenError::Database {
                shown: shown.clone(),
                source: source.into(),
            };
            let connection = sqlite::connect(path).map_err(failed)?;
            let writable = prepare_sqlite(connection, Some(lock), migrations, &shown)?;
            Ok((writable, Readers::new(ReadFrom::Sqlite(path.clone()), shown)))
        }
        Database::Postgres(config) => {
            let server = Server { config: config.clone(), schema: part };
            let failed = |source| OpenError::Database { shown: shown.clone(), source };
            let connection = server.connect().map_err(failed)?;
            let store_id = prepare_postgres(&connection, part, migrations, &shown)?;
            let readers = Readers::new(ReadFrom::Postgres(server.clone()), shown);
            let kept = Kept::Postgres { server, connection: Some(connection) };
            Ok((Writable { store_id, kept }, readers))
        }
    }
}

/// A store in memory, gone when it is dropped; for tests of a store alone.
pub fn open_in_memory(migrations: &[Migration]) -> Result<Writable, OpenError> {
    let shown = ":memory:";
    let connection = sqlite::connect_in_memory()
        .map_err(|source| OpenError::Database { shown: shown.to_owned(), source: source.into() })?;
    prepare_sqlite(connection, None, migrations, shown)
}

fn prepare_sqlite(
    mut connection: rusqlite::Connection,
    lock: Option<File>,
    migrations: &[Migration],
    shown: &str,
) -> Result<Writable, OpenError> {
    let failed = |source: rusqlite::Error| OpenError::Database {
        shown: shown.to_owned(),
        source: source.into(),
    };
    let immediate = rusqlite::TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(immediate).map_err(failed)?;
    let store_id = prepare(&Tx::Sqlite(&transaction), migrations, shown)?;
    transaction.commit().map_err(failed)?;
    Ok(Writable { store_id, kept: Kept::Sqlite { connection, _lock: lock } })
}

fn prepare_postgres(
    connection: &postgres::Connection,
    schema: &str,
    migrations: &[Migration],
    shown: &str,
) -> Result<Uuid, OpenError> {
    let failed = |source| OpenError::Database { shown: shown.to_owned(), source };
    connection.migrate(&lock_to_migrate(schema)).map_err(failed)?;
    connection.run(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).map_err(failed)?;
    let store_id = prepare(&Tx::Postgres(connection), migrations, shown)?;
    connection.run(COMMIT).map_err(failed)?;
    Ok(store_id)
}

/// Brings the tables up to date; answers the id given to this store when it was made.
fn prepare(tx: &Tx<'_>, migrations: &[Migration], shown: &str) -> Result<Uuid, OpenError> {
    let failed = |source| OpenError::Database { shown: shown.to_owned(), source };
    migrate::run(tx, migrations, shown)?;
    let known = tx.find(STORE_ID, &[], |row| row.uuid(0)).map_err(failed)?;
    if let Some(id) = known {
        return Ok(id);
    }
    let id = Uuid::now_v7();
    tx.execute(ADD_STORE_ID, &[id.into()]).map_err(failed)?;
    Ok(id)
}

/// A server, and how to get there.
#[derive(Clone)]
struct Server {
    config: Box<Config>,
    schema: &'static str,
}

impl Server {
    fn connect(&self) -> Result<postgres::Connection, SqlError> {
        postgres::Connection::open(&self.config, self.schema)
    }
}

/// The one connection that writes, and what keeps other processes from writing beside it.
pub struct Writable {
    /// Who this store is, for as long as it exists.
    pub store_id: Uuid,
    kept: Kept,
}

enum Kept {
    Sqlite { connection: rusqlite::Connection, _lock: Option<File> },
    Postgres { server: Server, connection: Option<postgres::Connection> },
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").field("store_id", &self.store_id).finish_non_exhaustive()
    }
}

impl Writable {
    /// Runs work in one transaction; on `Err` nothing is kept. From its first statement on nobody
    /// else writes.
    pub fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        match &mut self.kept {
            Kept::Sqlite { connection, .. } => Ok(on_sqlite(connection, work)?),
            Kept::Postgres { server, connection } => {
                let open = match connection.take().filter(|connection| !connection.is_closed()) {
                    Some(open) => open,
                    None => server.connect()?,
                };
                let done = on_postgres(&open, work);
                // Whatever state a failed rollback leaves it in, nobody will use it.
                if done.is_ok() || (!open.is_closed() && open.roll_back().is_ok()) {
                    *connection = Some(open);
                }
                Ok(done?)
            }
        }
    }
}

fn on_sqlite<T>(
    connection: &rusqlite::Connection,
    work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    run_on_sqlite(connection, "BEGIN IMMEDIATE")?;
    let done = work(&Tx::Sqlite(connection)).and_then(|done| {
        run_on_sqlite(connection, "COMMIT")?;
        Ok(done)
    });
    if done.is_err() && !connection.is_autocommit() {
        drop(run_on_sqlite(connection, "ROLLBACK")); // Why the work failed is what matters.
    }
    done
}

/// Begins or ends a transaction; rusqlite's own would read these words as SQL anew each time.
fn run_on_sqlite(connection: &rusqlite::Connection, sql: &str) -> Result<(), SqlError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn on_postgres<T>(
    connection: &postgres::Connection,
    work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    connection.ask(BEGIN, &[])?;
    connection.ask(LOCK, &[])?;
    let done = work(&Tx::Postgres(connection))?;
    connection.ask(COMMIT, &[])?;
    connection.settle()?;
    // Should `work` have passed over an error.
    if connection.has_failed() {
        return Err(SqlError::Unwritable("a statement failed before the commit".into()));
    }
    Ok(done)
}

/// Connections that only read. Cheap to clone.
#[derive(Clone)]
pub struct Readers {
    from: Arc<ReadFrom>,
    shown: Arc<str>,
    reads: Lane,
    /// For whoever looks whether the store is there: a rush of reads must not look like an outage.
    looks: Lane,
}

/// Connections that one kind of read shares.
#[derive(Clone)]
struct Lane {
    idle: Arc<Mutex<Vec<Reader>>>,
    permits: Arc<Semaphore>,
}

impl Lane {
    fn of(connections_max: usize) -> Self {
        Self { idle: Arc::default(), permits: Arc::new(Semaphore::new(connections_max)) }
    }
}

enum ReadFrom {
    Sqlite(PathBuf),
    Postgres(Server),
}

enum Reader {
    Sqlite(rusqlite::Connection),
    Postgres(postgres::Connection),
}

/// The store could not be read; the cause is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the store could not be read")]
pub struct Unreadable;

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl Readers {
    fn new(from: ReadFrom, shown: String) -> Self {
        Self {
            from: Arc::new(from),
            shown: shown.into(),
            reads: Lane::of(READERS_MAX),
            looks: Lane::of(1),
        }
    }

    /// Runs one read; it sees everything committed before it began, and all its queries see the
    /// same moment.
    pub async fn read<T, F>(&self, read: F) -> Result<T, Unreadable>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        self.read_on(&self.reads, read).await?.map_err(|cause| {
            error!(cause = %causes(&cause), "cannot read {}", self.shown);
            Unreadable
        })
    }

    /// Whether the store answers: one small read, on a connection of its own. Nothing is logged.
    pub async fn answers(&self) -> bool {
        let look = self.read_on(&self.looks, |tx| tx.find(STORE_ID, &[], |row| row.uuid(0)));
        matches!(look.await, Ok(Ok(Some(_))))
    }

    async fn read_on<T, F>(&self, lane: &Lane, read: F) -> Result<Result<T, SqlError>, Unreadable>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        let permit = Arc::clone(&lane.permits).acquire_owned().await.map_err(|_| Unreadable)?;
        let idle = Arc::clone(&lane.idle);
        let from = Arc::clone(&self.from);
        // A caller that goes away does not end the read: only then the next one may begin.
        let reading = task::spawn_blocking(move || {
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = match known.filter(|reader| !reader.is_closed()) {
                Some(reader) => reader,
                None => from.connect()?,
            };
            let answer = reader.read(read)?; // After an error nobody reads on it again.
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            drop(permit);
            Ok::<_, SqlError>(answer)
        });
        match reading.await {
            Ok(answer) => Ok(answer),
            Err(cause) => {
                warn!(%cause, "a read of {} did not end", self.shown);
                Err(Unreadable)
            }
        }
    }
}

impl ReadFrom {
    fn connect(&self) -> Result<Reader, SqlError> {
        match self {
            Self::Sqlite(path) => Ok(Reader::Sqlite(sqlite::connect_to_read(Path::new(path))?)),
            Self::Postgres(server) => Ok(Reader::Postgres(server.connect()?)),
        }
    }
}

impl Reader {
    fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(connection) => connection.is_closed(),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>) -> Result<T, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                run_on_sqlite(connection, "BEGIN")?;
                let answer = read(&Tx::Sqlite(connection))?;
                run_on_sqlite(connection, "ROLLBACK")?;
                Ok(answer)
            }
            Self::Postgres(connection) => connection.snapshot(|| read(&Tx::Postgres(connection))),
        }
    }
}
