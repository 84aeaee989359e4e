//! The one idea: commands in batches → a pure decision → one commit (rows + events).
//!
//! A batch loads every row that its commands name, decides the commands one after the other on
//! plain values, saves what changed, appends the events to the outbox and moves the consumer
//! offsets, all in one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
};

use uuid::Uuid;

use crate::{
    consumer::{self, Offset, SnapshotOffset},
    dead_letter::{self, DeadLetter, DeadLetterChange, DeadLetterId, DeadLetterState},
    error::{SqlError, StoreError},
    notifier::Notifier,
    outbox::{self, Event},
    retention::{PRUNED_MAX, Prune},
    sql::Tx,
    write::WriteConnection,
    writer::Store,
};

/// What a service decides about: the rows that a batch of commands names, and the decisions on them.
pub trait Aggregate: Sized + Send + 'static {
    /// Every command.
    type Command: Send + 'static;
    /// Every reply; a refusal is a reply, not an error.
    type Reply: Send + 'static;

    /// Loads every row that the commands name, and every row that those name.
    fn load(tx: &Tx<'_>, commands: &[&Self::Command]) -> Result<Self, SqlError>;

    /// Decides one command and changes the rows accordingly; a refusal changes nothing.
    fn decide(&mut self, command: &Self::Command) -> Self::Reply;

    /// What the commands would do, one after the other: nothing is changed.
    fn dry_run(tx: &Tx<'_>, commands: &[Self::Command]) -> Result<Vec<Self::Reply>, SqlError> {
        let mut aggregate = Self::load(tx, &commands.iter().collect::<Vec<_>>())?;
        Ok(commands.iter().map(|command| aggregate.decide(command)).collect())
    }

    /// Saves the rows that the decisions changed.
    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError>;

    /// The events that other services learn the reply by, in their order; none, if they need not.
    fn events(
        command: &Self::Command,
        reply: &Self::Reply,
    ) -> serde_json::Result<impl IntoIterator<Item = Event>>;

    /// What this store holds, as events that a consumer has to learn if those of the outbox were pruned: of the
    /// rows after a key, in the order of their keys, at most `limit`.
    fn snapshot(tx: &Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Event)>, SqlError>;

    /// Deletes rows that nothing needs any more and that are older than this, in milliseconds since 1970: at
    /// most [`PRUNED_MAX`] of each table. Returns the most of one table. None by default.
    fn prune(_tx: &Tx<'_>, _before_ms: i64) -> Result<usize, SqlError> {
        Ok(0)
    }
}

/// An element of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<C> {
    /// A command of a caller.
    Command(C),
    /// An event of another store.
    Event {
        /// The store that published it.
        source: Uuid,
        /// Its sequence number among the events of that source, from 1.
        sequence: u64,
        /// When it happened, in milliseconds since 1970.
        at_ms: i64,
        /// What is to be done about it.
        disposition: Disposition<C>,
        /// How it moves the offset of its source.
        advance: Advance,
    },
    /// A dead letter, and what an operator does with it.
    DeadLetter {
        /// The dead letter.
        id: DeadLetterId,
        /// What is done with it.
        change: DeadLetterChange<C>,
    },
    /// Deletes what is not needed any more.
    Prune(Prune),
}

/// How an event moves the offset of its source. One at or below the offset is never applied again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// By one: each source numbers its events without gaps. An event behind a gap waits until the source has
    /// sent what is missing, or a snapshot.
    Next,
    /// Not: it is a row of a snapshot, which stands for all events up to its sequence number.
    Row {
        /// The key of the row before, which must have been applied last.
        after: Option<i64>,
        /// Its key.
        key: i64,
    },
    /// To its sequence number: it ends a snapshot.
    End {
        /// The key of the last row, which must have been applied last.
        after: Option<i64>,
    },
}

/// What is to be done about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition<C> {
    /// Apply this command.
    Apply(C),
    /// Nothing: it does not concern this service.
    Skip,
    /// Store it for an operator: it cannot be applied.
    DeadLetter(DeadLetter),
}

/// The result of one [`Input`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<R> {
    /// The reply to a command.
    Reply(R),
    /// An event was consumed, or skipped as a repeat or because an earlier one is missing.
    Consumed {
        /// The consumer offset of its source.
        offset: Offset,
        /// The reply to its command, if it was applied now.
        reply: Option<R>,
    },
    /// A dead letter was changed, if it was open.
    DeadLetter {
        /// What it was before.
        state: DeadLetterState,
        /// The reply to its command, if it was applied now.
        reply: Option<R>,
    },
    /// So many rows of the table with the most were deleted.
    Pruned(usize),
}

/// Applies batches to an aggregate in a database.
#[derive(Debug)]
pub struct AggregateStore<A> {
    connection: WriteConnection,
    notifier: Notifier,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> AggregateStore<A> {
    /// An aggregate in an opened store; the notifier is notified after every commit with events.
    pub fn new(connection: WriteConnection, notifier: Notifier) -> Self {
        Self { connection, notifier, aggregate: PhantomData }
    }
}

impl<A: Aggregate> Store for AggregateStore<A> {
    type Command = Input<A::Command>;
    type Reply = Output<A::Reply>;

    fn apply(&mut self, batch: &[Self::Command]) -> Result<Vec<Self::Reply>, StoreError> {
        let (outputs, events) = self.connection.transaction(|tx| apply::<A>(tx, batch))?;
        if events > 0 {
            self.notifier.notify();
        }
        Ok(outputs)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.connection.probe()
    }
}

/// The outputs of a batch, and how many events it caused.
type Applied<R> = (Vec<Output<R>>, usize);

fn apply<A: Aggregate>(
    tx: &Tx<'_>,
    batch: &[Input<A::Command>],
) -> Result<Applied<A::Reply>, SqlError> {
    let sources: BTreeSet<Uuid> = batch.iter().filter_map(source).collect();
    let pending_offsets = sources.iter().map(|source| consumer::enqueue_last_event(tx, *source));
    let pending_offsets = pending_offsets.collect::<Result<Vec<_>, _>>()?;
    let last_sequence = outbox::enqueue_last(tx)?;
    let commands: Vec<_> = batch.iter().filter_map(command).collect();
    let mut aggregate = A::load(tx, &commands)?;
    let mut offsets = Offsets(BTreeMap::new());
    for (source, pending) in sources.into_iter().zip(pending_offsets) {
        let known = consumer::read_last_event(pending)?.unwrap_or_default();
        offsets.0.insert(source, (known, false));
    }

    let (mut outputs, mut events) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut decide = |command: &A::Command| {
        let reply = aggregate.decide(command);
        events.extend(A::events(command, &reply)?);
        Ok::<_, SqlError>(reply)
    };
    for input in batch {
        outputs.push(match input {
            Input::Command(command) => Output::Reply(decide(command)?),
            Input::Event { source, sequence, at_ms, advance, disposition } => {
                let reply = match disposition {
                    _ if !offsets.advance(*source, *sequence, *at_ms, *advance) => None,
                    Disposition::Apply(command) => Some(decide(command)?),
                    Disposition::Skip => None,
                    Disposition::DeadLetter(event) => {
                        dead_letter::add(tx, event)?;
                        None
                    }
                };
                Output::Consumed { offset: offsets.of(*source), reply }
            }
            Input::DeadLetter { id, change } => {
                let state = dead_letter::change(tx, *id, change)?;
                let command = change.command().filter(|_| state == DeadLetterState::Open);
                let reply = command.map(&mut decide).transpose()?;
                Output::DeadLetter { state, reply }
            }
            Input::Prune(_) => Output::Pruned(0), // Below, after the rows are saved.
        });
    }
    aggregate.save(tx)?;
    for (input, output) in batch.iter().zip(&mut outputs) {
        if let Input::Prune(given) = input {
            *output = Output::Pruned(prune::<A>(tx, *given)?);
        }
    }
    outbox::append_after(tx, last_sequence, &events)?;
    offsets.save(tx)?;
    Ok((outputs, events.len()))
}

fn prune<A: Aggregate>(
    tx: &Tx<'_>,
    Prune { before_ms, events_up_to }: Prune,
) -> Result<usize, SqlError> {
    let events = outbox::prune(tx, events_up_to, before_ms, PRUNED_MAX)?;
    // A dead letter that is retried may concern any row, however old.
    let rows = if dead_letter::is_open(tx)? { 0 } else { A::prune(tx, before_ms)? };
    Ok(events.max(rows))
}

fn command<C>(input: &Input<C>) -> Option<&C> {
    match input {
        Input::Command(command) | Input::Event { disposition: Disposition::Apply(command), .. } => {
            Some(command)
        }
        Input::DeadLetter { change, .. } => change.command(),
        Input::Event { disposition: Disposition::Skip | Disposition::DeadLetter(_), .. }
        | Input::Prune(_) => None,
    }
}

fn source<C>(input: &Input<C>) -> Option<Uuid> {
    match input {
        Input::Event { source, .. } => Some(*source),
        Input::Command(_) | Input::DeadLetter { .. } | Input::Prune(_) => None,
    }
}

/// The consumer offset of each source of a batch, and when its last event happened; and whether it has moved.
struct Offsets(BTreeMap<Uuid, ((Offset, i64), bool)>);

impl Offsets {
    fn of(&self, source: Uuid) -> Offset {
        self.0.get(&source).map(|((offset, _), _)| *offset).unwrap_or_default()
    }

    /// Moves the offset of a source; whether the event is to be applied.
    fn advance(&mut self, source: Uuid, sequence: u64, at_ms: i64, advance: Advance) -> bool {
        let ((offset, last_at_ms), has_moved) = self.0.entry(source).or_default();
        let snapshot = |key| SnapshotOffset { up_to: sequence, key };
        let begun = offset.snapshot.filter(|begun| begun.up_to == sequence);
        let is_next = match advance {
            Advance::Next => sequence == offset.sequence + 1,
            Advance::Row { after: None, key: _ } => sequence > offset.sequence, // It begins, perhaps again.
            Advance::Row { after, key: _ } | Advance::End { after } => {
                sequence > offset.sequence && begun == after.map(snapshot)
            }
        };
        if is_next {
            match advance {
                Advance::Row { after: _, key } => offset.snapshot = Some(snapshot(key)),
                Advance::Next | Advance::End { .. } => {
                    (*offset, *last_at_ms) = (sequence.into(), at_ms);
                }
            }
            *has_moved = true;
        }
        is_next
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        for (source, ((offset, at_ms), has_moved)) in &self.0 {
            if *has_moved {
                consumer::set_offset(tx, *source, *offset, *at_ms)?;
            }
        }
        Ok(())
    }
}
