//! The database of a store, a SQLite file or a PostgreSQL server, and the transactions on a connection
//! to it.

use std::{collections::BTreeSet, fmt, path::PathBuf, str::FromStr};

use parking_lot::Mutex;
use thiserror::Error;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};
use tracing::warn;

use crate::{error::SqlError, postgres, sql::Tx, sqlite};

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
        Ok(Self::Postgres(Box::new(config)))
    }
}

impl Database {
    /// A connection that may write, on PostgreSQL in the schema of the service.
    pub(crate) fn connect(&self, service: &str) -> Result<Connection, SqlError> {
        Ok(match self {
            Self::Sqlite(path) => Connection::Sqlite(sqlite::connect(path)?),
            Self::Postgres(config) => {
                let connection = postgres::Connection::open(config, service)?;
                if connection.is_downgraded {
                    self.warn_once_not_encrypted();
                }
                Connection::Postgres(connection)
            }
        })
    }

    /// Of each database once: the connections of a store are several, and are replaced.
    fn warn_once_not_encrypted(&self) {
        static WARNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        if WARNED.lock().insert(self.to_string()) {
            warn!(
                "the connection to {self} is not encrypted, as the server offers no TLS; \
                 sslmode=require refuses that, sslmode=disable permits it"
            );
        }
    }

    /// A connection for reads.
    pub(crate) fn connect_read_only(&self, service: &str) -> Result<Connection, SqlError> {
        match self {
            Self::Sqlite(path) => Ok(Connection::Sqlite(sqlite::connect_read_only(path)?)),
            Self::Postgres(_) => self.connect(service),
        }
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
                let mode = match config.get_ssl_mode() {
                    SslMode::Disable => "disable",
                    SslMode::Require => "require",
                    _ => "prefer",
                };
                write!(f, "PostgreSQL at {}, database {name}, sslmode={mode}", hosts.join(", "))
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(postgres::Connection),
}

impl Connection {
    pub(crate) fn tx(&self) -> Tx<'_> {
        match self {
            Self::Sqlite(connection) => Tx::Sqlite(connection),
            Self::Postgres(connection) => Tx::Postgres(connection),
        }
    }

    /// Whether it is lost.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(connection) => connection.is_closed(),
        }
    }

    /// Runs queries that see one snapshot. After an error the connection has to be dropped.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        match self {
            Self::Sqlite(connection) => {
                sqlite::run_cached(connection, "BEGIN")?;
                let result = read(&self.tx())?;
                sqlite::run_cached(connection, "ROLLBACK")?;
                Ok(result)
            }
            Self::Postgres(connection) => connection.snapshot(|| read(&self.tx())),
        }
    }

    /// Runs `work` and commits. After an error the transaction may still be open.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        match self {
            Self::Sqlite(connection) => sqlite::run_cached(connection, "BEGIN IMMEDIATE")?,
            Self::Postgres(connection) => connection.begin()?,
        }
        let done = work(&self.tx())?;
        self.commit()?;
        Ok(done)
    }

    pub(crate) fn commit(&self) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => sqlite::run_cached(connection, "COMMIT"),
            Self::Postgres(connection) => connection.commit(),
        }
    }

    pub(crate) fn roll_back(&self) -> Result<(), SqlError> {
        match self {
            // Some errors have rolled back already.
            Self::Sqlite(connection) if connection.is_autocommit() => Ok(()),
            Self::Sqlite(connection) => sqlite::run_cached(connection, "ROLLBACK"),
            Self::Postgres(connection) => connection.roll_back(),
        }
    }
}
