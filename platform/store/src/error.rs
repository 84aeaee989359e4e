//! What can go wrong between a statement and a committed batch.

use std::{error::Error, io, path::PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;
use tokio_postgres::error::SqlState;

use crate::postgres::tls::TlsError;

/// The cause of an error, as a value that can cross threads.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why a statement failed.
#[derive(Debug, Error)]
pub enum SqlError {
    /// An error of SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// An error of PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// There is no connection to PostgreSQL.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Cause),
    /// The file of the store was removed or replaced while it was open.
    #[error(
        "{file} was removed or replaced; what it contained is in the open file of this process: copy that before \
         you end it"
    )]
    Replaced {
        /// Its path.
        file: String,
    },
    /// A row holds a value that this program never writes.
    #[error("column {column} is not {expected}")]
    Decode {
        /// Counted from 0.
        column: usize,
        /// What the column should hold.
        expected: &'static str,
    },
    /// A value or a statement cannot be encoded.
    #[error("cannot be written")]
    Encode(#[source] Cause),
}

impl From<serde_json::Error> for SqlError {
    fn from(cause: serde_json::Error) -> Self {
        Self::Encode(cause.into())
    }
}

impl SqlError {
    /// Whether the database could not be reached, or is starting: a later try may succeed. Not if it has
    /// answered that it refuses, or its certificate is not valid.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(cause) => {
                let Some(cause) = cause.downcast_ref::<tokio_postgres::Error>() else {
                    return true;
                };
                let tls = cause.source().and_then(|source| source.downcast_ref());
                tls.is_none_or(TlsError::may_pass)
                    && cause.code().is_none_or(|code| *code == SqlState::CANNOT_CONNECT_NOW)
            }
            Self::Postgres(cause) => cause.is_closed(),
            Self::Sqlite(_) | Self::Replaced { .. } | Self::Decode { .. } | Self::Encode(_) => {
                false
            }
        }
    }

    /// Whether the error is about the data of this command, so that other commands may succeed.
    fn is_data_error(&self) -> bool {
        match self {
            Self::Sqlite(cause) => matches!(
                cause.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
            ),
            // Classes 22 (data exception) and 23 (integrity constraint violation).
            Self::Postgres(cause) => cause
                .code()
                .map(SqlState::code)
                .is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
            Self::Encode(_) | Self::Decode { .. } => true,
            Self::Unreachable(_) | Self::Replaced { .. } => false,
        }
    }
}

/// Why a batch was not committed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A command of the batch violates a constraint; other commands may succeed.
    #[error("the store rejected the batch")]
    Rejected(#[source] Cause),
    /// Nothing can be committed now (disk full, I/O error, no connection).
    #[error("the store cannot write")]
    Unavailable(#[source] Cause),
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        if error.is_data_error() {
            Self::Rejected(error.into())
        } else {
            Self::Unavailable(error.into())
        }
    }
}

/// Why a store could not be opened. Every message names the database.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder or the lock file cannot be created.
    #[error("cannot use {}", path.display())]
    Folder {
        /// The folder or lock file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Another process has the file open.
    #[error("{} is in use by another process; give each process a --data folder of its own", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The database cannot be opened or migrated.
    #[error("cannot open {database}")]
    Database {
        /// The database, without its password.
        database: String,
        /// The error of the database.
        #[source]
        source: SqlError,
    },
    /// The schema was created by another version of this program.
    #[error("{database} was created by another version: {mismatch}")]
    Version {
        /// The database, without its password.
        database: String,
        /// The migration that differs.
        mismatch: String,
    },
    /// The runtime is shutting down.
    #[error("the process is shutting down")]
    ShuttingDown,
}

impl OpenError {
    /// Whether a later try may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Database { source, .. } => source.may_pass(),
            Self::Folder { .. }
            | Self::InUse { .. }
            | Self::Version { .. }
            | Self::ShuttingDown => false,
        }
    }
}
