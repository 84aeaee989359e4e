//! A town with one mypage, a real one on a port of its own.

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
use contracts::event::BATCH_MEDIA_TYPE;
use eventing::EventsUrl;
use mypage::Config;
use serde_json::{Value, json};
use storage::database::Database;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// A booking store, and an injection desk.
pub(crate) const BOOKINGS: &str = "00000000-0000-0000-0000-000000000001";
pub(crate) const DESK: &str = "00000000-0000-0000-0000-000000000002";

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Town {
    client: Client,
    stop: CancellationToken,
    serving: JoinSet<Result<(), Fatal>>,
    folder: TempDir,
}

impl Town {
    /// Where nothing was heard yet.
    pub(crate) fn open() -> Self {
        Self::in_folder(TempDir::new().unwrap())
    }

    fn in_folder(folder: TempDir) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(mypage::serve_on(listener, config(&folder), Process::new(stop.clone())));
        Self { client, stop, serving, folder }
    }

    /// Stops it, lets it forget everything, and starts it again.
    pub(crate) async fn rebuilt(mut self) -> Self {
        self.stop.cancel();
        let ended = timeout(PATIENCE, self.serving.join_next()).await.expect("it does not drain");
        ended.unwrap().unwrap().unwrap();
        let process = Process::new(CancellationToken::new());
        mypage::rebuild(config(&self.folder), process).await.unwrap();
        Self::in_folder(self.folder)
    }

    /// Tells it events, in one batch.
    pub(crate) async fn say(&self, events: &[Value]) -> Answer {
        let headers = [("content-type", BATCH_MEDIA_TYPE)];
        self.ask_with(&headers, "POST /events", Value::from(events).to_string()).await
    }

    /// How far it has heard bookings.
    pub(crate) async fn heard(&self) -> Value {
        let heard = self.ask(&format!("GET /events/heard?source={BOOKINGS}")).await;
        heard.json()["sequence"].clone()
    }

    /// Asks something, as in `ask("GET /mypages/1")`.
    pub(crate) async fn ask(&self, line: &str) -> Answer {
        self.ask_with(&[], line, "").await
    }

    /// The same with these headers, and a body.
    pub(crate) async fn ask_with(
        &self,
        headers: &[(&str, &str)],
        line: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let uri = self.client.base().join(path).unwrap();
        let mut request = Request::builder().method(method).uri(uri).header("host", "mypage.test");
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

    /// Asks all of it, and tells each request with its answer.
    pub(crate) async fn story(&self, lines: &[&str]) -> String {
        let mut story = String::new();
        for line in lines {
            writeln!(story, "{line}: {}", self.ask(line).await.in_short()).unwrap();
        }
        story
    }
}

fn config(folder: &TempDir) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        database: Database::Sqlite(folder.path().join("mypage.sqlite")),
        events: EventsUrl::Direct,
    }
}

pub(crate) fn event(source: &str, sequence: u64, kind: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{source}/{sequence}"),
        "source": source,
        "sequence": sequence.to_string(),
        "type": format!("anticorona.{kind}.v1"),
        "time": format!("2026-11-24T08:00:{sequence:02}Z"),
        "data": data,
    })
}

/// A booking of vaccine 1, as `booking` tells of it; made in the second of its number.
pub(crate) fn booked(sequence: u64, booking: u64) -> Value {
    event(BOOKINGS, sequence, "Booked", &of_booking(booking, "BOOKED"))
}

pub(crate) fn cancelled(sequence: u64, booking: u64) -> Value {
    event(BOOKINGS, sequence, "BookingCancelled", &of_booking(booking, "BOOKING_CANCELLED"))
}

/// As `injection` tells of it, at the eleventh second.
pub(crate) fn completed(sequence: u64, booking: u64) -> Value {
    let mut data = of_booking(booking, "INJECTION_COMPLETED");
    data["injectionId"] = json!(1);
    let mut event = event(DESK, sequence, "Completed", &data);
    event["time"] = json!("2026-11-24T08:00:11Z");
    event
}

/// Odd bookings are of user 5, even ones of user 6.
fn of_booking(booking: u64, status: &str) -> Value {
    json!({
        "reservationId": format!("00000000-0000-0000-0000-{booking:012}"),
        "bookingId": booking, "vaccineId": 1, "vcName": "FIZER",
        "userId": 6 - booking % 2, "status": status,
    })
}

/// What was answered.
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

    /// The status, and of a problem its kind, its field and what is wrong with it.
    pub(crate) fn in_short(&self) -> String {
        let status = self.status.as_u16();
        if self.header("content-type") != Some("application/problem+json") {
            return format!("{status} {}", self.body).trim_end().to_owned();
        }
        let problem = self.json();
        assert_eq!(problem["status"], status);
        let kind = problem["type"].as_str().unwrap().strip_prefix("urn:anticorona:").unwrap();
        let field = problem["field"].as_str().filter(|field| !field.is_empty());
        let field = field.map(|field| format!("{field}: ")).unwrap_or_default();
        format!("{status} {kind}; {field}{}", problem["detail"].as_str().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The numbers on a page.
    pub(crate) fn numbers(&self, plural: &str, field: &str) -> Vec<i64> {
        let items = self.json()["_embedded"][plural].as_array().unwrap().clone();
        items.iter().map(|item| item[field].as_i64().unwrap()).collect()
    }

    /// Where a link leads, as a path.
    pub(crate) fn link(&self, name: &str) -> Option<String> {
        let href = self.json()["_links"][name]["href"].as_str()?.to_owned();
        Some(href.strip_prefix("http://mypage.test").unwrap().to_owned())
    }
}

/// The status, what the headers promise, and the body.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for name in ["location", "allow", "retry-after", "content-type"] {
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
