//! A relay tells what is in an outbox, in order, until it was heard. The clock is paused: it runs
//! on as soon as everybody waits.

use std::time::Duration;

use chassis::process::Process;
use contracts::{
    event::{CloudEvent, EVENTS_MAX},
    ids::HolderId,
};
use eventing::{
    Bell, Bus,
    bus::NotTold,
    relay::{Pace, Relay},
};
use storage::{
    store::{Input, Stored},
    writer::Store,
};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::toy::{Command, Toy, open_store};

/// Longer than any pause of a relay.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a relay asks the other end.
#[derive(Debug, PartialEq)]
enum Asked {
    /// How far its source was heard.
    Heard,
    /// To hear these.
    Told(Vec<u64>),
}

type Answer = Result<u64, NotTold>;

/// A way to the test, which answers everything itself.
struct Wire(mpsc::Sender<(Asked, oneshot::Sender<Answer>)>);

impl Wire {
    async fn ask(&self, asked: Asked) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.send((asked, answer)).await.unwrap();
        answered.await.unwrap()
    }
}

impl Bus for Wire {
    fn to(&self) -> &'static str {
        "the test"
    }

    async fn heard(&self, _: HolderId) -> Answer {
        self.ask(Asked::Heard).await
    }

    async fn tell(&self, events: &[CloudEvent]) -> Answer {
        self.ask(Asked::Told(events.iter().map(|event| event.sequence).collect())).await
    }
}

/// A store whose relay talks to the test.
struct Told {
    store: Stored<Toy>,
    bell: Bell,
    _folder: TempDir,
    asked: mpsc::Receiver<(Asked, oneshot::Sender<Answer>)>,
    stop: CancellationToken,
    relaying: JoinSet<()>,
}

impl Told {
    fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let (store, outbox, source) = open_store(&folder);
        let ((wire, asked), bell) = (mpsc::channel(1), Bell::default());
        let relay = Relay { bus: Wire(wire), source, outbox, told: bell.ear(), pace: Pace::Prompt };
        let (stop, mut relaying) = (CancellationToken::new(), JoinSet::new());
        relaying.spawn(relay.run(Process::new(stop.clone())));
        Self { store, bell, _folder: folder, asked, stop, relaying }
    }

    fn with(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut told = Self::open();
        told.say(texts);
        told
    }

    /// Without waiting for another thread: the clock would run on meanwhile.
    fn say(&mut self, texts: impl IntoIterator<Item = impl Into<String>>) {
        let say = |text: _| Input::Asked(Command::Say(Into::into(text)));
        let batch: Vec<_> = texts.into_iter().map(say).collect();
        self.store.apply(&batch).unwrap();
    }

    /// The next thing it asks is this; answers it, and says when that was.
    async fn expect(&mut self, expected: Asked, answer: Answer) -> Instant {
        let asked = timeout(PATIENCE, self.asked.recv()).await;
        let (asked, reply) = asked.expect("it asks nothing more").unwrap();
        assert_eq!(asked, expected);
        let at = Instant::now();
        reply.send(answer).unwrap();
        at
    }
}

fn down() -> Answer {
    Err(NotTold::Nats("it is down".into()))
}

#[tokio::test(start_paused = true)]
async fn everything_is_told_in_order_and_in_batches() {
    let mut told = Told::with((0..1_100).map(|number| number.to_string()));
    told.expect(Asked::Heard, Ok(0)).await;
    for (first, last) in [(1, 512), (513, 1_024), (1_025, 1_100)] {
        told.expect(Asked::Told((first..=last).collect()), Ok(last)).await;
    }
    assert_eq!(EVENTS_MAX, 512);
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_before_is_not_told_again() {
    let mut told = Told::with(["a", "b", "c"]);
    told.expect(Asked::Heard, Ok(2)).await;
    told.expect(Asked::Told(vec![3]), Ok(3)).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_kept_of_a_batch_is_told_again() {
    let mut told = Told::with(["a", "b", "c"]);
    told.expect(Asked::Heard, Ok(0)).await;
    told.expect(Asked::Told(vec![1, 2, 3]), Ok(1)).await;
    told.expect(Asked::Told(vec![2, 3]), Ok(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_not_larger_than_768_kib_unless_one_event_is() {
    let sizes = [300, 300, 300, 900, 0, 0].map(|kib| "x".repeat(kib * 1024));
    let mut told = Told::with(sizes);
    told.expect(Asked::Heard, Ok(0)).await;
    for batch in [vec![1, 2], vec![3], vec![4], vec![5, 6]] {
        let last = batch[batch.len() - 1];
        told.expect(Asked::Told(batch), Ok(last)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ring_is_followed_at_once_and_silence_within_a_second() {
    let mut told = Told::open();
    let start = told.expect(Asked::Heard, Ok(0)).await;
    told.say(["a"]);
    told.bell.ring();
    let rung = told.expect(Asked::Told(vec![1]), Ok(1)).await;
    assert!(rung - start < Duration::from_millis(100), "{:?}", rung - start);
    told.say(["b"]);
    let noticed = told.expect(Asked::Told(vec![2]), Ok(2)).await;
    assert!(noticed - rung < Duration::from_millis(1_100), "{:?}", noticed - rung);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_says_that_it_lost_its_data_is_told_from_there() {
    let mut told = Told::with(["a", "b"]);
    told.expect(Asked::Heard, Ok(0)).await;
    told.expect(Asked::Told(vec![1, 2]), Ok(2)).await;
    told.say(["c"]);
    told.expect(Asked::Told(vec![3]), Ok(0)).await;
    told.expect(Asked::Told(vec![1, 2, 3]), Ok(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_lost_its_data_is_found_out_though_there_is_nothing_new() {
    let mut told = Told::with(["a", "b"]);
    told.expect(Asked::Heard, Ok(2)).await;
    told.expect(Asked::Heard, Ok(2)).await;
    let asked = told.expect(Asked::Heard, Ok(0)).await;
    let again = told.expect(Asked::Told(vec![1, 2]), Ok(2)).await;
    assert!(again - asked < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_told_is_tried_again_in_growing_pauses() {
    let mut told = Told::with(["a"]);
    let mut before = told.expect(Asked::Heard, down()).await;
    for pause_ms in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        let again = told.expect(Asked::Heard, down()).await;
        let pause = (again - before).as_millis();
        assert!((pause_ms..pause_ms + 20).contains(&pause), "{pause} instead of {pause_ms}");
        before = again;
    }
    told.expect(Asked::Heard, Ok(0)).await;
    told.expect(Asked::Told(vec![1]), Ok(1)).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_success_the_pauses_begin_small_again() {
    let mut told = Told::with(["a", "b"]);
    for _ in 0..6 {
        told.expect(Asked::Heard, down()).await;
    }
    told.expect(Asked::Heard, Ok(0)).await;
    told.expect(Asked::Told(vec![1, 2]), Ok(1)).await;
    let failed = told.expect(Asked::Told(vec![2]), down()).await;
    let again = told.expect(Asked::Heard, Ok(1)).await;
    assert!(again - failed < Duration::from_millis(120), "{:?}", again - failed);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_keeps_nothing_is_not_flooded() {
    let mut told = Told::with(["a", "b"]);
    let start = Instant::now();
    for _ in 0..10 {
        told.expect(Asked::Heard, Ok(0)).await;
        told.expect(Asked::Told(vec![1, 2]), Ok(0)).await;
    }
    assert!(start.elapsed() > Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_relay_ends_with_its_process() {
    let mut told = Told::with(["a"]);
    let (asked, unanswered) = told.asked.recv().await.unwrap();
    assert_eq!(asked, Asked::Heard);
    told.stop.cancel();
    told.relaying.join_next().await.unwrap().unwrap();
    drop(unanswered);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_heard_more_than_was_said_is_asked_again_in_growing_pauses() {
    let mut told = Told::with(["a"]);
    let first = told.expect(Asked::Heard, Ok(9)).await;
    let second = told.expect(Asked::Heard, Ok(9)).await;
    let third = told.expect(Asked::Heard, Ok(0)).await;
    assert!(third - second > second - first);
    told.expect(Asked::Told(vec![1]), Ok(1)).await;
}
