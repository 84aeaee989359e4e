//! Over NATS, every consuming store applies each event once.
//!
//! `cargo xtask test` starts a server for these tests; each test has a stream of its own.

use std::time::Duration;

use async_nats::jetstream;
use contracts::{event::CloudEvent, ids::StoreId};
use jiff::Timestamp;
use platform_events::{
    NatsTransport, NatsUrl, Position, Published, Reached, Relay, RelayPriority, Transport,
};
use platform_store::Aggregate;
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;

use crate::notes::{NoteStore, Notes};

/// How long a test waits for something that must happen. A message that was in flight to a consumer
/// that ended is delivered again after 10 seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "only `cargo xtask test` knows where the server is")]
fn server() -> String {
    std::env::var("ANTICORONA_TEST_NATS").expect("the address of NATS; run `cargo xtask test`")
}

/// A publisher and its stream.
struct TestStream {
    server: String,
    name: String,
    publisher: NoteStore,
}

impl TestStream {
    fn open() -> Self {
        Self::named(format!("test-{}", Uuid::now_v7()))
    }

    fn named(name: String) -> Self {
        Self { server: server(), name, publisher: NoteStore::open() }
    }

    async fn connect(&self, service: &'static str) -> NatsTransport {
        let url: NatsUrl = format!("{}/{}", self.server, self.name).parse().unwrap();
        NatsTransport::connect(&url, service).await.unwrap()
    }

    /// Publishes until it is dropped, whatever it is doing then.
    async fn relay(&self) -> JoinSet<()> {
        let relay = Relay {
            transport: self.connect("publisher").await,
            source: self.publisher.id,
            outbox: self.publisher.reads.clone(),
            new_events: self.publisher.new_events.subscribe(),
            priority: RelayPriority::Foreground,
            fence: self.publisher.commands.health().fence(),
            snapshot: Notes::snapshot,
            published: Published::default(),
        };
        let mut relaying = JoinSet::new();
        relaying.spawn(relay.run());
        relaying
    }

    /// Consumes until it is dropped, whatever it is doing then.
    async fn consume(&self, store: &NoteStore) -> JoinSet<()> {
        let nats = self.connect("consumer").await;
        let mut consuming = JoinSet::new();
        consuming.spawn(nats.consume("publisher", store.id, store.consumer.clone()));
        consuming
    }

    async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(&self.server).await.unwrap())
    }

    async fn delete(&self) {
        self.jetstream().await.delete_stream(&self.name).await.unwrap();
    }

    async fn delete_last_message(&self) {
        let stream = self.jetstream().await.get_stream(&self.name).await.unwrap();
        stream.delete_message(stream.cached_info().state.last_sequence).await.unwrap();
    }
}

fn event(source: StoreId, sequence: u64) -> CloudEvent {
    let event = json!({
        "specversion": "1.0", "id": format!("{source}/{sequence}"), "source": source,
        "sequence": sequence.to_string(), "type": "test", "time": Timestamp::UNIX_EPOCH, "data": {}
    });
    serde_json::from_value(event).unwrap()
}

/// All notes, as soon as this is the last one.
async fn notes_up_to(store: &NoteStore, last: &str) -> Vec<String> {
    let mut commits = store.commits.subscribe();
    let consumed = timeout(TIMEOUT, async {
        loop {
            let notes = store.notes().await;
            if notes.last().is_some_and(|note| note == last) {
                return notes;
            }
            commits.changed().await;
        }
    });
    consumed.await.expect("it is not consumed")
}

#[tokio::test]
async fn every_consuming_store_applies_each_event_once() {
    let stream = TestStream::open();
    let (early, late) = (NoteStore::open(), NoteStore::open());
    let _consuming = stream.consume(&early).await;
    let _relaying = stream.relay().await;
    let texts: Vec<_> = (1..=1_300).map(|number| number.to_string()).collect();
    stream.publisher.publish(&texts).await;
    assert_eq!(notes_up_to(&early, "1300").await, texts);
    let _consuming_late = stream.consume(&late).await;
    assert_eq!(notes_up_to(&late, "1300").await, texts);
}

#[tokio::test]
async fn a_stream_that_was_lost_gets_a_snapshot_where_events_were_pruned() {
    let (stream, early) = (TestStream::open(), NoteStore::open());
    let relaying = stream.relay().await;
    let consuming = stream.consume(&early).await;
    let texts: Vec<_> = (1..=600).map(|number| number.to_string()).collect();
    stream.publisher.publish(&texts).await;
    notes_up_to(&early, "600").await;
    drop((relaying, consuming));
    stream.delete().await;
    stream.publisher.prune(599).await;
    let late = NoteStore::open();
    let _consuming = stream.consume(&early).await;
    let consuming_late = stream.consume(&late).await;
    // Of two relays each continues behind the other.
    let _relaying = (stream.relay().await, stream.relay().await);
    timeout(TIMEOUT, late.wait_for_offset(stream.publisher.id, 600)).await.expect("it arrives");
    // A store that loses its data gets the snapshot again, although it has acknowledged the end.
    drop(consuming_late);
    late.lose_data();
    let _consuming_late = stream.consume(&late).await;
    timeout(TIMEOUT, late.wait_for_offset(stream.publisher.id, 600)).await.expect("it arrives");
    stream.publisher.publish(["601"]).await;
    let all: Vec<_> = (1..=601).map(|number| number.to_string()).collect();
    assert_eq!(notes_up_to(&late, "601").await, all);
    assert_eq!(notes_up_to(&early, "601").await, all);
}

#[tokio::test]
async fn a_consumer_continues_after_a_restart() {
    let (stream, consumer) = (TestStream::open(), NoteStore::open());
    let _relaying = stream.relay().await;
    let consuming = stream.consume(&consumer).await;
    stream.publisher.publish(["a", "b"]).await;
    notes_up_to(&consumer, "b").await;
    drop(consuming);
    stream.publisher.publish(["c", "d"]).await;
    let _consuming = stream.consume(&consumer).await;
    stream.publisher.publish(["e"]).await;
    assert_eq!(notes_up_to(&consumer, "e").await, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn a_relay_continues_after_a_restart() {
    let (stream, consumer) = (TestStream::open(), NoteStore::open());
    let _consuming = stream.consume(&consumer).await;
    let relaying = stream.relay().await;
    stream.publisher.publish(["a", "b"]).await;
    notes_up_to(&consumer, "b").await;
    drop(relaying);
    stream.publisher.publish(["c", "d"]).await;
    let _relaying = stream.relay().await;
    assert_eq!(notes_up_to(&consumer, "d").await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn two_relays_of_one_store_publish_each_event_once() {
    let (stream, consumer) = (TestStream::open(), NoteStore::open());
    let _consuming = stream.consume(&consumer).await;
    let _relaying = (stream.relay().await, stream.relay().await);
    let texts: Vec<_> = (1..=400).map(|number| number.to_string()).collect();
    for chunk in texts.chunks(20) {
        stream.publisher.publish(chunk).await;
        notes_up_to(&consumer, chunk.last().unwrap()).await;
    }
    assert_eq!(consumer.notes().await, texts);
    assert_eq!(consumer.offset(stream.publisher.id).await, 400);
}

/// Otherwise the message behind the newer one would show where its relay was, not where NATS is.
#[tokio::test]
async fn a_relay_that_lags_behind_another_one_publishes_nothing() {
    let stream = TestStream::open();
    let source = stream.publisher.id;
    let event = |sequence| event(source, sequence);
    let relays = [stream.connect("publisher").await, stream.connect("publisher").await];
    let before = relays[0].position(source).await.unwrap().position;
    assert_eq!(before, Position::default());
    let after = relays[0].publish(before, &[event(1), event(2)]).await.unwrap();
    assert_eq!(after.offset, 2);
    assert_eq!(relays[1].publish(before, &[event(1)]).await.unwrap(), after);
    let reached = Reached { position: after, at_ms: Some(0) };
    assert_eq!(relays[1].position(source).await.unwrap(), reached);
    assert_eq!(relays[1].publish(after, &[event(3)]).await.unwrap().offset, 3);
}

/// Two processes on one database.
#[tokio::test]
async fn two_consumers_of_one_store_apply_each_event_once() {
    let (stream, consumer) = (TestStream::open(), NoteStore::open());
    let _consuming = (stream.consume(&consumer).await, stream.consume(&consumer).await);
    let _relaying = stream.relay().await;
    let texts: Vec<_> = (1..=100).map(|number| number.to_string()).collect();
    for chunk in texts.chunks(10) {
        stream.publisher.publish(chunk).await;
        notes_up_to(&consumer, chunk.last().unwrap()).await;
    }
    assert_eq!(consumer.notes().await, texts);
}

#[tokio::test]
async fn events_of_two_stores_are_each_applied_in_order() {
    let (first, consumer) = (TestStream::open(), NoteStore::open());
    let second = TestStream::named(first.name.clone());
    let _consuming = first.consume(&consumer).await;
    let _relaying = (first.relay().await, second.relay().await);
    first.publisher.publish(["f1", "f2"]).await;
    notes_up_to(&consumer, "f2").await;
    second.publisher.publish(["s1", "s2"]).await;
    notes_up_to(&consumer, "s2").await;
    first.publisher.publish(["f3"]).await;
    assert_eq!(notes_up_to(&consumer, "f3").await, ["f1", "f2", "s1", "s2", "f3"]);
}

#[tokio::test]
async fn a_consumer_that_has_lost_its_data_gets_every_event_again_with_the_next_one() {
    let (stream, consumer) = (TestStream::open(), NoteStore::open());
    let _relaying = stream.relay().await;
    let _consuming = stream.consume(&consumer).await;
    stream.publisher.publish(["a", "b"]).await;
    notes_up_to(&consumer, "b").await;
    stream.publisher.publish(["c"]).await;
    notes_up_to(&consumer, "c").await;
    consumer.lose_data();
    stream.publisher.publish(["d"]).await;
    assert_eq!(notes_up_to(&consumer, "d").await, ["a", "b", "c", "d"]);
}

/// The next event may come hours later.
#[tokio::test]
async fn a_consumer_that_has_lost_its_data_gets_every_event_again_when_it_starts() {
    let (stream, consumer) = (TestStream::open(), NoteStore::open());
    let _relaying = stream.relay().await;
    let consuming = stream.consume(&consumer).await;
    for text in ["a", "b", "c"] {
        stream.publisher.publish([text]).await;
        notes_up_to(&consumer, text).await;
    }
    drop(consuming);
    consumer.lose_data();
    let _consuming = stream.consume(&consumer).await;
    assert_eq!(notes_up_to(&consumer, "c").await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_message_that_is_not_a_batch_of_events_is_skipped() {
    let (stream, consumer) = (TestStream::open(), NoteStore::open());
    let _relaying = stream.relay().await;
    let _consuming = stream.consume(&consumer).await;
    stream.publisher.publish(["a"]).await;
    notes_up_to(&consumer, "a").await;
    let client = async_nats::connect(&stream.server).await.unwrap();
    for message in ["garbage", "[]", "{}"] {
        let subject = format!("{}.publisher.{}", stream.name, Uuid::nil());
        client.publish(subject, message.into()).await.unwrap();
    }
    client.flush().await.unwrap();
    stream.publisher.publish(["b"]).await;
    assert_eq!(notes_up_to(&consumer, "b").await, ["a", "b"]);
}

/// As after a crash of its machine.
#[tokio::test]
async fn what_a_nats_server_has_lost_at_its_end_is_published_again() {
    let stream = TestStream::open();
    let (consumer, late) = (NoteStore::open(), NoteStore::open());
    let _relaying = stream.relay().await;
    let consuming = stream.consume(&consumer).await;
    stream.publisher.publish(["a"]).await;
    notes_up_to(&consumer, "a").await;
    stream.publisher.publish(["b"]).await;
    notes_up_to(&consumer, "b").await;
    drop(consuming);
    stream.delete_last_message().await;
    stream.publisher.publish(["c"]).await;
    let _consuming = (stream.consume(&consumer).await, stream.consume(&late).await);
    assert_eq!(notes_up_to(&consumer, "c").await, ["a", "b", "c"]);
    assert_eq!(notes_up_to(&late, "c").await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_nats_server_that_has_lost_its_data_gets_every_event_again() {
    let stream = TestStream::open();
    let (consumer, late) = (NoteStore::open(), NoteStore::open());
    let _relaying = stream.relay().await;
    let _consuming = stream.consume(&consumer).await;
    stream.publisher.publish(["a", "b"]).await;
    notes_up_to(&consumer, "b").await;
    stream.delete().await;
    stream.publisher.publish(["c"]).await;
    assert_eq!(notes_up_to(&consumer, "c").await, ["a", "b", "c"]);
    let _consuming_late = stream.consume(&late).await;
    assert_eq!(notes_up_to(&late, "c").await, ["a", "b", "c"]);
}
