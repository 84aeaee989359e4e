//! One connection to PostgreSQL, for code that may block.
//!
//! The writer and the reads have threads of their own, so they may block. The thread that waits for a
//! result drives the connection itself: no other thread has to be woken.
//!
//! Statements are enqueued and sent when a result is needed, all in one round trip: a batch runs its
//! queries in one round trip, and its writes with the commit in another. PostgreSQL runs them in
//! order, and after one that failed none of the same transaction, so the first error is the cause.
//! Many rows are written by one statement.

mod driver;
mod encoded;
mod many;
pub(crate) mod tls;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    pin::pin,
    rc::Rc,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::{TryStreamExt, future::maybe_done};
use platform_telemetry::error_chain;
use tokio::{task::yield_now, time::timeout};
use tokio_postgres::{Client, Config, Row, Statement, types::ToSql};
use tracing::warn;

use crate::{
    error::{Cause, SqlError},
    postgres::{
        driver::{Driver, begin},
        encoded::Encoded,
        many::for_many,
        tls::MakeTls,
    },
    value::Value,
};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a response may take. Longer than the time-outs of [`LIMITS`]: after that the connection is
/// considered lost.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(7);

/// How long a migration may take: it may have to rewrite every row. Longer than the time-out of its
/// statements ([`crate::database`]).
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(12);

/// Idle time before a TCP keepalive probe, and the pause between probes; three are sent.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Time-outs that PostgreSQL enforces: no statement waits for ever, and a process that hangs in the
/// middle of a transaction does not keep the others from writing.
const LIMITS: &str = "
    SET lock_timeout = '2s';
    SET statement_timeout = '5s';
    SET idle_in_transaction_session_timeout = '2s';
    SET synchronous_commit = on;
    SET client_min_messages = warning";

/// Rows are found by their keys. A statement is planned once, often while its tables are empty, where a
/// sequential scan looks cheapest; without these settings it would still be used at a million rows.
const PLANS: &str = "
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off";

/// Whatever the server's default is, a read after the lock must see what was committed before it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// Taken by every transaction that writes, so that one process writes at a time: the row of the store.
/// Of two stores in one database each has its own.
pub(crate) const LOCK: &str = "
    SELECT id
      FROM store
       FOR UPDATE";

const BEGIN_READ_ONLY: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

const COMMIT: &str = "COMMIT";

const ROLLBACK: &str = "ROLLBACK";

/// A connection that belongs to one thread at a time.
pub struct Connection {
    client: Client,
    driver: Driver,
    statements: RefCell<BTreeMap<(&'static str, Arity), Statement>>,
    queue: RefCell<Vec<Request>>,
    /// A response did not arrive in time; the state of the connection is unknown.
    is_unresponsive: Cell<bool>,
    /// A statement failed since the last ROLLBACK. PostgreSQL then turns COMMIT into a rollback, which
    /// is not an error.
    has_failed: Cell<bool>,
    /// TLS is preferred, but the server does not offer it; and it may be another machine.
    pub(crate) is_downgraded: bool,
}

/// For how many rows of parameters a statement is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arity {
    One,
    Many,
}

/// A statement that is enqueued.
struct Request {
    statement: Statement,
    params: Vec<Encoded>,
    is_write: bool,
    rows: PendingResult,
}

/// The future rows of an enqueued statement.
pub(crate) type PendingResult = Arc<OnceLock<Vec<Row>>>;

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, with `search_path` set to that schema.
    pub fn open(config: &Config, schema: &str) -> Result<Self, SqlError> {
        let mut config = config.clone();
        config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(3);
        config.tcp_user_timeout(RESPONSE_TIMEOUT);
        let driver = Driver::new().map_err(unreachable)?;
        let tls = MakeTls::default();
        let is_encrypted = Rc::clone(&tls.is_encrypted);
        let connecting = async { timeout(CONNECT_TIMEOUT, config.connect(tls)).await };
        let (client, traffic) =
            driver.run(connecting).map_err(unreachable)?.map_err(unreachable)?;
        driver.runtime().spawn(async move {
            if let Err(cause) = traffic.await {
                warn!(cause = %error_chain(&cause), "lost a connection to PostgreSQL");
            }
        });
        let settings = format!("{LIMITS}; {PLANS}; SET search_path TO {schema}");
        let setting = async { timeout(CONNECT_TIMEOUT, client.batch_execute(&settings)).await };
        driver.run(setting).map_err(unreachable)??;
        Ok(Self {
            client,
            driver,
            statements: RefCell::default(),
            queue: RefCell::default(),
            is_unresponsive: Cell::new(false),
            has_failed: Cell::new(false),
            is_downgraded: tls::is_downgrade(&config, is_encrypted.get()),
        })
    }

    /// Waits for a response, at most so long.
    fn wait<T>(
        &self,
        limit: Duration,
        response: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        if let Ok(response) = self.driver.run(async { timeout(limit, response).await }) {
            return response.map_err(|cause| {
                self.has_failed.set(true);
                cause.into()
            });
        }
        self.is_unresponsive.set(true);
        Err(unreachable("the database does not respond"))
    }

    /// Whether the connection is lost or unresponsive.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.run(async {
            yield_now().await; // Polls the socket,
            yield_now().await; // and reads what arrived: the server may have closed the connection.
        });
        self.is_unresponsive.get() || self.client.is_closed()
    }

    /// Runs a script: several statements, no parameters, no result.
    pub fn run_script(&self, script: &str) -> Result<(), SqlError> {
        self.flush()?;
        self.wait(RESPONSE_TIMEOUT, self.client.batch_execute(script))
    }

    /// Runs a migration, which may take up to [`MIGRATION_TIMEOUT`].
    pub(crate) fn migrate(&self, script: &str) -> Result<(), SqlError> {
        self.flush()?;
        self.wait(MIGRATION_TIMEOUT, self.client.batch_execute(script))
    }

    /// Enqueues a statement; [`Connection::read`] returns its rows.
    pub(crate) fn enqueue(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> Result<PendingResult, SqlError> {
        self.push(sql, Arity::One, params, false)
    }

    /// The rows of an enqueued statement.
    pub(crate) fn read(&self, result: PendingResult) -> Result<Vec<Row>, SqlError> {
        if result.get().is_none() {
            self.flush()?;
        }
        let rows = Arc::into_inner(result).and_then(OnceLock::into_inner);
        rows.ok_or_else(|| unreachable("the statement was rolled back"))
    }

    /// Runs a statement for each row of parameters; one result each.
    pub(crate) fn query<'a, P: AsRef<[Value<'a>]>>(
        &self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<Vec<Vec<Row>>, SqlError> {
        let pending = rows.iter().map(|row| self.enqueue(sql, row.as_ref()));
        let pending = pending.collect::<Result<Vec<_>, _>>()?;
        pending.into_iter().map(|result| self.read(result)).collect()
    }

    /// Enqueues an `INSERT … VALUES` or `UPDATE … WHERE` for all rows of parameters, as one statement
    /// over arrays. Its error surfaces with the next result.
    pub(crate) fn execute<'a, P: AsRef<[Value<'a>]>>(
        &self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<(), SqlError> {
        let Some(first) = rows.first() else { return Ok(()) };
        // If BEGIN failed, a write sent with it would be committed by itself. So the results of all
        // queries are awaited before a write is sent.
        if self.queue.borrow().iter().any(|request| !request.is_write) {
            self.flush()?;
        }
        if let [only] = rows {
            return self.push(sql, Arity::One, only.as_ref(), true).map(drop);
        }
        let column = |number| rows.iter().filter_map(move |row| row.as_ref().get(number)).collect();
        let columns: Vec<Vec<&Value<'_>>> = (0..first.as_ref().len()).map(column).collect();
        self.push(sql, Arity::Many, &columns, true).map(drop)
    }

    fn push(
        &self,
        sql: &'static str,
        arity: Arity,
        params: &[impl ToSql],
        is_write: bool,
    ) -> Result<PendingResult, SqlError> {
        let statement = self.prepared(sql, arity)?;
        if params.len() != statement.params().len() {
            return Err(SqlError::Encode("the statement has another number of parameters".into()));
        }
        let params = params.iter().zip(statement.params());
        let params = params.map(|(param, r#type)| Encoded::of(param, r#type));
        let params = params.collect::<Result<_, _>>().map_err(SqlError::Encode)?;
        let rows = PendingResult::default();
        let request = Request { statement, params, is_write, rows: Arc::clone(&rows) };
        self.queue.borrow_mut().push(request);
        Ok(rows)
    }

    /// Sends all enqueued statements and waits for their results. An error is that of the first
    /// statement that failed.
    pub(crate) fn flush(&self) -> Result<(), SqlError> {
        let requests = self.queue.take();
        if requests.is_empty() {
            return Ok(());
        }
        self.wait(RESPONSE_TIMEOUT, async {
            let mut responses: Vec<_> =
                requests.iter().map(|it| Box::pin(maybe_done(self.send(it)))).collect();
            for response in &mut responses {
                begin(response.as_mut()).await; // In this order.
                if let Some(Err(_)) = response.as_mut().output_mut() {
                    // It was not sent. Nothing after it may be sent: it would be committed without it.
                    return response.as_mut().take_output().transpose().map(drop);
                }
            }
            for (mut response, request) in responses.into_iter().zip(&requests) {
                response.as_mut().await;
                let rows = response.as_mut().take_output().transpose()?;
                drop(request.rows.set(rows.unwrap_or_default())); // Set only here.
            }
            Ok(())
        })
    }

    async fn send(&self, request: &Request) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.client.query_raw(&request.statement, &request.params).await?.try_collect().await
    }

    /// The statement, prepared once per connection.
    fn prepared(&self, sql: &'static str, arity: Arity) -> Result<Statement, SqlError> {
        if let Some(known) = self.statements.borrow().get(&(sql, arity)) {
            return Ok(known.clone());
        }
        let text = match arity {
            Arity::One => sql.replace('?', "$"),
            Arity::Many => {
                for_many(sql, self.prepared(sql, Arity::One)?.params()).ok_or_else(|| {
                    SqlError::Encode("the statement cannot be run for many rows".into())
                })?
            }
        };
        self.flush()?;
        let statement = self.wait(RESPONSE_TIMEOUT, self.client.prepare(&text))?;
        self.statements.borrow_mut().insert((sql, arity), statement.clone());
        Ok(statement)
    }

    /// Begins a transaction that writes.
    pub(crate) fn begin(&self) -> Result<(), SqlError> {
        self.enqueue(BEGIN, &[])?;
        self.enqueue(LOCK, &[]).map(drop)
    }

    pub(crate) fn commit(&self) -> Result<(), SqlError> {
        self.enqueue(COMMIT, &[])?;
        self.flush()?;
        // An error may have been ignored.
        if self.has_failed.get() {
            return Err(SqlError::Encode("a statement failed before the commit".into()));
        }
        Ok(())
    }

    /// Rolls back, and drops what is enqueued.
    pub(crate) fn roll_back(&self) -> Result<(), SqlError> {
        self.queue.take();
        self.run_script(ROLLBACK)?;
        self.has_failed.set(false);
        Ok(())
    }

    /// Runs queries that see one snapshot.
    pub(crate) fn snapshot<T>(
        &self,
        read: impl FnOnce() -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        self.enqueue(BEGIN_READ_ONLY, &[])?;
        let result = read()?;
        self.flush()?;
        self.driver.run(async {
            let mut rollback = pin!(self.client.batch_execute(ROLLBACK));
            begin(rollback.as_mut()).await;
            yield_now().await; // Sends it; its response is not awaited.
        });
        Ok(result)
    }
}

fn unreachable(cause: impl Into<Cause>) -> SqlError {
    SqlError::Unreachable(cause.into())
}
