//! Group commit: one thread owns the store and commits whatever queued up while the last commit ran.
//!
//! A commit costs a flush to disk, and a flush costs the same for one row and for a thousand.
//! So nobody waits for a timer: an idle system commits one command at once, and under load the
//! commands that arrive during one commit make up the next.
//! Measured elsewhere for the same idea: Helland et al., "Group Commit Timers and High Volume
//! Transaction Systems" (1987), which also shows why a linger timer does not pay under load.
//!
//! What was considered and not done: several batches in flight (they get smaller, and the flushes
//! queue up behind each other), and a lock around the store (waiters would commit one by one).

use std::{
    fmt,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use thiserror::Error;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tracing::{error, warn};

use crate::sql::causes;

/// Groups that may wait for the next commit; one more is refused with [`WriteError::Busy`].
pub const QUEUE_MAX: usize = 8_192;

/// Commands in one commit. A group is never split before an error, so a commit may exceed this by
/// one group.
pub const BATCH_MAX: usize = 1_024;

/// Something that applies commands in batches.
pub trait Store: Send + 'static {
    /// What may be asked.
    type Command: Send + 'static;
    /// What is answered; a refusal is an outcome, not an error.
    type Outcome: Send + 'static;

    /// Loads, decides and saves in one transaction; outcomes in the order of the commands.
    /// On `Err` nothing was kept.
    fn apply(&mut self, batch: &[Self::Command]) -> Result<Vec<Self::Outcome>, StoreError>;
}

/// Why a batch was not kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store refuses these very commands (a constraint failed): others may succeed.
    #[error("the store refused the batch")]
    Rejected(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store cannot keep anything now (disk full, I/O error).
    #[error("the store cannot write")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a group of commands got no outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// [`QUEUE_MAX`] groups are waiting already. Nothing was kept.
    #[error("too many writes are waiting")]
    Busy,
    /// The writer takes nothing more: the process is ending. Nothing was kept.
    #[error("the process is ending")]
    Closed,
    /// The deadline passed before the commit began. Nothing was kept.
    #[error("the deadline passed before the write")]
    Expired,
    /// The writer has stopped; whether the group was kept is not known.
    #[error("the writer has stopped")]
    Stopped,
}

/// The store could not keep this command; its neighbours may be kept. The cause is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Failed {
    /// It cannot keep this very command, now or later.
    #[error("the store refuses to keep this")]
    Refused,
    /// It cannot keep anything now. Where the connection to it was lost at the end of a commit,
    /// everything may be kept after all.
    #[error("the store could not keep this now")]
    Unavailable,
}

/// Hands commands to the thread that owns the store. Cheap to clone.
pub struct Writer<C, O> {
    queue: mpsc::Sender<Message<C, O>>,
    closing: Arc<AtomicBool>,
}

enum Message<C, O> {
    Write(Group<C, O>),
    Close,
}

/// Commands that were submitted together, and who waits for them.
struct Group<C, O> {
    commands: Vec<C>,
    deadline: Instant,
    reply: oneshot::Sender<Result<Outcomes<O>, WriteError>>,
}

/// One outcome per command.
type Outcomes<O> = Vec<Result<O, Failed>>;

impl<C: Send + 'static, O: Send + 'static> Writer<C, O> {
    /// Starts the thread. The future resolves when it has ended: after [`Writer::close`], with
    /// everything that was queued committed, or because it died.
    pub fn start<S>(name: &'static str, store: S) -> (Self, impl Future<Output = ()> + Send)
    where
        S: Store<Command = C, Outcome = O>,
    {
        let (queue, messages) = mpsc::channel(QUEUE_MAX);
        let (alive, ended) = oneshot::channel::<()>();
        let spawned = thread::Builder::new().name(format!("{name}-writer")).spawn(move || {
            Commits { name, store, messages }.run();
            drop(alive); // Also dropped when `run` panics: nobody waits for a dead writer.
        });
        if let Err(cause) = spawned {
            error!(%cause, "no thread for the {name} writer");
        }
        (Self { queue, closing: Arc::default() }, async move { drop(ended.await) })
    }

    /// Writes the commands, together with whatever else is waiting; one outcome per command.
    ///
    /// A group whose deadline has passed, or whose caller is gone, is dropped before the commit.
    pub async fn submit(
        &self,
        commands: Vec<C>,
        deadline: Instant,
    ) -> Result<Outcomes<O>, WriteError> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(WriteError::Closed);
        }
        let (reply, outcomes) = oneshot::channel();
        self.queue.try_send(Message::Write(Group { commands, deadline, reply })).map_err(
            |refused| match refused {
                TrySendError::Full(_) => WriteError::Busy,
                TrySendError::Closed(_) => WriteError::Closed,
            },
        )?;
        outcomes.await.unwrap_or(Err(WriteError::Stopped))
    }

    /// Writes one command.
    pub async fn submit_one(
        &self,
        command: C,
        deadline: Instant,
    ) -> Result<Result<O, Failed>, WriteError> {
        let outcomes = self.submit(vec![command], deadline).await?;
        outcomes.into_iter().next().ok_or(WriteError::Stopped)
    }

    /// Takes nothing more; what is queued is still committed.
    pub async fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.queue.send(Message::Close).await); // An error means that it has ended already.
    }
}

// === impl Writer ===

impl<C, O> Clone for Writer<C, O> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), closing: Arc::clone(&self.closing) }
    }
}

impl<C, O> fmt::Debug for Writer<C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// The thread's side.
struct Commits<S: Store> {
    name: &'static str,
    store: S,
    messages: mpsc::Receiver<Message<S::Command, S::Outcome>>,
}

impl<S: Store> Commits<S> {
    fn run(mut self) {
        while let Some(message) = self.messages.blocking_recv() {
            let groups = self.queued(message);
            self.commit(groups);
        }
    }

    /// The first message and whatever else is there already, up to [`BATCH_MAX`] commands.
    fn queued(
        &mut self,
        first: Message<S::Command, S::Outcome>,
    ) -> Vec<Group<S::Command, S::Outcome>> {
        let mut groups = Vec::new();
        let mut commands = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Close => self.messages.close(),
                Message::Write(group) => {
                    commands += group.commands.len();
                    groups.push(group);
                }
            }
            next = if commands < BATCH_MAX { self.messages.try_recv().ok() } else { None };
        }
        groups
    }

    fn commit(&mut self, groups: Vec<Group<S::Command, S::Outcome>>) {
        let now = Instant::now();
        let mut batch = Vec::new();
        let mut waiting = Vec::with_capacity(groups.len());
        for group in groups {
            if group.reply.is_closed() {
                continue; // Nobody wants it any more.
            }
            if group.deadline <= now {
                drop(group.reply.send(Err(WriteError::Expired)));
                continue;
            }
            waiting.push((group.commands.len(), group.reply));
            batch.extend(group.commands);
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        self.apply(&batch, &mut outcomes);
        let mut outcomes = outcomes.into_iter();
        for (commands, reply) in waiting {
            // A caller that is gone by now does not matter: what was committed stays committed.
            drop(reply.send(Ok(outcomes.by_ref().take(commands).collect())));
        }
    }

    /// Applies the batch; where the store refuses it, in halves, so that one poison command does
    /// not fail its neighbours. At most 2n − 1 transactions for n commands.
    fn apply(&mut self, batch: &[S::Command], outcomes: &mut Outcomes<S::Outcome>) {
        if batch.is_empty() {
            return;
        }
        match self.store.apply(batch) {
            Ok(decided) if decided.len() == batch.len() => {
                outcomes.extend(decided.into_iter().map(Ok));
            }
            Ok(decided) => {
                // Nobody may get a neighbour's outcome.
                error!(commands = batch.len(), outcomes = decided.len(), "{} miscounts", self.name);
                outcomes.extend(batch.iter().map(|_| Err(Failed::Refused)));
            }
            Err(StoreError::Rejected(cause)) if batch.len() > 1 => {
                warn!(cause = %causes(&*cause), commands = batch.len(), "{} refused a batch, trying halves", self.name);
                let (left, right) = batch.split_at(batch.len() / 2);
                self.apply(left, outcomes);
                self.apply(right, outcomes);
            }
            Err(StoreError::Rejected(cause)) => {
                error!(cause = %causes(&*cause), "{} refused a command", self.name);
                outcomes.push(Err(Failed::Refused));
            }
            Err(StoreError::Unavailable(cause)) => {
                error!(cause = %causes(&*cause), commands = batch.len(), "{} cannot write", self.name);
                outcomes.extend(batch.iter().map(|_| Err(Failed::Unavailable)));
            }
        }
    }
}
