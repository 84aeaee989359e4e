//! The store keeps what was decided, all of a batch or nothing, with the events in the same commit.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::time::{Duration, Instant};

use booking::{
    domain::{Book as NewBooking, Command, Done, Fingerprint, Outcome, Refusal},
    events,
    store::{Book, Ended, MIGRATIONS, Reads, page},
};
use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId, UserId, VaccineId},
};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::Value;
use storage::{
    database::{Database, Readers, open_in_memory},
    migrate::Migration,
    outbox::{self, Entry, Event},
    store::{Desk, Input, Output, Stored},
    writer::{Failed, Store, StoreError},
};
use uuid::Uuid;

#[path = "../../storage/tests/place/place.rs"]
mod place;
#[path = "../../storage/tests/place/steps.rs"]
mod steps;
#[path = "store/tickets.rs"]
mod tickets;

use place::{Place, on_both};
use steps::steps;

fn at(second: u8) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap()
}

fn reservation(number: u8) -> ReservationId {
    ReservationId(Uuid::from_u128(number.into()))
}

fn book(attempt: u8, asked: Option<u8>) -> Command {
    Command::Book(NewBooking {
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

fn give_up(attempt: u8) -> Command {
    Command::GiveUp { reservation: reservation(attempt), at: at(250) }
}

fn complete(attempt: u8) -> Command {
    Command::Complete { reservation: reservation(attempt) }
}

/// Bookings that are kept somewhere, and a look at them.
struct Kept {
    place: Place,
    store: Stored<Book>,
    readers: Readers,
}

impl Kept {
    fn new(new: fn() -> Place) -> Self {
        Self::open(new(), &[])
    }

    /// With steps after those of booking.
    fn open(place: Place, further: &[Migration]) -> Self {
        let migrations = [MIGRATIONS, further].concat();
        let (writable, readers) = place.open("booking", &migrations).unwrap();
        Self { place, store: Stored::new(writable, Book), readers }
    }

    fn reopened_with(self, further: &[Migration]) -> Self {
        let Self { place, store, readers } = self;
        drop((store, readers));
        Self::open(place, further)
    }

    fn try_apply(&mut self, batch: &[Command]) -> Result<Vec<Outcome>, StoreError> {
        apply(&mut self.store, batch)
    }

    fn apply(&mut self, batch: &[Command]) -> Vec<Outcome> {
        self.try_apply(batch).unwrap()
    }

    fn reads(&self) -> Reads {
        Reads(self.readers.clone())
    }

    fn all(&self) -> (Vec<Booking>, u64) {
        self.place.wait(self.reads().bookings(0, 1_000)).unwrap()
    }

    fn attempt(&self, number: u8) -> Option<Ended> {
        self.place.wait(self.reads().attempt(reservation(number))).unwrap()
    }

    fn outbox(&self) -> Vec<Entry> {
        self.place.wait(self.readers.read(|tx| outbox::after(tx, 0, 1_000))).unwrap()
    }
}

fn apply(store: &mut Stored<Book>, batch: &[Command]) -> Result<Vec<Outcome>, StoreError> {
    let asked: Vec<_> = batch.iter().cloned().map(Input::Asked).collect();
    let outcome = |output| match output {
        Output::Answer(outcome) => outcome,
        Output::Heard { .. } => panic!("nobody said anything"),
    };
    Ok(store.apply(&asked)?.into_iter().map(outcome).collect())
}

on_both!(
    a_batch_is_the_same_as_one_by_one,
    only_what_is_new_or_asked_for_again_is_told,
    what_is_told_names_the_attempt_and_the_booking,
    a_batch_that_is_refused_leaves_nothing,
    one_poisoned_command_does_not_fail_its_neighbours,
    without_an_outbox_nothing_is_booked,
    everything_is_still_there_after_reopening,
    a_page_begins_after_the_bookings_before_it,
    a_booking_is_found_as_it_stands,
    an_attempt_is_found_with_what_became_of_it,
);

/// What the outbox must hold after these outcomes.
fn expected(commands: &[Command], outcomes: &[Outcome]) -> Vec<(u64, Event)> {
    let told = commands
        .iter()
        .zip(outcomes)
        .filter_map(|(command, outcome)| events::of(command, outcome).unwrap());
    (1..).zip(told).collect()
}

fn as_told(entry: Entry) -> (u64, Event) {
    let Entry { sequence, r#type, at_ms, data } = entry;
    (sequence, Event { r#type, at_ms, data })
}

/// Few attempts and bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8, proptest::option::of(0..2_u8)).prop_map(|(attempt, asked)| book(attempt, asked)),
        2 => (0..8_i64).prop_map(cancel),
        1 => (0..6_u8).prop_map(settle),
        1 => (0..6_u8).prop_map(give_up),
        1 => (0..6_u8).prop_map(complete),
        3 => (0..6_u8, 0..2_u8).prop_map(|(key, asked)| tickets::enqueue(key, asked)),
        3 => (0..6_u8, 0..2_u8, tickets::said()).prop_map(|(key, attempt, said)| {
            tickets::serve(key, attempt, said)
        }),
    ];
    vec(command, 0..16)
}

fn a_batch_is_the_same_as_one_by_one(new: fn() -> Place) {
    let many = if matches!(new().database, Database::Sqlite(_)) { 24 } else { 12 };
    let settings = ProptestConfig { cases: many, failure_persistence: None, ..Default::default() };
    let held = TestRunner::new(settings).run(&commands(), |commands| {
        let (mut batched, mut single) = (Kept::new(new), Kept::new(new));
        let mut in_memory = Stored::new(open_in_memory(MIGRATIONS).unwrap(), Book);
        let outcomes = batched.apply(&commands);
        let one_by_one: Vec<_> = commands.chunks(1).flat_map(|one| single.apply(one)).collect();
        prop_assert_eq!(&outcomes, &one_by_one);
        prop_assert_eq!(&apply(&mut in_memory, &commands).unwrap(), &outcomes);
        prop_assert_eq!(batched.all(), single.all());
        prop_assert_eq!(tickets::all(&batched), tickets::all(&single));
        for kept in [batched, single] {
            let told: Vec<_> = kept.outbox().into_iter().map(as_told).collect();
            prop_assert_eq!(&told, &expected(&commands, &outcomes));
        }
        Ok(())
    });
    held.unwrap_or_else(|failure| panic!("{failure}"));
}

fn only_what_is_new_or_asked_for_again_is_told(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    kept.apply(&[book(1, None), book(1, None), cancel(1), cancel(1), settle(1), settle(2)]);
    // Whoever injects tells of what is completed.
    kept.apply(&[book(2, None), book(3, None), complete(3), complete(9), cancel(2), settle(3)]);
    let told: Vec<_> = kept.outbox().into_iter().map(|entry| entry.r#type).collect();
    let expected = [
        "Booked",
        "BookingCancelled",
        "BookingCancelled",
        "ReservationAbandoned",
        "Booked",
        "Booked",
    ];
    assert_eq!(told, expected);
}

fn what_is_told_names_the_attempt_and_the_booking(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    kept.apply(&[book(1, None), cancel(1), settle(2)]);
    let told: Vec<(i64, Value)> = kept
        .outbox()
        .into_iter()
        .map(|entry| (entry.at_ms, serde_json::from_str(&entry.data).unwrap()))
        .collect();
    let of_booking = |status: &str| {
        serde_json::json!({
            "reservationId": reservation(1).to_string(),
            "bookingId": 1, "vaccineId": 1, "vcName": "FIZER 1", "userId": 5, "status": status,
        })
    };
    let abandoned = serde_json::json!({"reservationId": reservation(2).to_string()});
    let expected = [
        (1_000, of_booking("BOOKED")),
        (100_000, of_booking("BOOKING_CANCELLED")),
        (200_000, abandoned),
    ];
    assert_eq!(told, expected);
}

/// From now on, whatever mentions poison violates a constraint.
const POISON: Migration = Migration {
    name: "9998_poison.sql",
    sqlite: "
        CREATE TRIGGER poisoned BEFORE INSERT ON outbox WHEN NEW.data LIKE '%poison%'
        BEGIN
            SELECT RAISE(ABORT, 'poison');
        END",
    postgres: "ALTER TABLE outbox ADD CHECK (data NOT LIKE '%poison%')",
};

fn poisoned(attempt: u8) -> Command {
    match book(attempt, None) {
        Command::Book(book) => {
            Command::Book(NewBooking { vaccine_name: "poison".to_owned(), ..book })
        }
        other => other,
    }
}

fn a_batch_that_is_refused_leaves_nothing(new: fn() -> Place) {
    let mut kept = Kept::open(new(), &[POISON]);
    kept.apply(&[book(1, None)]);
    let (before, told_before) = (kept.all(), kept.outbox());

    let batch = [book(2, None), cancel(1), settle(3), poisoned(4)];
    assert!(matches!(kept.try_apply(&batch), Err(StoreError::Rejected(_))));
    assert_eq!((kept.all(), kept.outbox()), (before, told_before));
    for attempt in [2, 3, 4] {
        assert_eq!(kept.attempt(attempt), None);
    }

    // Not even the number is used up.
    let outcomes = kept.apply(&[book(3, None)]);
    assert!(
        matches!(&outcomes[..], [Ok(Done::Booked(record))] if record.booking.booking_id.0 == 2)
    );
}

fn one_poisoned_command_does_not_fail_its_neighbours(new: fn() -> Place) {
    let Kept { place, store, readers: _ } = Kept::open(new(), &[POISON]);
    let (desk, ended) = Desk::<Book>::start("booking", store);
    let batch = vec![book(1, None), poisoned(2), book(3, None)];
    let deadline = Instant::now() + Duration::from_secs(10);
    let outcomes = place.wait(async {
        let outcomes = desk.ask_all(batch, deadline).await.unwrap();
        desk.close().await;
        ended.await;
        outcomes
    });
    let ids: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(Ok(Done::Booked(record))) => Ok(record.booking.booking_id.0),
            Err(failed) => Err(failed),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [Ok(1), Err(Failed::Refused), Ok(2)]);
}

fn without_an_outbox_nothing_is_booked(new: fn() -> Place) {
    const fn rename(name: &'static str, text: &'static str) -> Migration {
        Migration { name, sqlite: text, postgres: text }
    }
    const AWAY: Migration = rename("9998_away.sql", "ALTER TABLE outbox RENAME TO away");
    const BACK: Migration = rename("9999_back.sql", "ALTER TABLE away RENAME TO outbox");

    let mut kept = Kept::open(new(), &[AWAY]);
    assert!(matches!(kept.try_apply(&[book(1, None)]), Err(StoreError::Unavailable(_))));
    assert_eq!(kept.all(), (vec![], 0));
    let mut kept = kept.reopened_with(&[AWAY, BACK]);
    kept.apply(&[book(1, None)]);
    assert_eq!(kept.outbox().len(), 1);
}

fn everything_is_still_there_after_reopening(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    let story = [book(1, Some(7)), book(2, None), cancel(2), settle(3), book(5, None), complete(5)];
    kept.apply(&story);
    let before = (kept.all(), kept.outbox(), kept.attempt(1));

    let mut kept = kept.reopened_with(&[]);
    assert_eq!((kept.all(), kept.outbox(), kept.attempt(1)), before);
    let again = [book(1, Some(7)), book(4, None), book(3, None), cancel(3)];
    let outcomes = kept.apply(&again);
    assert!(matches!(&outcomes[0], Ok(Done::BookedBefore(record)) if record.at == at(1)));
    assert!(matches!(&outcomes[1], Ok(Done::Booked(record)) if record.booking.booking_id.0 == 4));
    assert_eq!(outcomes[2..], [Err(Refusal::Abandoned), Err(Refusal::Completed)]);
}

fn a_page_begins_after_the_bookings_before_it(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    let attempts: Vec<_> = (1..=5).map(|attempt| book(attempt, None)).collect();
    kept.apply(&attempts);
    for (offset, limit, expected) in [
        (0, 2, vec![1, 2]),
        (2, 2, vec![3, 4]),
        (4, 2, vec![5]),
        (5, 2, vec![]),
        (u64::MAX, u32::MAX, vec![]),
    ] {
        let (page, total) = kept.place.wait(kept.reads().bookings(offset, limit)).unwrap();
        let ids: Vec<_> = page.iter().map(|booking| booking.booking_id.0).collect();
        assert_eq!((ids, total), (expected, 5), "{offset} {limit}");
    }
}

/// As many bookings.
fn list(many: u32) -> Place {
    let mut kept = Kept::new(Place::sqlite);
    let book = |attempt: u32| {
        let reservation = ReservationId(Uuid::from_u128(attempt.into()));
        let Command::Book(book) = book(0, None) else { panic!("it books") };
        Command::Book(NewBooking { reservation, ..book })
    };
    kept.apply(&(0..many).map(book).collect::<Vec<_>>());
    let Kept { place, store, readers } = kept;
    drop((store, readers));
    place
}

#[test]
fn a_page_costs_the_same_at_any_depth_of_a_list_of_any_length() {
    let (short, long) = (list(40), list(4_000));
    let limit = steps(&short, |tx| page(tx, 0, 20)) + 20;
    for offset in [0, 2_000, 3_980] {
        let cost = steps(&long, |tx| page(tx, offset, 20));
        assert!(cost <= limit, "from {offset}: {cost}, {limit}");
    }
}

fn a_booking_is_found_as_it_stands(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    kept.apply(&[book(1, None), cancel(1), book(2, None), book(3, None), complete(3)]);
    let found = |id| {
        let found = kept.place.wait(kept.reads().booking(BookingId(id))).unwrap();
        found.map(|booking| (booking.vc_name, booking.status))
    };
    assert_eq!(found(1), Some(("FIZER 1".to_owned(), BookingStatus::BookingCancelled)));
    assert_eq!(found(2), Some(("FIZER 2".to_owned(), BookingStatus::Booked)));
    assert_eq!(found(3), Some(("FIZER 3".to_owned(), BookingStatus::InjectionCompleted)));
    assert_eq!(found(4), None);
}

fn an_attempt_is_found_with_what_became_of_it(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    let outcomes = kept.apply(&[book(1, Some(7)), settle(2)]);
    let Ok(Done::Booked(record)) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(kept.attempt(1), Some(Ended::Booked(record.clone())));
    assert_eq!(kept.attempt(2), Some(Ended::Abandoned));
    assert_eq!(kept.attempt(3), None);
}
