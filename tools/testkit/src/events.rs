//! Events that a test publishes, and a consumer that records what it receives.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use contracts::event::{CloudEvent, ConsumerOffset, EVENTS_BODY_MAX};
use platform_rest::{
    json::{Json, JsonList},
    listener::Listener,
    runtime::Runtime,
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::app::TEST_TIMEOUT;

/// An event in its envelope: `event(SOURCE, 1, "Booked", &data)`.
pub fn event(source: &str, sequence: u64, name: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{source}/{sequence}"),
        "source": source,
        "sequence": sequence.to_string(),
        "type": contracts::event::full_type(name),
        "time": "2026-11-24T08:00:00Z",
        "data": data,
    })
}

/// A consumer on a loopback port that records every event once, in order.
#[derive(Debug)]
pub struct EventRecorder {
    events: Events,
    url: String,
    _serving: JoinSet<std::io::Result<()>>,
}

type Events = watch::Sender<Vec<CloudEvent>>;

impl EventRecorder {
    /// Starts it.
    pub fn start() -> Self {
        let events = Events::default();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let url = format!("http://{}", listener.address());
        let router = Router::new()
            .route("/events", post(consume))
            .route("/events/offset", get(async |State(events): State<Events>| offset(&events)))
            .with_state(events.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let runtime = Runtime::new("recorder", CancellationToken::new());
            listener.serve("recorder", router, TEST_TIMEOUT, &runtime).await
        });
        Self { events, url, _serving: serving }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All events so far, as soon as there are so many.
    pub async fn events(&self, count: usize) -> Vec<CloudEvent> {
        let mut events = self.events.subscribe();
        let waited = timeout(TEST_TIMEOUT, events.wait_for(|events| events.len() >= count)).await;
        waited.expect("events arrive in time").expect("the recorder lives").clone()
    }
}

async fn consume(
    State(events): State<Events>,
    JsonList(batch): JsonList<CloudEvent, EVENTS_BODY_MAX>,
) -> Json<ConsumerOffset> {
    events.send_modify(|events| {
        for event in batch {
            if event.sequence == events.last().map_or(0, |last| last.sequence) + 1 {
                events.push(event);
            }
        }
    });
    offset(&events)
}

fn offset(events: &Events) -> Json<ConsumerOffset> {
    Json(ConsumerOffset {
        sequence: events.borrow().last().map_or(0, |last| last.sequence),
        last_event_at: None,
        snapshot: None,
    })
}
