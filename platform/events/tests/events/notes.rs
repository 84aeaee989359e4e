//! A store of notes for tests: it publishes notes, and stores the notes that others publish.
//!
//! A note travels as the name of a registered vaccine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use contracts::{
    event::{CloudEvent, DomainEvent, full_type},
    ids::{StoreId, VaccineId},
    vaccine::Vaccine,
};
use jiff::Timestamp;
use platform_events::{Consumer, EventHandler, ReceivedEvent, outbox_event};
use platform_store::{
    Aggregate, AggregateStore, CommandOf, Commands, Database, DeadLetter, Event, Input, Migration,
    Notifier, Output, Prune, ReadPool, SqlError, Store, StoreError, Tx, consumer,
    database::open_blocking, dead_letter,
};
use serde_json::value::RawValue;
use tempfile::TempDir;
use uuid::Uuid;

const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_notes.sql",
    sqlite: "
        CREATE TABLE notes (
            position INTEGER PRIMARY KEY,
            text     TEXT    NOT NULL CHECK (text <> 'poison')
        );",
    postgres: "",
}];

const ADD: &str = "
    INSERT INTO notes (text)
         VALUES (?1)";

const ALL: &str = "
    SELECT text
      FROM notes
  ORDER BY position";

const AFTER: &str = "
    SELECT position, text
      FROM notes
     WHERE position > ?1
  ORDER BY position
     LIMIT ?2";

/// What an operator does about notes that the store rejects.
const ALLOW_POISON: &str = "
    ALTER TABLE notes RENAME TO old;
    CREATE TABLE notes (position INTEGER PRIMARY KEY, text TEXT NOT NULL);
    INSERT INTO notes SELECT * FROM old;
    DROP TABLE old;";

const DELETE_ALL: &str = "
    DELETE FROM notes;
    DELETE FROM consumer_offsets;";

/// The notes of a batch.
#[derive(Debug)]
pub(crate) struct Notes(Vec<String>);

#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Stores a note and publishes it.
    Publish(String),
    /// Stores a note.
    Add(String),
}

impl Aggregate for Notes {
    type Command = Command;
    type Reply = ();

    fn load(_: &Tx<'_>, _: &[&Command]) -> Result<Self, SqlError> {
        Ok(Self(Vec::new()))
    }

    fn decide(&mut self, command: &Command) {
        let (Command::Publish(text) | Command::Add(text)) = command;
        self.0.push(text.clone());
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        let rows: Vec<_> = self.0.iter().map(|text| [text.as_str().into()]).collect();
        tx.execute_each(ADD, &rows)
    }

    fn events(command: &Command, (): &()) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        match command {
            Command::Publish(text) => outbox_event(&noted(text), Timestamp::UNIX_EPOCH).map(Some),
            Command::Add(_) => Ok(None),
        }
    }

    /// Every note, by its position.
    fn snapshot(tx: &Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        let notes = tx.all(AFTER, &[after.into(), i64::from(limit).into()], |row| {
            Ok((row.int(0)?, row.text(1)?.to_owned()))
        })?;
        let event = |(position, text): (i64, String)| {
            Ok((position, outbox_event(&noted(&text), Timestamp::UNIX_EPOCH).unwrap()))
        };
        notes.into_iter().map(event).collect()
    }
}

impl CommandOf<Notes> for Command {
    type Reply = ();

    fn reply((): ()) -> Option<()> {
        Some(())
    }
}

impl EventHandler for Notes {
    fn command(received: ReceivedEvent) -> Option<Command> {
        match received.event {
            DomainEvent::Registered(vaccine) => Some(Command::Add(vaccine.vc_name)),
            DomainEvent::StockAdded(_)
            | DomainEvent::StockModified(_)
            | DomainEvent::Booked(_)
            | DomainEvent::BookingMoved(_)
            | DomainEvent::BookingCancelled(_)
            | DomainEvent::ReservationAborted(_)
            | DomainEvent::Completed(_)
            | DomainEvent::SlotsPlanned(_)
            | DomainEvent::SiteChanged(_)
            | DomainEvent::CampaignChanged(_) => None,
        }
    }

    fn ineffective((): &()) -> Option<String> {
        None
    }
}

fn noted(text: &str) -> DomainEvent {
    let vaccine = Vaccine {
        vaccine_id: VaccineId(1),
        vc_name: text.to_owned(),
        stock: 0,
        book_qty: 0,
        overcommitted: 0,
    };
    DomainEvent::Registered(vaccine)
}

pub(crate) fn source(number: u128) -> StoreId {
    StoreId(Uuid::from_u128(number))
}

/// A note of source 1.
pub(crate) fn event(sequence: u64, text: &str) -> CloudEvent {
    event_of(source(1), sequence, text)
}

/// A note of a source.
pub(crate) fn event_of(source: StoreId, sequence: u64, text: &str) -> CloudEvent {
    CloudEvent { source, ..event_with(sequence, &serde_json::to_string(&noted(text)).unwrap()) }
}

/// An event of source 1 with any JSON as payload.
pub(crate) fn event_with(sequence: u64, data: &str) -> CloudEvent {
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{}/{sequence}", source(1)),
        source: source(1),
        sequence,
        r#type: full_type("Registered"),
        time: Timestamp::UNIX_EPOCH,
        data: RawValue::from_string(data.to_owned()).unwrap(),
        snapshot: None,
    }
}

/// A store that is down while the test says so, and notifies the test of every commit.
struct ObservedStore {
    store: AggregateStore<Notes>,
    is_down: Arc<AtomicBool>,
    commits: Notifier,
}

impl Store for ObservedStore {
    type Command = Input<Command>;
    type Reply = Output<()>;

    fn apply(&mut self, batch: &[Self::Command]) -> Result<Vec<Self::Reply>, StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        let outputs = self.store.apply(batch)?;
        self.commits.notify();
        Ok(outputs)
    }
}

/// Opens the store of a folder; returns also its read pool and its id.
pub(crate) fn open(
    folder: &TempDir,
    new_events: Notifier,
) -> (AggregateStore<Notes>, ReadPool, StoreId) {
    let database = Database::Sqlite(folder.path().join("notes.sqlite"));
    let (connection, reads) = open_blocking(&database, "notes", MIGRATIONS).unwrap();
    let id = StoreId(connection.store_id);
    (AggregateStore::new(connection, new_events), reads, id)
}

/// A store of notes that runs.
pub(crate) struct NoteStore {
    pub(crate) id: StoreId,
    pub(crate) commands: Commands<Notes>,
    pub(crate) consumer: Consumer,
    /// Notified of new events in the outbox.
    pub(crate) new_events: Notifier,
    /// Notified of every commit.
    pub(crate) commits: Notifier,
    pub(crate) reads: ReadPool,
    pub(crate) is_down: Arc<AtomicBool>,
    folder: TempDir,
}

impl NoteStore {
    pub(crate) fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let (new_events, commits) = (Notifier::default(), Notifier::default());
        let (store, reads, id) = open(&folder, new_events.clone());
        let is_down = Arc::<AtomicBool>::default();
        let store =
            ObservedStore { store, is_down: Arc::clone(&is_down), commits: commits.clone() };
        let (commands, _ended) = Commands::start("notes", store);
        let consumer = Consumer::new(commands.clone());
        Self { id, commands, consumer, new_events, commits, reads, is_down, folder }
    }

    /// Stores and publishes notes, in one commit.
    pub(crate) async fn publish(&self, texts: impl IntoIterator<Item = impl Into<String>>) {
        let commands = texts.into_iter().map(|text| Command::Publish(text.into())).collect();
        let deadline = Instant::now() + Duration::from_mins(1);
        for committed in self.commands.submit_all(commands, deadline).await.unwrap() {
            committed.unwrap();
        }
    }

    pub(crate) async fn notes(&self) -> Vec<String> {
        let all = |tx: &Tx<'_>| tx.all(ALL, &[], |row| row.text(0).map(str::to_owned));
        self.reads.read(all).await.unwrap()
    }

    pub(crate) async fn offset(&self, source: StoreId) -> u64 {
        self.reads.read(move |tx| consumer::offset(tx, source.0)).await.unwrap().sequence
    }

    pub(crate) async fn wait_for_offset(&self, source: StoreId, offset: u64) {
        let mut commits = self.commits.subscribe();
        while self.offset(source).await < offset {
            commits.changed().await;
        }
    }

    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.reads.read(|tx| dead_letter::open(tx, 1_000)).await.unwrap()
    }

    /// Deletes the events up to this sequence number.
    pub(crate) async fn prune(&self, events_up_to: u64) {
        let prune = Prune { before_ms: i64::MAX, events_up_to };
        self.commands.prune(prune, Instant::now() + Duration::from_mins(1)).await.unwrap();
    }

    /// Deletes notes and consumer offsets, as the restore of an empty backup would; the id stays.
    pub(crate) fn lose_data(&self) {
        self.run_sql(DELETE_ALL);
    }

    /// From now on no note is rejected.
    pub(crate) fn mend(&self) {
        self.run_sql(ALLOW_POISON);
    }

    fn run_sql(&self, sql: &str) {
        run_sql(&self.folder, sql);
    }
}

/// Deletes all notes of a store.
pub(crate) fn delete_notes(folder: &TempDir) {
    run_sql(folder, "DELETE FROM notes");
}

fn run_sql(folder: &TempDir, sql: &str) {
    let file = folder.path().join("notes.sqlite");
    rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
}
