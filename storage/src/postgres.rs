//! One connection to PostgreSQL, for code that waits.
//!
//! The writer has a thread of its own and reads have theirs, so they may block; the connection's
//! traffic is a task of the runtime. Many rows travel in one pipeline: every statement is sent
//! before the first answer is waited for.

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
    statements: RefCell<BTreeMap<&'static str, Statement>>,
    /// It did not answer: nobody knows what it is doing.
    is_silent: Cell<bool>,
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
        if let Ok(answer) = self.runtime.block_on(async { timeout(ANSWER_WITHIN, asking).await }) {
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

    /// The same for statements that answer nothing.
    pub fn execute<'a, P: AsRef<[Value<'a>]>>(
        &self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<(), SqlError> {
        self.query(sql, rows).map(drop)
    }

    /// The statement, prepared once a connection.
    async fn statement(&self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        let known = self.statements.borrow().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(&sql.replace('?', "$")).await?;
        self.statements.borrow_mut().insert(sql, statement.clone());
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
