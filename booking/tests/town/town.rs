//! A town with one booking office, a real one, and a vaccine that the test plays.

use std::{
    fmt,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, StatusCode},
};
use booking::{Config, config::vaccine_breaker};
use chassis::{
    client::{Call, Client},
    listen::Listener,
    process::{Fatal, Process},
};
use eventing::EventsUrl;
use serde_json::Value;
use storage::database::Database;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

pub(crate) mod vaccine;

use vaccine::Vaccine;

/// What the seed's load test sends, to the letter.
pub(crate) const SEED: &str =
    r#"{"vaccineId":1, "vcName":"FIZER", "userId":5, "status":"BOOCKED"}"#;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than any drain that goes well.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) struct Town {
    pub(crate) vaccine: Vaccine,
    office: Office,
    folder: TempDir,
}

/// A running booking.
struct Office {
    client: Client,
    stop: CancellationToken,
    serving: JoinSet<Result<(), Fatal>>,
}

impl Town {
    /// Where everything works.
    pub(crate) fn open() -> Self {
        Self::with(Vaccine::open())
    }

    pub(crate) fn with(vaccine: Vaccine) -> Self {
        Self::resumed(TempDir::new().unwrap(), vaccine)
    }

    /// With the bookings that are in this folder.
    pub(crate) fn resumed(folder: TempDir, vaccine: Vaccine) -> Self {
        Self { office: Office::open(&folder, &vaccine), vaccine, folder }
    }

    /// Booking takes no new work, and finishes what it has.
    pub(crate) fn stop(&self) {
        self.office.stop.cancel();
    }

    /// Stops booking and starts it again, with the same file.
    pub(crate) async fn reopen(&mut self) {
        self.stop();
        self.office.drained().await;
        self.office = Office::open(&self.folder, &self.vaccine);
    }

    /// Asks booking something, as in `ask("GET /bookings/1", "")`; a body is JSON.
    pub(crate) async fn ask(&self, line: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.ask_with(&[("content-type", "application/json")], line, body).await
    }

    /// The same with an `Idempotency-Key`.
    pub(crate) async fn ask_with_key(&self, key: &str, line: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.ask_with(&headers, line, body).await
    }

    /// Asks for a booking, and for a ticket rather than to wait.
    pub(crate) async fn queue(&self, key: &str, body: &str) -> Answer {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
            ("prefer", "respond-async"),
        ];
        self.ask_with(&headers, "POST /bookings", body).await
    }

    /// The ticket that this answer gave.
    pub(crate) async fn ticket(&self, given: &Answer) -> Answer {
        let id = given.json()["ticketId"].as_str().unwrap().to_owned();
        self.ask(&format!("GET /tickets/{id}"), "").await
    }

    /// Asks with these headers and no others.
    pub(crate) async fn ask_with(
        &self,
        headers: &[(&str, &str)],
        line: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let uri = self.office.client.base().join(path).unwrap();
        let mut request = Request::builder().method(method).uri(uri).header("host", "booking.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.into())).unwrap();
        let response =
            self.office.client.send(Call::of(request), Instant::now() + PATIENCE).await.unwrap();
        let (head, body) = response.into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, body }
    }
}

impl Office {
    fn open(folder: &TempDir, vaccine: &Vaccine) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
        let config = Config {
            listen: listener.address(),
            database: database(folder),
            vaccine: vaccine.url().parse().unwrap(),
            breaker: vaccine_breaker(),
            events: EventsUrl::Direct,
            injection: None,
            mypage: None,
        };
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(booking::serve_on(listener, config, Process::new(stop.clone())));
        Self { client, stop, serving }
    }

    async fn drained(&mut self) {
        let ended = timeout(DRAIN, self.serving.join_next()).await.expect("it does not drain");
        ended.unwrap().unwrap().unwrap();
    }
}

/// Where booking keeps its bookings.
pub(crate) fn database(folder: &TempDir) -> Database {
    Database::Sqlite(folder.path().join("booking.sqlite"))
}

/// What booking answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The status, what the headers promise, and the body.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for name in ["location", "allow", "preference-applied", "retry-after", "content-type"] {
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
