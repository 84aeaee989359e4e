//! However news of vaccinations arrives, doubled and in any order, it ends in the same bookings.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use booking::{
    domain::{self, Command},
    store::{Book, MIGRATIONS, Reads},
};
use contracts::{
    booking::{Booking, BookingStatus},
    event::{CloudEvent, EventType},
    ids::{BookingId, HolderId, ReservationId, UserId, VaccineId},
};
use eventing::Hears;
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use serde_json::{json, value::to_raw_value};
use storage::{
    database::{Database, open_blocking},
    store::{Input, Meaning, Stored},
    writer::Store,
};
use tempfile::TempDir;
use uuid::Uuid;

const DESK: HolderId = HolderId(Uuid::from_u128(2 << 100));

fn reservation(attempt: usize) -> Uuid {
    Uuid::from_u128(u128::try_from(attempt).unwrap() + 1)
}

fn completed(sequence: u64, attempt: usize) -> CloudEvent {
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{DESK}/{sequence}"),
        source: DESK,
        sequence,
        r#type: EventType::Completed,
        time: Timestamp::UNIX_EPOCH,
        data: to_raw_value(&json!({"reservationId": reservation(attempt)})).unwrap(),
    }
}

fn hear(store: &mut Stored<Book>, events: &[CloudEvent]) {
    let input = |event: &CloudEvent| Input::Heard {
        source: event.source.0,
        sequence: event.sequence,
        meaning: Meaning::Command(Book::command(event).unwrap().unwrap()),
    };
    let batch: Vec<_> = events.iter().map(input).collect();
    store.apply(&batch).unwrap();
}

/// Makes bookings, cancels some, hears what is told, and shows all.
fn bookings(cancelled: &[bool], hear: impl FnOnce(&mut Stored<Book>)) -> Vec<Booking> {
    let folder = TempDir::new().unwrap();
    let file = Database::Sqlite(folder.path().join("booking.sqlite"));
    let (writable, readers) = open_blocking(&file, "booking", MIGRATIONS).unwrap();
    let mut store = Stored::new(writable, Book);
    for (attempt, cancelled) in cancelled.iter().enumerate() {
        let book = domain::Book {
            reservation: ReservationId(reservation(attempt)),
            vaccine: VaccineId(1),
            vaccine_name: "FIZER".to_owned(),
            user: UserId(5),
            asked: None,
            at: Timestamp::UNIX_EPOCH,
        };
        store.apply(&[Input::Asked(Command::Book(book))]).unwrap();
        if *cancelled {
            let booking = BookingId(i64::try_from(attempt).unwrap() + 1);
            let cancel = Command::Cancel { booking, at: Timestamp::UNIX_EPOCH };
            store.apply(&[Input::Asked(cancel)]).unwrap();
        }
    }
    hear(&mut store);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Reads(readers).bookings(0, 1_000)).unwrap().0
}

/// Which bookings are cancelled, and the completions of some (one is of another store), shuffled.
fn days() -> impl Strategy<Value = (Vec<bool>, Vec<usize>, Vec<CloudEvent>)> {
    (vec(any::<bool>(), 1..8), vec(0..9_usize, 0..8)).prop_flat_map(|(cancelled, used)| {
        let told: Vec<_> = (1..).zip(&used).map(|(n, attempt)| completed(n, *attempt)).collect();
        let twice: Vec<_> = told.iter().chain(&told).cloned().collect();
        (Just(cancelled), Just(used), Just(twice).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn doubled_and_shuffled_completions_end_in_the_same_bookings(
        (cancelled, used, shuffled) in days(),
        batch in 1..9_usize,
    ) {
        let kept = bookings(&cancelled, |store| {
            // What comes after a gap has no effect and comes again; each round closes a gap.
            for _ in 0..=used.len() {
                shuffled.chunks(batch).for_each(|events| hear(store, events));
            }
        });
        let expected = cancelled.iter().enumerate().map(|(attempt, cancelled)| {
            match (used.contains(&attempt), cancelled) {
                (true, _) => BookingStatus::InjectionCompleted,
                (false, true) => BookingStatus::BookingCancelled,
                (false, false) => BookingStatus::Booked,
            }
        });
        let statuses: Vec<_> = kept.iter().map(|booking| booking.status).collect();
        prop_assert_eq!(statuses, expected.collect::<Vec<_>>());
    }
}
