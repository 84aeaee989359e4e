//! What is peculiar to a SQLite file: who may open it, and how safe a commit is.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{error::Error, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use rusqlite::{Connection, types::Value};
use storage::{
    database::{Database, OpenError, Readers, Writable, open_blocking, open_in_memory},
    migrate::Migration,
    sql::{SqlError, Tx},
    writer::StoreError,
};
use tempfile::TempDir;

const NOTES: Migration = Migration {
    name: "0001_notes.sql",
    sqlite: "CREATE TABLE notes (text TEXT NOT NULL CHECK (text <> ''))",
    postgres: "",
};

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

    fn try_open(&self) -> Result<(Writable, Readers), OpenError> {
        open_blocking(&Database::Sqlite(self.file()), "notes", &[NOTES])
    }

    fn open(&self) -> (Writable, Readers) {
        self.try_open().expect("opens")
    }

    /// What is said when the file is opened, without the folder's random name.
    fn refusal(&self) -> String {
        let refused = self.try_open().expect_err("it opens");
        refused.to_string().replace(self.parent.path().to_str().expect("UTF-8"), "…")
    }
}

/// Runs work with what is below the store.
fn below<T>(
    store: &mut Writable,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    store.transaction(|tx| match tx {
        Tx::Sqlite(connection) => work(connection).map_err(SqlError::from),
        Tx::Postgres(_) => panic!("this is SQLite"),
    })
}

fn pragma(store: &mut Writable, name: &str) -> String {
    let value = below(store, |connection| {
        connection.pragma_query_value(None, name, |row| row.get::<_, Value>(0))
    });
    match value.expect("a known pragma") {
        Value::Integer(value) => value.to_string(),
        Value::Text(value) => value,
        other => format!("{other:?}"),
    }
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
    assert_eq!(place.refusal(), "cannot use …/town");
}

#[test]
fn a_file_has_one_owner_at_a_time() {
    let place = Place::new();
    let store = place.open();
    assert_eq!(
        place.refusal(),
        "…/town/notes.sqlite is in use by another process; \
         give each process a --data folder of its own"
    );
    drop(store);
    place.open();
}

#[test]
fn a_commit_is_on_disk_before_it_is_answered() {
    let place = Place::new();
    let (mut store, _readers) = place.open();
    assert_eq!(pragma(&mut store, "journal_mode"), "wal");
    assert_eq!(pragma(&mut store, "synchronous"), "2", "FULL");
    assert_eq!(pragma(&mut store, "foreign_keys"), "1");
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let place = Place::new();
    fs::create_dir(place.file().parent().expect("a folder")).expect("makes it");
    fs::write(place.file(), "Dear diary, today nobody came to be vaccinated.").expect("writes");
    assert_eq!(place.refusal(), "cannot open …/town/notes.sqlite");
    let refused = place.try_open().expect_err("it opens");
    assert_eq!(refused.source().expect("a cause").to_string(), "file is not a database");
}

#[test]
fn a_store_in_memory_is_a_store_of_its_own() {
    let mut one = open_in_memory(&[NOTES]).expect("opens");
    let mut other = open_in_memory(&[NOTES]).expect("opens");
    assert_ne!(one.store_id, other.store_id);
    one.transaction(|tx| tx.execute(ADD, &["bread".into()])).expect("writes");
    let count = |tx: &Tx<'_>| tx.find("SELECT count(*) FROM notes", &[], |row| row.int(0));
    assert_eq!(one.transaction(count).expect("reads"), Some(1));
    assert_eq!(other.transaction(count).expect("reads"), Some(0));
}

#[test]
fn a_full_disk_is_no_fault_of_the_command() {
    let mut store = open_in_memory(&[NOTES]).expect("opens");
    below(&mut store, |connection| connection.pragma_update(None, "max_page_count", 1))
        .expect("a small disk");
    let text = "bread".repeat(10_000);
    let large = store.transaction(|tx| tx.execute(ADD, &[text.as_str().into()]));
    assert!(matches!(large, Err(StoreError::Unavailable(_))), "{large:?}");
}
