//! A town with one ledger, a real one on a port of its own.

use std::{
    fmt::{self, Write},
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, StatusCode},
};
use chassis::{
    client::{Call, Client},
    listen::Listener,
    process::{Fatal, Process},
};
use eventing::EventsUrl;
use serde_json::Value;
use storage::database::Database;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vaccine::{
    Config,
    domain::decide,
    store::{Book, Decide},
};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first two reservations, and two booking offices.
pub(crate) const ANA: &str = "00000000-0000-0000-0000-00000000000a";
pub(crate) const BO: &str = "00000000-0000-0000-0000-00000000000b";
pub(crate) const NORTH: &str = "00000000-0000-0000-0000-000000000001";
pub(crate) const SOUTH: &str = "00000000-0000-0000-0000-000000000002";

/// Where the ledger is kept.
const FILE: &str = "vaccine.sqlite";

pub(crate) struct Town {
    client: Client,
    /// Ends with the town.
    _serving: JoinSet<Result<(), Fatal>>,
    folder: TempDir,
}

impl Town {
    /// Without any vaccine yet.
    pub(crate) fn open() -> Self {
        Self::deciding_by(decide)
    }

    /// With vaccine 1.
    pub(crate) async fn with_doses(doses: u32) -> Self {
        let town = Self::open();
        let body = format!(r#"{{"vcName":"FIZER","stock":{doses}}}"#);
        assert_eq!(town.ask("POST /vaccines", body).await.status, StatusCode::CREATED);
        town
    }

    /// With a ledger that decides in its own way.
    pub(crate) fn deciding_by(decide: Decide) -> Self {
        Self::start(decide, false)
    }

    /// With a ledger that can be made to fail.
    pub(crate) fn rehearsing() -> Self {
        Self::start(decide, true)
    }

    fn start(decide: Decide, faults: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
        let config = Config {
            listen: listener.address(),
            database: Database::Sqlite(folder.path().join(FILE)),
            events: EventsUrl::Direct,
        };
        let process = Process::new(CancellationToken::new()).with_faults(faults);
        let mut serving = JoinSet::new();
        serving.spawn(vaccine::serve_book(listener, config, Book { decide }, process));
        Self { client, _serving: serving, folder }
    }

    /// Somebody else changes the ledger's tables.
    pub(crate) fn run_beside(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.folder.path().join(FILE)).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// Asks something, as in `ask("GET /vaccines/1", "")`; a body is JSON.
    pub(crate) async fn ask(&self, line: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.ask_with(&[("content-type", "application/json")], line, body).await
    }

    /// The same with these headers and no others.
    pub(crate) async fn ask_with(
        &self,
        headers: &[(&str, &str)],
        line: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let uri = self.client.base().join(path).unwrap();
        let mut request = Request::builder().method(method).uri(uri).header("host", "vaccine.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.into())).unwrap();
        let (head, body) = self
            .client
            .send(Call::of(request), Instant::now() + PATIENCE)
            .await
            .unwrap()
            .into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Asks all of it without a body, and tells each request with its answer.
    pub(crate) async fn story(&self, lines: &[String]) -> String {
        let mut story = String::new();
        for line in lines {
            let answer = self.ask(line, "").await;
            writeln!(story, "{line}: {}", answer.in_short()).unwrap();
        }
        story
    }

    /// How many doses of vaccine 1 are held or booked.
    pub(crate) async fn taken(&self) -> i64 {
        self.ask("GET /vaccines/1", "").await.json()["bookQty"].as_i64().unwrap()
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The status, and of a problem its field and what is wrong with it.
    pub(crate) fn in_short(&self) -> String {
        let status = self.status.as_u16();
        if self.header("content-type") != Some("application/problem+json") {
            return format!("{status} {}", self.body).trim_end().to_owned();
        }
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["type"].as_str().unwrap().starts_with("urn:anticorona:"));
        let field = problem["field"].as_str().filter(|field| !field.is_empty());
        let field = field.map(|field| format!("{field}: ")).unwrap_or_default();
        format!("{status} {field}{}", problem["detail"].as_str().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The status, what the headers promise, and the body.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        let told =
            ["location", "allow", "retry-after", "deprecation", "cache-control", "content-type"];
        for name in told {
            if let Some(value) = self.header(name) {
                // Spread by chance, so that not all come back together.
                let value = if name == "retry-after" { "in a moment" } else { value };
                write!(f, "\n{name}: {value}")?;
            }
        }
        if !self.body.is_empty() {
            write!(f, "\n\n{}", self.body)?;
        }
        Ok(())
    }
}
