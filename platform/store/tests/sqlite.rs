//! What applies to a SQLite file only: access to it, and the durability of a commit.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    error::Error,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use platform_store::{
    Database, Migration, OpenError, ReadPool, SqlError, StoreError, Tx, WriteConnection,
    database::{open_blocking, open_in_memory},
};
use rusqlite::{Connection, types::Value};
use tempfile::TempDir;

const NOTES: Migration = Migration {
    name: "0001_notes.sql",
    sqlite: "CREATE TABLE notes (text TEXT NOT NULL CHECK (text <> ''))",
    postgres: "",
};

const ADD: &str = "INSERT INTO notes (text) VALUES (?1)";

/// A folder that does not exist yet, in one that does.
struct Folder {
    parent: TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { parent: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.parent.path().join("data/notes.sqlite")
    }

    fn try_open(&self) -> Result<(WriteConnection, ReadPool), OpenError> {
        open_blocking(&Database::Sqlite(self.file()), "notes", &[NOTES])
    }

    fn open(&self) -> (WriteConnection, ReadPool) {
        self.try_open().expect("opens")
    }

    /// The error of opening the file, with `…` for the folder's random name.
    fn open_error(&self) -> String {
        let error = self.try_open().expect_err("it opens");
        error.to_string().replace(self.parent.path().to_str().expect("UTF-8"), "…")
    }
}

/// Runs work on the connection of the store.
fn on_connection<T>(
    store: &mut WriteConnection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    store.transaction(|tx| match tx {
        Tx::Sqlite(connection) => work(connection).map_err(SqlError::from),
        Tx::Postgres(_) => panic!("this is SQLite"),
    })
}

fn pragma(store: &mut WriteConnection, name: &str) -> String {
    let value = on_connection(store, |connection| {
        connection.pragma_query_value(None, name, |row| row.get::<_, Value>(0))
    });
    match value.expect("a known pragma") {
        Value::Integer(value) => value.to_string(),
        Value::Text(value) => value,
        other => format!("{other:?}"),
    }
}

#[test]
fn opening_creates_a_folder_that_only_its_owner_may_read() {
    let folder = Folder::new();
    let _store = folder.open();
    assert!(folder.file().is_file());
    assert_eq!(mode(folder.file().parent().expect("a folder")), 0o700);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o777
}

/// Of an earlier version, or of an operator.
#[test]
fn opening_takes_an_existing_folder_and_its_files_from_other_users() {
    let folder = Folder::new();
    let parent = folder.file().parent().expect("a folder").to_owned();
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("is the owner's");
    };
    fs::create_dir(&parent).expect("creates");
    fs::write(folder.file(), "").expect("creates");
    set(&parent, 0o755);
    set(&folder.file(), 0o644);
    let (mut store, _reads) = folder.open();
    store.transaction(|tx| tx.execute(ADD, &["a".into()])).expect("writes");
    let files = ["sqlite", "sqlite-wal", "sqlite-shm", "lock"];
    let files = files.map(|extension| mode(&folder.file().with_extension(extension)));
    assert_eq!((mode(&parent), files), (0o700, [0o600; 4]));
    drop(store);

    set(&parent, 0o1777);
    folder.open();
    assert_eq!(mode(&parent), 0o777, "it is meant for all, as /tmp is");
}

#[test]
fn a_folder_that_cannot_be_created_is_named_in_the_error() {
    let folder = Folder::new();
    fs::write(folder.parent.path().join("data"), "a file").expect("writes");
    assert_eq!(folder.open_error(), "cannot use …/data");
}

#[test]
fn one_process_opens_a_file_at_a_time() {
    let folder = Folder::new();
    let store = folder.open();
    assert_eq!(
        folder.open_error(),
        "…/data/notes.sqlite is in use by another process; \
         give each process a --data folder of its own"
    );
    drop(store);
    folder.open();
}

#[test]
fn a_commit_is_flushed_to_disk() {
    let folder = Folder::new();
    let (mut store, _reads) = folder.open();
    assert_eq!(pragma(&mut store, "journal_mode"), "wal");
    assert_eq!(pragma(&mut store, "synchronous"), "2", "FULL");
    assert_eq!(pragma(&mut store, "foreign_keys"), "1");
}

#[test]
fn a_file_that_is_not_a_database_is_named_in_the_error() {
    let folder = Folder::new();
    fs::create_dir(folder.file().parent().expect("a folder")).expect("creates it");
    fs::write(folder.file(), "This text is longer than the header of a database.").expect("writes");
    assert_eq!(folder.open_error(), "cannot open …/data/notes.sqlite");
    let error = folder.try_open().expect_err("it opens");
    assert_eq!(error.source().expect("a cause").to_string(), "file is not a database");
}

#[test]
fn each_store_in_memory_is_separate() {
    let mut one = open_in_memory(&[NOTES]).expect("opens");
    let mut other = open_in_memory(&[NOTES]).expect("opens");
    assert_ne!(one.store_id, other.store_id);
    one.transaction(|tx| tx.execute(ADD, &["bread".into()])).expect("writes");
    let count = |tx: &Tx<'_>| tx.find("SELECT count(*) FROM notes", &[], |row| row.int(0));
    assert_eq!(one.transaction(count).expect("reads"), Some(1));
    assert_eq!(other.transaction(count).expect("reads"), Some(0));
}

#[test]
fn a_full_disk_makes_the_store_unavailable_and_does_not_reject_the_command() {
    let mut store = open_in_memory(&[NOTES]).expect("opens");
    on_connection(&mut store, |connection| connection.pragma_update(None, "max_page_count", 1))
        .expect("a small disk");
    let text = "bread".repeat(10_000);
    let large = store.transaction(|tx| tx.execute(ADD, &[text.as_str().into()]));
    assert!(matches!(large, Err(StoreError::Unavailable(_))), "{large:?}");
}

#[tokio::test]
async fn nothing_is_written_to_a_file_that_was_removed_or_replaced() {
    let folder = Folder::new();
    let (mut store, reads) = folder.open();
    let add = |store: &mut WriteConnection| store.transaction(|tx| tx.execute(ADD, &["a".into()]));
    add(&mut store).expect("writes");
    let kept = folder.file().with_extension("kept");
    fs::rename(folder.file(), &kept).expect("moves");
    let removed = add(&mut store);
    assert!(matches!(removed, Err(StoreError::Unavailable(_))), "{removed:?}");
    fs::copy(&kept, folder.file()).expect("copies");
    let replaced = add(&mut store);
    assert!(matches!(replaced, Err(StoreError::Unavailable(_))), "{replaced:?}");
    assert!(!reads.is_available().await, "its log would be applied to the other file");
    fs::rename(&kept, folder.file()).expect("moves back");
    add(&mut store).expect("writes");
    assert!(reads.is_available().await);
}
