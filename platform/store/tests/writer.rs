//! Group commit: the commands of each commit, and the reply to each caller.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    iter::repeat_n,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc as gate,
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use platform_store::{
    CommandError, DelayedStore, Store, StoreError, WriteError,
    writer::{BATCH_MAX, QUEUE_MAX, Writer},
};
use proptest::{collection::vec, prelude::*};
use tokio::{runtime, sync::mpsc, time::timeout};

type Numbers = Writer<u32, u32>;

/// The replies to a caller whose commands were all committed.
#[expect(clippy::unnecessary_wraps, reason = "it is compared with the result of `submit`")]
fn committed(numbers: &[u32]) -> Result<Vec<Result<u32, CommandError>>, WriteError> {
    Ok(numbers.iter().copied().map(Ok).collect())
}

fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

/// Polls once, so that the commands are in the queue; the reply has to wait for its commit.
fn queue<F: Future>(submit: F) -> Pin<Box<F>> {
    let mut submit = Box::pin(submit);
    let first = submit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(first.is_pending(), "it has a reply before its commit");
    submit
}

/// With a time-out, so that a test fails if the writer hangs.
async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("the writer hangs")
}

/// A store that reports each commit and ends it only when the test opens the gate. A reply is ten times
/// its command.
struct Gated {
    begun: mpsc::Sender<Vec<u32>>,
    gate: gate::Receiver<()>,
}

impl Store for Gated {
    type Command = u32;
    type Reply = u32;

    fn apply(&mut self, batch: &[u32]) -> Result<Vec<u32>, StoreError> {
        let _ = self.begun.blocking_send(batch.to_vec());
        let _ = self.gate.recv(); // An error means that the test dropped the gate: every commit ends.
        Ok(batch.iter().map(|n| n * 10).collect())
    }
}

/// The test's side of [`Gated`].
struct Commits {
    begun: mpsc::Receiver<Vec<u32>>,
    gate: gate::Sender<()>,
}

impl Commits {
    /// The batch of the current commit.
    async fn current(&mut self) -> Vec<u32> {
        soon(self.begun.recv()).await.expect("the writer runs")
    }

    /// Ends the current commit and returns the batch of the next.
    async fn next(&mut self) -> Vec<u32> {
        self.gate.send(()).expect("the writer runs");
        self.current().await
    }

    /// Ends the current commit and all later ones; returns the batches of the later ones.
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
async fn commands_that_queue_during_a_commit_make_up_the_next_one() {
    let (writer, _ended, mut commits) = gated();
    let first = queue(writer.submit(vec![1], later()));
    assert_eq!(commits.current().await, [1]);
    let second = queue(writer.submit(vec![2], later()));
    let third = queue(writer.submit(vec![3, 4], later()));
    let fourth = queue(writer.submit_one(5, later()));
    assert_eq!(commits.next().await, [2, 3, 4, 5]);
    drop(commits);

    assert_eq!(soon(fourth).await, Ok(Ok(50)));
    assert_eq!(soon(third).await, committed(&[30, 40]));
    assert_eq!(soon(second).await, committed(&[20]));
    assert_eq!(soon(first).await, committed(&[10]));
}

#[tokio::test]
async fn a_full_batch_takes_no_further_group() {
    let (writer, _ended, mut commits) = gated();
    let _first = queue(writer.submit(vec![0], later()));
    commits.current().await;
    let group = |n| vec![n; BATCH_MAX - 1];
    let _waiting = [group(1), group(2), group(3), vec![4], vec![5]]
        .map(|group| queue(writer.submit(group, later())));

    let batch = commits.next().await;
    assert_eq!(batch, [group(1), group(2)].concat(), "full with the second group");
    let batch = commits.next().await;
    assert_eq!(batch, [group(3), vec![4]].concat(), "exactly full");
    assert_eq!(commits.next().await, [5]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_commits_what_it_accepted() {
    let (writer, ended, mut commits) = gated();
    let _first = queue(writer.submit(vec![0], later()));
    commits.current().await;
    let waiting: Vec<_> =
        repeat_n(1, QUEUE_MAX).map(|n| queue(writer.submit(vec![n], later()))).collect();

    assert_eq!(soon(writer.submit(vec![2], later())).await, Err(WriteError::Busy));
    let (rest, ()) = tokio::join!(commits.rest(), async {
        writer.close();
        soon(ended).await;
    });
    assert_eq!(rest.concat(), vec![1; QUEUE_MAX]);
    for waiting in waiting {
        assert_eq!(soon(waiting).await, committed(&[10]));
    }
}

#[tokio::test]
async fn a_group_whose_deadline_has_passed_is_dropped_before_the_commit() {
    let (writer, _ended, mut commits) = gated();
    let _first = queue(writer.submit(vec![1], later()));
    commits.current().await;
    let late = queue(writer.submit(vec![2, 2], Instant::now()));
    let in_time = queue(writer.submit(vec![3], later()));

    assert_eq!(commits.next().await, [3]);
    assert_eq!(soon(late).await, Err(WriteError::Expired));
    drop(commits);
    assert_eq!(soon(in_time).await, committed(&[30]));
}

#[tokio::test]
async fn a_group_whose_caller_no_longer_waits_is_dropped_before_the_commit() {
    let (writer, _ended, mut commits) = gated();
    let _first = queue(writer.submit(vec![1], later()));
    commits.current().await;
    drop(queue(writer.submit(vec![2], later())));
    let waiting = queue(writer.submit(vec![3], later()));

    assert_eq!(commits.next().await, [3]);
    drop(commits);
    assert_eq!(soon(waiting).await, committed(&[30]));
}

#[tokio::test]
async fn closing_commits_what_is_queued_and_accepts_nothing_more() {
    let (writer, ended, mut commits) = gated();
    let first = queue(writer.submit(vec![1], later()));
    commits.current().await;
    let second = queue(writer.submit(vec![2], later()));
    writer.close();

    assert_eq!(soon(writer.clone().submit(vec![3], later())).await, Err(WriteError::Closed));
    let ended = queue(ended);
    assert_eq!(commits.rest().await, [[2]]);
    soon(ended).await;
    assert_eq!(soon(first).await, committed(&[10]));
    assert_eq!(soon(second).await, committed(&[20]));
    assert!(soon(writer.submit(vec![4], later())).await.is_err());
    writer.close(); // A second time changes nothing.
}

#[tokio::test]
async fn every_caller_gets_an_error_when_the_store_panics() {
    struct Panicking {
        begun: mpsc::Sender<()>,
        gate: gate::Receiver<()>,
    }

    impl Store for Panicking {
        type Command = u32;
        type Reply = u32;

        fn apply(&mut self, _: &[u32]) -> Result<Vec<u32>, StoreError> {
            let _ = self.begun.blocking_send(());
            let _ = self.gate.recv();
            panic!("this store panics");
        }
    }

    let (begun, mut begins) = mpsc::channel(1);
    let (opens, gate) = gate::channel();
    let (writer, ended) = Writer::start("panicking", Panicking { begun, gate });
    let in_commit = queue(writer.submit(vec![1], later()));
    soon(begins.recv()).await;
    let queued = queue(writer.submit(vec![2], later()));
    drop(opens);

    soon(ended).await;
    assert_eq!(soon(in_commit).await, Err(WriteError::Stopped));
    assert_eq!(soon(queued).await, Err(WriteError::Stopped));
    assert!(soon(writer.submit(vec![3], later())).await.is_err());
    writer.close();
}

/// Adds numbers; rejects a batch with an odd one.
#[derive(Default)]
struct EvenOnly {
    total: u32,
    calls: u32,
}

impl Store for EvenOnly {
    type Command = u32;
    /// The total so far, and the number of calls so far.
    type Reply = (u32, u32);

    fn apply(&mut self, batch: &[u32]) -> Result<Vec<(u32, u32)>, StoreError> {
        self.calls += 1;
        if batch.iter().any(|n| n % 2 == 1) {
            return Err(StoreError::Rejected("odd".into()));
        }
        let add = |n: &u32| {
            self.total += n;
            (self.total, self.calls)
        };
        Ok(batch.iter().map(add).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_poison_command_fails_alone(numbers in vec(0_u32..8, 1..40)) {
        let commands = u32::try_from(numbers.len()).expect("a few");
        let runtime = runtime::Builder::new_current_thread().enable_time().build().expect("runs");
        let (replies, last) = runtime.block_on(async {
            let (writer, _ended) = Writer::start("even", EvenOnly::default());
            let replies = soon(writer.submit(numbers.clone(), later())).await.expect("commits");
            let last = soon(writer.submit_one(0, later())).await;
            (replies, last.and_then(|last| last.map_err(|_| WriteError::Stopped)))
        });

        let mut alone = EvenOnly::default();
        for (number, reply) in numbers.iter().zip(&replies) {
            let expected = alone.apply(&[*number]).map(|decided| decided[0].0).map_err(|_| CommandError::Rejected);
            prop_assert_eq!(reply.map(|(total, _)| total), expected);
        }
        let (total, calls) = last.expect("it is valid");
        prop_assert_eq!((replies.len(), total), (numbers.len(), alone.total), "each was added once");
        prop_assert!(calls <= 2 * commands, "at most 2n - 1 calls, and the last one");
    }
}

#[tokio::test]
async fn one_poison_command_among_many_costs_few_commits() {
    let (writer, _ended) = Writer::start("even", EvenOnly::default());
    let mut numbers = vec![2; 64];
    numbers[40] = 1;
    let replies = soon(writer.submit(numbers, later())).await.expect("commits");
    assert_eq!(replies.iter().filter(|reply| reply.is_err()).count(), 1);
    let calls = replies.last().and_then(|last| last.ok()).map(|(_, calls)| calls);
    assert_eq!(calls, Some(13), "one, and two for each of the six halvings");
}

#[tokio::test]
async fn an_unavailable_store_is_called_once_and_may_recover() {
    /// Fails the first commit; the reply is the number of calls.
    struct DiskFull {
        calls: u32,
    }

    impl Store for DiskFull {
        type Command = u32;
        type Reply = u32;

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
    assert_eq!(failed, Ok(vec![Err(CommandError::Unavailable); 4]));
    assert_eq!(soon(writer.submit(vec![5], later())).await, committed(&[2]));
}

/// A store whose commits fail while it is down, but for that of 0, which changes nothing; the reply is 0.
struct MayBeDown(Arc<AtomicBool>);

impl Store for MayBeDown {
    type Command = u32;
    type Reply = u32;

    fn apply(&mut self, batch: &[u32]) -> Result<Vec<u32>, StoreError> {
        if self.0.load(Ordering::SeqCst) && batch != [0] {
            return Err(StoreError::Unavailable("disk full".into()));
        }
        Ok(vec![0; batch.len()])
    }
}

#[tokio::test]
async fn a_commit_that_changes_nothing_does_not_show_that_a_store_can_write() {
    let is_down = Arc::new(AtomicBool::new(true));
    let (writer, _ended) = Writer::start("full", MayBeDown(Arc::clone(&is_down)));
    assert_eq!(
        soon(writer.submit(vec![1], later())).await,
        Ok(vec![Err(CommandError::Unavailable)])
    );
    assert_eq!(soon(writer.submit(vec![0], later())).await, committed(&[0]));
    assert!(!writer.health().can_write());
}

#[tokio::test]
async fn a_store_that_could_not_write_is_probed_until_it_can() {
    let is_down = Arc::new(AtomicBool::new(true));
    let (writer, _ended) = Writer::start("full", MayBeDown(Arc::clone(&is_down)));
    let health = writer.health().clone();
    assert!(health.can_write(), "nothing has failed yet");
    let failed = soon(writer.submit(vec![1], later())).await;
    assert_eq!(failed, Ok(vec![Err(CommandError::Unavailable)]));
    assert!(!health.can_write());
    is_down.store(false, Ordering::SeqCst);
    let can_write = async {
        while !health.can_write() {
            tokio::task::yield_now().await;
        }
    };
    soon(can_write).await;
}

#[tokio::test]
async fn a_commit_that_takes_too_long_counts_as_a_store_that_cannot_write() {
    let (writer, _ended, commits) = gated();
    let health = writer.health().clone();
    let submitted = queue(writer.submit(vec![1], later()));
    let stalled = async {
        while health.can_write() {
            tokio::task::yield_now().await;
        }
    };
    soon(stalled).await;
    drop(commits);
    soon(submitted).await.expect("commits");
    assert!(health.can_write());
}

#[tokio::test]
async fn an_empty_group_causes_no_commit() {
    let (writer, ended, commits) = gated();
    assert_eq!(soon(writer.submit(vec![], later())).await, committed(&[]));
    writer.close();
    soon(ended).await;
    assert!(commits.rest().await.is_empty());
}

#[test]
fn a_delayed_store_delays_each_command_and_returns_the_same_replies() {
    let delay_us = Arc::new(AtomicU64::new(2_000));
    let mut delayed = DelayedStore::new(EvenOnly::default(), Arc::clone(&delay_us));
    let started = Instant::now();
    let replies = delayed.apply(&[2; 20]).expect("even");
    assert!(started.elapsed() >= Duration::from_millis(40), "{:?}", started.elapsed());
    assert_eq!(replies.last(), Some(&(40, 1)));
    assert!(delayed.apply(&[1]).is_err(), "a rejection of the store is passed on");

    delay_us.store(0, Ordering::Relaxed);
    let started = Instant::now();
    delayed.apply(&vec![2; 10_000]).expect("even");
    assert!(started.elapsed() < Duration::from_secs(10), "it is still delayed");
}
