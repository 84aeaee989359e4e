//! What every database must do for a store: remember, show one moment, keep all or nothing, and
//! tell in order.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{collections::BTreeSet, sync::mpsc, thread};

use storage::{
    database::{Database, NotADatabase, OpenError, Readers, Unreadable, Writable},
    inbox::{self, Parked},
    migrate::Migration,
    outbox::{self, Entry, Event},
    sql::{ById, Row, SqlError, Tx, Value},
    writer::StoreError,
};
use uuid::Uuid;

#[path = "place/place.rs"]
mod place;

#[path = "database/eight_writers_on_postgres.rs"]
mod eight_writers_on_postgres;
#[path = "database/only_postgres.rs"]
mod only_postgres;

use place::{Place, on_both};

const NOTES: Migration = both(
    "0001_notes.sql",
    "CREATE TABLE notes (id UUID, number BIGINT, text TEXT NOT NULL CHECK (text <> ''))",
);

const COLOURS: Migration = both("0002_colours.sql", "ALTER TABLE notes ADD COLUMN colour TEXT");

const ADD: &str = "INSERT INTO notes (text) VALUES (?1)";

/// The same step in both databases.
const fn both(name: &'static str, text: &'static str) -> Migration {
    Migration { name, sqlite: text, postgres: text }
}

impl Place {
    fn notes(&self) -> (Writable, Readers) {
        self.notes_with(&[NOTES]).expect("opens")
    }

    fn notes_with(&self, migrations: &[Migration]) -> Result<(Writable, Readers), OpenError> {
        self.open("notes", migrations)
    }

    /// What is said when the store is opened, without its random name.
    fn refusal(&self, migrations: &[Migration]) -> String {
        let refused = self.notes_with(migrations).expect_err("it opens");
        refused.to_string().replace(&self.database.to_string(), "…")
    }

    fn count(&self, readers: &Readers) -> Result<i64, Unreadable> {
        self.wait(readers.read(notes))
    }
}

fn notes(tx: &Tx<'_>) -> Result<i64, SqlError> {
    Ok(tx.find("SELECT count(*) FROM notes", &[], |row| row.int(0))?.unwrap_or(0))
}

fn add(tx: &Tx<'_>) -> Result<(), SqlError> {
    tx.execute(ADD, &["bread".into()])
}

fn event(r#type: &str, at_ms: i64) -> Event {
    Event { r#type: r#type.to_owned(), at_ms, data: "{}".to_owned() }
}

fn never_mind() -> SqlError {
    SqlError::Unwritable("never mind".into())
}

on_both!(
    a_reopened_store_is_the_same_with_the_same_rows,
    migrations_run_once_each_and_later_ones_keep_the_rows,
    a_store_of_a_newer_version_is_refused_by_the_name_of_what_it_has,
    a_migration_that_was_edited_is_refused_by_its_name,
    a_migration_that_fails_leaves_nothing_of_its_version,
    a_transaction_that_fails_leaves_nothing,
    a_read_sees_what_was_committed_before_it_began,
    the_queries_of_one_read_see_the_same_moment,
    readers_cannot_write_and_a_failed_read_harms_no_other,
    every_value_comes_back_as_it_was,
    many_rows_keep_the_order_of_their_keys,
    ids_are_found_however_close_together_they_lie,
    what_breaks_a_rule_is_rejected_and_what_the_store_cannot_do_is_not,
    what_is_asked_together_is_answered_each_for_itself,
    a_write_that_fails_is_the_error_of_all_that_comes_after_it,
    the_store_tells_in_order_and_not_more_than_asked,
    a_transaction_that_is_rolled_back_tells_nothing_and_leaves_no_gap,
    each_source_is_remembered_as_far_as_it_was_heard,
    what_is_parked_is_kept_once_and_shown_oldest_first,
);

fn a_reopened_store_is_the_same_with_the_same_rows(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    store.transaction(add).expect("writes");
    let id = store.store_id;
    drop((store, readers));

    let (store, readers) = place.notes();
    assert_eq!(store.store_id, id);
    assert_eq!(place.count(&readers), Ok(1));
    assert_ne!(new().notes().0.store_id, id);
}

fn migrations_run_once_each_and_later_ones_keep_the_rows(new: fn() -> Place) {
    let place = new();
    place.notes().0.transaction(add).expect("writes");
    let (mut store, _readers) = place.notes_with(&[NOTES, COLOURS]).expect("migrates");
    let bread = "SELECT count(*) FROM notes WHERE colour IS NULL";
    let bread = store.transaction(|tx| tx.find(bread, &[], |row| row.int(0)));
    assert_eq!(bread.expect("reads"), Some(1));
}

fn a_store_of_a_newer_version_is_refused_by_the_name_of_what_it_has(new: fn() -> Place) {
    let place = new();
    drop(place.notes_with(&[NOTES, COLOURS]).expect("migrates"));
    assert_eq!(
        place.refusal(&[NOTES]),
        "… was made by another version: \
         it has 0002_colours.sql, which this version does not know"
    );
}

fn a_migration_that_was_edited_is_refused_by_its_name(new: fn() -> Place) {
    let place = new();
    drop(place.notes());
    assert_eq!(
        place.refusal(&[both(NOTES.name, "CREATE TABLE notes (text TEXT)")]),
        "… was made by another version: its 0001_notes.sql differs from this version's"
    );
}

fn a_migration_that_fails_leaves_nothing_of_its_version(new: fn() -> Place) {
    let place = new();
    drop(place.notes());
    let broken = both("0003_broken.sql", "CREATE TABLE");
    assert_eq!(place.refusal(&[NOTES, COLOURS, broken]), "cannot open …");
    drop(place.notes());
    place.notes_with(&[NOTES, COLOURS]).expect("the second step has not run yet");
}

fn a_transaction_that_fails_leaves_nothing(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    let failed = store.transaction(|tx| {
        add(tx)?;
        tx.execute(ADD, &["".into()])
    });
    assert!(failed.is_err());
    let gone_back = store.transaction(|tx| {
        add(tx)?;
        Err::<(), _>(never_mind())
    });
    assert!(gone_back.is_err());
    assert_eq!(place.count(&readers), Ok(0));
    store.transaction(add).expect("goes on");
    assert_eq!(place.count(&readers), Ok(1));
}

fn a_read_sees_what_was_committed_before_it_began(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    assert_eq!(place.count(&readers), Ok(0));
    let written = store.transaction(|tx| {
        add(tx)?;
        assert_eq!(place.count(&readers), Ok(0), "not committed");
        Ok(())
    });
    written.expect("commits");
    assert_eq!(place.count(&readers), Ok(1));
}

fn the_queries_of_one_read_see_the_same_moment(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    let (begun, begins) = mpsc::channel();
    let (go_on, gate) = mpsc::channel();
    let twice = readers.read(move |tx| {
        let before = notes(tx)?;
        begun.send(()).expect("the test waits");
        gate.recv().expect("the test lives");
        Ok((before, notes(tx)?))
    });
    thread::scope(|scope| {
        let reading = scope.spawn(|| place.wait(twice));
        begins.recv().expect("the read begins");
        store.transaction(add).expect("writes");
        go_on.send(()).expect("the read lives");
        assert_eq!(reading.join().expect("reads"), Ok((0, 0)));
    });
    assert_eq!(place.count(&readers), Ok(1));
}

fn readers_cannot_write_and_a_failed_read_harms_no_other(new: fn() -> Place) {
    let place = new();
    let (_store, readers) = place.notes();
    assert_eq!(place.wait(readers.read(add)), Err(Unreadable));
    let broke = readers.read(|_| -> Result<(), SqlError> { panic!("this read breaks") });
    assert_eq!(place.wait(broke), Err(Unreadable));
    assert_eq!(place.count(&readers), Ok(0));
}

type Read = (Option<Uuid>, Option<i64>, String);

fn read(row: &Row<'_>) -> Result<Read, SqlError> {
    Ok((row.uuid_or_null(0)?, row.int_or_null(1)?, row.text(2)?.to_owned()))
}

const WRITE: &str = "INSERT INTO notes (id, number, text) VALUES (?1, ?2, ?3)";

fn every_value_comes_back_as_it_was(new: fn() -> Place) {
    let place = new();
    let (mut store, _readers) = place.notes();
    let id = Uuid::from_u128(7);
    let values: [(Value<'_>, Value<'_>, &str); 3] = [
        (id.into(), i64::MIN.into(), "Брот, 빵, \u{1f35e} and \"bread\""),
        (Uuid::max().into(), i64::MAX.into(), "'; DROP TABLE notes; --"),
        (Value::Null, Value::Null, "?1 $1"),
    ];
    let rows = values.map(|(id, number, text)| [id, number, text.into()]);
    store.transaction(|tx| tx.execute_each(WRITE, &rows)).expect("writes");
    let query = "SELECT id, number, text FROM notes ORDER BY number NULLS LAST";
    let all = store.transaction(|tx| tx.all(query, &[], read)).expect("reads");
    assert_eq!(
        all,
        [
            (Some(id), Some(i64::MIN), values[0].2.to_owned()),
            (Some(Uuid::max()), Some(i64::MAX), values[1].2.to_owned()),
            (None, None, values[2].2.to_owned()),
        ]
    );
    let number_as_text = store.transaction(|tx| tx.find(query, &[], |row| Ok(row.text(1)?.len())));
    assert!(number_as_text.is_err(), "{number_as_text:?}");
}

fn many_rows_keep_the_order_of_their_keys(new: fn() -> Place) {
    let place = new();
    let (mut store, _readers) = place.notes();
    let rows = [2, 0, 1].map(|number| [Value::Null, Value::Int(number), "bread".into()]);
    let keys = [1, 9, 2, 1].map(|number| [Value::Int(number)]);
    let find = "SELECT number FROM notes WHERE number = ?1";
    let found = store.transaction(|tx| {
        tx.execute_each(WRITE, &rows)?;
        tx.find_each(find, &keys, |row| row.int(0))
    });
    assert_eq!(found.expect("reads"), [Some(1), None, Some(2), Some(1)]);
    let none = store.transaction(|tx| tx.find_each::<1, _>(find, &[], |row| row.int(0)));
    assert_eq!(none.expect("reads"), [None; 0]);
}

const NOTES_BY_ID: ById = ById {
    id: "SELECT id FROM notes WHERE id = ?1",
    between: "SELECT id FROM notes WHERE id BETWEEN ?1 AND ?2 LIMIT ?3",
};

/// An id that was made at that millisecond.
fn made_at(millis: u64) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

fn ids_are_found_however_close_together_they_lie(new: fn() -> Place) {
    let place = new();
    let (mut store, _readers) = place.notes();
    let plain = Uuid::from_u128(7);
    let known = (1..=40).map(made_at).chain([plain]);
    let rows: Vec<_> = known.map(|id| [id.into(), Value::Null, "bread".into()]).collect();
    store.transaction(|tx| tx.execute_each(WRITE, &rows)).expect("writes");
    let mut find = |ids: &[Uuid]| {
        let ids = ids.iter().copied().collect();
        let id = |row: &Row<'_>| Ok((row.uuid(0)?, ()));
        let found = store.transaction(|tx| tx.find_ids(&NOTES_BY_ID, &ids, id)).expect("reads");
        found.into_iter().map(|(id, ())| id).collect::<BTreeSet<_>>()
    };
    let unknown = Uuid::from_u128(8);
    let close = [made_at(7), made_at(8), made_at(9), plain, unknown];
    assert_eq!(find(&close), close.into_iter().filter(|id| *id != unknown).collect());
    let apart = [made_at(1), made_at(40), made_at(90)];
    assert_eq!(find(&apart), apart[..2].iter().copied().collect());
    assert_eq!(find(&[made_at(90)]), BTreeSet::new());
    assert_eq!(find(&[]), BTreeSet::new());
}

fn what_breaks_a_rule_is_rejected_and_what_the_store_cannot_do_is_not(new: fn() -> Place) {
    let place = new();
    let (mut store, _readers) = place.notes();
    let empty = store.transaction(|tx| tx.execute(ADD, &["".into()]));
    assert!(matches!(empty, Err(StoreError::Rejected(_))), "{empty:?}");
    let nowhere = store.transaction(|tx| tx.run("DELETE FROM nowhere"));
    assert!(matches!(nowhere, Err(StoreError::Unavailable(_))), "{nowhere:?}");
}

fn what_is_asked_together_is_answered_each_for_itself(new: fn() -> Place) {
    let place = new();
    let (mut store, _readers) = place.notes();
    let rows = [1, 2].map(|number| [Value::Null, Value::Int(number), "bread".into()]);
    store.transaction(|tx| tx.execute_each(WRITE, &rows)).expect("writes");
    let find = "SELECT number FROM notes WHERE number = ?1";
    let answers = store.transaction(|tx| {
        let first = tx.ask(find, &[1.into()])?;
        let none = tx.ask(find, &[9.into()])?;
        let second = tx.ask(find, &[2.into()])?;
        let before = notes(tx)?;
        add(tx)?;
        let number = |row: &Row<'_>| row.int(0);
        Ok((second.first(number)?, none.first(number)?, first.first(number)?, before, notes(tx)?))
    });
    assert_eq!(answers.expect("reads"), (Some(2), None, Some(1), 2, 3));
}

/// Whatever was sent together with it, and whoever asks next.
fn a_write_that_fails_is_the_error_of_all_that_comes_after_it(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    let refused = |tx: &Tx<'_>| {
        add(tx)?;
        tx.execute(ADD, &["".into()])?;
        add(tx)
    };
    let committed = store.transaction(refused);
    let asked = store.transaction(|tx| {
        refused(tx)?;
        notes(tx)
    });
    for failed in [committed, asked.map(drop)] {
        let Err(StoreError::Rejected(cause)) = failed else { panic!("{failed:?}") };
        let cause = cause.source().map_or_else(|| cause.to_string(), ToString::to_string);
        assert!(cause.contains("constraint"), "{cause}");
    }
    assert_eq!(place.count(&readers), Ok(0));
    store.transaction(add).expect("goes on");
}

fn the_store_tells_in_order_and_not_more_than_asked(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    store.transaction(|tx| outbox::append(tx, &[])).expect("writes");
    for events in [vec![event("noted", 10)], vec![event("noted", 20), event("noted", 30)]] {
        store.transaction(|tx| outbox::append(tx, &events)).expect("writes");
    }
    let told = |after, limit| place.wait(readers.read(move |tx| outbox::after(tx, after, limit)));
    let entry = |sequence, at_ms| Entry {
        sequence,
        r#type: "noted".to_owned(),
        at_ms,
        data: "{}".to_owned(),
    };
    assert_eq!(told(0, 9), Ok(vec![entry(1, 10), entry(2, 20), entry(3, 30)]));
    assert_eq!(told(1, 1), Ok(vec![entry(2, 20)]));
    assert_eq!(told(3, 9), Ok(vec![]));
    assert_eq!(place.wait(readers.read(outbox::last)), Ok(3));
}

fn a_transaction_that_is_rolled_back_tells_nothing_and_leaves_no_gap(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    assert_eq!(place.wait(readers.read(outbox::last)), Ok(0));
    store.transaction(|tx| outbox::append(tx, &[event("first", 0)])).expect("writes");
    let gone_back = store.transaction(|tx| {
        outbox::append(tx, &[event("never", 0)])?;
        Err::<(), _>(never_mind())
    });
    assert!(gone_back.is_err());
    store.transaction(|tx| outbox::append(tx, &[event("second", 0)])).expect("writes");

    let told = place.wait(readers.read(|tx| outbox::after(tx, 0, 9))).expect("reads");
    let told: Vec<_> = told.iter().map(|entry| (entry.sequence, entry.r#type.as_str())).collect();
    assert_eq!(told, [(1, "first"), (2, "second")]);
}

fn each_source_is_remembered_as_far_as_it_was_heard(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    let (town, village) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let remembered = store.transaction(|tx| {
        inbox::remember(tx, town, 1)?;
        inbox::remember(tx, town, 7)?;
        inbox::remember(tx, village, 3)
    });
    remembered.expect("writes");
    let heard = |source| place.wait(readers.read(move |tx| inbox::heard(tx, source)));
    assert_eq!((heard(town), heard(village), heard(Uuid::nil())), (Ok(7), Ok(3), Ok(0)));
}

fn what_is_parked_is_kept_once_and_shown_oldest_first(new: fn() -> Place) {
    let place = new();
    let (mut store, readers) = place.notes();
    let parked = |sequence, at_ms, why: &str| Parked {
        source: Uuid::from_u128(1),
        sequence,
        r#type: "Noted".to_owned(),
        data: "{}".to_owned(),
        why: why.to_owned(),
        at_ms,
    };
    let (young, old) = (parked(1, 20, "no text"), parked(2, 10, "no colour"));
    for event in [&young, &old, &parked(1, 30, "again")] {
        store.transaction(|tx| inbox::park(tx, event)).expect("writes");
    }
    let shown = |limit| place.wait(readers.read(move |tx| inbox::parked(tx, limit)));
    assert_eq!(shown(9), Ok(vec![old.clone(), young]));
    assert_eq!(shown(1), Ok(vec![old]));
    assert_eq!(place.wait(readers.read(inbox::count_parked)), Ok(2));
}

#[test]
fn what_is_no_address_of_a_database_is_refused() {
    let parse = |text: &str| text.parse::<Database>();
    for unknown in ["", "sqlite:", "mysql://town", "town.sqlite"] {
        assert!(matches!(parse(unknown), Err(NotADatabase::Unknown)), "{unknown}");
    }
    let port = parse("postgres://town@127.0.0.1:none/vaccines");
    assert!(matches!(port, Err(NotADatabase::Postgres(_))), "{port:?}");
    let tls = parse("postgres://town@127.0.0.1/vaccines?sslmode=require");
    assert!(matches!(tls, Err(NotADatabase::Tls)), "{tls:?}");
    assert!(matches!(parse("sqlite:a/town.sqlite"), Ok(Database::Sqlite(_))));
    assert!(matches!(parse("postgresql://town@127.0.0.1/vaccines"), Ok(Database::Postgres(_))));
}
