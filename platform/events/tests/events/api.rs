//! The HTTP side of a consumer: what publishers, operators and Prometheus get.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, StatusCode},
};
use contracts::event::{BATCH_MEDIA_TYPE, CloudEvent, EVENTS_BODY_MAX, EVENTS_MAX};
use jiff::Timestamp;
use platform_events::{HttpTransport, Relay, RelayPriority};
use platform_rest::{
    client::{Call, Client},
    listener::Listener,
    runtime::Runtime,
};
use platform_store::WriteError;
use platform_telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tokio::{
    task::{JoinSet, yield_now},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::notes::{Command, NoteStore, event, event_of, event_with, source};

/// How long a test waits for something that must happen.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A store behind a listener.
struct Served {
    store: NoteStore,
    client: Client,
    _serving: JoinSet<()>,
}

struct Response {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Served {
    fn open() -> Self {
        let store = NoteStore::open();
        let router = platform_events::router(store.consumer.clone(), store.reads.clone());
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let runtime = Runtime::new("notes", CancellationToken::new());
            listener.serve("notes", router, TIMEOUT, &runtime).await.unwrap();
        });
        Self { store, client, _serving: serving }
    }

    async fn request(&self, line: &str, body: impl Into<Bytes>) -> Response {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", BATCH_MEDIA_TYPE).body(body.into()).unwrap();
        let response = self.client.send(Call::of(request), Instant::now() + TIMEOUT).await.unwrap();
        let (head, body) = response.into_parts();
        let json = serde_json::from_slice(&body).unwrap();
        Response { status: head.status.as_u16(), headers: head.headers, json }
    }

    async fn post(&self, events: &[CloudEvent]) -> Response {
        self.request("POST /events", serde_json::to_string(events).unwrap()).await
    }

    async fn offset(&self, number: u128) -> Value {
        self.request(&format!("GET /events/offset?source={}", source(number)), "").await.json
    }

    async fn dead_letters(&self) -> Value {
        self.request("GET /events/dead-letters", "").await.json
    }
}

#[tokio::test]
async fn a_publisher_gets_the_offset_of_the_consumer() {
    let served = Served::open();
    assert_eq!(served.offset(1).await, json!({"sequence": 0}));
    let consumed = served.post(&[event(1, "a"), event(2, "b"), event(4, "d")]).await;
    assert_eq!((consumed.status, consumed.json), (200, json!({"sequence": 2})));
    let at = "1970-01-01T00:00:00Z";
    assert_eq!(served.offset(1).await, json!({"sequence": 2, "lastEventAt": at}));
    assert_eq!(served.offset(2).await, json!({"sequence": 0}));
}

#[tokio::test]
async fn the_largest_batch_is_consumed() {
    let served = Served::open();
    let events: Vec<_> = (1..).take(EVENTS_MAX).map(|sequence| event(sequence, "a")).collect();
    assert_eq!(served.post(&events).await.json, json!({"sequence": EVENTS_MAX}));
    assert_eq!(served.store.notes().await.len(), EVENTS_MAX);
}

#[tokio::test]
async fn an_invalid_batch_is_rejected_as_a_whole() {
    let served = Served::open();
    let too_many: Vec<_> = (1..).take(EVENTS_MAX + 1).map(|it| event(it, "a")).collect();
    let mixed = [event(1, "a"), event_of(source(2), 1, "b")];
    for (batch, field) in [(&[][..], "events"), (&too_many, "events"), (&mixed, "source")] {
        let rejected = served.post(batch).await;
        assert_eq!((rejected.status, &rejected.json["field"]), (422, &json!(field)));
    }
    let too_large = served.request("POST /events", " ".repeat(EVENTS_BODY_MAX + 1)).await;
    assert_eq!(too_large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(served.store.notes().await, [""; 0]);
    assert_eq!(served.offset(1).await, json!({"sequence": 0}));
    assert_eq!(served.offset(2).await, json!({"sequence": 0}));
}

#[tokio::test]
async fn a_publisher_retries_later_while_the_store_is_down() {
    let served = Served::open();
    served.store.is_down.store(true, Ordering::SeqCst);
    let response = served.post(&[event(1, "a")]).await;
    assert_eq!((response.status, response.headers.contains_key("retry-after")), (503, true));
}

#[tokio::test]
async fn an_operator_gets_the_dead_letters() {
    let served = Served::open();
    assert_eq!(served.dead_letters().await, json!({"total": 0, "events": []}));
    served.post(&[event_with(1, "1"), event(2, "b"), event_with(3, "3")]).await;
    let mut dead_letters = served.dead_letters().await;
    for event in dead_letters["events"].as_array_mut().unwrap() {
        let event = event.as_object_mut().unwrap();
        assert!(event.remove("since").unwrap().is_string());
        assert!(event.remove("reason").unwrap().is_string());
    }
    let letter = |sequence: u64| {
        json!({
            "source": source(1),
            "sequence": sequence,
            "type": "Registered",
            "data": sequence.to_string(),
        })
    };
    assert_eq!(dead_letters, json!({"total": 2, "events": [letter(1), letter(3)]}));
}

#[tokio::test]
async fn metrics_count_published_consumed_and_dead_lettered_events() {
    let served = Served::open();
    served.post(&[event(1, "a"), event_with(2, "2")]).await;
    served.store.publish(["x", "y", "z"]).await;
    let metrics = Metrics::default();
    let store = &served.store;
    platform_events::register(&metrics, store.reads.clone(), store.consumer.clone());
    let text = metrics.render().await;
    let is_of_events = |line: &&str| {
        line.starts_with("anticorona_events") || line.starts_with("anticorona_outbox")
    };
    assert_eq!(
        text.lines().filter(is_of_events).collect::<Vec<_>>(),
        [
            "anticorona_outbox_events_total 3",
            "anticorona_events_dead_lettered 1",
            "anticorona_events_stalled_sources 0",
            &format!("anticorona_events_consumed_total{{source=\"{}\"}} 2", source(1)),
        ]
    );
}

/// It has written as many events again since, so that only their times differ.
#[tokio::test]
async fn a_publisher_that_was_restored_is_noticed_also_when_its_outbox_is_as_long_again() {
    let (publisher, served) = (NoteStore::open(), Served::open());
    publisher.publish(["a", "b"]).await;
    let mut lost = event_of(publisher.id, 1, "a");
    lost.time = Timestamp::from_second(1).unwrap();
    assert_eq!(served.store.consumer.consume(&[lost]).await, Ok(1));
    let health = publisher.commands.health().clone();
    let relay = Relay {
        transport: HttpTransport { consumer: "notes", client: served.client.clone() },
        source: publisher.id,
        outbox: publisher.reads.clone(),
        new_events: publisher.new_events.subscribe(),
        priority: RelayPriority::Background,
        fence: health.fence(),
    };
    let mut relaying = JoinSet::new();
    relaying.spawn(relay.run());
    let fenced = async {
        while health.can_write() {
            yield_now().await;
        }
    };
    timeout(TIMEOUT, fenced).await.expect("it is noticed");
    let note = Command::Publish("c".to_owned());
    let refused = publisher.commands.submit_all(vec![note], Instant::now() + TIMEOUT).await;
    assert_eq!(refused, Err(WriteError::Fenced));
    assert_eq!(served.store.notes().await, ["a"]);
}

#[tokio::test]
async fn a_relay_publishes_an_outbox_over_http() {
    let (publisher, served) = (NoteStore::open(), Served::open());
    let relay = Relay {
        transport: HttpTransport { consumer: "notes", client: served.client.clone() },
        source: publisher.id,
        outbox: publisher.reads.clone(),
        new_events: publisher.new_events.subscribe(),
        priority: RelayPriority::Background,
        fence: publisher.commands.health().fence(),
    };
    let mut relaying = JoinSet::new();
    relaying.spawn(relay.run());
    let delivered = timeout(TIMEOUT, async {
        publisher.publish(["a", "b"]).await;
        served.store.wait_for_offset(publisher.id, 2).await;
        publisher.publish(["c"]).await;
        served.store.wait_for_offset(publisher.id, 3).await;
    });
    delivered.await.expect("the events are not consumed");
    assert_eq!(served.store.notes().await, ["a", "b", "c"]);
}
