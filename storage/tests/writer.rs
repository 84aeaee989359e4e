//! Group commit: what ends up in which commit, and what each caller is told.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    iter::repeat_n,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc as gate,
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use proptest::{collection::vec, prelude::*};
use storage::{
    slowed::Slowed,
    writer::{BATCH_MAX, Failed, QUEUE_MAX, Store, StoreError, WriteError, Writer},
};
use tokio::{runtime, sync::mpsc, time::timeout};

type Numbers = Writer<u32, u32>;

/// What a caller gets when all its commands were kept.
#[expect(clippy::unnecessary_wraps, reason = "it stands where a submit's answer stands")]
fn kept(numbers: &[u32]) -> Result<Vec<Result<u32, Failed>>, WriteError> {
    Ok(numbers.iter().copied().map(Ok).collect())
}

fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

/// Asks once, so that the commands are in the queue; the answer has to wait for its commit.
fn queue<F: Future>(submit: F) -> Pin<Box<F>> {
    let mut submit = Box::pin(submit);
    let asked = submit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(asked.is_pending(), "it was answered before its commit");
    submit
}

/// So that a writer that hangs fails its test.
async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("nothing happens any more")
}

/// A store that tells of each commit and ends it only when the test lets it. Answers ten times.
struct Gated {
    begun: mpsc::Sender<Vec<u32>>,
    gate: gate::Receiver<()>,
}

impl Store for Gated {
    type Command = u32;
    type Outcome = u32;

    fn apply(&mut self, batch: &[u32]) -> Result<Vec<u32>, StoreError> {
        let _ = self.begun.blocking_send(batch.to_vec());
        let _ = self.gate.recv(); // Once the test holds no gate any more, every commit ends.
        Ok(batch.iter().map(|n| n * 10).collect())
    }
}

/// The test's side of [`Gated`].
struct Commits {
    begun: mpsc::Receiver<Vec<u32>>,
    gate: gate::Sender<()>,
}

impl Commits {
    /// The commit that is under way.
    async fn under_way(&mut self) -> Vec<u32> {
        soon(self.begun.recv()).await.expect("the writer lives")
    }

    /// Ends it, and waits for the one after it.
    async fn next(&mut self) -> Vec<u32> {
        self.gate.send(()).expect("the writer lives");
        self.under_way().await
    }

    /// Ends it and all further ones; tells what was in those.
    async fn rest(mut self) -> Vec<Vec<u32>> {
        drop(self.gate);
        let mut rest = Vec::new();
        while let Some(batch) = soon(self.begun.recv()).await {
            rest.push(batch);
        }
        rest
    }
}

fn gated() -> (Numbers, impl Future<Output = ()> + Send, Commits) {
    let (begun, begins) = mpsc::channel(64);
    let (opens, gate) = gate::channel();
    let (writer, ended) = Writer::start("gated", Gated { begun, gate });
    (writer, ended, Commits { begun: begins, gate: opens })
}

#[tokio::test]
async fn what_queues_during_a_commit_makes_up_the_next_one() {
    let (writer, _ended, mut commits) = gated();
    let first = queue(writer.submit(vec![1], later()));
    assert_eq!(commits.under_way().await, [1]);
    let second = queue(writer.submit(vec![2], later()));
    let third = queue(writer.submit(vec![3, 4], later()));
    let fourth = queue(writer.submit_one(5, later()));
    assert_eq!(commits.next().await, [2, 3, 4, 5]);
    drop(commits);

    assert_eq!(soon(fourth).await, Ok(Ok(50)));
    assert_eq!(soon(third).await, kept(&[30, 40]));
    assert_eq!(soon(second).await, kept(&[20]));
    assert_eq!(soon(first).await, kept(&[10]));
}

#[tokio::test]
async fn a_commit_takes_no_further_group_once_it_is_full() {
    let (writer, _ended, mut commits) = gated();
    let _first = queue(writer.submit(vec![0], later()));
    commits.under_way().await;
    let group = |n| vec![n; BATCH_MAX - 1];
    let _waiting = [group(1), group(2), group(3), vec![4], vec![5]]
        .map(|group| queue(writer.submit(group, later())));

    let batch = commits.next().await;
    assert_eq!(batch, [group(1), group(2)].concat(), "full only with the second group");
    let batch = commits.next().await;
    assert_eq!(batch, [group(3), vec![4]].concat(), "full to the last place");
    assert_eq!(commits.next().await, [5]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_keeps_what_it_took() {
    let (writer, ended, mut commits) = gated();
    let _first = queue(writer.submit(vec![0], later()));
    commits.under_way().await;
    let waiting: Vec<_> =
        repeat_n(1, QUEUE_MAX).map(|n| queue(writer.submit(vec![n], later()))).collect();

    assert_eq!(soon(writer.submit(vec![2], later())).await, Err(WriteError::Busy));
    let (rest, ()) = tokio::join!(commits.rest(), async {
        soon(writer.close()).await;
        soon(ended).await;
    });
    assert_eq!(rest.concat(), vec![1; QUEUE_MAX]);
    for waiting in waiting {
        assert_eq!(soon(waiting).await, kept(&[10]));
    }
}

#[tokio::test]
async fn a_group_whose_deadline_has_passed_is_dropped_before_the_commit() {
    let (writer, _ended, mut commits) = gated();
    let _first = queue(writer.submit(vec![1], later()));
    commits.under_way().await;
    let late = queue(writer.submit(vec![2, 2], Instant::now()));
    let in_time = queue(writer.submit(vec![3], later()));

    assert_eq!(commits.next().await, [3]);
    assert_eq!(soon(late).await, Err(WriteError::Expired));
    drop(commits);
    assert_eq!(soon(in_time).await, kept(&[30]));
}

#[tokio::test]
async fn a_group_that_nobody_waits_for_is_dropped_before_the_commit() {
    let (writer, _ended, mut commits) = gated();
    let _first = queue(writer.submit(vec![1], later()));
    commits.under_way().await;
    drop(queue(writer.submit(vec![2], later())));
    let patient = queue(writer.submit(vec![3], later()));

    assert_eq!(commits.next().await, [3]);
    drop(commits);
    assert_eq!(soon(patient).await, kept(&[30]));
}

#[tokio::test]
async fn closing_commits_what_is_queued_and_takes_nothing_more() {
    let (writer, ended, mut commits) = gated();
    let first = queue(writer.submit(vec![1], later()));
    commits.under_way().await;
    let second = queue(writer.submit(vec![2], later()));
    soon(writer.close()).await;

    assert_eq!(soon(writer.clone().submit(vec![3], later())).await, Err(WriteError::Closed));
    let ended = queue(ended);
    assert_eq!(commits.rest().await, [[2]]);
    soon(ended).await;
    assert_eq!(soon(first).await, kept(&[10]));
    assert_eq!(soon(second).await, kept(&[20]));
    assert!(soon(writer.submit(vec![4], later())).await.is_err());
    soon(writer.close()).await; // A second time changes nothing.
}

#[tokio::test]
async fn a_store_that_panics_leaves_nobody_waiting() {
    struct Brittle {
        begun: mpsc::Sender<()>,
        gate: gate::Receiver<()>,
    }

    impl Store for Brittle {
        type Command = u32;
        type Outcome = u32;

        fn apply(&mut self, _: &[u32]) -> Result<Vec<u32>, StoreError> {
            let _ = self.begun.blocking_send(());
            let _ = self.gate.recv();
            panic!("this store breaks");
        }
    }

    let (begun, mut begins) = mpsc::channel(1);
    let (opens, gate) = gate::channel();
    let (writer, ended) = Writer::start("brittle", Brittle { begun, gate });
    let in_commit = queue(writer.submit(vec![1], later()));
    soon(begins.recv()).await;
    let queued = queue(writer.submit(vec![2], later()));
    drop(opens);

    soon(ended).await;
    assert_eq!(soon(in_commit).await, Err(WriteError::Stopped));
    assert_eq!(soon(queued).await, Err(WriteError::Stopped));
    assert!(soon(writer.submit(vec![3], later())).await.is_err());
    soon(writer.close()).await;
}

/// Numbers in the order in which they came; refuses a batch that holds an odd one.
#[derive(Default)]
struct EvenOnly {
    total: u32,
    calls: u32,
}

impl Store for EvenOnly {
    type Command = u32;
    /// The total so far, and how often the store was asked so far.
    type Outcome = (u32, u32);

    fn apply(&mut self, batch: &[u32]) -> Result<Vec<(u32, u32)>, StoreError> {
        self.calls += 1;
        if batch.iter().any(|n| n % 2 == 1) {
            return Err(StoreError::Rejected("odd".into()));
        }
        let keep = |n: &u32| {
            self.total += n;
            (self.total, self.calls)
        };
        Ok(batch.iter().map(keep).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_poison_command_fails_alone(numbers in vec(0_u32..8, 1..40)) {
        let commands = u32::try_from(numbers.len()).expect("a few");
        let runtime = runtime::Builder::new_current_thread().enable_time().build().expect("runs");
        let (outcomes, last) = runtime.block_on(async {
            let (writer, _ended) = Writer::start("even", EvenOnly::default());
            let outcomes = soon(writer.submit(numbers.clone(), later())).await.expect("decided");
            let last = soon(writer.submit_one(0, later())).await;
            (outcomes, last.and_then(|last| last.map_err(|_| WriteError::Stopped)))
        });

        let mut alone = EvenOnly::default();
        for (number, outcome) in numbers.iter().zip(&outcomes) {
            let expected = alone.apply(&[*number]).map(|decided| decided[0].0).map_err(|_| Failed::Refused);
            prop_assert_eq!(outcome.map(|(total, _)| total), expected);
        }
        let (total, calls) = last.expect("nothing is wrong with it");
        prop_assert_eq!((outcomes.len(), total), (numbers.len(), alone.total), "each kept once");
        prop_assert!(calls <= 2 * commands, "at most 2n - 1 transactions, and the last");
    }
}

#[tokio::test]
async fn one_poison_command_among_many_costs_few_commits() {
    let (writer, _ended) = Writer::start("even", EvenOnly::default());
    let mut numbers = vec![2; 64];
    numbers[40] = 1;
    let outcomes = soon(writer.submit(numbers, later())).await.expect("decided");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1);
    let asked = outcomes.last().and_then(|last| last.ok()).map(|(_, calls)| calls);
    assert_eq!(asked, Some(13), "once, and twice for each of the six halvings");
}

#[tokio::test]
async fn a_store_that_cannot_write_is_asked_once_and_may_recover() {
    /// Fails the first commit; answers how often it was asked.
    struct DiskFull {
        calls: u32,
    }

    impl Store for DiskFull {
        type Command = u32;
        type Outcome = u32;

        fn apply(&mut self, batch: &[u32]) -> Result<Vec<u32>, StoreError> {
            self.calls += 1;
            match self.calls {
                1 => Err(StoreError::Unavailable("disk full".into())),
                calls => Ok(vec![calls; batch.len()]),
            }
        }
    }

    let (writer, _ended) = Writer::start("full", DiskFull { calls: 0 });
    let failed = soon(writer.submit(vec![1, 2, 3, 4], later())).await;
    assert_eq!(failed, Ok(vec![Err(Failed::Unavailable); 4]));
    assert_eq!(soon(writer.submit(vec![5], later())).await, kept(&[2]));
}

#[tokio::test]
async fn nothing_to_write_is_no_commit() {
    let (writer, ended, commits) = gated();
    assert_eq!(soon(writer.submit(vec![], later())).await, kept(&[]));
    soon(writer.close()).await;
    soon(ended).await;
    assert!(commits.rest().await.is_empty());
}

#[test]
fn a_slowed_store_takes_its_time_for_each_command_and_keeps_the_same() {
    let delay_us = Arc::new(AtomicU64::new(2_000));
    let mut slowed = Slowed::new(EvenOnly::default(), Arc::clone(&delay_us));
    let asked = Instant::now();
    let kept = slowed.apply(&[2; 20]).expect("even");
    assert!(asked.elapsed() >= Duration::from_millis(40), "{:?}", asked.elapsed());
    assert_eq!(kept.last(), Some(&(40, 1)));
    assert!(slowed.apply(&[1]).is_err(), "what the store refuses is refused");

    delay_us.store(0, Ordering::Relaxed);
    let asked = Instant::now();
    slowed.apply(&vec![2; 10_000]).expect("even");
    assert!(asked.elapsed() < Duration::from_secs(10), "it is slow for good");
}
