//! A SQLite file: who may open it, what it remembers, and what its readers see.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{error::Error, fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::mpsc as gate};

use rusqlite::{Connection, Transaction, TransactionBehavior::Immediate};
use storage::{
    inbox,
    outbox::{self, Entry},
    sqlite::{Migration, OpenError, Readers, Unreadable, Writable, open, open_in_memory},
    writer::StoreError,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

const NOTES: Migration = Migration {
    name: "0001_notes.sql",
    sql: "CREATE TABLE notes (text TEXT NOT NULL CHECK (text <> ''))",
};

const COLOURS: Migration =
    Migration { name: "0002_colours.sql", sql: "ALTER TABLE notes ADD COLUMN colour TEXT" };

const ADD: &str = "INSERT INTO notes (text) VALUES (?1)";

/// A folder that does not exist yet, in one that does.
struct Place {
    parent: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { parent: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.parent.path().join("town/notes.sqlite")
    }

    fn open(&self) -> (Writable, Readers) {
        self.open_with(&[NOTES]).expect("opens")
    }

    fn open_with(&self, migrations: &[Migration]) -> Result<(Writable, Readers), OpenError> {
        open(&self.file(), migrations)
    }

    /// What is said when the file is opened, without the folder's random name.
    fn refusal(&self, migrations: &[Migration]) -> String {
        let refused = self.open_with(migrations).expect_err("it opens");
        refused.to_string().replace(self.parent.path().to_str().expect("UTF-8"), "…")
    }
}

fn notes(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
}

fn pragma(connection: &Connection, name: &str) -> String {
    let value =
        connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
    match value.expect("a known pragma") {
        rusqlite::types::Value::Integer(value) => value.to_string(),
        rusqlite::types::Value::Text(value) => value,
        other => format!("{other:?}"),
    }
}

fn in_transaction<T>(
    writable: &mut Writable,
    write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> T {
    let tx = writable.connection.transaction_with_behavior(Immediate).expect("begins");
    let written = write(&tx).expect("writes");
    tx.commit().expect("commits");
    written
}

#[test]
fn opening_makes_a_folder_that_only_its_owner_may_read() {
    let place = Place::new();
    let _store = place.open();
    assert!(place.file().is_file());
    let folder = fs::metadata(place.file().parent().expect("a folder")).expect("is there");
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    fs::write(place.parent.path().join("town"), "a file").expect("writes");
    assert_eq!(place.refusal(&[NOTES]), "cannot use …/town");
}

#[test]
fn a_file_has_one_owner_at_a_time() {
    let place = Place::new();
    let store = place.open();
    assert_eq!(
        place.refusal(&[NOTES]),
        "…/town/notes.sqlite is in use by another process; \
         give each process a --data folder of its own"
    );
    drop(store);
    place.open();
}

#[test]
fn a_reopened_file_is_the_same_store_with_the_same_rows() {
    let place = Place::new();
    let (store, readers) = place.open();
    store.connection.execute(ADD, ["bread"]).expect("writes");
    let id = store.store_id;
    drop((store, readers));

    let (store, _readers) = place.open();
    assert_eq!(store.store_id, id);
    assert_eq!(notes(&store.connection), Ok(1));
    assert_ne!(Place::new().open().0.store_id, id);
}

#[test]
fn a_commit_is_on_disk_before_it_is_answered() {
    let place = Place::new();
    let (store, _readers) = place.open();
    assert_eq!(pragma(&store.connection, "journal_mode"), "wal");
    assert_eq!(pragma(&store.connection, "synchronous"), "2", "FULL");
    assert_eq!(pragma(&store.connection, "foreign_keys"), "1");
}

#[test]
fn migrations_run_once_each_and_later_ones_keep_the_rows() {
    let place = Place::new();
    place.open().0.connection.execute(ADD, ["bread"]).expect("writes");
    let (store, _readers) = place.open_with(&[NOTES, COLOURS]).expect("migrates");
    let bread = "SELECT count(*) FROM notes WHERE colour IS NULL";
    assert_eq!(store.connection.query_row(bread, [], |row| row.get(0)), Ok(1));
}

#[test]
fn a_file_of_a_newer_version_is_refused_by_the_name_of_what_it_has() {
    let place = Place::new();
    drop(place.open_with(&[NOTES, COLOURS]).expect("migrates"));
    assert_eq!(
        place.refusal(&[NOTES]),
        "…/town/notes.sqlite was made by another version: \
         it has 0002_colours.sql, which this version does not know"
    );
}

#[test]
fn a_migration_that_was_edited_is_refused_by_its_name() {
    let place = Place::new();
    drop(place.open());
    let edited = Migration { sql: "CREATE TABLE notes (text BLOB)", ..NOTES };
    assert_eq!(
        place.refusal(&[edited]),
        "…/town/notes.sqlite was made by another version: \
         its 0001_notes.sql differs from this version's"
    );
}

#[test]
fn a_migration_that_fails_leaves_nothing_of_its_version() {
    let place = Place::new();
    let broken = Migration { name: "0003_broken.sql", sql: "CREATE TABLE" };
    drop(place.open());
    assert_eq!(place.refusal(&[NOTES, COLOURS, broken]), "cannot open …/town/notes.sqlite");
    drop(place.open());
    place.open_with(&[NOTES, COLOURS]).expect("the second step has not run yet");
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let place = Place::new();
    fs::create_dir(place.file().parent().expect("a folder")).expect("makes it");
    fs::write(place.file(), "Dear diary, today nobody came to be vaccinated.").expect("writes");
    assert_eq!(place.refusal(&[NOTES]), "cannot open …/town/notes.sqlite");
    let refused = place.open_with(&[NOTES]).expect_err("it opens");
    assert_eq!(refused.source().expect("a cause").to_string(), "file is not a database");
}

#[tokio::test]
async fn a_read_sees_what_was_committed_before_it_began() {
    let place = Place::new();
    let (mut store, readers) = place.open();
    assert_eq!(readers.read(notes).await, Ok(0));
    let tx = store.connection.transaction().expect("begins");
    tx.execute(ADD, ["bread"]).expect("writes");
    assert_eq!(readers.read(notes).await, Ok(0), "not committed");
    tx.commit().expect("commits");
    assert_eq!(readers.read(notes).await, Ok(1));
}

#[tokio::test]
async fn the_queries_of_one_read_see_the_same_moment() {
    let place = Place::new();
    let (store, readers) = place.open();
    let (begun, begins) = oneshot::channel();
    let (go_on, gate) = gate::channel();
    let twice = readers.read(move |connection| {
        let before = notes(connection)?;
        begun.send(()).expect("the test waits");
        gate.recv().expect("the test lives");
        Ok((before, notes(connection)?))
    });
    let write_between = async {
        begins.await.expect("the read begins");
        store.connection.execute(ADD, ["bread"]).expect("writes");
        go_on.send(()).expect("the read lives");
    };
    let (read, ()) = tokio::join!(twice, write_between);
    assert_eq!(read, Ok((0, 0)));
    assert_eq!(readers.read(notes).await, Ok(1));
}

#[tokio::test]
async fn readers_cannot_write_and_a_failed_read_harms_no_other() {
    let place = Place::new();
    let (_store, readers) = place.open();
    let wrote = readers.read(|connection| connection.execute(ADD, ["bread"])).await;
    assert_eq!(wrote, Err(Unreadable));
    let broke = readers.read(|_| -> rusqlite::Result<u32> { panic!("this read breaks") }).await;
    assert_eq!(broke, Err(Unreadable));
    assert_eq!(readers.read(notes).await, Ok(0));
}

#[test]
fn the_store_tells_in_order_and_not_more_than_asked() {
    let mut store = open_in_memory(&[NOTES]).expect("opens");
    for at_ms in 1..=3 {
        in_transaction(&mut store, |tx| outbox::append(tx, "noted", at_ms * 10, "{}"));
    }
    let told = |after, limit| outbox::after(&store.connection, after, limit).expect("reads");
    let entry = |sequence, at_ms| Entry {
        sequence,
        r#type: "noted".to_owned(),
        at_ms,
        data: "{}".to_owned(),
    };
    assert_eq!(told(0, 9), [entry(1, 10), entry(2, 20), entry(3, 30)]);
    assert_eq!(told(1, 1), [entry(2, 20)]);
    assert_eq!(told(3, 9), []);
}

#[test]
fn a_transaction_that_is_rolled_back_tells_nothing_and_leaves_no_gap() {
    let mut store = open_in_memory(&[NOTES]).expect("opens");
    in_transaction(&mut store, |tx| outbox::append(tx, "first", 0, "1"));
    let tx = store.connection.transaction().expect("begins");
    outbox::append(&tx, "never", 0, "2").expect("writes");
    drop(tx);
    in_transaction(&mut store, |tx| outbox::append(tx, "second", 0, "3"));

    let told = outbox::after(&store.connection, 0, 9).expect("reads");
    let told: Vec<_> = told.iter().map(|entry| (entry.sequence, entry.r#type.as_str())).collect();
    assert_eq!(told, [(1, "first"), (2, "second")]);
}

#[test]
fn each_source_is_remembered_as_far_as_it_was_heard() {
    let mut store = open_in_memory(&[]).expect("opens");
    let (town, village) = (Uuid::from_u128(1), Uuid::from_u128(2));
    in_transaction(&mut store, |tx| {
        inbox::remember(tx, town, 1)?;
        inbox::remember(tx, town, 7)?;
        inbox::remember(tx, village, 3)
    });
    let heard = |source| inbox::heard(&store.connection, source);
    assert_eq!((heard(town), heard(village), heard(Uuid::nil())), (Ok(7), Ok(3), Ok(0)));
}

#[test]
fn what_breaks_a_rule_is_rejected_and_a_full_disk_is_no_fault_of_the_command() {
    let store = open_in_memory(&[NOTES]).expect("opens").connection;
    let empty = store.execute(ADD, [""]).map_err(StoreError::from);
    assert!(matches!(empty, Err(StoreError::Rejected(_))), "{empty:?}");

    store.pragma_update(None, "max_page_count", 1).expect("a small disk");
    let large = store.execute(ADD, ["bread".repeat(10_000)]).map_err(StoreError::from);
    assert!(matches!(large, Err(StoreError::Unavailable(_))), "{large:?}");
}
