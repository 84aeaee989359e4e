//! Group commit: one thread owns the store and commits whatever queued up during the last commit.
//!
//! A commit costs a flush to disk, and a flush costs the same for one row and for a thousand.
//! So there is no linger timer: an idle writer commits one command at once, and under load the
//! commands that arrive during one commit make up the next.
//! Measured elsewhere for the same idea: Helland et al., "Group Commit Timers and High Volume
//! Transaction Systems" (1987), which also shows why a linger timer does not pay under load.
//!
//! Considered and rejected: several batches in flight (they get smaller, and the flushes queue up
//! behind each other), and a lock around the store (waiters would commit one by one).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use platform_telemetry::error_chain;
use thiserror::Error;
use tokio::sync::{
    mpsc::{
        self,
        error::{TryRecvError, TrySendError},
    },
    oneshot,
};
use tracing::{error, info, warn};

use crate::{
    error::StoreError,
    fence::{Fence, Fences},
};

/// Groups that may wait for the next commit; one more is refused with [`WriteError::Busy`].
pub const QUEUE_MAX: usize = 8_192;

/// Commands in one commit. A group is never split before an error, so a commit may exceed this by
/// one group.
pub const BATCH_MAX: usize = 1_024;

/// A commit that has taken this long counts as a store that cannot write: a disk that does not answer.
pub const STALLED_AFTER: Duration = Duration::from_secs(1);

/// How often a store that cannot write is probed.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// How long a command may wait while the store is probed.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Applies commands in batches.
pub trait Store: Send + 'static {
    /// Every command.
    type Command: Send + 'static;
    /// Every reply; a refusal is a reply, not an error.
    type Reply: Send + 'static;

    /// Loads, decides and saves in one transaction; one reply per command, in their order.
    /// After an error nothing of the batch is committed.
    fn apply(&mut self, batch: &[Self::Command]) -> Result<Vec<Self::Reply>, StoreError>;

    /// Whether a commit succeeds: one that changes nothing. It has to be written, where that can fail.
    fn probe(&mut self) -> Result<(), StoreError> {
        self.apply(&[]).map(drop)
    }
}

/// Why a command has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// [`QUEUE_MAX`] groups are waiting already. Nothing was committed.
    #[error("too many writes are waiting")]
    Busy,
    /// The writer is closed: the process is shutting down. Nothing was committed.
    #[error("the process is shutting down")]
    Closed,
    /// The deadline passed before the commit began. Nothing was committed.
    #[error("the deadline passed before the write")]
    Expired,
    /// The store was restored from an older backup than its consumers. Nothing was committed.
    #[error("the store is older than its consumers: it was restored from a backup")]
    Fenced,
    /// The writer has stopped; whether the command was committed is not known.
    #[error("the writer has stopped")]
    Stopped,
    /// The command itself failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl WriteError {
    /// Whether it is unknown if the command was committed. Not for [`CommandError::Unavailable`], although
    /// the connection may have been lost at the end of a commit: see there.
    pub const fn outcome_is_unknown(self) -> bool {
        match self {
            Self::Stopped => true,
            Self::Busy | Self::Closed | Self::Expired | Self::Fenced | Self::Command(_) => false,
        }
    }
}

/// Why this command failed; others of its batch may be committed. The cause is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The store cannot commit this very command, now or later.
    #[error("the store rejected the command")]
    Rejected,
    /// The store cannot commit anything now. Where the connection to it was lost at the end of a
    /// commit, that commit may have succeeded after all.
    #[error("the store cannot write now")]
    Unavailable,
}

/// Submits commands to the thread that owns the store. Cheap to clone.
#[derive(Debug)]
pub struct Writer<C, R> {
    /// `None` once it is closed.
    queue: Arc<RwLock<Option<Queue<C, R>>>>,
    health: WriterHealth,
}

type Queue<C, R> = mpsc::Sender<Group<C, R>>;

/// Whether a store can be written to. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct WriterHealth(Arc<Commits>);

#[derive(Debug, Default)]
struct Commits {
    /// The store could not commit the last time.
    have_failed: AtomicBool,
    fences: Arc<Fences>,
    /// When the commit began that runs now.
    running_since: Mutex<Option<Instant>>,
}

impl WriterHealth {
    /// Whether the last commit succeeded, the one that runs now takes less than [`STALLED_AFTER`], and no
    /// [`Fence`] is set.
    pub fn can_write(&self) -> bool {
        let since = *self.0.running_since.lock();
        let is_stalled = since.is_some_and(|since| since.elapsed() >= STALLED_AFTER);
        !self.has_failed() && !self.is_fenced() && !is_stalled
    }

    /// A fence, of which it is not known yet whether it has to be set.
    pub fn fence(&self) -> Fence {
        Fence::new(Arc::clone(&self.0.fences))
    }

    /// Waits until it is known of each fence whether it is set; at most [`UNKNOWN_MAX`](crate::UNKNOWN_MAX) from the start on.
    pub async fn fences_are_known(&self) {
        self.0.fences.are_known().await;
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.0.fences.is_any_set()
    }

    fn has_failed(&self) -> bool {
        self.0.have_failed.load(Ordering::Relaxed)
    }

    /// Records how a commit ended; whether the one before had ended otherwise.
    fn record(&self, has_failed: bool) -> bool {
        self.0.have_failed.swap(has_failed, Ordering::Relaxed) != has_failed
    }
}

/// Commands that were submitted together, and their caller.
struct Group<C, R> {
    commands: Vec<C>,
    deadline: Instant,
    caller: oneshot::Sender<Result<Replies<R>, WriteError>>,
}

/// One reply per command.
type Replies<R> = Vec<Result<R, CommandError>>;

impl<C: Send + 'static, R: Send + 'static> Writer<C, R> {
    /// Starts the thread. The future resolves when it has ended: after [`Writer::close`], with
    /// everything that was queued committed, or because it panicked.
    pub fn start<S>(name: &'static str, store: S) -> (Self, impl Future<Output = ()> + Send)
    where
        S: Store<Command = C, Reply = R>,
    {
        let (queue, groups) = mpsc::channel(QUEUE_MAX);
        let (alive, ended) = oneshot::channel::<()>();
        let health = WriterHealth::default();
        let commits = health.clone();
        let spawned = thread::Builder::new().name(format!("{name}-writer")).spawn(move || {
            CommitLoop { name, store, groups, health: commits }.run();
            drop(alive); // Also dropped when `run` panics.
        });
        if let Err(cause) = spawned {
            error!(%cause, "cannot start the thread of the {name} writer");
        }
        let queue = Arc::new(RwLock::new(Some(queue)));
        (Self { queue, health }, async move { drop(ended.await) })
    }

    /// Commits the commands, together with others that are waiting; one reply per command.
    ///
    /// A group whose deadline has passed, or whose caller no longer waits, is dropped before the commit.
    pub async fn submit(
        &self,
        commands: Vec<C>,
        deadline: Instant,
    ) -> Result<Replies<R>, WriteError> {
        let (caller, replies) = oneshot::channel();
        self.queue
            .read()
            .as_ref()
            .ok_or(WriteError::Closed)?
            .try_send(Group { commands, deadline, caller })
            .map_err(|refused| match refused {
                TrySendError::Full(_) => WriteError::Busy,
                TrySendError::Closed(_) => WriteError::Closed,
            })?;
        replies.await.unwrap_or(Err(WriteError::Stopped))
    }

    /// Commits one command.
    pub async fn submit_one(
        &self,
        command: C,
        deadline: Instant,
    ) -> Result<Result<R, CommandError>, WriteError> {
        let replies = self.submit(vec![command], deadline).await?;
        replies.into_iter().next().ok_or(WriteError::Stopped)
    }

    /// Whether the store can be written to.
    pub fn health(&self) -> &WriterHealth {
        &self.health
    }

    /// Accepts nothing more; what is queued is still committed.
    pub fn close(&self) {
        self.queue.write().take();
    }
}

// === impl Writer ===

impl<C, R> Clone for Writer<C, R> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue), health: self.health.clone() }
    }
}

/// What the thread runs.
struct CommitLoop<S: Store> {
    name: &'static str,
    store: S,
    groups: mpsc::Receiver<Group<S::Command, S::Reply>>,
    health: WriterHealth,
}

impl<S: Store> CommitLoop<S> {
    fn run(mut self) {
        while let Some(first) = self.next() {
            // And all others that are queued, up to `BATCH_MAX` commands.
            let mut commands = first.commands.len();
            let mut groups = vec![first];
            while commands < BATCH_MAX
                && let Ok(group) = self.groups.try_recv()
            {
                commands += group.commands.len();
                groups.push(group);
            }
            self.commit(groups);
        }
    }

    /// The next group. While the store cannot write, it is probed: only a commit shows that it can again.
    fn next(&mut self) -> Option<Group<S::Command, S::Reply>> {
        let mut waited = Duration::ZERO;
        while self.health.has_failed() {
            match self.groups.try_recv() {
                Ok(group) => return Some(group),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if waited >= PROBE_INTERVAL => {
                    self.probe();
                    waited = Duration::ZERO;
                }
                Err(TryRecvError::Empty) => {
                    thread::sleep(POLL_INTERVAL);
                    waited += POLL_INTERVAL;
                }
            }
        }
        self.groups.blocking_recv()
    }

    fn probe(&mut self) {
        *self.health.0.running_since.lock() = Some(Instant::now());
        match self.store.probe() {
            Ok(()) => {
                if self.health.record(false) {
                    info!("{} can write again", self.name);
                }
            }
            Err(StoreError::Rejected(cause) | StoreError::Unavailable(cause)) => {
                warn!(cause = error_chain(&*cause), "{} still cannot write", self.name);
            }
        }
        *self.health.0.running_since.lock() = None;
    }

    fn commit(&mut self, groups: Vec<Group<S::Command, S::Reply>>) {
        let now = Instant::now();
        let mut batch = Vec::new();
        let mut callers = Vec::with_capacity(groups.len());
        for group in groups {
            if group.caller.is_closed() {
                continue;
            }
            if group.deadline <= now {
                drop(group.caller.send(Err(WriteError::Expired)));
                continue;
            }
            callers.push((group.commands.len(), group.caller));
            batch.extend(group.commands);
        }
        let mut replies = Vec::with_capacity(batch.len());
        *self.health.0.running_since.lock() = Some(now);
        self.apply(&batch, &mut replies);
        *self.health.0.running_since.lock() = None;
        let mut replies = replies.into_iter();
        for (commands, caller) in callers {
            // An error means that the caller no longer waits; the commit stands.
            drop(caller.send(Ok(replies.by_ref().take(commands).collect())));
        }
    }

    /// Applies the batch; where the store rejects it, in halves, so that one command that violates a
    /// constraint does not fail the others. At most 2n − 1 transactions for n commands.
    fn apply(&mut self, batch: &[S::Command], replies: &mut Replies<S::Reply>) {
        if batch.is_empty() {
            return;
        }
        match self.store.apply(batch) {
            Ok(decided) if decided.len() == batch.len() => {
                // It may have changed nothing, which a full disk allows.
                if self.health.has_failed() {
                    self.probe();
                }
                replies.extend(decided.into_iter().map(Ok));
            }
            Ok(decided) => {
                // No caller may get the reply of another one.
                let (commands, returned) = (batch.len(), decided.len());
                error!(commands, returned, "wrong number of replies from the {} store", self.name);
                replies.extend(batch.iter().map(|_| Err(CommandError::Rejected)));
            }
            Err(StoreError::Rejected(cause)) if batch.len() > 1 => {
                let cause = error_chain(&*cause);
                warn!(
                    cause,
                    commands = batch.len(),
                    "{} rejected a batch, trying halves",
                    self.name
                );
                let (left, right) = batch.split_at(batch.len() / 2);
                self.apply(left, replies);
                self.apply(right, replies);
            }
            Err(StoreError::Rejected(cause)) => {
                error!(cause = error_chain(&*cause), "{} rejected a command", self.name);
                replies.push(Err(CommandError::Rejected));
            }
            Err(StoreError::Unavailable(cause)) => {
                self.health.record(true);
                let cause = error_chain(&*cause);
                error!(cause, commands = batch.len(), "{} cannot write", self.name);
                replies.extend(batch.iter().map(|_| Err(CommandError::Unavailable)));
            }
        }
    }
}
