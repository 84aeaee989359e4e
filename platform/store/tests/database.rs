//! What every database does for a store: rows survive, a read sees one snapshot, a transaction is
//! committed as a whole or not at all, and the outbox is read in order.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{collections::BTreeSet, sync::mpsc, thread};

use platform_store::{
    ById, Database, DatabaseUrlError, DeadLetter, DeadLetterId, Event, Migration, OpenError,
    OutboxEntry, Payload, READ_CONNECTIONS_MAX, ReadError, ReadPool, Row, SqlError, StoreError, Tx,
    Value, WriteConnection, consumer, dead_letter, outbox,
};
use testkit::{TestDatabase, on_both_databases};
use tokio::task::JoinSet;
use uuid::Uuid;

#[path = "database/eight_writers_on_postgres.rs"]
mod eight_writers_on_postgres;
#[path = "database/only_postgres.rs"]
mod only_postgres;

const NOTES: Migration = both(
    "0001_notes.sql",
    "CREATE TABLE notes (id UUID, number BIGINT, text TEXT NOT NULL CHECK (text <> ''))",
);

const COLOURS: Migration = both("0002_colours.sql", "ALTER TABLE notes ADD COLUMN colour TEXT");

const ADD: &str = "INSERT INTO notes (text) VALUES (?1)";

/// The same migration in both databases.
const fn both(name: &'static str, script: &'static str) -> Migration {
    Migration { name, sqlite: script, postgres: script }
}

fn open(database: &TestDatabase) -> (WriteConnection, ReadPool) {
    open_with(database, &[NOTES]).expect("opens")
}

fn open_with(
    database: &TestDatabase,
    migrations: &[Migration],
) -> Result<(WriteConnection, ReadPool), OpenError> {
    database.open("notes", migrations)
}

/// The error of opening the store, with `…` for the database's random name.
fn open_error(database: &TestDatabase, migrations: &[Migration]) -> String {
    let error = open_with(database, migrations).expect_err("it opens");
    error.to_string().replace(&database.database.to_string(), "…")
}

fn count(database: &TestDatabase, reads: &ReadPool) -> Result<i64, ReadError> {
    database.block_on(reads.read(count_notes))
}

fn count_notes(tx: &Tx<'_>) -> Result<i64, SqlError> {
    Ok(tx.find("SELECT count(*) FROM notes", &[], |row| row.int(0))?.unwrap_or(0))
}

fn add(tx: &Tx<'_>) -> Result<(), SqlError> {
    tx.execute(ADD, &["bread".into()])
}

fn event(r#type: &str, at_ms: i64) -> Event {
    Event { r#type: r#type.to_owned(), at_ms, data: payload("{}") }
}

fn payload(json: &str) -> Payload {
    Payload::parse(json.to_owned()).expect("it is JSON")
}

fn aborted() -> SqlError {
    SqlError::Encode("aborted by the test".into())
}

on_both_databases!(
    a_reopened_store_has_the_same_id_and_rows,
    each_migration_runs_once_and_a_later_one_keeps_the_rows,
    a_store_of_a_newer_version_is_not_opened_and_the_error_names_its_migration,
    a_store_with_an_edited_migration_is_not_opened_and_the_error_names_it,
    a_failed_migration_rolls_back_all_migrations_of_its_version,
    a_failed_transaction_is_rolled_back,
    a_read_sees_what_was_committed_before_it_began,
    the_queries_of_one_read_see_one_snapshot,
    a_read_cannot_write_and_a_failed_read_does_not_affect_others,
    every_value_is_read_as_it_was_written,
    results_are_in_the_order_of_their_keys,
    ids_are_found_in_ranges_of_any_density,
    a_constraint_violation_is_rejected_and_any_other_error_is_unavailable,
    each_enqueued_query_has_its_own_result,
    a_failed_write_is_the_error_of_the_commit_and_of_later_queries,
    outbox_entries_are_read_in_order_up_to_the_limit,
    a_rolled_back_transaction_leaves_no_event_and_no_gap_in_the_outbox,
    each_source_has_its_own_consumer_offset,
    a_dead_letter_is_stored_once_and_the_oldest_are_read_first,
    the_health_check_does_not_wait_for_reads,
);

fn a_reopened_store_has_the_same_id_and_rows(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    store.transaction(add).expect("writes");
    let id = store.store_id;
    drop((store, reads));

    let (store, reads) = open(&database);
    assert_eq!(store.store_id, id);
    assert_eq!(count(&database, &reads), Ok(1));
    assert_ne!(open(&new()).0.store_id, id);
}

fn each_migration_runs_once_and_a_later_one_keeps_the_rows(new: fn() -> TestDatabase) {
    let database = new();
    open(&database).0.transaction(add).expect("writes");
    let (mut store, _reads) = open_with(&database, &[NOTES, COLOURS]).expect("migrates");
    let query = "SELECT count(*) FROM notes WHERE colour IS NULL";
    let count = store.transaction(|tx| tx.find(query, &[], |row| row.int(0)));
    assert_eq!(count.expect("reads"), Some(1));
}

fn a_store_of_a_newer_version_is_not_opened_and_the_error_names_its_migration(
    new: fn() -> TestDatabase,
) {
    let database = new();
    drop(open_with(&database, &[NOTES, COLOURS]).expect("migrates"));
    assert_eq!(
        open_error(&database, &[NOTES]),
        "… was created by another version: \
         it has 0002_colours.sql, which this version does not know"
    );
}

fn a_store_with_an_edited_migration_is_not_opened_and_the_error_names_it(
    new: fn() -> TestDatabase,
) {
    let database = new();
    drop(open(&database));
    assert_eq!(
        open_error(&database, &[both(NOTES.name, "CREATE TABLE notes (text TEXT)")]),
        "… was created by another version: its 0001_notes.sql differs from this version's"
    );
}

fn a_failed_migration_rolls_back_all_migrations_of_its_version(new: fn() -> TestDatabase) {
    let database = new();
    drop(open(&database));
    let broken = both("0003_broken.sql", "CREATE TABLE");
    assert_eq!(open_error(&database, &[NOTES, COLOURS, broken]), "cannot open …");
    drop(open(&database));
    open_with(&database, &[NOTES, COLOURS]).expect("the second step has not run yet");
}

fn a_failed_transaction_is_rolled_back(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    let failed = store.transaction(|tx| {
        add(tx)?;
        tx.execute(ADD, &["".into()])
    });
    assert!(failed.is_err());
    let rolled_back = store.transaction(|tx| {
        add(tx)?;
        Err::<(), _>(aborted())
    });
    assert!(rolled_back.is_err());
    assert_eq!(count(&database, &reads), Ok(0));
    store.transaction(add).expect("writes");
    assert_eq!(count(&database, &reads), Ok(1));
}

fn a_read_sees_what_was_committed_before_it_began(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    assert_eq!(count(&database, &reads), Ok(0));
    let written = store.transaction(|tx| {
        add(tx)?;
        assert_eq!(count(&database, &reads), Ok(0), "not committed");
        Ok(())
    });
    written.expect("commits");
    assert_eq!(count(&database, &reads), Ok(1));
}

fn the_queries_of_one_read_see_one_snapshot(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    let (begun, begins) = mpsc::channel();
    let (end, may_end) = mpsc::channel();
    let twice = reads.read(move |tx| {
        let before = count_notes(tx)?;
        begun.send(()).expect("the test receives");
        may_end.recv().expect("the test sends");
        Ok((before, count_notes(tx)?))
    });
    thread::scope(|scope| {
        let reading = scope.spawn(|| database.block_on(twice));
        begins.recv().expect("the read begins");
        store.transaction(add).expect("writes");
        end.send(()).expect("the read receives");
        assert_eq!(reading.join().expect("reads"), Ok((0, 0)));
    });
    assert_eq!(count(&database, &reads), Ok(1));
}

fn a_read_cannot_write_and_a_failed_read_does_not_affect_others(new: fn() -> TestDatabase) {
    let database = new();
    let (_store, reads) = open(&database);
    assert_eq!(database.block_on(reads.read(add)), Err(ReadError));
    let panicking = reads.read(|_| -> Result<(), SqlError> { panic!("this read panics") });
    assert_eq!(database.block_on(panicking), Err(ReadError));
    assert_eq!(count(&database, &reads), Ok(0));
}

type Read = (Option<Uuid>, Option<i64>, String);

fn read(row: &Row<'_>) -> Result<Read, SqlError> {
    Ok((row.uuid_or_null(0)?, row.int_or_null(1)?, row.text(2)?.to_owned()))
}

const WRITE: &str = "INSERT INTO notes (id, number, text) VALUES (?1, ?2, ?3)";

fn every_value_is_read_as_it_was_written(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, _reads) = open(&database);
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

fn results_are_in_the_order_of_their_keys(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, _reads) = open(&database);
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
    let all = store.transaction(|tx| tx.all_each(find, &keys, |row| row.int(0)));
    assert_eq!(all.expect("reads"), [vec![1], vec![], vec![2], vec![1]]);
}

const NOTES_BY_ID: ById = ById {
    id: "SELECT id FROM notes WHERE id = ?1",
    between: "SELECT id FROM notes WHERE id BETWEEN ?1 AND ?2 LIMIT ?3",
};

/// An id with that creation time.
fn created_at(millis: u64) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

fn ids_are_found_in_ranges_of_any_density(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, _reads) = open(&database);
    let untimed = Uuid::from_u128(7);
    let known = (1..=40).map(created_at).chain([untimed]);
    let rows: Vec<_> = known.map(|id| [id.into(), Value::Null, "bread".into()]).collect();
    store.transaction(|tx| tx.execute_each(WRITE, &rows)).expect("writes");
    let mut find = |ids: &[Uuid]| {
        let ids = ids.iter().copied().collect();
        let id = |row: &Row<'_>| Ok((row.uuid(0)?, ()));
        let found = store.transaction(|tx| tx.find_ids(&NOTES_BY_ID, &ids, id)).expect("reads");
        found.into_iter().map(|(id, ())| id).collect::<BTreeSet<_>>()
    };
    let unknown = Uuid::from_u128(8);
    let close = [created_at(7), created_at(8), created_at(9), untimed, unknown];
    assert_eq!(find(&close), close.into_iter().filter(|id| *id != unknown).collect());
    let apart = [created_at(1), created_at(40), created_at(90)];
    assert_eq!(find(&apart), apart[..2].iter().copied().collect());
    assert_eq!(find(&[created_at(90)]), BTreeSet::new());
    assert_eq!(find(&[]), BTreeSet::new());
}

fn a_constraint_violation_is_rejected_and_any_other_error_is_unavailable(
    new: fn() -> TestDatabase,
) {
    let database = new();
    let (mut store, _reads) = open(&database);
    let empty = store.transaction(|tx| tx.execute(ADD, &["".into()]));
    assert!(matches!(empty, Err(StoreError::Rejected(_))), "{empty:?}");
    let no_table = store.transaction(|tx| tx.run_script("DELETE FROM missing"));
    assert!(matches!(no_table, Err(StoreError::Unavailable(_))), "{no_table:?}");
}

fn each_enqueued_query_has_its_own_result(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, _reads) = open(&database);
    let rows = [1, 2].map(|number| [Value::Null, Value::Int(number), "bread".into()]);
    store.transaction(|tx| tx.execute_each(WRITE, &rows)).expect("writes");
    let find = "SELECT number FROM notes WHERE number = ?1";
    let results = store.transaction(|tx| {
        let first = tx.enqueue(find, &[1.into()])?;
        let none = tx.enqueue(find, &[9.into()])?;
        let second = tx.enqueue(find, &[2.into()])?;
        let before = count_notes(tx)?;
        add(tx)?;
        let number = |row: &Row<'_>| row.int(0);
        Ok((
            second.first(number)?,
            none.first(number)?,
            first.first(number)?,
            before,
            count_notes(tx)?,
        ))
    });
    assert_eq!(results.expect("reads"), (Some(2), None, Some(1), 2, 3));
}

fn a_failed_write_is_the_error_of_the_commit_and_of_later_queries(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    let violate = |tx: &Tx<'_>| {
        add(tx)?;
        tx.execute(ADD, &["".into()])?;
        add(tx)
    };
    let committed = store.transaction(violate);
    let queried = store.transaction(|tx| {
        violate(tx)?;
        count_notes(tx)
    });
    for failed in [committed, queried.map(drop)] {
        let Err(StoreError::Rejected(cause)) = failed else { panic!("{failed:?}") };
        let cause = cause.source().map_or_else(|| cause.to_string(), ToString::to_string);
        assert!(cause.contains("constraint"), "{cause}");
    }
    assert_eq!(count(&database, &reads), Ok(0));
    store.transaction(add).expect("writes");
}

fn outbox_entries_are_read_in_order_up_to_the_limit(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    store.transaction(|tx| outbox::append(tx, &[])).expect("writes");
    for events in [vec![event("noted", 10)], vec![event("noted", 20), event("noted", 30)]] {
        store.transaction(|tx| outbox::append(tx, &events)).expect("writes");
    }
    let read =
        |after, limit| database.block_on(reads.read(move |tx| outbox::after(tx, after, limit)));
    let entry = |sequence, at_ms| OutboxEntry { sequence, event: event("noted", at_ms) };
    let all = [entry(1, 10), entry(2, 20), entry(3, 30)];
    // From and up to any event of a commit.
    for after in 0_u8..=3 {
        for limit in 0_u8..=4 {
            let expected = all.iter().skip(usize::from(after)).take(usize::from(limit));
            let expected = expected.cloned().collect::<Vec<_>>();
            assert_eq!(read(after.into(), limit.into()), Ok(expected), "{limit} after {after}");
        }
    }
    assert_eq!(database.block_on(reads.read(outbox::head)), Ok(3));
    let at_ms = |sequence| database.block_on(reads.read(move |tx| outbox::at_ms(tx, sequence)));
    let times = [None, Some(10), Some(20), Some(30), None];
    assert_eq!([0, 1, 2, 3, 4].map(at_ms), times.map(Ok));
}

fn a_rolled_back_transaction_leaves_no_event_and_no_gap_in_the_outbox(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    assert_eq!(database.block_on(reads.read(outbox::head)), Ok(0));
    store.transaction(|tx| outbox::append(tx, &[event("first", 0)])).expect("writes");
    let rolled_back = store.transaction(|tx| {
        outbox::append(tx, &[event("rolled back", 0)])?;
        Err::<(), _>(aborted())
    });
    assert!(rolled_back.is_err());
    store.transaction(|tx| outbox::append(tx, &[event("second", 0)])).expect("writes");

    let entries = database.block_on(reads.read(|tx| outbox::after(tx, 0, 9))).expect("reads");
    let entries: Vec<_> =
        entries.iter().map(|entry| (entry.sequence, entry.event.r#type.as_str())).collect();
    assert_eq!(entries, [(1, "first"), (2, "second")]);
}

fn each_source_has_its_own_consumer_offset(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let written = store.transaction(|tx| {
        consumer::set_offset(tx, one, 1.into(), 10)?;
        consumer::set_offset(tx, one, 7.into(), 70)?;
        consumer::set_offset(tx, other, 3.into(), 30)
    });
    written.expect("writes");
    let offset = |source| database.block_on(reads.read(move |tx| consumer::offset(tx, source)));
    let expected = (Ok(7.into()), Ok(3.into()), Ok(0.into()));
    assert_eq!((offset(one), offset(other), offset(Uuid::nil())), expected);
    let last = |source| database.block_on(reads.read(move |tx| consumer::last_event(tx, source)));
    assert_eq!((last(one), last(Uuid::nil())), (Ok(Some((7.into(), 70))), Ok(None)));
    let offsets = |limit| database.block_on(reads.read(move |tx| consumer::offsets(tx, limit)));
    assert_eq!(offsets(9), Ok(vec![(one, 7), (other, 3)]));
    assert_eq!(offsets(1), Ok(vec![(one, 7)]));
}

fn a_dead_letter_is_stored_once_and_the_oldest_are_read_first(new: fn() -> TestDatabase) {
    let database = new();
    let (mut store, reads) = open(&database);
    let letter = |sequence, dead_lettered_at_ms, reason: &str| DeadLetter {
        id: DeadLetterId { source: Uuid::from_u128(1), sequence },
        event: event("Noted", 7),
        reason: reason.to_owned(),
        dead_lettered_at_ms,
        dismissal: None,
    };
    let (young, old) = (letter(1, 20, "no text"), letter(2, 10, "no colour"));
    for event in [&young, &old, &letter(1, 30, "again")] {
        store.transaction(|tx| dead_letter::add(tx, event)).expect("writes");
    }
    let read = |limit| database.block_on(reads.read(move |tx| dead_letter::open(tx, limit)));
    assert_eq!(read(9), Ok(vec![old.clone(), young]));
    assert_eq!(read(1), Ok(vec![old.clone()]));
    assert_eq!(database.block_on(reads.read(dead_letter::count_open)), Ok(2));
    let find = |id| database.block_on(reads.read(move |tx| dead_letter::find(tx, id)));
    assert_eq!(find(old.id), Ok(Some(old.clone())));
    assert_eq!(find(DeadLetterId { sequence: 3, ..old.id }), Ok(None));
}

fn the_health_check_does_not_wait_for_reads(new: fn() -> TestDatabase) {
    let database = new();
    let (_store, reads) = open(&database);
    let (begun, begins) = mpsc::channel();
    database.block_on(async {
        let mut ends = Vec::new();
        let mut running = JoinSet::new();
        for _ in 0..READ_CONNECTIONS_MAX {
            let (end, may_end) = mpsc::channel::<()>();
            ends.push(end);
            let (reads, begun) = (reads.clone(), begun.clone());
            running.spawn(async move {
                let read = reads.read(move |_| {
                    begun.send(()).expect("the test receives");
                    let _ = may_end.recv();
                    Ok(())
                });
                read.await
            });
        }
        for _ in 0..READ_CONNECTIONS_MAX {
            begins.recv().expect("a read begins");
        }
        assert!(reads.is_available().await);
        drop(ends);
        assert!(running.join_all().await.iter().all(Result::is_ok));
    });
}

#[test]
fn an_invalid_database_url_is_rejected() {
    let parse = |text: &str| text.parse::<Database>();
    for unknown in ["", "sqlite:", "mysql://user", "store.sqlite"] {
        assert!(matches!(parse(unknown), Err(DatabaseUrlError::Scheme)), "{unknown}");
    }
    let port = parse("postgres://user@127.0.0.1:none/vaccines");
    assert!(matches!(port, Err(DatabaseUrlError::Postgres(_))), "{port:?}");
    let mode = parse("postgres://user@127.0.0.1/vaccines?sslmode=none");
    assert!(matches!(mode, Err(DatabaseUrlError::Postgres(_))), "{mode:?}");
    assert!(matches!(parse("sqlite:a/store.sqlite"), Ok(Database::Sqlite(_))));
    assert!(matches!(parse("postgresql://user@127.0.0.1/vaccines"), Ok(Database::Postgres(_))));
}
