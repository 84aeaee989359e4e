//! An outbox that many processes append to, and a reader that continues after the last sequence number
//! it saw.

use std::thread;

use platform_store::{Database, Event, OutboxEntry, outbox};
use testkit::TestDatabase;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

use crate::open;

const WRITERS: usize = 8;
const COMMITS: usize = 40;

/// One, two or three events per commit.
fn events_of(commit: usize) -> usize {
    commit % 3 + 1
}

fn write(database: &TestDatabase, writer: usize) {
    let (mut store, _) = open(database);
    for commit in 0..COMMITS {
        let event = |n| {
            let data = format!("{writer} {commit:02} {n}");
            Event::of(&writer.to_string(), 0, &data).expect("it is JSON")
        };
        let events: Vec<_> = (0..events_of(commit)).map(event).collect();
        store.transaction(|tx| outbox::append(tx, &events)).expect("writes");
    }
}

#[test]
fn a_reader_sees_every_event_of_eight_writers_once_and_in_order() {
    let database = TestDatabase::postgres();
    let (_store, reads) = open(&database);
    let events = WRITERS * (0..COMMITS).map(events_of).sum::<usize>();
    let mut seen: Vec<OutboxEntry> = Vec::new();
    thread::scope(|scope| {
        let database = &database;
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(database, writer))).collect();
        loop {
            let all_written = writers.iter().all(thread::ScopedJoinHandle::is_finished);
            let last = seen.last().map_or(0, |entry| entry.sequence);
            let next = database.block_on(reads.read(move |tx| outbox::after(tx, last, 7)));
            let next = next.expect("reads");
            if all_written && next.is_empty() {
                break;
            }
            seen.extend(next);
        }
    });

    assert_eq!(seen.len(), events);
    assert!(
        seen.iter().map(|entry| entry.sequence).zip(1..).all(|(seen, expected)| seen == expected)
    );
    for writer in 0..WRITERS {
        let own = seen.iter().filter(|entry| entry.event.r#type == writer.to_string());
        let own: Vec<_> = own.map(|entry| &*entry.event.data).collect();
        assert!(own.is_sorted() && own.len() == events / WRITERS, "writer {writer}: {own:?}");
    }
}

const OUTBOX_WITH_A_SEQUENCE: &str = "
    CREATE TABLE outbox (
        sequence BIGSERIAL PRIMARY KEY,
        data     TEXT NOT NULL
    )";

/// A client, and the task that drives its connection until it is dropped.
async fn connect(config: &Config) -> (Client, JoinSet<()>) {
    let (client, traffic) = config.connect(NoTls).await.expect("connects");
    let mut running = JoinSet::new();
    running.spawn(async move { traffic.await.expect("stays connected") });
    (client, running)
}

async fn after(reader: &Client, sequence: i64) -> Vec<i64> {
    let query = "SELECT sequence FROM outbox WHERE sequence > $1 ORDER BY sequence";
    let rows = reader.query(query, &[&sequence]).await.expect("reads");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The counterexample: sequence numbers of a PostgreSQL sequence, without the lock on the row of the
/// store. It is the lock that lets the reader above see everything.
#[test]
fn without_the_lock_a_reader_misses_an_event() {
    let database = TestDatabase::postgres();
    let Database::Postgres(config) = &database.database else { panic!("this is PostgreSQL") };
    database.block_on(async {
        let ((slow, _slow), (fast, _fast)) = (connect(config).await, connect(config).await);
        let (reader, _reader) = connect(config).await;
        reader.batch_execute(OUTBOX_WITH_A_SEQUENCE).await.expect("creates an outbox");
        let begin = "BEGIN; INSERT INTO outbox (data) VALUES ('takes number 1')";
        slow.batch_execute(begin).await.expect("writes");
        let commit = "BEGIN; INSERT INTO outbox (data) VALUES ('takes number 2'); COMMIT";
        fast.batch_execute(commit).await.expect("commits");

        let mut seen = after(&reader, 0).await;
        slow.batch_execute("COMMIT").await.expect("commits");
        let last = *seen.last().expect("the second event is visible");
        seen.extend(after(&reader, last).await);

        assert_eq!(after(&reader, 0).await, [1, 2], "both are committed");
        assert_eq!(seen, [2], "the first event is missed");
    });
}
