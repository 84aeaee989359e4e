//! One connection to PostgreSQL, for code that waits.
//!
//! The writer has a thread of its own and reads have theirs, so they may block; the connection's
//! traffic is a task of the runtime. Many rows are written by one statement, and looked up in one
//! pipeline: every statement is sent before the first answer is waited for.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    error::Error,
    fmt,
    time::Duration,
};

use bytes::BytesMut;
use futures_util::future::try_join_all;
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres::{
    Client, Config, NoTls, Row, Statement,
    types::{IsNull, ToSql, Type, to_sql_checked},
};
use tracing::warn;

use crate::sql::{SqlError, Value, causes};

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How long the server may take to answer. More than [`LIMITS`] gives it: silence means that the
/// connection is dead, though nobody has said so.
const ANSWER_WITHIN: Duration = Duration::from_secs(7);

/// The same for a step of a schema: every row may have to move. More than the server gives each of its
/// statements then ([`crate::database`]).
const MIGRATED_WITHIN: Duration = Duration::from_mins(12);

/// After how long a silence the system asks whether the other side is still there; it asks thrice.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// What PostgreSQL does for us when we do not: nobody may wait for ever, and a process that stops
/// in the middle of a transaction must not keep the others from writing.
const LIMITS: &str = "
    SET lock_timeout = '2s';
    SET statement_timeout = '5s';
    SET idle_in_transaction_session_timeout = '2s';
    SET synchronous_commit = on;
    SET client_min_messages = warning";

/// A connection that belongs to one thread at a time.
pub struct Connection {
    client: Client,
    runtime: Handle,
    statements: RefCell<BTreeMap<(&'static str, Rows), Statement>>,
    /// It did not answer: nobody knows what it is doing.
    is_silent: Cell<bool>,
}

/// For how many rows of parameters a statement is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rows {
    One,
    Many,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, with every name looked up in that schema first.
    pub async fn open(config: &Config, schema: &str) -> Result<Self, SqlError> {
        let unreachable = |cause: Box<dyn Error + Send + Sync>| SqlError::Unreachable(cause);
        let mut config = config.clone();
        config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(3);
        config.tcp_user_timeout(ANSWER_WITHIN);
        let connecting = timeout(CONNECT_WITHIN, config.connect(NoTls)).await;
        let (client, traffic) = connecting
            .map_err(|elapsed| unreachable(elapsed.into()))?
            .map_err(|cause| unreachable(cause.into()))?;
        let runtime = Handle::current();
        runtime.spawn(async move {
            if let Err(cause) = traffic.await {
                warn!(cause = %causes(&cause), "lost a connection to PostgreSQL");
            }
        });
        let settings = format!("{LIMITS}; SET search_path TO {schema}");
        let set = timeout(CONNECT_WITHIN, client.batch_execute(&settings)).await;
        set.map_err(|elapsed| unreachable(elapsed.into()))??;
        Ok(Self { client, runtime, statements: RefCell::default(), is_silent: Cell::new(false) })
    }

    /// Waits for an answer, but not for ever.
    fn wait<T>(
        &self,
        asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        self.wait_within(ANSWER_WITHIN, asking)
    }

    fn wait_within<T>(
        &self,
        within: Duration,
        asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        if let Ok(answer) = self.runtime.block_on(async { timeout(within, asking).await }) {
            return Ok(answer?);
        }
        self.is_silent.set(true);
        Err(SqlError::Unreachable("the database does not answer".into()))
    }

    /// Whether it is lost, or might as well be.
    pub fn is_closed(&self) -> bool {
        self.is_silent.get() || self.client.is_closed()
    }

    /// Runs text as it is: several statements, no parameters, no answer.
    pub fn run(&self, text: &str) -> Result<(), SqlError> {
        self.wait(self.client.batch_execute(text))
    }

    /// The same for a step of a schema, which may take long.
    pub(crate) fn migrate(&self, text: &str) -> Result<(), SqlError> {
        self.wait_within(MIGRATED_WITHIN, self.client.batch_execute(text))
    }

    /// Runs a statement for each of the rows of parameters; the answers in their order.
    pub fn query<'a, P: AsRef<[Value<'a>]>>(
        &self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<Vec<Vec<Row>>, SqlError> {
        self.wait(async {
            let statement = self.statement(sql).await?;
            let ask = |row: &P| {
                let params = row.as_ref().to_vec();
                let statement = &statement;
                async move {
                    let params: Vec<_> =
                        params.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect();
                    self.client.query(statement, &params).await
                }
            };
            try_join_all(rows.iter().map(ask)).await
        })
    }

    /// Runs an `INSERT … VALUES` or `UPDATE … WHERE` for all of the rows of parameters at once, as one
    /// statement over arrays.
    pub fn execute<'a, P: AsRef<[Value<'a>]>>(
        &self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<(), SqlError> {
        if rows.len() < 2 {
            return self.query(sql, rows).map(drop);
        }
        self.wait(async {
            let one = self.statement(sql).await?;
            let statement = self.prepared(sql, Rows::Many, || for_many(sql, one.params())).await?;
            let column = |number| rows.iter().filter_map(move |row| row.as_ref().get(number));
            let columns = (0..one.params().len()).map(|number| column(number).collect());
            let columns: Vec<Vec<&Value<'_>>> = columns.collect();
            let params: Vec<_> =
                columns.iter().map(|column| -> &(dyn ToSql + Sync) { column }).collect();
            self.client.execute(&statement, &params).await.map(drop)
        })
    }

    async fn statement(&self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        self.prepared(sql, Rows::One, || sql.replace('?', "$")).await
    }

    /// The statement, prepared once a connection.
    async fn prepared(
        &self,
        sql: &'static str,
        rows: Rows,
        text: impl FnOnce() -> String,
    ) -> Result<Statement, tokio_postgres::Error> {
        let known = self.statements.borrow().get(&(sql, rows)).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(&text()).await?;
        self.statements.borrow_mut().insert((sql, rows), statement.clone());
        Ok(statement)
    }

    /// Runs queries that see one moment.
    pub fn snapshot<T>(&self, read: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.run("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let answer = read();
        self.run("ROLLBACK")?;
        answer
    }
}

/// A statement for one row of parameters as one for any number of them, which come as arrays, one
/// for each parameter: a thousand rows are then one statement to read, to plan and to answer.
///
/// `INSERT … VALUES (?1, ?2)` becomes `INSERT … SELECT given.p1, given.p2 FROM unnest($1, $2)`, and
/// `UPDATE … WHERE id = ?1` becomes `UPDATE … FROM unnest($1) … WHERE id = given.p1`.
fn for_many(sql: &str, types: &[Type]) -> String {
    let numbers = || 1..=types.len();
    let arrays = numbers().zip(types).map(|(number, it)| format!("${number}::{}[]", it.name()));
    let names = numbers().map(|number| format!("p{number}"));
    let given = format!(
        "FROM unnest({}) AS given ({})",
        arrays.collect::<Vec<_>>().join(", "),
        names.collect::<Vec<_>>().join(", ")
    );
    let sql = match (sql.split_once("VALUES ("), sql.split_once("WHERE")) {
        (Some((into, values)), _) => {
            let (values, rest) = values.split_once(')').unwrap_or((values, ""));
            format!("{into}SELECT {values} {given}{rest}")
        }
        (None, Some((set, condition))) => format!("{set}{given} WHERE{condition}"),
        (None, None) => sql.to_owned(),
    };
    sql.replace('?', "given.p")
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        r#type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_for_one_row_becomes_one_for_many() {
        let insert = "INSERT INTO seen (id, at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
        assert_eq!(
            for_many(insert, &[Type::UUID, Type::INT8]),
            "INSERT INTO seen (id, at) SELECT given.p1, given.p2 \
             FROM unnest($1::uuid[], $2::int8[]) AS given (p1, p2) ON CONFLICT (id) DO NOTHING"
        );
        assert_eq!(
            for_many("UPDATE seen SET at = ?2 WHERE id = ?1", &[Type::UUID, Type::INT8]),
            "UPDATE seen SET at = given.p2 \
             FROM unnest($1::uuid[], $2::int8[]) AS given (p1, p2) WHERE id = given.p1"
        );
    }
}
