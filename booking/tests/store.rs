//! The store keeps what was decided, all of a batch or nothing, with the events in the same commit.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::time::{Duration, Instant};

use booking::{
    domain::{Book, Command, Done, Fingerprint, Outcome},
    events,
    store::{
        Reads, Sqlite,
        sqlite::{Ended, MIGRATIONS, event_type},
    },
};
use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId, UserId, VaccineId},
};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use rusqlite::Connection;
use storage::{
    outbox::Entry,
    sqlite::open_in_memory,
    writer::{Failed, Store, StoreError, Writer},
};
use tempfile::TempDir;
use uuid::Uuid;

fn at(second: u8) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap()
}

fn reservation(number: u8) -> ReservationId {
    ReservationId(Uuid::from_u128(number.into()))
}

fn book(attempt: u8, asked: Option<u8>) -> Command {
    Command::Book(Book {
        reservation: reservation(attempt),
        vaccine: VaccineId(1),
        vaccine_name: format!("FIZER {attempt}"),
        user: UserId(5),
        asked: asked.map(|asked| Fingerprint([asked; 16])),
        at: at(attempt),
    })
}

fn cancel(booking: i64) -> Command {
    Command::Cancel { booking: BookingId(booking), at: at(100) }
}

fn settle(attempt: u8) -> Command {
    Command::Settle { reservation: reservation(attempt), at: at(200) }
}

/// Bookings in a file of their own, and a look at it.
struct InFile {
    store: Sqlite,
    reads: Reads,
    folder: TempDir,
}

impl InFile {
    fn open(folder: TempDir) -> Self {
        let path = folder.path().join("booking.sqlite");
        let (writable, readers) = storage::sqlite::open(&path, MIGRATIONS).unwrap();
        Self { store: Sqlite::new(writable), reads: Reads::new(readers), folder }
    }

    fn new() -> Self {
        Self::open(TempDir::new().unwrap())
    }

    fn reopen(self) -> Self {
        drop((self.store, self.reads));
        Self::open(self.folder)
    }

    /// Somebody else at the same file.
    fn intruder(&self) -> Connection {
        Connection::open(self.folder.path().join("booking.sqlite")).unwrap()
    }

    async fn all(&self) -> (Vec<Booking>, u64) {
        self.reads.bookings(0, 1_000).await.unwrap()
    }

    async fn outbox(&self) -> Vec<Entry> {
        self.reads.told_after(0, 1_000).await.unwrap()
    }
}

fn in_memory() -> Sqlite {
    Sqlite::new(open_in_memory(MIGRATIONS).unwrap())
}

/// What the outbox must hold after these outcomes.
fn expected(commands: &[Command], outcomes: &[Outcome]) -> Vec<(u64, events::Event, i64)> {
    let at = |command: &Command| match command {
        Command::Book(book) => book.at.as_millisecond(),
        Command::Cancel { at, .. } | Command::Settle { at, .. } | Command::GiveUp { at, .. } => {
            at.as_millisecond()
        }
    };
    let told = commands.iter().zip(outcomes).filter_map(|(command, outcome)| {
        events::of(outcome).unwrap().map(|event| (event, at(command)))
    });
    told.zip(1..).map(|((event, at), sequence)| (sequence, event, at)).collect()
}

fn as_told(entry: Entry) -> (u64, events::Event, i64) {
    let r#type = event_type(&entry.r#type).unwrap();
    (entry.sequence, events::Event { r#type, data: entry.data }, entry.at_ms)
}

/// Few attempts and bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8, proptest::option::of(0..2_u8)).prop_map(|(attempt, asked)| book(attempt, asked)),
        2 => (0..8_i64).prop_map(cancel),
        1 => (0..6_u8).prop_map(settle),
    ];
    vec(command, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_is_the_same_as_one_by_one(commands in commands()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut batched, mut single) = (InFile::new(), InFile::new());
        let outcomes = batched.store.apply(&commands).unwrap();
        let one_by_one: Vec<_> = commands
            .iter()
            .flat_map(|command| single.store.apply(std::slice::from_ref(command)).unwrap())
            .collect();
        prop_assert_eq!(&outcomes, &one_by_one);
        prop_assert_eq!(&in_memory().apply(&commands).unwrap(), &outcomes);
        runtime.block_on(async {
            prop_assert_eq!(batched.all().await, single.all().await);
            let told: Vec<_> = batched.outbox().await.into_iter().map(as_told).collect();
            prop_assert_eq!(&told, &expected(&commands, &outcomes));
            let told: Vec<_> = single.outbox().await.into_iter().map(as_told).collect();
            prop_assert_eq!(&told, &expected(&commands, &outcomes));
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn only_what_is_new_or_asked_for_again_is_told() {
    let mut file = InFile::new();
    let story =
        [book(1, None), book(1, None), cancel(1), cancel(1), settle(1), settle(2), book(2, None)];
    file.store.apply(&story).unwrap();
    let told: Vec<_> = file.outbox().await.into_iter().map(|entry| entry.r#type).collect();
    let expected = ["Booked", "BookingCancelled", "BookingCancelled", "ReservationAbandoned"];
    assert_eq!(told, expected);
}

/// From now on, whatever mentions poison violates a constraint.
fn poison(file: &InFile) {
    let trigger = "
        CREATE TRIGGER poisoned BEFORE INSERT ON outbox WHEN NEW.data LIKE '%poison%'
        BEGIN
            SELECT RAISE(ABORT, 'poison');
        END";
    file.intruder().execute_batch(trigger).unwrap();
}

fn poisoned(attempt: u8) -> Command {
    match book(attempt, None) {
        Command::Book(book) => Command::Book(Book { vaccine_name: "poison".to_owned(), ..book }),
        other => other,
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_leaves_nothing() {
    let mut file = InFile::new();
    file.store.apply(&[book(1, None)]).unwrap();
    poison(&file);
    let (before, told_before) = (file.all().await, file.outbox().await);

    let batch = [book(2, None), cancel(1), settle(3), poisoned(4)];
    assert!(matches!(file.store.apply(&batch), Err(StoreError::Rejected(_))));
    assert_eq!((file.all().await, file.outbox().await), (before, told_before));
    for attempt in [2, 3, 4] {
        assert_eq!(file.reads.attempt(reservation(attempt)).await, Ok(None));
    }

    // Not even the number is used up.
    let outcomes = file.store.apply(&[book(3, None)]).unwrap();
    assert!(
        matches!(&outcomes[..], [Ok(Done::Booked(record))] if record.booking.booking_id.0 == 2)
    );
}

#[tokio::test]
async fn one_poisoned_command_does_not_fail_its_neighbours() {
    let file = InFile::new();
    poison(&file);
    let (writer, ended) = Writer::start("booking", file.store);
    let batch = vec![book(1, None), poisoned(2), book(3, None)];
    let deadline = Instant::now() + Duration::from_secs(10);
    let outcomes = writer.submit(batch, deadline).await.unwrap();
    writer.close().await;
    ended.await;
    let ids: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(Ok(Done::Booked(record))) => Ok(record.booking.booking_id.0),
            Err(Failed) => Err(Failed),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [Ok(1), Err(Failed), Ok(2)]);
}

#[tokio::test]
async fn without_an_outbox_nothing_is_booked() {
    let mut file = InFile::new();
    file.intruder().execute_batch("ALTER TABLE outbox RENAME TO away").unwrap();
    assert!(matches!(file.store.apply(&[book(1, None)]), Err(StoreError::Unavailable(_))));
    assert_eq!(file.all().await, (vec![], 0));
    file.intruder().execute_batch("ALTER TABLE away RENAME TO outbox").unwrap();
    assert!(file.store.apply(&[book(1, None)]).is_ok());
    assert_eq!(file.outbox().await.len(), 1);
}

#[tokio::test]
async fn everything_is_still_there_after_reopening() {
    let mut file = InFile::new();
    let story = [book(1, Some(7)), book(2, None), cancel(2), settle(3)];
    file.store.apply(&story).unwrap();
    let before = (file.all().await, file.outbox().await, file.reads.attempt(reservation(1)).await);

    let mut file = file.reopen();
    let after = (file.all().await, file.outbox().await, file.reads.attempt(reservation(1)).await);
    assert_eq!(before, after);
    let outcomes = file.store.apply(&[book(1, Some(7)), book(4, None), book(3, None)]).unwrap();
    assert!(matches!(&outcomes[0], Ok(Done::BookedBefore(record)) if record.at == at(1)));
    assert!(matches!(&outcomes[1], Ok(Done::Booked(record)) if record.booking.booking_id.0 == 3));
    assert!(outcomes[2].is_err());
}

#[tokio::test]
async fn a_page_begins_after_the_bookings_before_it() {
    let mut file = InFile::new();
    let attempts: Vec<_> = (1..=5).map(|attempt| book(attempt, None)).collect();
    file.store.apply(&attempts).unwrap();
    for (offset, limit, expected) in [
        (0, 2, vec![1, 2]),
        (2, 2, vec![3, 4]),
        (4, 2, vec![5]),
        (5, 2, vec![]),
        (u64::MAX, u32::MAX, vec![]),
    ] {
        let (page, total) = file.reads.bookings(offset, limit).await.unwrap();
        let ids: Vec<_> = page.iter().map(|booking| booking.booking_id.0).collect();
        assert_eq!((ids, total), (expected, 5), "{offset} {limit}");
    }
}

#[tokio::test]
async fn a_booking_is_found_as_it_stands() {
    let mut file = InFile::new();
    file.store.apply(&[book(1, None), cancel(1)]).unwrap();
    let found = file.reads.booking(BookingId(1)).await.unwrap().unwrap();
    assert_eq!(
        (found.vc_name.as_str(), found.status),
        ("FIZER 1", BookingStatus::BookingCancelled)
    );
    assert_eq!(file.reads.booking(BookingId(2)).await, Ok(None));
}

#[tokio::test]
async fn an_attempt_is_found_with_what_became_of_it() {
    let mut file = InFile::new();
    let outcomes = file.store.apply(&[book(1, Some(7)), settle(2)]).unwrap();
    let Ok(Done::Booked(record)) = &outcomes[0] else { panic!("{outcomes:?}") };
    let became = |attempt| file.reads.attempt(reservation(attempt));
    assert_eq!(became(1).await, Ok(Some(Ended::Booked(record.clone()))));
    assert_eq!(became(2).await, Ok(Some(Ended::Abandoned)));
    assert_eq!(became(3).await, Ok(None));
}

#[tokio::test]
async fn the_outbox_is_read_on_from_a_place() {
    let mut file = InFile::new();
    file.store.apply(&[settle(1), settle(2), settle(3)]).unwrap();
    for (after, limit, expected) in [(0, 2, vec![1, 2]), (2, 2, vec![3]), (3, 2, vec![])] {
        let entries = file.reads.told_after(after, limit).await.unwrap();
        let sequences: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
        assert_eq!(sequences, expected);
    }
}
