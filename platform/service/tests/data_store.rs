//! A service with a store: it publishes over HTTP to its subscribers, and it ends once its writer has
//! died, so that its process is not taken for a working one.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use platform_events::{EventHandler, ReceivedEvent, RelayPriority, StoreId};
use platform_rest::{
    client::{CallError, Client},
    json::Json,
    listener::Listener,
    runtime::Runtime,
};
use platform_service::{Configured, DataConfig, DataStore, EventsUrl, Service, Subscriber};
use platform_store::{
    Aggregate, CommandOf, Commands, Database, Event, ReadPool, SqlError, Tx, outbox,
};
use platform_telemetry::BoxError;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    task::{JoinSet, yield_now},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const TIMEOUT: Duration = Duration::from_secs(10);

const NIL: &str = "00000000-0000-0000-0000-000000000000";

const SERVICE: Service = Service {
    name: "test",
    summary: "a service of a test",
    port: 0,
    consumes: &[],
    collections: &[],
    routes: &[],
    recognises_attempts: false,
    migrations: &[],
    openapi: None,
    configure: |_| Ok(Configured::new(Vec::new(), async |_| Err("not started here".into()))),
};

/// Publishes each command of a caller; panics in every decision about an event.
struct Fragile;

#[derive(Clone, Copy)]
enum Command {
    Publish,
    Panic,
}

impl Aggregate for Fragile {
    type Command = Command;
    type Reply = ();

    fn load(_: &Tx<'_>, _: &[&Command]) -> Result<Self, SqlError> {
        Ok(Self)
    }

    fn decide(&mut self, command: &Command) {
        match command {
            Command::Publish => {}
            Command::Panic => panic!("the decision panics"),
        }
    }

    fn save(&self, _: &Tx<'_>) -> Result<(), SqlError> {
        Ok(())
    }

    fn events(_: &Command, (): &()) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        Event::of("ReservationAborted", 0, &json!({"reservationId": NIL})).map(Some)
    }

    fn snapshot(_: &Tx<'_>, _: i64, _: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        Ok(Vec::new())
    }
}

impl CommandOf<Fragile> for Command {
    type Reply = ();

    fn reply((): ()) -> Option<()> {
        Some(())
    }
}

impl EventHandler for Fragile {
    fn command(_: ReceivedEvent) -> Option<Command> {
        Some(Command::Panic)
    }

    fn ineffective((): &()) -> Option<String> {
        None
    }
}

/// A started service.
struct Running {
    store: StoreId,
    commands: Commands<Fragile>,
    reads: ReadPool,
    client: Client,
    stop: CancellationToken,
    serving: JoinSet<Result<(), BoxError>>,
    _folder: TempDir,
}

impl Running {
    async fn start(subscribers: Vec<Subscriber>) -> Self {
        Self::keeping(Duration::from_hours(1), subscribers).await
    }

    async fn keeping(retention: Duration, subscribers: Vec<Subscriber>) -> Self {
        let folder = TempDir::new().unwrap();
        let config = DataConfig {
            database: Database::Sqlite(folder.path().join("test.sqlite")),
            events: EventsUrl::Http,
            subscribers,
            retention,
        };
        let stop = CancellationToken::new();
        let runtime = Runtime::new(SERVICE.name, stop.clone());
        let store = DataStore::<Fragile>::open(&SERVICE, &config, &runtime).await.unwrap();
        let (id, commands, reads) = (store.id, store.commands.clone(), store.reads.clone());
        let app = store.app(Router::new(), TIMEOUT, &runtime);
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(app.serve(SERVICE.name, listener, runtime));
        Self { store: id, commands, reads, client, stop, serving, _folder: folder }
    }

    async fn liveness(&self) -> Value {
        self.client.get("/actuator/health/liveness", TIMEOUT).await.unwrap()
    }

    async fn post_event(&self) -> Result<Value, CallError> {
        let event = json!({
            "specversion": "1.0",
            "id": format!("{NIL}/1"),
            "source": NIL,
            "sequence": "1",
            "type": "anticorona.ReservationAborted.v1",
            "time": "1970-01-01T00:00:00Z",
            "data": {"reservationId": NIL},
        });
        self.client.post("/events", "application/cloudevents-batch+json", &[event], TIMEOUT).await
    }

    async fn publish(&self) {
        self.commands.submit(Command::Publish, Instant::now() + TIMEOUT).await.unwrap();
    }

    /// The sequence number of the oldest event.
    async fn oldest_event(&self) -> u64 {
        let oldest = self.reads.read(|tx| outbox::after(tx, 0, 1)).await.unwrap();
        oldest[0].sequence
    }

    async fn ended(&mut self) -> Result<(), BoxError> {
        self.serving.join_next().await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_service_whose_writer_has_died_ends() {
    let mut service = Running::start(Vec::new()).await;
    assert_eq!(service.liveness().await["status"], "UP");
    assert!(service.post_event().await.is_err());
    let start = Instant::now();
    let ended = service.ended().await.unwrap_err().to_string();
    assert_eq!(ended, "the writer of test has died; the log says why");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_service_publishes_to_its_subscribers_and_ends_when_it_is_stopped() {
    // Its writer dies of the first event, which shows that the event has arrived.
    let mut subscriber = Running::start(Vec::new()).await;
    let url = subscriber.client.base().clone();
    let subscription = Subscriber { service: "test", url, priority: RelayPriority::Foreground };
    let mut publisher = Running::start(vec![subscription]).await;
    assert_ne!(publisher.store, subscriber.store);
    publisher.publish().await;
    assert!(subscriber.ended().await.is_err());
    publisher.stop.cancel();
    publisher.ended().await.unwrap();
}

/// A subscriber that has this many events, and accepts no more.
fn lagging(offset: &Arc<AtomicU64>, serving: &mut JoinSet<io::Result<()>>) -> Subscriber {
    let offset = Arc::clone(offset);
    let offset = get(async move || Json(json!({"sequence": offset.load(Relaxed)})));
    let router = Router::new().route("/events/offset", offset);
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", listener.address()).parse().unwrap();
    let runtime = Runtime::new("lagging", CancellationToken::new());
    serving.spawn(async move { listener.serve("lagging", router, TIMEOUT, &runtime).await });
    Subscriber { service: "test", url, priority: RelayPriority::Foreground }
}

#[tokio::test]
async fn old_events_are_deleted_up_to_the_slowest_subscriber() {
    let mut serving = JoinSet::new();
    let offsets = [Arc::<AtomicU64>::default(), Arc::default()];
    let subscribers = offsets.iter().map(|offset| lagging(offset, &mut serving)).collect();
    let publisher = Running::keeping(Duration::from_millis(1), subscribers).await;
    for _ in 0..5 {
        publisher.publish().await;
    }
    for (offset, consumed) in offsets.iter().zip([3, 2]) {
        offset.store(consumed, Relaxed);
    }
    let deleted = async {
        while publisher.oldest_event().await < 3 {
            yield_now().await;
        }
    };
    timeout(TIMEOUT, deleted).await.expect("it is deleted");
    assert_eq!(publisher.oldest_event().await, 3);
}

#[tokio::test]
async fn old_events_are_deleted_unless_a_subscriber_lacks_them() {
    let retention = Duration::from_millis(1);
    let nobody = Subscriber {
        service: "test",
        url: "http://127.0.0.1:9".parse().unwrap(),
        priority: RelayPriority::Foreground,
    };
    let alone = Running::keeping(retention, Vec::new()).await;
    let awaited = Running::keeping(retention, vec![nobody]).await;
    for _ in 0..3 {
        alone.publish().await;
        awaited.publish().await;
    }
    let deleted = async {
        while alone.oldest_event().await < 3 {
            yield_now().await;
        }
    };
    timeout(TIMEOUT, deleted).await.expect("it is deleted");
    // The other one has had as much time for it.
    assert_eq!(awaited.oldest_event().await, 1);
}
