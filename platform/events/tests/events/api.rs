//! The HTTP side of a consumer: what publishers, operators and Prometheus get.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, StatusCode},
};
use contracts::event::{
    BATCH_MEDIA_TYPE, CloudEvent, DISMISSAL_REASON_MAX, EVENTS_BODY_MAX, EVENTS_MAX,
};
use jiff::Timestamp;
use platform_events::{DELIVERIES_MAX, HttpTransport, Published, Relay, RelayPriority};
use platform_rest::{
    client::{Call, Client},
    listener::Listener,
    runtime::Runtime,
};
use platform_store::{Aggregate, WriteError};
use platform_telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::notes::{Command, NoteStore, Notes, event, event_of, event_with, source};

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
        let is_empty = head.status == StatusCode::NO_CONTENT;
        let json = if is_empty { Value::Null } else { serde_json::from_slice(&body).unwrap() };
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
async fn an_operator_retries_a_dead_letter_once_its_cause_is_mended() {
    let served = Served::open();
    for _ in 0..=DELIVERIES_MAX {
        served.post(&[event(1, "poison"), event(2, "b")]).await;
    }
    let retry = format!("POST /events/dead-letters/{}/1/retry", source(1));
    let kept = served.request(&retry, "").await;
    let problem = |response: &Response| {
        (response.status, response.json["type"].clone(), response.json["detail"].clone())
    };
    let reason = "the store rejected it when it was retried";
    let expected = (409, json!("urn:anticorona:dead-letter-kept"), json!(reason));
    assert_eq!(problem(&kept), expected);
    assert_eq!(served.dead_letters().await["events"][0]["reason"], reason);

    served.store.mend();
    assert_eq!(served.request(&retry, "").await.status, 204);
    assert_eq!(served.store.notes().await, ["b", "poison"]);
    assert_eq!(served.dead_letters().await, json!({"total": 0, "events": []}));
    let absent =
        "there is no such dead letter: it was applied, or the event was never dead-lettered";
    let expected = (404, json!("urn:anticorona:not-found"), json!(absent));
    assert_eq!(problem(&served.request(&retry, "").await), expected);
    for path in ["x/1", &format!("{}/x", source(1)), &format!("{}/-1", source(1))] {
        let retry = format!("POST /events/dead-letters/{path}/retry");
        assert_eq!(served.request(&retry, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_dismissed_dead_letter_is_listed_apart_with_its_first_reason() {
    let served = Served::open();
    served.post(&[event_with(1, "1"), event_with(2, "2")]).await;
    let dismiss = format!("DELETE /events/dead-letters/{}/1", source(1));
    let reason = |reason: &str| json!({"reason": reason}).to_string();
    assert_eq!(served.request(&dismiss, reason(" a test ")).await.status, 204);
    assert_eq!(served.request(&dismiss, reason("again")).await.status, 204);
    let listed = |list: Value| {
        let events = list["events"].as_array().unwrap().clone();
        let sequences = events.iter().map(|it| it["sequence"].as_u64().unwrap());
        (list["total"].clone(), sequences.collect::<Vec<_>>())
    };
    assert_eq!(listed(served.dead_letters().await), (json!(1), vec![2]));
    let dismissed = served.request("GET /events/dead-letters?dismissed=true", "").await.json;
    assert_eq!(listed(dismissed.clone()), (json!(1), vec![1]));
    let dismissal = &dismissed["events"][0]["dismissal"];
    assert_eq!(dismissal["reason"], "a test");
    assert!(dismissal["at"].as_str().unwrap().parse::<Timestamp>().is_ok());

    let retry = format!("POST /events/dead-letters/{}/1/retry", source(1));
    let refused = served.request(&retry, "").await;
    let kind = "urn:anticorona:dead-letter-dismissed";
    assert_eq!((refused.status, &refused.json["type"]), (409, &json!(kind)));
    let unknown = format!("DELETE /events/dead-letters/{}/3", source(1));
    assert_eq!(served.request(&unknown, reason("a test")).await.status, 404);
}

#[tokio::test]
async fn a_dismissal_needs_a_reason_of_one_line_and_limited_length() {
    let served = Served::open();
    served.post(&[event_with(1, "1")]).await;
    let dismiss = format!("DELETE /events/dead-letters/{}/1", source(1));
    let too_long = "ä".repeat(DISMISSAL_REASON_MAX + 1);
    for reason in ["", "  ", "two\nlines", &too_long] {
        let refused = served.request(&dismiss, json!({"reason": reason}).to_string()).await;
        assert_eq!((refused.status, &refused.json["field"]), (422, &json!("reason")), "{reason}");
    }
    assert_eq!(served.request(&dismiss, "{}").await.json["field"], "reason");
    assert_eq!(served.dead_letters().await["total"], 1);
    let longest = "ä".repeat(DISMISSAL_REASON_MAX);
    let dismissed = served.request(&dismiss, json!({"reason": longest}).to_string()).await;
    assert_eq!(dismissed.status, 204);
}

#[tokio::test]
async fn metrics_count_published_consumed_and_dead_lettered_events() {
    let served = Served::open();
    for _ in 0..=DELIVERIES_MAX {
        served.post(&[event(1, "poison"), event_with(2, "2"), event_with(3, "3")]).await;
    }
    served.store.publish(["x", "y", "z"]).await;
    let metrics = Metrics::default();
    let store = &served.store;
    platform_events::register(&metrics, store.reads.clone(), store.consumer.clone());
    let lines = async || {
        let text = metrics.render().await;
        let of_events = text.lines().filter(|line| {
            line.starts_with("anticorona_events") || line.starts_with("anticorona_outbox")
        });
        of_events.map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = |dead_lettered, retried, dismissed| {
        [
            "anticorona_outbox_events_total 3".to_owned(),
            format!("anticorona_events_dead_lettered {dead_lettered}"),
            format!("anticorona_events_retried_total {retried}"),
            format!("anticorona_events_dismissed_total {dismissed}"),
            "anticorona_events_stalled_sources 0".to_owned(),
            format!("anticorona_events_consumed_total{{source=\"{}\"}} 3", source(1)),
        ]
    };
    assert_eq!(lines().await, expected(3, 0, 0));
    store.mend();
    let letter = |sequence: u64| format!("/events/dead-letters/{}/{sequence}", source(1));
    for _ in 0..2 {
        for sequence in [1, 2] {
            served.request(&format!("POST {}/retry", letter(sequence)), "").await;
        }
        served.request(&format!("DELETE {}", letter(3)), r#"{"reason":"a test"}"#).await;
    }
    assert_eq!(lines().await, expected(1, 1, 1));
}

/// It has written as many events again since, so that only their times differ.
#[tokio::test]
async fn a_publisher_that_was_restored_is_noticed_also_when_its_outbox_is_as_long_again() {
    let (publisher, served) = (NoteStore::open(), Served::open());
    publisher.publish(["a", "b"]).await;
    let mut lost = event_of(publisher.id, 1, "a");
    lost.time = Timestamp::from_second(1).unwrap();
    assert_eq!(served.store.consumer.consume(&[lost]).await, Ok(1.into()));
    let _relaying = relay(&publisher, &served);
    // At once: it waits until the consumer has said what it has.
    let note = Command::Publish("c".to_owned());
    let refused = publisher.commands.submit_all(vec![note], Instant::now() + TIMEOUT).await;
    assert_eq!(refused, Err(WriteError::Fenced));
    assert_eq!(served.store.notes().await, ["a"]);
}

/// Publishes over HTTP until it is dropped.
fn relay(publisher: &NoteStore, served: &Served) -> JoinSet<()> {
    let relay = Relay {
        transport: HttpTransport { consumer: "notes", client: served.client.clone() },
        source: publisher.id,
        outbox: publisher.reads.clone(),
        new_events: publisher.new_events.subscribe(),
        priority: RelayPriority::Background,
        fence: publisher.commands.health().fence(),
        snapshot: Notes::snapshot,
        published: Published::default(),
    };
    let mut relaying = JoinSet::new();
    relaying.spawn(relay.run());
    relaying
}

#[tokio::test]
async fn a_new_consumer_gets_what_a_store_holds_where_its_events_were_pruned() {
    let (publisher, served) = (NoteStore::open(), Served::open());
    publisher.publish(["a", "b", "c"]).await;
    publisher.prune(2).await;
    let _relaying = relay(&publisher, &served);
    timeout(TIMEOUT, served.store.wait_for_offset(publisher.id, 3)).await.expect("it arrives");
    publisher.publish(["d"]).await;
    timeout(TIMEOUT, served.store.wait_for_offset(publisher.id, 4)).await.expect("it arrives");
    assert_eq!(served.store.notes().await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_relay_publishes_an_outbox_over_http() {
    let (publisher, served) = (NoteStore::open(), Served::open());
    let _relaying = relay(&publisher, &served);
    let delivered = timeout(TIMEOUT, async {
        publisher.publish(["a", "b"]).await;
        served.store.wait_for_offset(publisher.id, 2).await;
        publisher.publish(["c"]).await;
        served.store.wait_for_offset(publisher.id, 3).await;
    });
    delivered.await.expect("the events are not consumed");
    assert_eq!(served.store.notes().await, ["a", "b", "c"]);
}
