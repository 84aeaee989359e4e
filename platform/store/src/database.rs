//! The database of a store, a SQLite file or a PostgreSQL server: opening and migrating it.

use std::{
    fmt,
    fs::File,
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use platform_telemetry::error_chain;
use thiserror::Error;
use tokio::{task, time::sleep};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};
use tracing::warn;
use uuid::Uuid;

use crate::{
    error::{OpenError, SqlError},
    migrate::{self, MigrateError, Migration},
    postgres,
    read::ReadPool,
    sql::Tx,
    sqlite,
    write::WriteConnection,
};

const STORE_ID: &str = "
    SELECT id
      FROM store";

const ADD_STORE_ID: &str = "
    INSERT INTO store (id)
         VALUES (?1)";

/// Two processes of a service that start at once must not both create its tables: the second one
/// waits for the first. A migration may have to rewrite every row.
fn begin_migration(schema: &str) -> String {
    format!(
        "
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL statement_timeout = '10min';
    SET LOCAL lock_timeout = '10min';
    SELECT pg_advisory_xact_lock(539102, hashtext('{schema}'));
    SET LOCAL lock_timeout = '5s'"
    )
}

/// The database of a store.
#[derive(Clone)]
pub enum Database {
    /// In a file of this machine.
    Sqlite(PathBuf),
    /// On a PostgreSQL server, in a schema with the name of the service.
    Postgres(Box<Config>),
}

/// Why a text is not the URL of a database.
#[derive(Debug, Error)]
pub enum DatabaseUrlError {
    /// Another kind of URL.
    #[error("must be sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Scheme,
    /// A wrong URL of PostgreSQL.
    #[error("not a PostgreSQL URL: {0}")]
    Postgres(String),
    /// PostgreSQL over TLS.
    #[error(
        "sslmode=require is not supported: encrypt the connection to PostgreSQL in the network"
    )]
    Tls,
}

impl FromStr for Database {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(path.into()));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(DatabaseUrlError::Scheme);
        }
        let config: Config = text.parse().map_err(|cause: tokio_postgres::Error| {
            let reason = std::error::Error::source(&cause).map(ToString::to_string);
            DatabaseUrlError::Postgres(reason.unwrap_or_else(|| cause.to_string()))
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(DatabaseUrlError::Tls);
        }
        Ok(Self::Postgres(Box::new(config)))
    }
}

/// Shows everything but secrets.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(config) => {
                let hosts = config.get_hosts().iter().map(|host| match host {
                    // After the last @: a password may contain one that is not encoded.
                    Host::Tcp(name) => name.rsplit('@').next().unwrap_or_default().to_owned(),
                    Host::Unix(path) => path.display().to_string(),
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
    let name = database.to_string();
    match database {
        Database::Sqlite(path) => {
            let lock = sqlite::lock(path)?;
            let connection = open_sqlite(|| sqlite::connect(path), Some(lock), migrations)
                .map_err(|cause| cause.into_open_error(&name))?;
            Ok((connection, ReadPool::sqlite(path.clone(), name)))
        }
        Database::Postgres(config) => {
            let server = postgres::Server { config: config.clone(), schema: service };
            let connection = open_postgres(server.clone(), migrations)
                .map_err(|cause| cause.into_open_error(&name))?;
            Ok((connection, ReadPool::postgres(server, name)))
        }
    }
}

/// A store in memory, deleted when it is dropped; for tests.
pub fn open_in_memory(migrations: &[Migration]) -> Result<WriteConnection, OpenError> {
    open_sqlite(sqlite::connect_in_memory, None, migrations)
        .map_err(|cause| cause.into_open_error(":memory:"))
}

/// After an error the connection is dropped, and its transaction with it.
fn open_sqlite(
    connect: impl FnOnce() -> Result<rusqlite::Connection, SqlError>,
    lock: Option<File>,
    migrations: &[Migration],
) -> Result<WriteConnection, MigrateError> {
    let connection = connect()?;
    sqlite::run_cached(&connection, "BEGIN IMMEDIATE")?;
    let store_id = prepare(&Tx::Sqlite(&connection), migrations)?;
    sqlite::run_cached(&connection, "COMMIT")?;
    Ok(WriteConnection::sqlite(store_id, connection, lock))
}

/// After an error the connection is dropped, and its transaction with it.
fn open_postgres(
    server: postgres::Server,
    migrations: &[Migration],
) -> Result<WriteConnection, MigrateError> {
    let connection = server.connect()?;
    connection.migrate(&begin_migration(server.schema))?;
    connection.run_script(&format!("CREATE SCHEMA IF NOT EXISTS {}", server.schema))?;
    let store_id = prepare(&Tx::Postgres(&connection), migrations)?;
    connection.run_script("COMMIT")?;
    Ok(WriteConnection::postgres(store_id, server, connection))
}

/// Migrates; returns the id that the store was given when it was created.
fn prepare(tx: &Tx<'_>, migrations: &[Migration]) -> Result<Uuid, MigrateError> {
    migrate::run(tx, migrations)?;
    if let Some(id) = tx.find(STORE_ID, &[], |row| row.uuid(0))? {
        return Ok(id);
    }
    let id = Uuid::now_v7();
    tx.execute(ADD_STORE_ID, &[id.into()])?;
    Ok(id)
}
