//! A relay publishes an outbox, in order, until every event was consumed. The clock is paused: it
//! advances as soon as every task waits.

use std::{pin::pin, time::Duration};

use contracts::{
    event::{CloudEvent, EVENTS_MAX, SnapshotPart, SnapshotProgress},
    ids::StoreId,
};
use platform_events::{
    Position, PublishError, Published, Reached, Relay, RelayPriority, Transport,
};
use platform_rest::runtime::Runtime;
use platform_store::{
    Aggregate, AggregateStore, Input, Notifier, Prune, Store, Subscription, UNKNOWN_MAX,
    WriterHealth,
};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::notes::{Command, Notes, delete_notes, open};

/// Longer than any pause of a relay.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A call of a relay to its transport.
#[derive(Debug, PartialEq)]
enum TransportCall {
    Offset,
    /// The sequence numbers of the events.
    Publish(Vec<u64>),
    /// Rows of a snapshot: the key before the first, the last key, and the sequence number.
    PublishRows(Option<i64>, i64, u64),
    /// The end of a snapshot: the key of the last row, and the sequence number.
    EndSnapshot(Option<i64>, u64),
}

type Answer = Result<Position, PublishError>;

/// A transport whose calls the test answers.
struct TestTransport(mpsc::Sender<(TransportCall, oneshot::Sender<Answer>)>);

impl TestTransport {
    async fn call(&self, call: TransportCall) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.send((call, answer)).await.unwrap();
        answered.await.unwrap()
    }
}

impl Transport for TestTransport {
    fn destination(&self) -> &'static str {
        "the test"
    }

    async fn position(&self, _: StoreId) -> Result<Reached, PublishError> {
        let position = self.call(TransportCall::Offset).await?;
        Ok(Reached { position, at_ms: None })
    }

    async fn publish(&self, _: Position, events: &[CloudEvent]) -> Result<Position, PublishError> {
        let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
        let call = match (events[0].snapshot, events[events.len() - 1].snapshot) {
            (Some(SnapshotPart::Row { after, .. }), Some(SnapshotPart::Row { key, .. })) => {
                TransportCall::PublishRows(after, key, sequences[0])
            }
            (Some(SnapshotPart::End { after }), _) => {
                TransportCall::EndSnapshot(after, sequences[0])
            }
            _ => TransportCall::Publish(sequences),
        };
        self.call(call).await
    }
}

fn at(offset: u64) -> Position {
    Position { offset, ..Position::default() }
}

/// A snapshot was applied up to this key.
fn in_snapshot(offset: u64, up_to: u64, key: i64) -> Position {
    let snapshot = Some(SnapshotProgress { up_to, key });
    Position { offset, snapshot, ..Position::default() }
}

/// A store with a relay.
struct Publisher {
    store: AggregateStore<Notes>,
    folder: TempDir,
    calls: mpsc::Receiver<(TransportCall, oneshot::Sender<Answer>)>,
    stop: CancellationToken,
    runtime: Runtime,
    health: WriterHealth,
    published: Published,
}

impl Publisher {
    fn open() -> Self {
        let notifier = Notifier::default();
        let new_events = notifier.subscribe();
        Self::notifying(notifier, new_events)
    }

    fn notifying(notifier: Notifier, new_events: Subscription) -> Self {
        let folder = TempDir::new().unwrap();
        let (store, outbox, source) = open(&folder, notifier);
        let (transport, calls) = mpsc::channel(1);
        let (health, published) = (WriterHealth::default(), Published::default());
        let relay = Relay {
            transport: TestTransport(transport),
            source,
            outbox,
            new_events,
            priority: RelayPriority::Foreground,
            fence: health.fence(),
            snapshot: Notes::snapshot,
            published: published.clone(),
        };
        let stop = CancellationToken::new();
        let runtime = Runtime::new("notes", stop.clone());
        runtime.spawn_until_stop(relay.run());
        Self { store, folder, calls, stop, runtime, health, published }
    }

    fn with(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut publisher = Self::open();
        write(&mut publisher.store, texts);
        publisher
    }

    /// Waits for the next call of the relay, which must be this one, answers it, and returns when it
    /// was made.
    async fn expect(&mut self, expected: TransportCall, answer: Answer) -> Instant {
        let call = timeout(TIMEOUT, self.calls.recv()).await;
        let (call, answered) = call.expect("the relay makes no more calls").unwrap();
        assert_eq!(call, expected);
        let at = Instant::now();
        answered.send(answer).unwrap();
        at
    }

    async fn expect_offset(&mut self, answer: Answer) -> Instant {
        self.expect(TransportCall::Offset, answer).await
    }

    async fn expect_publish(
        &mut self,
        sequences: impl IntoIterator<Item = u64>,
        answer: Answer,
    ) -> Instant {
        self.expect(TransportCall::Publish(sequences.into_iter().collect()), answer).await
    }
}

fn prune(store: &mut AggregateStore<Notes>, events_up_to: u64) {
    let prune = Input::Prune(Prune { before_ms: i64::MAX, events_up_to });
    store.apply(&[prune]).unwrap();
}

/// Writes on this thread: the clock would advance during a wait for another one. In twelve commits, so that the events of
/// some can be pruned.
fn write(store: &mut AggregateStore<Notes>, texts: impl IntoIterator<Item = impl Into<String>>) {
    let input = |text: _| Input::Command(Command::Publish(Into::into(text)));
    let batch: Vec<_> = texts.into_iter().map(input).collect();
    for commit in batch.chunks(batch.len().div_ceil(12)) {
        store.apply(commit).unwrap();
    }
}

fn down() -> Answer {
    Err(PublishError::Nats("it is down".into()))
}

/// It may be down for long, and nothing shows that the store was restored.
#[tokio::test(start_paused = true)]
async fn commands_do_not_wait_for_a_consumer_that_is_down_and_not_long_for_one_that_does_not_answer()
 {
    for is_down in [true, false] {
        let mut publisher = Publisher::open();
        let health = publisher.health.clone();
        let mut known = pin!(health.fences_are_known());
        assert!(
            timeout(Duration::from_millis(1), &mut known).await.is_err(),
            "nothing is known yet"
        );
        if is_down {
            publisher.expect_offset(down()).await;
            timeout(Duration::from_millis(1), known).await.expect("it is down");
        } else {
            timeout(UNKNOWN_MAX, known).await.expect("it has had its time");
        }
        assert!(health.can_write());
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_is_published_in_order_and_in_batches() {
    let mut publisher = Publisher::with((0..1_100).map(|number| number.to_string()));
    publisher.expect_offset(Ok(at(0))).await;
    for (first, last) in [(1, 512), (513, 1_024), (1_025, 1_100)] {
        publisher.expect_publish(first..=last, Ok(at(last))).await;
    }
    assert_eq!(EVENTS_MAX, 512);
}

#[tokio::test(start_paused = true)]
async fn consumed_events_are_not_published_again() {
    let mut publisher = Publisher::with(["a", "b", "c"]);
    publisher.expect_offset(Ok(at(2))).await;
    publisher.expect_publish([3], Ok(at(3))).await;
}

#[tokio::test(start_paused = true)]
async fn events_of_a_batch_that_were_not_committed_are_published_again() {
    let mut publisher = Publisher::with(["a", "b", "c"]);
    publisher.expect_offset(Ok(at(0))).await;
    publisher.expect_publish([1, 2, 3], Ok(at(1))).await;
    publisher.expect_publish([2, 3], Ok(at(3))).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_at_most_768_kib_unless_it_is_one_event() {
    let sizes = [300, 300, 300, 900, 0, 0].map(|kib| "x".repeat(kib * 1024));
    let mut publisher = Publisher::with(sizes);
    publisher.expect_offset(Ok(at(0))).await;
    for batch in [vec![1, 2], vec![3], vec![4], vec![5, 6]] {
        let last = batch[batch.len() - 1];
        publisher.expect_publish(batch, Ok(at(last))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_published_at_once() {
    let mut publisher = Publisher::open();
    let start = publisher.expect_offset(Ok(at(0))).await;
    write(&mut publisher.store, ["a"]);
    let delivered = publisher.expect_publish([1], Ok(at(1))).await;
    assert!(delivered - start < Duration::from_millis(100), "{:?}", delivered - start);
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_another_process_is_published_within_a_second() {
    // The relay is not notified of the commits.
    let mut publisher = Publisher::notifying(Notifier::default(), Notifier::default().subscribe());
    let start = publisher.expect_offset(Ok(at(0))).await;
    write(&mut publisher.store, ["a"]);
    let delivered = publisher.expect_publish([1], Ok(at(1))).await;
    assert!(delivered - start < Duration::from_millis(1_100), "{:?}", delivered - start);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_lacks_pruned_events_gets_a_snapshot_and_what_follows() {
    let mut publisher = Publisher::with((1..=600).map(|number| number.to_string()));
    prune(&mut publisher.store, 500);
    publisher.expect_offset(Ok(at(499))).await;
    let first = TransportCall::PublishRows(None, 512, 600);
    publisher.expect(first, Ok(in_snapshot(499, 600, 512))).await;
    // It goes on after a failure, and with rows that were added meanwhile.
    publisher.expect(TransportCall::PublishRows(Some(512), 600, 600), down()).await;
    write(&mut publisher.store, ["601"]);
    publisher.expect_offset(Ok(in_snapshot(499, 600, 512))).await;
    let rest = TransportCall::PublishRows(Some(512), 601, 600);
    publisher.expect(rest, Ok(in_snapshot(499, 600, 601))).await;
    publisher.expect(TransportCall::EndSnapshot(Some(601), 600), Ok(at(600))).await;
    publisher.expect_publish([601], Ok(at(601))).await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_begins_again_for_a_consumer_that_lost_what_it_had() {
    let mut publisher = Publisher::with((1..=600).map(|number| number.to_string()));
    prune(&mut publisher.store, 500);
    publisher.expect_offset(Ok(at(0))).await;
    let first = || TransportCall::PublishRows(None, 512, 600);
    publisher.expect(first(), Ok(in_snapshot(0, 600, 512))).await;
    publisher.expect(TransportCall::PublishRows(Some(512), 600, 600), Ok(at(0))).await;
    publisher.expect(first(), Ok(in_snapshot(0, 600, 512))).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_holds_nothing_has_a_snapshot_with_an_end_alone() {
    let mut publisher = Publisher::with(["a", "b"]);
    prune(&mut publisher.store, 1);
    delete_notes(&publisher.folder);
    publisher.expect_offset(Ok(at(0))).await;
    publisher.expect(TransportCall::EndSnapshot(None, 2), Ok(at(2))).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_has_all_pruned_events_gets_no_snapshot() {
    let mut publisher = Publisher::with(["a", "b", "c"]);
    prune(&mut publisher.store, 2);
    publisher.expect_offset(Ok(at(2))).await;
    publisher.expect_publish([3], Ok(at(3))).await;
}

#[tokio::test(start_paused = true)]
async fn how_far_a_destination_is_is_known_once_it_was_asked() {
    let mut publisher = Publisher::with(["a", "b", "c"]);
    assert_eq!(publisher.published.up_to(), 0);
    publisher.expect_offset(Ok(at(2))).await;
    publisher.expect_publish([3], Ok(at(3))).await;
    write(&mut publisher.store, ["d"]);
    publisher.expect_publish([4], down()).await;
    assert_eq!(publisher.published.up_to(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_has_lost_its_data_gets_every_event_again() {
    let mut publisher = Publisher::with(["a", "b"]);
    publisher.expect_offset(Ok(at(0))).await;
    publisher.expect_publish([1, 2], Ok(at(2))).await;
    write(&mut publisher.store, ["c"]);
    publisher.expect_publish([3], Ok(at(0))).await;
    publisher.expect_publish([1, 2, 3], Ok(at(3))).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_has_lost_its_data_is_noticed_without_new_events() {
    let mut publisher = Publisher::with(["a", "b"]);
    publisher.expect_offset(Ok(at(2))).await;
    publisher.expect_offset(Ok(at(2))).await;
    let checked = publisher.expect_offset(Ok(at(0))).await;
    let delivered = publisher.expect_publish([1, 2], Ok(at(2))).await;
    assert!(delivered - checked < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_is_retried_after_growing_pauses() {
    let mut publisher = Publisher::with(["a"]);
    let mut before = publisher.expect_offset(down()).await;
    for pause_ms in [100, 200, 400, 800, 1_000, 1_000] {
        let retry = publisher.expect_offset(down()).await;
        let pause = (retry - before).as_millis();
        assert!((pause_ms..pause_ms + 20).contains(&pause), "{pause} instead of {pause_ms}");
        before = retry;
    }
    publisher.expect_offset(Ok(at(0))).await;
    publisher.expect_publish([1], Ok(at(1))).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_success_the_pauses_start_small_again() {
    let mut publisher = Publisher::with(["a", "b"]);
    for _ in 0..6 {
        publisher.expect_offset(down()).await;
    }
    publisher.expect_offset(Ok(at(0))).await;
    publisher.expect_publish([1, 2], Ok(at(1))).await;
    let failed = publisher.expect_publish([2], down()).await;
    let retry = publisher.expect_offset(Ok(at(1))).await;
    assert!(retry - failed < Duration::from_millis(120), "{:?}", retry - failed);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_commits_nothing_gets_events_at_growing_intervals() {
    let mut publisher = Publisher::with(["a", "b"]);
    let start = Instant::now();
    for _ in 0..10 {
        publisher.expect_offset(Ok(at(0))).await;
        publisher.expect_publish([1, 2], Ok(at(0))).await;
    }
    assert!(start.elapsed() > Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_older_than_its_consumer_is_not_written_to() {
    let mut publisher = Publisher::with(["a"]);
    let first = publisher.expect_offset(Ok(at(9))).await;
    let second = publisher.expect_offset(Ok(at(9))).await;
    assert!(!publisher.health.can_write());
    let third = publisher.expect_offset(Ok(at(0))).await;
    assert!(third - second > second - first);
    publisher.expect_publish([1], Ok(at(1))).await;
    assert!(publisher.health.can_write());
}

#[tokio::test(start_paused = true)]
async fn a_relay_ends_with_its_service() {
    let mut publisher = Publisher::with(["a"]);
    let (call, _unanswered) = publisher.calls.recv().await.unwrap();
    assert_eq!(call, TransportCall::Offset);
    publisher.stop.cancel();
    publisher.runtime.finish().await;
}
