//! Parameters and rows, in the types that SQLite and PostgreSQL share.

use bytes::BytesMut;
use jiff::Timestamp;
use rusqlite::types::{Null, ToSqlOutput};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::error::{Cause, SqlError};

/// A parameter of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// An id, or any other value of 16 bytes.
    Uuid(Uuid),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

/// Stored in milliseconds since 1970.
impl From<Timestamp> for Value<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.as_millisecond())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl From<Uuid> for Value<'_> {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => rusqlite::ToSql::to_sql(&Null),
            Self::Int(value) => rusqlite::ToSql::to_sql(value),
            Self::Text(value) => rusqlite::ToSql::to_sql(value),
            Self::Uuid(value) => rusqlite::ToSql::to_sql(value),
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Result<IsNull, Cause> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(r#type, out),
            Self::Text(value) => value.to_sql(r#type, out),
            Self::Uuid(value) => value.to_sql(r#type, out),
        }
    }

    fn accepts(r#type: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::UUID].contains(r#type)
    }

    to_sql_checked!();
}

/// A row of a result. Columns are counted from 0.
#[derive(Debug)]
pub enum Row<'a> {
    /// A row of SQLite.
    Sqlite(&'a rusqlite::Row<'a>),
    /// A row of PostgreSQL.
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// An integer.
    pub fn int(&self, column: usize) -> Result<i64, SqlError> {
        self.get(column)
    }

    /// An integer or NULL.
    pub fn int_or_null(&self, column: usize) -> Result<Option<i64>, SqlError> {
        self.get(column)
    }

    /// A time, which is stored in milliseconds since 1970.
    pub fn time(&self, column: usize) -> Result<Timestamp, SqlError> {
        time(column, self.int(column)?)
    }

    /// A time or NULL.
    pub fn time_or_null(&self, column: usize) -> Result<Option<Timestamp>, SqlError> {
        self.int_or_null(column)?.map(|at_ms| time(column, at_ms)).transpose()
    }

    /// Text.
    pub fn text(&self, column: usize) -> Result<&str, SqlError> {
        match self {
            Self::Sqlite(row) => row
                .get_ref(column)?
                .as_str()
                .map_err(|_| SqlError::Decode { column, expected: "text" }),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// Text or NULL.
    pub fn text_or_null(&self, column: usize) -> Result<Option<&str>, SqlError> {
        match self {
            Self::Sqlite(row) => row
                .get_ref(column)?
                .as_str_or_null()
                .map_err(|_| SqlError::Decode { column, expected: "text" }),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// An id.
    pub fn uuid(&self, column: usize) -> Result<Uuid, SqlError> {
        self.get(column)
    }

    /// An id or NULL.
    pub fn uuid_or_null(&self, column: usize) -> Result<Option<Uuid>, SqlError> {
        self.get(column)
    }

    fn get<T>(&self, column: usize) -> Result<T, SqlError>
    where
        T: rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a>,
    {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }
}

fn time(column: usize, at_ms: i64) -> Result<Timestamp, SqlError> {
    let time = Timestamp::from_millisecond(at_ms);
    time.map_err(|_| SqlError::Decode { column, expected: "a time" })
}
