//! What is peculiar to PostgreSQL: several processes, and connections that are lost.

use std::{
    sync::{Barrier, mpsc},
    thread,
    time::{Duration, Instant},
};

use storage::{migrate::Migration, sql::Tx, writer::StoreError};

use crate::{NOTES, add, notes, place::Place};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(10);

const CUT: &str = "
    SELECT pg_terminate_backend(pid)
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

const WAITING: &str = "
    SELECT count(*)
      FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[test]
fn a_store_whose_connections_are_cut_connects_again() {
    let place = Place::postgres();
    let (mut store, readers) = place.notes();
    let (mut other, _) = place.notes();
    store.transaction(add).expect("writes");
    assert_eq!(place.count(&readers), Ok(1));
    other.transaction(|tx| tx.all(CUT, &[], |_| Ok(()))).expect("cuts them");

    // At first it may not know yet that they are cut. Then nothing was kept.
    if let Err(cut) = store.transaction(add) {
        assert!(matches!(cut, StoreError::Unavailable(_)), "{cut:?}");
        store.transaction(add).expect("connects again");
    }
    let again = place.count(&readers).or_else(|_| place.count(&readers));
    assert_eq!(again, Ok(2));
}

#[test]
fn a_transaction_whose_connection_is_cut_leaves_nothing() {
    let place = Place::postgres();
    let (mut store, readers) = place.notes();
    let (mut other, _) = place.notes();
    let cut = store.transaction(|tx| {
        add(tx)?;
        // The other one must not wait for the row that this one holds.
        place.wait(readers.read(|tx| tx.all(CUT, &[], |_| Ok(())))).expect("cuts them");
        add(tx)
    });
    assert!(matches!(cut, Err(StoreError::Unavailable(_))), "{cut:?}");
    let kept = other.transaction(notes).or_else(|_| other.transaction(notes));
    assert_eq!(kept.expect("connects again"), 0);
    store.transaction(add).expect("connects again");
}

#[test]
fn two_processes_write_one_after_the_other() {
    let place = Place::postgres();
    let (mut one, readers) = place.notes();
    let (mut other, _) = place.notes();
    let (entered, enters) = mpsc::channel();
    thread::scope(|scope| {
        let written = one.transaction(|tx| {
            notes(tx)?; // From its first statement on it is alone.
            scope.spawn(move || {
                let written = other.transaction(|tx| {
                    entered.send(notes(tx)?).expect("the test waits");
                    add(tx)
                });
                written.expect("writes");
            });
            let begin = Instant::now();
            let waiting = || place.wait(readers.read(|tx| tx.find(WAITING, &[], |row| row.int(0))));
            while waiting() != Ok(Some(1)) {
                assert!(begin.elapsed() < PATIENCE, "nobody waits");
            }
            add(tx)?;
            assert!(enters.try_recv().is_err(), "the other one is writing too");
            Ok(())
        });
        written.expect("writes");
        assert_eq!(enters.recv(), Ok(1), "it sees what was committed before its turn");
    });
    assert_eq!(place.count(&readers), Ok(2));
}

#[test]
fn processes_that_start_at_once_make_one_store() {
    let place = Place::postgres();
    let start = Barrier::new(4);
    let open = || {
        start.wait();
        place.notes().0.store_id
    };
    let ids: Vec<_> = thread::scope(|scope| {
        let opening = [(); 4].map(|()| scope.spawn(open));
        opening.into_iter().map(|opening| opening.join().expect("opens")).collect()
    });
    assert_eq!(ids, [ids[0]; 4]);
}

#[test]
fn a_step_of_a_schema_gets_minutes_and_everything_after_it_seconds() {
    let step = Migration {
        name: "0002_long.sql",
        sqlite: "",
        postgres: "
            DO $$ BEGIN
                ASSERT current_setting('statement_timeout') = '10min';
            END $$",
    };
    let place = Place::postgres();
    let (mut store, _) = place.open("notes", &[NOTES, step]).expect("there is time");
    let limit = store.transaction(|tx| {
        let limit = "SELECT current_setting('statement_timeout')";
        tx.find(limit, &[], |row| row.text(0).map(ToOwned::to_owned))
    });
    assert_eq!(limit.expect("reads"), Some("5s".to_owned()));
}

#[test]
fn what_an_older_process_is_writing_is_not_lost_by_a_step_that_copies() {
    let place = Place::postgres();
    let (mut old, readers) = place.notes();
    let step = Migration {
        name: "0002_copied.sql",
        sqlite: "",
        postgres: "
            CREATE TABLE copied (text TEXT);
            INSERT INTO copied SELECT text FROM notes;
            DROP TABLE notes",
    };
    thread::scope(|scope| {
        let written = old.transaction(|tx| {
            add(tx)?;
            notes(tx)?; // It is written now, and not yet committed.
            let opening = scope.spawn(|| place.open("notes", &[NOTES, step]).expect("migrates").0);
            let begin = Instant::now();
            let waiting = || place.wait(readers.read(|tx| tx.find(WAITING, &[], |row| row.int(0))));
            while waiting() != Ok(Some(1)) {
                assert!(begin.elapsed() < PATIENCE, "nobody waits");
            }
            Ok(opening)
        });
        let mut new = written.expect("writes").join().expect("opens");
        let copied = |tx: &Tx<'_>| tx.find("SELECT count(*) FROM copied", &[], |row| row.int(0));
        assert_eq!(new.transaction(copied).expect("reads"), Some(1));
    });
}

#[test]
fn parts_in_one_database_have_nothing_in_common() {
    let place = Place::postgres();
    let (mut store, notes) = place.open("notes", &[NOTES]).expect("opens");
    let (other, diary) = place.open("diary", &[NOTES]).expect("opens");
    assert_ne!(store.store_id, other.store_id);
    store.transaction(add).expect("writes");
    assert_eq!((place.count(&notes), place.count(&diary)), (Ok(1), Ok(0)));
}

const KEYED: Migration = crate::both(
    "0002_keyed.sql",
    "CREATE TABLE keyed (id BIGINT NOT NULL PRIMARY KEY, state BIGINT NOT NULL)",
);

const PLAN: &str = "
    EXPLAIN UPDATE keyed
               SET state = 1
              FROM unnest(array_fill(7::bigint, ARRAY[100])) AS given (id)
             WHERE keyed.id = given.id";

/// Planned now, it is run when there are a million.
#[test]
fn a_statement_that_is_planned_while_its_table_is_empty_finds_rows_by_their_key() {
    let (mut store, _readers) = Place::postgres().open("notes", &[NOTES, KEYED]).expect("opens");
    let plan = |tx: &Tx<'_>| tx.all(PLAN, &[], |row| Ok(row.text(0)?.to_owned()));
    let plan = store.transaction(plan).expect("explains").join("\n");
    assert!(plan.contains("Index Scan using keyed_pkey"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let nobody = "postgres://town:secret@127.0.0.1:1/vaccines";
    let mut nowhere = Place::postgres();
    nowhere.database = nobody.parse().expect("an address");
    assert_eq!(nowhere.database.to_string(), "PostgreSQL at 127.0.0.1, database vaccines");
    let refused = nowhere.open("notes", &[NOTES]).expect_err("it opens");
    assert_eq!(refused.to_string(), "cannot open PostgreSQL at 127.0.0.1, database vaccines");
    let told = format!("{refused:?} {:?}", nowhere.database);
    assert!(!told.contains("secret"), "{told}");
}
