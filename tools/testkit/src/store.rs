//! The store of an aggregate in a database of its own.

use std::fmt;

use platform_store::{
    Advance, Aggregate, AggregateStore, Disposition, Event, Input, Migration, Notifier,
    OutboxEntry, Output, Prune, ReadPool, SqlError, StoreError, Tx, outbox, writer::Store,
};
use uuid::Uuid;

use crate::database::TestDatabase;

/// The most events that [`TestStore::outbox`] returns.
const EVENTS_MAX: u32 = 1_000;

/// The open store of an aggregate. Every call is one batch, and one commit.
pub struct TestStore<A> {
    store: AggregateStore<A>,
    reads: ReadPool,
    /// Where it is kept.
    pub database: TestDatabase,
}

impl<A> fmt::Debug for TestStore<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestStore").field("database", &self.database).finish_non_exhaustive()
    }
}

impl<A: Aggregate<Command: Clone, Reply: fmt::Debug>> TestStore<A> {
    /// Opens the store of a service.
    pub fn open(
        database: TestDatabase,
        service: &'static str,
        migrations: &'static [Migration],
    ) -> Self {
        let (connection, reads) = database.open(service, migrations).expect("opens");
        let store = AggregateStore::new(connection, Notifier::default());
        Self { store, reads, database }
    }

    /// Closes it, so that it can be opened again.
    pub fn close(self) -> TestDatabase {
        self.database
    }

    /// Applies commands; one reply each.
    pub fn submit(&mut self, commands: &[A::Command]) -> Vec<A::Reply> {
        submit(&mut self.store, commands)
    }

    /// Applies commands that the database may reject.
    pub fn try_submit(&mut self, commands: &[A::Command]) -> Result<Vec<A::Reply>, StoreError> {
        try_submit(&mut self.store, commands)
    }

    /// Applies the command of one event; returns the consumer offset of its source.
    pub fn consume(&mut self, source: Uuid, sequence: u64, command: A::Command) -> u64 {
        let disposition = Disposition::Apply(command);
        let event =
            Input::Event { source, sequence, at_ms: 0, advance: Advance::Next, disposition };
        match self.store.apply(&[event]).expect("commits").first() {
            Some(Output::Consumed { offset, .. }) => offset.sequence,
            Some(Output::Reply(_) | Output::DeadLetter { .. } | Output::Pruned(_)) | None => {
                panic!("an event is consumed")
            }
        }
    }

    /// Deletes what is older than this, and events up to this sequence number; returns how many rows, of the
    /// table with the most.
    pub fn prune(&mut self, before_ms: i64, events_up_to: u64) -> usize {
        prune(&mut self.store, before_ms, events_up_to)
    }

    /// What the store holds, as events.
    pub fn snapshot(&self) -> Vec<(i64, Event)> {
        self.read(|tx| A::snapshot(tx, i64::MIN, EVENTS_MAX))
    }

    /// Reads the last commit.
    pub fn read<T, F>(&self, read: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        self.database.block_on(self.reads.read(read)).expect("reads")
    }

    /// Its read pool.
    pub fn reads(&self) -> ReadPool {
        self.reads.clone()
    }

    /// The first events of its outbox.
    pub fn outbox(&self) -> Vec<OutboxEntry> {
        self.read(|tx| outbox::after(tx, 0, EVENTS_MAX))
    }
}

/// [`TestStore::prune`] of a store.
pub fn prune<A: Aggregate<Reply: fmt::Debug>>(
    store: &mut AggregateStore<A>,
    before_ms: i64,
    events_up_to: u64,
) -> usize {
    let prune = Input::Prune(Prune { before_ms, events_up_to });
    match store.apply(&[prune]).expect("commits").first() {
        Some(Output::Pruned(rows)) => *rows,
        other => panic!("{other:?}"),
    }
}

/// Applies commands to a store in one batch; one reply each.
pub fn submit<A: Aggregate<Command: Clone>>(
    store: &mut AggregateStore<A>,
    commands: &[A::Command],
) -> Vec<A::Reply> {
    try_submit(store, commands).expect("commits")
}

/// [`submit`] of commands that the database may reject.
pub fn try_submit<A: Aggregate<Command: Clone>>(
    store: &mut AggregateStore<A>,
    commands: &[A::Command],
) -> Result<Vec<A::Reply>, StoreError> {
    let batch: Vec<_> = commands.iter().cloned().map(Input::Command).collect();
    let reply = |output| match output {
        Output::Reply(reply) => reply,
        Output::Consumed { .. } | Output::DeadLetter { .. } | Output::Pruned(_) => {
            panic!("a command has a reply")
        }
    };
    Ok(store.apply(&batch)?.into_iter().map(reply).collect())
}
