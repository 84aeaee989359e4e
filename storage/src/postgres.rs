//! One connection to PostgreSQL, for code that waits.
//!
//! The writer has a thread of its own and reads have theirs, so they may block. Whoever waits for an
//! answer drives the connection meanwhile, on the same thread: no other one has to wake up for it.
//!
//! A statement is not sent when it is said but when an answer is needed, together with all that were
//! said before: a batch asks everything it has to know in one round trip, and writes and commits in
//! another. PostgreSQL runs them one after the other, and after one that failed none of the same
//! transaction, so the first error is the cause. Many rows are written by one statement.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    error::Error,
    fmt,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use futures_util::future::maybe_done;
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
    time::timeout,
};
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

/// Rows are found by their keys. A statement is planned once, often while its tables are empty, and
/// passing through all of an empty table looks cheapest: it would still be done with a million rows.
const PLANS: &str = "
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off";

const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

const ROLLBACK: &str = "ROLLBACK";

/// A connection that belongs to one thread at a time.
pub struct Connection {
    client: Client,
    driver: Driver,
    statements: RefCell<BTreeMap<(&'static str, Rows), Statement>>,
    unsent: RefCell<Vec<Request>>,
    /// It did not answer: nobody knows what it is doing.
    is_silent: Cell<bool>,
    /// Something failed since the last ROLLBACK: then PostgreSQL answers a COMMIT by going back, and
    /// that looks like a commit.
    has_failed: Cell<bool>,
}

/// For how many rows of parameters a statement is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rows {
    One,
    Many,
}

/// A statement that is sent with the next ones.
struct Request {
    statement: Statement,
    params: Vec<Encoded>,
    is_write: bool,
    rows: Arc<OnceLock<Vec<Row>>>,
}

/// Where the rows will be that a statement answers.
#[derive(Debug, Default)]
pub struct Answer(Arc<OnceLock<Vec<Row>>>);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, with every name looked up in that schema first.
    pub fn open(config: &Config, schema: &str) -> Result<Self, SqlError> {
        let unreachable = |cause: Box<dyn Error + Send + Sync>| SqlError::Unreachable(cause);
        let mut config = config.clone();
        config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(3);
        config.tcp_user_timeout(ANSWER_WITHIN);
        let driver = Driver::new().map_err(|cause| unreachable(cause.into()))?;
        let connecting = async { timeout(CONNECT_WITHIN, config.connect(NoTls)).await };
        let (client, traffic) = driver
            .run(connecting)
            .map_err(|elapsed| unreachable(elapsed.into()))?
            .map_err(|cause| unreachable(cause.into()))?;
        driver.runtime().spawn(async move {
            if let Err(cause) = traffic.await {
                warn!(cause = %causes(&cause), "lost a connection to PostgreSQL");
            }
        });
        let settings = format!("{LIMITS}; {PLANS}; SET search_path TO {schema}");
        let setting = async { timeout(CONNECT_WITHIN, client.batch_execute(&settings)).await };
        driver.run(setting).map_err(|elapsed| unreachable(elapsed.into()))??;
        Ok(Self {
            client,
            driver,
            statements: RefCell::default(),
            unsent: RefCell::default(),
            is_silent: Cell::new(false),
            has_failed: Cell::new(false),
        })
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
        if let Ok(answer) = self.driver.run(async { timeout(within, asking).await }) {
            return answer.map_err(|cause| {
                self.has_failed.set(true);
                cause.into()
            });
        }
        self.is_silent.set(true);
        Err(SqlError::Unreachable("the database does not answer".into()))
    }

    /// Whether something failed since the transaction began: it cannot be kept.
    pub fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    /// Whether it is lost, or might as well be.
    pub fn is_closed(&self) -> bool {
        self.driver.run(async {
            yield_now().await; // Looks whether there is anything to read,
            yield_now().await; // and reads it: the other side may have said goodbye.
        });
        self.is_silent.get() || self.client.is_closed()
    }

    /// Runs text as it is: several statements, no parameters, no answer.
    pub fn run(&self, text: &str) -> Result<(), SqlError> {
        self.settle()?;
        self.wait(self.client.batch_execute(text))
    }

    /// The same for a step of a schema, which may take long.
    pub(crate) fn migrate(&self, text: &str) -> Result<(), SqlError> {
        self.settle()?;
        self.wait_within(MIGRATED_WITHIN, self.client.batch_execute(text))
    }

    /// Says a statement; [`Connection::read`] has what it answers.
    pub fn ask(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Answer, SqlError> {
        let statement = self.statement(sql)?;
        self.say(statement, &refs(params), false)
    }

    /// The rows that a statement answered.
    pub fn read(&self, answer: Answer) -> Result<Vec<Row>, SqlError> {
        if answer.0.get().is_none() {
            self.settle()?;
        }
        let rows = Arc::into_inner(answer.0).and_then(OnceLock::into_inner);
        rows.ok_or_else(|| SqlError::Unreachable("the question was dropped".into()))
    }

    /// Runs a statement for each of the rows of parameters; the answers in their order.
    pub fn query<'a, P: AsRef<[Value<'a>]>>(
        &self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<Vec<Vec<Row>>, SqlError> {
        let asked = rows.iter().map(|row| self.ask(sql, row.as_ref()));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        asked.into_iter().map(|answer| self.read(answer)).collect()
    }

    /// Says an `INSERT … VALUES` or `UPDATE … WHERE` for all of the rows of parameters at once, as one
    /// statement over arrays. Whether it succeeds is known when the next answer is.
    pub fn execute<'a, P: AsRef<[Value<'a>]>>(
        &self,
        sql: &'static str,
        rows: &[P],
    ) -> Result<(), SqlError> {
        let Some(first) = rows.first() else { return Ok(()) };
        // If BEGIN failed, a write sent along with it would be kept by itself. So everything that was
        // asked is answered before a write is sent.
        if self.unsent.borrow().iter().any(|request| !request.is_write) {
            self.settle()?;
        }
        let one = self.statement(sql)?;
        if rows.len() == 1 {
            return self.say(one, &refs(first.as_ref()), true).map(drop);
        }
        let many = self.prepared(sql, Rows::Many, || {
            for_many(sql, one.params())
                .ok_or_else(|| SqlError::Unwritable("a statement is for one row only".into()))
        })?;
        let column = |number| rows.iter().filter_map(move |row| row.as_ref().get(number));
        let columns = (0..one.params().len()).map(|number| column(number).collect());
        let columns: Vec<Vec<&Value<'_>>> = columns.collect();
        self.say(many, &refs(&columns), true).map(drop)
    }

    fn say(
        &self,
        statement: Statement,
        params: &[&(dyn ToSql + Sync)],
        is_write: bool,
    ) -> Result<Answer, SqlError> {
        if params.len() != statement.params().len() {
            return Err(SqlError::Unwritable("a statement has other parameters".into()));
        }
        let params = params
            .iter()
            .zip(statement.params())
            .map(|(param, r#type)| Encoded::of(*param, r#type).map_err(SqlError::Unwritable));
        let params = params.collect::<Result<_, _>>()?;
        let rows = Arc::default();
        let request = Request { statement, params, is_write, rows: Arc::clone(&rows) };
        self.unsent.borrow_mut().push(request);
        Ok(Answer(rows))
    }

    /// Sends what was said and waits until everything is answered. An error is that of the first
    /// statement that failed.
    pub fn settle(&self) -> Result<(), SqlError> {
        let requests = self.unsent.take();
        if requests.is_empty() {
            return Ok(());
        }
        self.wait(async {
            let mut asking: Vec<_> =
                requests.iter().map(|it| Box::pin(maybe_done(self.send(it)))).collect();
            for one in &mut asking {
                begin(one.as_mut()).await; // In this order.
                if let Some(Err(_)) = one.as_mut().output_mut() {
                    // It was not sent. What follows must not be either: it would be kept without it.
                    return one.as_mut().take_output().transpose().map(drop);
                }
            }
            for (mut one, request) in asking.into_iter().zip(&requests) {
                one.as_mut().await;
                let rows = one.as_mut().take_output().transpose()?;
                drop(request.rows.set(rows.unwrap_or_default())); // It is set once.
            }
            Ok(())
        })
    }

    async fn send(&self, request: &Request) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.client.query(&request.statement, &refs(&request.params)).await
    }

    fn statement(&self, sql: &'static str) -> Result<Statement, SqlError> {
        self.prepared(sql, Rows::One, || Ok(sql.replace('?', "$")))
    }

    /// The statement, prepared once a connection.
    fn prepared(
        &self,
        sql: &'static str,
        rows: Rows,
        text: impl FnOnce() -> Result<String, SqlError>,
    ) -> Result<Statement, SqlError> {
        let known = self.statements.borrow().get(&(sql, rows)).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        self.settle()?;
        let statement = self.wait(self.client.prepare(&text()?))?;
        self.statements.borrow_mut().insert((sql, rows), statement.clone());
        Ok(statement)
    }

    /// Goes back: whatever was not sent never will be.
    pub fn roll_back(&self) -> Result<(), SqlError> {
        self.unsent.take();
        self.run(ROLLBACK)?;
        self.has_failed.set(false);
        Ok(())
    }

    /// Runs queries that see one moment.
    pub fn snapshot<T>(&self, read: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.ask(BEGIN_READING, &[])?;
        let answer = read()?;
        self.settle()?;
        self.leave();
        Ok(answer)
    }

    /// Ends a transaction that changed nothing, and does not wait for the answer.
    fn leave(&self) {
        self.driver.run(async {
            let mut leaving = pin!(self.client.batch_execute(ROLLBACK));
            begin(leaving.as_mut()).await;
            yield_now().await; // Meanwhile it is sent.
        });
    }
}

/// Polls once: what is asked is on its way then.
async fn begin<F: Future>(mut asking: Pin<&mut F>) {
    let once = poll_fn(|context| {
        let _ = asking.as_mut().poll(context);
        Poll::Ready(())
    });
    once.await;
}

/// Runs a connection's traffic, on the thread that waits for it.
struct Driver(Option<Box<Runtime>>);

impl Driver {
    fn new() -> io::Result<Self> {
        Ok(Self(Some(Box::new(Builder::new_current_thread().enable_all().build()?))))
    }

    #[expect(clippy::expect_used, reason = "it is taken only when it is dropped")]
    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("a runtime until it is dropped")
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A runtime may not be dropped just so where others run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn refs<T: ToSql + Sync>(params: &[T]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| -> &(dyn ToSql + Sync) { param }).collect()
}

/// A parameter as it is sent; nothing stands for NULL.
#[derive(Debug)]
struct Encoded(Option<BytesMut>);

type Unwritable = Box<dyn Error + Sync + Send>;

impl Encoded {
    fn of(param: &(dyn ToSql + Sync), r#type: &Type) -> Result<Self, Unwritable> {
        let mut bytes = BytesMut::new();
        Ok(match param.to_sql_checked(r#type, &mut bytes)? {
            IsNull::Yes => Self(None),
            IsNull::No => Self(Some(bytes)),
        })
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Unwritable> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A statement for one row of parameters as one for any number of them, which come as arrays, one
/// for each parameter: a thousand rows are then one statement to read, to plan and to answer.
///
/// `INSERT … VALUES (?1, ?2)` becomes `INSERT … SELECT given.p1, given.p2 FROM unnest($1, $2)`, and
/// `UPDATE … WHERE id = ?1` becomes `UPDATE … FROM unnest($1) … WHERE id = given.p1`.
/// Nothing for a statement of another form.
fn for_many(sql: &str, types: &[Type]) -> Option<String> {
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
            let (values, rest) = values.split_once(')')?;
            if values.contains('(') {
                return None;
            }
            format!("{into}SELECT {values} {given}{rest}")
        }
        (None, Some((set, condition))) => format!("{set}{given} WHERE{condition}"),
        (None, None) => return None,
    };
    Some(sql.replace('?', "given.p"))
}

impl ToSql for Value<'_> {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Result<IsNull, Unwritable> {
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
            Some(
                "INSERT INTO seen (id, at) SELECT given.p1, given.p2 \
                 FROM unnest($1::uuid[], $2::int8[]) AS given (p1, p2) ON CONFLICT (id) DO NOTHING"
                    .to_owned()
            )
        );
        assert_eq!(
            for_many("UPDATE seen SET at = ?2 WHERE id = ?1", &[Type::UUID, Type::INT8]),
            Some(
                "UPDATE seen SET at = given.p2 \
                 FROM unnest($1::uuid[], $2::int8[]) AS given (p1, p2) WHERE id = given.p1"
                    .to_owned()
            )
        );
        assert_eq!(for_many("DELETE FROM seen", &[]), None);
        assert_eq!(for_many("INSERT INTO seen (id) VALUES ((SELECT ?1))", &[Type::UUID]), None);
    }
}
