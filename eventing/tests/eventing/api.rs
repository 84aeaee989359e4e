//! What a listener answers to tellers and operators over HTTP.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, StatusCode},
};
use chassis::{
    client::{Call, Client},
    listen::Listener,
    metrics::{Metrics, exposition::Format},
    process::Process,
};
use contracts::event::{BATCH_MEDIA_TYPE, CloudEvent, EVENTS_BODY_MAX, EVENTS_MAX};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::toy::{Part, said, said_by, source};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

struct Served {
    part: Part,
    client: Client,
    /// Ends with it.
    _serving: JoinSet<std::io::Result<()>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

impl Served {
    fn open() -> Self {
        let part = Part::open();
        let router = eventing::api::router(part.hearing.clone(), part.readers.clone());
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let process = Process::new(CancellationToken::new());
            listener.serve("toy", router, Duration::from_secs(10), &process).await
        });
        Self { part, client, _serving: serving }
    }

    async fn ask(&self, line: &str, body: impl Into<Bytes>) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let uri = self.client.base().join(path).unwrap();
        let request = Request::builder().method(method).uri(uri);
        let request = request.header("content-type", BATCH_MEDIA_TYPE).body(body.into()).unwrap();
        let (head, body) = self
            .client
            .send(Call::of(request), Instant::now() + PATIENCE)
            .await
            .unwrap()
            .into_parts();
        let json = serde_json::from_slice(&body).unwrap();
        Answer { status: head.status, headers: head.headers, json }
    }

    async fn tell(&self, events: &[CloudEvent]) -> Answer {
        self.ask("POST /events", serde_json::to_string(events).unwrap()).await
    }

    async fn heard(&self, number: u128) -> Value {
        self.ask(&format!("GET /events/heard?source={}", source(number)), "").await.json
    }
}

#[tokio::test]
async fn a_teller_learns_how_far_it_was_heard() {
    let served = Served::open();
    assert_eq!(served.heard(1).await, json!({"sequence": 0}));
    let told = served.tell(&[said(1, r#""a""#), said(2, r#""b""#), said(4, r#""d""#)]).await;
    assert_eq!((told.status.as_u16(), told.json), (200, json!({"sequence": 2})));
    assert_eq!(served.heard(1).await, json!({"sequence": 2}));
    assert_eq!(served.heard(2).await, json!({"sequence": 0}));
}

#[tokio::test]
async fn as_many_events_as_are_allowed_are_heard() {
    let served = Served::open();
    let events: Vec<_> = (1..).take(EVENTS_MAX).map(|sequence| said(sequence, "\"a\"")).collect();
    assert_eq!(served.tell(&events).await.json, json!({"sequence": EVENTS_MAX}));
    assert_eq!(served.part.notes().await.len(), EVENTS_MAX);
}

#[tokio::test]
async fn a_batch_that_cannot_be_meant_is_refused_whole() {
    let served = Served::open();
    let too_many: Vec<_> =
        (1..).take(EVENTS_MAX + 1).map(|sequence| said(sequence, "\"a\"")).collect();
    let mixed = [said(1, r#""a""#), said_by(source(2), 1, r#""b""#)];
    for (batch, field) in [(&[][..], "events"), (&too_many, "events"), (&mixed, "source")] {
        let refused = served.tell(batch).await;
        assert_eq!((refused.status.as_u16(), &refused.json["field"]), (422, &json!(field)));
    }
    let refused = served.ask("POST /events", " ".repeat(EVENTS_BODY_MAX + 1)).await;
    assert_eq!(refused.status, 413);
    assert_eq!(served.part.notes().await, Vec::<String>::new());
    assert_eq!(
        (served.heard(1).await, served.heard(2).await),
        (json!({"sequence": 0}), json!({"sequence": 0}))
    );
}

/// The teller must not take it for the event's fault.
#[tokio::test]
async fn a_store_that_cannot_keep_anything_asks_to_come_back() {
    let served = Served::open();
    served.part.is_down.store(true, Ordering::SeqCst);
    let answer = served.tell(&[said(1, r#""a""#)]).await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (503, true));
}

#[tokio::test]
async fn an_operator_sees_what_is_put_aside() {
    let served = Served::open();
    let parked = served.ask("GET /events/parked", "").await;
    assert_eq!(parked.json, json!({"total": 0, "events": []}));
    served.tell(&[said(1, "1"), said(2, r#""b""#), said(3, "3")]).await;
    let mut parked = served.ask("GET /events/parked", "").await.json;
    for event in parked["events"].as_array_mut().unwrap() {
        let event = event.as_object_mut().unwrap();
        assert!(event.remove("since").unwrap().is_string());
        assert!(event.remove("why").unwrap().is_string());
    }
    let of_source = |sequence: u64| json!({"source": source(1), "sequence": sequence, "type": "Booked", "data": sequence.to_string()});
    assert_eq!(parked, json!({"total": 2, "events": [of_source(1), of_source(3)]}));
}

#[tokio::test]
async fn a_collector_reads_what_was_told_heard_and_put_aside() {
    let served = Served::open();
    served.tell(&[said(1, r#""a""#), said(2, r#""b""#)]).await;
    let metrics = Metrics::default();
    eventing::metrics::register(&metrics, served.part.readers.clone());
    let text = metrics.render(Format::Text).await;
    let values: Vec<_> =
        text.lines().filter(|line| line.starts_with("anticorona_events")).collect();
    assert_eq!(
        values,
        [
            "anticorona_events_told_total 0".to_owned(),
            "anticorona_events_parked 0".to_owned(),
            format!("anticorona_events_heard_total{{source=\"{}\"}} 2", source(1)),
        ]
    );
}
