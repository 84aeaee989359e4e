//! A town with one injection desk, a real one on a port of its own, and a listener that the test
//! plays.

use std::{
    fmt::{self, Write},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Request, StatusCode},
    routing::{get, post},
};
use chassis::{
    client::{Call, Client},
    json::{Json, JsonList},
    listen::Listener,
    process::{Fatal, Process},
};
use contracts::event::{BATCH_MEDIA_TYPE, CloudEvent, EVENTS_BODY_MAX, Heard};
use eventing::EventsUrl;
use injection::Config;
use serde_json::{Value, json};
use storage::database::Database;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// Two booking stores.
pub(crate) const NORTH: &str = "00000000-0000-0000-0000-000000000001";
pub(crate) const SOUTH: &str = "00000000-0000-0000-0000-000000000002";

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Town {
    client: Client,
    vaccine: Told,
    vaccine_url: String,
    stop: CancellationToken,
    serving: JoinSet<Result<(), Fatal>>,
    /// Ends with the town.
    _listening: JoinSet<std::io::Result<()>>,
    folder: TempDir,
}

/// What the listener heard, each event once.
type Told = watch::Sender<Vec<CloudEvent>>;

impl Town {
    /// Without any appointment yet.
    pub(crate) fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let vaccine = Told::default();
        let (listening, vaccine_url) = listen(vaccine.clone());
        let stop = CancellationToken::new();
        let (client, serving) = open_desk(&folder, &vaccine_url, &stop);
        Self { client, vaccine, vaccine_url, stop, serving, _listening: listening, folder }
    }

    /// Where bookings 1 to 3 are expected.
    pub(crate) async fn with_three() -> Self {
        let town = Self::open();
        let heard = town.say(&[booked(1, 1), booked(2, 2), booked(3, 3)]).await;
        assert_eq!(heard.json()["sequence"], 3);
        town
    }

    /// Stops the desk, and starts it again with the same file.
    pub(crate) async fn reopen(&mut self) {
        self.stop.cancel();
        let ended = timeout(PATIENCE, self.serving.join_next()).await.expect("it does not drain");
        ended.unwrap().unwrap().unwrap();
        self.stop = CancellationToken::new();
        (self.client, self.serving) = open_desk(&self.folder, &self.vaccine_url, &self.stop);
    }

    /// Tells it events, in one batch.
    pub(crate) async fn say(&self, events: &[Value]) -> Answer {
        let headers = [("content-type", BATCH_MEDIA_TYPE)];
        self.ask_with(&headers, "POST /events", Value::from(events).to_string()).await
    }

    /// What the listener heard, as soon as there is so much.
    pub(crate) async fn told(&self, many: usize) -> Vec<CloudEvent> {
        let mut told = self.vaccine.subscribe();
        let waited = timeout(PATIENCE, told.wait_for(|told| told.len() >= many)).await;
        waited.expect("it is not told").unwrap().clone()
    }

    /// Asks something, as in `ask("GET /injections/1", "")`; a body is JSON.
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
        let mut request =
            Request::builder().method(method).uri(uri).header("host", "injection.test");
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
    pub(crate) async fn story(&self, lines: &[(&str, &str)]) -> String {
        let mut story = String::new();
        for (line, body) in lines {
            let answer = self.ask(line, *body).await;
            let asked = format!("{line} {body}");
            writeln!(story, "{}: {}", asked.trim_end(), answer.in_short()).unwrap();
        }
        story
    }

    /// The status of an injection.
    pub(crate) async fn status(&self, id: i64) -> String {
        let found = self.ask(&format!("GET /injections/{id}"), "").await;
        found.json()["status"].as_str().unwrap().to_owned()
    }
}

fn open_desk(
    folder: &TempDir,
    vaccine: &str,
    stop: &CancellationToken,
) -> (Client, JoinSet<Result<(), Fatal>>) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
    let config = Config {
        listen: listener.address(),
        database: Database::Sqlite(folder.path().join("injection.sqlite")),
        events: EventsUrl::Direct,
        vaccine: Some(vaccine.parse().unwrap()),
        booking: None,
        mypage: None,
    };
    let mut serving = JoinSet::new();
    serving.spawn(injection::serve_on(listener, config, Process::new(stop.clone())));
    (client, serving)
}

/// Somebody who is told, and where.
fn listen(told: Told) -> (JoinSet<std::io::Result<()>>, String) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", listener.address());
    let router = Router::new()
        .route("/events", post(hear))
        .route("/events/heard", get(async |State(told): State<Told>| heard(&told)))
        .with_state(told);
    let mut listening = JoinSet::new();
    listening.spawn(async move {
        let process = Process::new(CancellationToken::new());
        listener.serve("vaccine", router, PATIENCE, &process).await
    });
    (listening, url)
}

async fn hear(
    State(told): State<Told>,
    JsonList(batch): JsonList<CloudEvent, EVENTS_BODY_MAX>,
) -> Json<Heard> {
    told.send_modify(|told| {
        for event in batch {
            if event.sequence == told.last().map_or(0, |last| last.sequence) + 1 {
                told.push(event);
            }
        }
    });
    heard(&told)
}

fn heard(told: &Told) -> Json<Heard> {
    Json(Heard { sequence: told.borrow().last().map_or(0, |last| last.sequence) })
}

pub(crate) fn event(source: &str, sequence: u64, kind: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{source}/{sequence}"),
        "source": source,
        "sequence": sequence.to_string(),
        "type": format!("anticorona.{kind}.v1"),
        "time": "2026-11-24T08:00:00Z",
        "data": data,
    })
}

/// A booking of vaccine 1 in the north, as `booking` tells of it.
pub(crate) fn booked(sequence: u64, booking: u64) -> Value {
    event(NORTH, sequence, "Booked", &booking_as(booking, "BOOKED"))
}

pub(crate) fn cancelled(sequence: u64, booking: u64) -> Value {
    event(NORTH, sequence, "BookingCancelled", &booking_as(booking, "BOOKING_CANCELLED"))
}

/// A booking in the north: user 105 has booking 5.
pub(crate) fn booking_as(booking: u64, status: &str) -> Value {
    json!({
        "reservationId": format!("00000000-0000-0000-0000-{booking:012}"),
        "bookingId": booking, "vaccineId": 1, "vcName": "FIZER", "userId": booking + 100,
        "status": status,
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
        Some(href.strip_prefix("http://injection.test").unwrap().to_owned())
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
