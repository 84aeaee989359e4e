//! A toy part: it keeps notes. What it is asked to say it notes and tells, what it hears it notes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use contracts::{
    event::{CloudEvent, EventType},
    ids::HolderId,
};
use eventing::{Bell, Hearing, Hears};
use jiff::Timestamp;
use serde_json::value::RawValue;
use storage::{
    database::{Database, Readers, open_blocking},
    inbox::{self, Parked},
    migrate::Migration,
    outbox::Event,
    sql::{SqlError, Tx},
    store::{Desk, Input, Model, Output, Stored},
    writer::{Store, StoreError},
};
use tempfile::TempDir;
use uuid::Uuid;

const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_notes.sql",
    sqlite: "
        CREATE TABLE notes (
            place INTEGER PRIMARY KEY,
            text  TEXT    NOT NULL CHECK (text <> 'poison')
        );",
    postgres: "",
}];

const ADD: &str = "
    INSERT INTO notes (text)
         VALUES (?1)";

const NOTES: &str = "
    SELECT text
      FROM notes
  ORDER BY place";

const FORGET: &str = "
    DELETE FROM notes;
    DELETE FROM inbox;";

#[derive(Clone, Debug)]
pub(crate) enum Command {
    Say(String),
    Note(String),
}

#[derive(Debug)]
pub(crate) struct Toy;

impl Model for Toy {
    type Command = Command;
    type Outcome = ();
    type Rows = Vec<String>;

    fn load(_: &Tx<'_>, _: &[&Command]) -> Result<Vec<String>, SqlError> {
        Ok(Vec::new())
    }

    fn decide(&self, notes: &mut Vec<String>, command: &Command) {
        let (Command::Say(text) | Command::Note(text)) = command;
        notes.push(text.clone());
    }

    fn save(tx: &Tx<'_>, notes: &Vec<String>) -> Result<(), SqlError> {
        let rows: Vec<_> = notes.iter().map(|note| [note.as_str().into()]).collect();
        tx.execute_each(ADD, &rows)
    }

    fn event(command: &Command, (): &()) -> serde_json::Result<Option<Event>> {
        let Command::Say(text) = command else { return Ok(None) };
        let r#type = EventType::Booked.name().to_owned();
        Ok(Some(Event { r#type, at_ms: 0, data: serde_json::to_string(text)? }))
    }
}

impl Hears for Toy {
    fn command(event: &CloudEvent) -> serde_json::Result<Option<Command>> {
        match event.r#type {
            EventType::Booked => {
                serde_json::from_str(event.data.get()).map(Command::Note).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn without_effect((): &()) -> Option<String> {
        None
    }
}

/// Whoever it is.
pub(crate) fn source(number: u128) -> HolderId {
    HolderId(Uuid::from_u128(number))
}

/// What source 1 says; data is JSON.
pub(crate) fn said(sequence: u64, data: &str) -> CloudEvent {
    said_by(source(1), sequence, data)
}

pub(crate) fn said_by(source: HolderId, sequence: u64, data: &str) -> CloudEvent {
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{source}/{sequence}"),
        source,
        sequence,
        r#type: EventType::Booked,
        time: Timestamp::UNIX_EPOCH,
        data: RawValue::from_string(data.to_owned()).unwrap(),
    }
}

/// A store of notes that is down when the test says so.
pub(crate) struct Notes {
    store: Stored<Toy>,
    is_down: Arc<AtomicBool>,
}

impl Store for Notes {
    type Command = Input<Command>;
    type Outcome = Output<()>;

    fn apply(&mut self, batch: &[Self::Command]) -> Result<Vec<Self::Outcome>, StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        self.store.apply(batch)
    }
}

/// The toy at work, with a file of its own.
pub(crate) struct Part {
    pub(crate) id: HolderId,
    desk: Desk<Toy>,
    pub(crate) hearing: Hearing<Toy>,
    /// Rings when it has said or heard something.
    pub(crate) bell: Bell,
    pub(crate) readers: Readers,
    pub(crate) is_down: Arc<AtomicBool>,
    folder: TempDir,
}

/// The store in a folder, its readers, and who it is.
pub(crate) fn open_store(folder: &TempDir) -> (Stored<Toy>, Readers, HolderId) {
    let database = Database::Sqlite(folder.path().join("toy.sqlite"));
    let (writable, readers) = open_blocking(&database, "toy", MIGRATIONS).unwrap();
    let id = HolderId(writable.store_id);
    (Stored::new(writable, Toy), readers, id)
}

impl Part {
    pub(crate) fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let (store, readers, id) = open_store(&folder);
        let is_down = Arc::<AtomicBool>::default();
        let (desk, _ended) = Desk::start("toy", Notes { store, is_down: Arc::clone(&is_down) });
        let bell = Bell::default();
        let hearing = Hearing::new(desk.clone(), bell.clone());
        Self { id, desk, hearing, bell, readers, is_down, folder }
    }

    /// Notes and tells texts, in one commit.
    pub(crate) async fn say(&self, texts: impl IntoIterator<Item = impl Into<String>>) {
        let commands = texts.into_iter().map(|text| Command::Say(text.into())).collect();
        for done in self.desk.ask_all(commands, later()).await.unwrap() {
            done.unwrap();
        }
        self.bell.ring();
    }

    pub(crate) async fn notes(&self) -> Vec<String> {
        self.readers
            .read(|tx| tx.all(NOTES, &[], |row| row.text(0).map(str::to_owned)))
            .await
            .unwrap()
    }

    /// How far it has heard somebody.
    pub(crate) async fn position(&self, source: HolderId) -> u64 {
        self.readers.read(move |tx| inbox::heard(tx, source.0)).await.unwrap()
    }

    pub(crate) async fn parked(&self) -> Vec<Parked> {
        self.readers.read(|tx| inbox::parked(tx, 1_000)).await.unwrap()
    }

    /// Loses all that it noted and heard, but not who it is.
    pub(crate) fn forget(&self) {
        rusqlite::Connection::open(self.folder.path().join("toy.sqlite"))
            .unwrap()
            .execute_batch(FORGET)
            .unwrap();
    }
}

fn later() -> std::time::Instant {
    std::time::Instant::now() + std::time::Duration::from_mins(1)
}
