//! What applies to PostgreSQL only: several processes, and lost connections.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use platform_store::{Database, Migration, StoreError, Tx, database, postgres::Connection};
use testkit::TestDatabase;
use tokio_postgres::{Config, config::Host};

use crate::{NOTES, add, count, count_notes, open};

/// Far longer than any step takes.
const TIMEOUT: Duration = Duration::from_secs(10);

const DISCONNECT: &str = "
    SELECT pg_terminate_backend(pid)
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

const WAITING: &str = "
    SELECT count(*)
      FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A server between a store and PostgreSQL that closes the first connections at once, as one that is
/// starting. Its port, and how many connections were made.
fn closing_first(connections: usize, server: &Config) -> (u16, Arc<AtomicUsize>) {
    let Some(Host::Tcp(host)) = server.get_hosts().first() else { panic!("a host") };
    let server = (host.clone(), server.get_ports()[0]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("is bound").port();
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    thread::spawn(move || {
        for client in listener.incoming() {
            if count.fetch_add(1, Ordering::SeqCst) < connections {
                continue;
            }
            let (client, server) =
                (client.expect("accepts"), TcpStream::connect(&server).expect("connects"));
            forward(client.try_clone().expect("clones"), server.try_clone().expect("clones"));
            forward(server, client);
        }
    });
    (port, made)
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || drop(io::copy(&mut from, &mut to)));
}

#[test]
fn a_database_that_cannot_be_reached_is_waited_for() {
    let test = TestDatabase::postgres();
    let Database::Postgres(server) = &test.database else { panic!("PostgreSQL") };
    let (port, connections) = closing_first(3, server);
    let mut through = Config::new();
    through.host("127.0.0.1").port(port).dbname(server.get_dbname().expect("a database"));
    through.user(server.get_user().expect("a user"));
    if let Some(password) = server.get_password() {
        through.password(password);
    }
    let through = Database::Postgres(Box::new(through));
    test.block_on(database::open(&through, "notes", &[NOTES])).expect("opens");
    assert!(connections.load(Ordering::SeqCst) > 3);
}

#[test]
fn a_database_that_refuses_is_not_waited_for() {
    let test = TestDatabase::postgres();
    let Database::Postgres(server) = &test.database else { panic!("PostgreSQL") };
    let mut unknown = server.clone();
    unknown.dbname("nowhere");
    let start = Instant::now();
    let refused = test.block_on(database::open(&Database::Postgres(unknown), "notes", &[NOTES]));
    assert!(refused.is_err());
    assert!(start.elapsed() < database::OPEN_TIMEOUT / 2, "{:?}", start.elapsed());
}

#[test]
fn a_store_reconnects_after_its_connections_were_closed() {
    let database = TestDatabase::postgres();
    let (mut store, reads) = open(&database);
    let (mut other, _) = open(&database);
    store.transaction(add).expect("writes");
    assert_eq!(count(&database, &reads), Ok(1));
    other.transaction(|tx| tx.all(DISCONNECT, &[], |_| Ok(()))).expect("closes them");

    // The store may not have noticed that they are closed. Then nothing was committed.
    if let Err(lost) = store.transaction(add) {
        assert!(matches!(lost, StoreError::Unavailable(_)), "{lost:?}");
        store.transaction(add).expect("reconnects");
    }
    let again = count(&database, &reads).or_else(|_| count(&database, &reads));
    assert_eq!(again, Ok(2));
}

#[test]
fn a_transaction_whose_connection_is_closed_is_rolled_back() {
    let database = TestDatabase::postgres();
    let (mut store, reads) = open(&database);
    let (mut other, _) = open(&database);
    let lost = store.transaction(|tx| {
        add(tx)?;
        // On a read connection: `other` would wait for the lock of this transaction.
        database
            .block_on(reads.read(|tx| tx.all(DISCONNECT, &[], |_| Ok(()))))
            .expect("closes them");
        add(tx)
    });
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    let committed = other.transaction(count_notes).or_else(|_| other.transaction(count_notes));
    assert_eq!(committed.expect("reconnects"), 0);
    store.transaction(add).expect("reconnects");
}

#[test]
fn two_processes_write_one_after_the_other() {
    let database = TestDatabase::postgres();
    let (mut one, reads) = open(&database);
    let (mut other, _) = open(&database);
    let (entered, enters) = mpsc::channel();
    thread::scope(|scope| {
        let written = one.transaction(|tx| {
            count_notes(tx)?; // The first statement takes the lock.
            scope.spawn(move || {
                let written = other.transaction(|tx| {
                    entered.send(count_notes(tx)?).expect("the test receives");
                    add(tx)
                });
                written.expect("writes");
            });
            let begin = Instant::now();
            let waiting =
                || database.block_on(reads.read(|tx| tx.find(WAITING, &[], |row| row.int(0))));
            while waiting() != Ok(Some(1)) {
                assert!(begin.elapsed() < TIMEOUT, "no transaction waits for the lock");
            }
            add(tx)?;
            assert!(enters.try_recv().is_err(), "the other process writes at the same time");
            Ok(())
        });
        written.expect("writes");
        assert_eq!(enters.recv(), Ok(1), "it sees what was committed before it got the lock");
    });
    assert_eq!(count(&database, &reads), Ok(2));
}

#[test]
fn processes_that_start_at_the_same_time_create_one_store() {
    let database = TestDatabase::postgres();
    let start = Barrier::new(4);
    let open = || {
        start.wait();
        open(&database).0.store_id
    };
    let ids: Vec<_> = thread::scope(|scope| {
        let opening = [(); 4].map(|()| scope.spawn(open));
        opening.into_iter().map(|opening| opening.join().expect("opens")).collect()
    });
    assert_eq!(ids, [ids[0]; 4]);
}

#[test]
fn a_migration_may_take_minutes_and_every_later_statement_seconds() {
    let migration = Migration {
        name: "0002_long.sql",
        sqlite: "",
        postgres: "
            DO $$ BEGIN
                ASSERT current_setting('statement_timeout') = '10min';
            END $$",
    };
    let database = TestDatabase::postgres();
    let (mut store, _) = database.open("notes", &[NOTES, migration]).expect("migrates");
    let timeout = store.transaction(|tx| {
        let timeout = "SELECT current_setting('statement_timeout')";
        tx.find(timeout, &[], |row| row.text(0).map(ToOwned::to_owned))
    });
    assert_eq!(timeout.expect("reads"), Some("5s".to_owned()));
}

#[test]
fn a_migration_that_copies_a_table_waits_for_an_older_process_that_writes_to_it() {
    let database = TestDatabase::postgres();
    let (mut old, reads) = open(&database);
    let migration = Migration {
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
            count_notes(tx)?; // Now the row is written, but not committed.
            let opening =
                scope.spawn(|| database.open("notes", &[NOTES, migration]).expect("migrates").0);
            let begin = Instant::now();
            let waiting =
                || database.block_on(reads.read(|tx| tx.find(WAITING, &[], |row| row.int(0))));
            while waiting() != Ok(Some(1)) {
                assert!(begin.elapsed() < TIMEOUT, "no transaction waits for the lock");
            }
            Ok(opening)
        });
        let mut new = written.expect("writes").join().expect("opens");
        let copied = |tx: &Tx<'_>| tx.find("SELECT count(*) FROM copied", &[], |row| row.int(0));
        assert_eq!(new.transaction(copied).expect("reads"), Some(1));
    });
}

#[test]
fn services_in_one_database_share_nothing() {
    let database = TestDatabase::postgres();
    let (mut store, notes) = database.open("notes", &[NOTES]).expect("opens");
    let (other, diary) = database.open("diary", &[NOTES]).expect("opens");
    assert_ne!(store.store_id, other.store_id);
    store.transaction(add).expect("writes");
    assert_eq!((count(&database, &notes), count(&database, &diary)), (Ok(1), Ok(0)));
}

#[test]
fn a_store_whose_database_was_dropped_is_unavailable() {
    let database = TestDatabase::postgres();
    let Database::Postgres(config) = &database.database else { panic!("this is PostgreSQL") };
    let (_store, reads) = open(&database);
    assert!(database.block_on(reads.is_available()));
    let name = config.get_dbname().expect("a database of its own");
    let mut server = config.clone();
    server.dbname("postgres");
    let server = Connection::open(&server, "public").expect("connects");
    server.run_script(&format!("DROP DATABASE {name} WITH (FORCE)")).expect("drops it");
    assert!(!database.block_on(reads.is_available()));
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

/// Its plan is still used when the table has a million rows.
#[test]
fn a_statement_that_is_planned_while_its_table_is_empty_uses_the_primary_key() {
    let (mut store, _reads) =
        TestDatabase::postgres().open("notes", &[NOTES, KEYED]).expect("opens");
    let plan = |tx: &Tx<'_>| tx.all(PLAN, &[], |row| Ok(row.text(0)?.to_owned()));
    let plan = store.transaction(plan).expect("explains").join("\n");
    assert!(plan.contains("Index Scan using keyed_pkey"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
}

#[test]
fn an_unreachable_server_is_named_without_its_password() {
    let url = "postgres://user:secret@127.0.0.1:1/vaccines";
    let mut unreachable = TestDatabase::postgres();
    unreachable.database = url.parse().expect("a URL");
    let shown = "PostgreSQL at 127.0.0.1, database vaccines, sslmode=prefer";
    assert_eq!(unreachable.database.to_string(), shown);
    let error = unreachable.open("notes", &[NOTES]).expect_err("it opens");
    assert_eq!(error.to_string(), format!("cannot open {shown}"));
    let debug = format!("{error:?} {:?}", unreachable.database);
    assert!(!debug.contains("secret"), "{debug}");
}
