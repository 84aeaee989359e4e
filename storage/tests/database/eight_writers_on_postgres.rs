//! An outbox that many processes write into, and a reader that remembers the last number it saw.

use std::thread;

use storage::{
    database::Database,
    outbox::{self, Event},
};
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

use crate::place::Place;

const WRITERS: usize = 8;
const COMMITS: usize = 40;

/// A commit tells one, two or three events.
fn events_of(commit: usize) -> usize {
    commit % 3 + 1
}

fn write(place: &Place, writer: usize) {
    let (mut store, _) = place.notes();
    for commit in 0..COMMITS {
        let event = |n| Event {
            r#type: format!("{writer}"),
            at_ms: 0,
            data: format!("{writer} {commit:02} {n}"),
        };
        let events: Vec<_> = (0..events_of(commit)).map(event).collect();
        store.transaction(|tx| outbox::append(tx, &events)).expect("writes");
    }
}

#[test]
fn whoever_remembers_the_last_number_sees_every_event_of_eight_writers_once_and_in_order() {
    let place = Place::postgres();
    let (_store, readers) = place.notes();
    let many = WRITERS * (0..COMMITS).map(events_of).sum::<usize>();
    let mut seen: Vec<outbox::Entry> = Vec::new();
    thread::scope(|scope| {
        let place = &place;
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(place, writer))).collect();
        loop {
            let all_written = writers.iter().all(thread::ScopedJoinHandle::is_finished);
            let last = seen.last().map_or(0, |entry| entry.sequence);
            let next = place.wait(readers.read(move |tx| outbox::after(tx, last, 7)));
            let next = next.expect("reads");
            if all_written && next.is_empty() {
                break;
            }
            seen.extend(next);
        }
    });

    assert_eq!(seen.len(), many);
    assert!(seen.iter().map(|entry| entry.sequence).zip(1..).all(|(seen, at)| seen == at));
    for writer in 0..WRITERS {
        let own = seen.iter().filter(|entry| entry.r#type == writer.to_string());
        let own: Vec<_> = own.map(|entry| entry.data.as_str()).collect();
        assert!(own.is_sorted() && own.len() == many / WRITERS, "writer {writer}: {own:?}");
    }
}

const NUMBERED_BY_A_SEQUENCE: &str = "
    CREATE TABLE outbox (
        sequence BIGSERIAL PRIMARY KEY,
        data     TEXT NOT NULL
    )";

/// Somebody connected, as long as the other one lives.
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

/// The mutant: numbers from a sequence of PostgreSQL, and nobody holds the row of the store. It is
/// the lock that makes the reader above see everything.
#[test]
fn without_the_lock_whoever_remembers_the_last_number_misses_an_event_on_postgres() {
    let place = Place::postgres();
    let Database::Postgres(config) = &place.database else { panic!("this is PostgreSQL") };
    place.wait(async {
        let ((slow, _slow), (fast, _fast)) = (connect(config).await, connect(config).await);
        let (reader, _reader) = connect(config).await;
        reader.batch_execute(NUMBERED_BY_A_SEQUENCE).await.expect("makes an outbox");
        let slowly = "BEGIN; INSERT INTO outbox (data) VALUES ('takes number 1')";
        slow.batch_execute(slowly).await.expect("writes");
        let quickly = "BEGIN; INSERT INTO outbox (data) VALUES ('takes number 2'); COMMIT";
        fast.batch_execute(quickly).await.expect("commits");

        let mut seen = after(&reader, 0).await;
        slow.batch_execute("COMMIT").await.expect("commits");
        let last = *seen.last().expect("the second one is there");
        seen.extend(after(&reader, last).await);

        assert_eq!(after(&reader, 0).await, [1, 2], "both are kept");
        assert_eq!(seen, [2], "the first one is never told");
    });
}
