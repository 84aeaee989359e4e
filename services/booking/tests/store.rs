//! The store keeps what was decided, all of a batch or nothing, with the events in the same commit.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "store/consumed.rs"]
mod consumed;
#[path = "store/tickets.rs"]
mod tickets;

use std::time::{Duration, Instant};

use booking::{
    domain::{
        AbortAttempt, AttemptEnd, BookingAttempt, Bookings, CancelBooking, CancelReply, Command,
        CompleteBooking, CreateBooking, CreateReply, Fingerprint, Reply, ResolveAttempt,
    },
    events,
    store::{MIGRATIONS, Queries, bookings},
};
use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId, UserId, VaccineId},
};
use jiff::Timestamp;
use platform_store::{
    Aggregate, AggregateStore, CommandError, Commands, Database, Event, Migration, Notifier,
    OutboxEntry, PageRange, PageStart, ReadPool, StoreError, database::open_in_memory, outbox,
};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::Value;
use testkit::{
    TestDatabase, on_both_databases,
    steps::steps,
    store::{prune, submit, try_submit},
};
use uuid::Uuid;

fn at(second: u8) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap()
}

fn reservation(number: u8) -> ReservationId {
    ReservationId(Uuid::from_u128(number.into()))
}

fn create_booking(attempt: u8, request: Option<u8>) -> CreateBooking {
    CreateBooking {
        attempt: BookingAttempt {
            reservation: reservation(attempt),
            vaccine: VaccineId(1),
            user: UserId(5),
            fingerprint: request.map(|request| Fingerprint([request; 16])),
        },
        vaccine_name: format!("FIZER {attempt}"),
        at: at(attempt),
    }
}

fn create(attempt: u8, request: Option<u8>) -> Command {
    create_booking(attempt, request).into()
}

fn cancel(booking: i64) -> Command {
    CancelBooking { booking: BookingId(booking), at: at(100) }.into()
}

fn resolve(attempt: u8) -> Command {
    ResolveAttempt { reservation: reservation(attempt), at: at(200) }.into()
}

fn abort(attempt: u8) -> Command {
    AbortAttempt { reservation: reservation(attempt), at: at(250) }.into()
}

fn complete(attempt: u8) -> Command {
    Command::Complete(CompleteBooking { reservation: reservation(attempt), at: at(251) })
}

/// A store of bookings, and its queries.
struct BookingStore {
    database: TestDatabase,
    store: AggregateStore<Bookings>,
    reads: ReadPool,
}

impl BookingStore {
    fn new(new: fn() -> TestDatabase) -> Self {
        Self::open(new(), &[])
    }

    /// With migrations after those of booking.
    fn open(database: TestDatabase, further: &[Migration]) -> Self {
        let migrations = [MIGRATIONS, further].concat();
        let (connection, reads) = database.open("booking", &migrations).unwrap();
        let store = AggregateStore::new(connection, Notifier::default());
        Self { database, store, reads }
    }

    fn close(self) -> TestDatabase {
        self.database
    }

    fn reopened_with(self, further: &[Migration]) -> Self {
        Self::open(self.close(), further)
    }

    fn try_apply(&mut self, batch: &[Command]) -> Result<Vec<Reply>, StoreError> {
        try_submit(&mut self.store, batch)
    }

    fn apply(&mut self, batch: &[Command]) -> Vec<Reply> {
        self.try_apply(batch).unwrap()
    }

    fn queries(&self) -> Queries {
        Queries(self.reads.clone())
    }

    fn page(&self, start: PageStart, size: u32) -> (Vec<Booking>, u64) {
        let range = PageRange { start, size };
        let list = self.database.block_on(self.queries().bookings(range)).unwrap();
        (list.rows.items.into_iter().map(|(_, booking)| booking).collect(), list.total.unwrap())
    }

    fn all(&self) -> (Vec<Booking>, u64) {
        self.page(PageStart::Offset(0), 1_000)
    }

    fn end_of(&self, attempt: u8) -> Option<AttemptEnd<booking::domain::Record>> {
        self.database.block_on(self.queries().attempt(reservation(attempt))).unwrap()
    }

    fn outbox(&self) -> Vec<OutboxEntry> {
        self.database.block_on(self.reads.read(|tx| outbox::after(tx, 0, 1_000))).unwrap()
    }

    fn event_types(&self) -> Vec<String> {
        self.outbox().into_iter().map(|entry| entry.event.r#type).collect()
    }
}

on_both_databases!(
    a_snapshot_shows_which_bookings_were_made_and_cancelled,
    old_attempts_without_a_booking_are_deleted,
    an_aborted_attempt_of_a_key_is_kept,
    a_batch_is_the_same_as_one_by_one,
    only_new_or_repeatedly_resolved_ends_are_published,
    an_event_names_the_attempt_and_the_booking,
    a_batch_that_is_rejected_leaves_nothing,
    one_rejected_command_does_not_fail_its_neighbours,
    without_an_outbox_nothing_is_booked,
    everything_is_still_there_after_reopening,
    a_page_begins_at_its_offset_or_key,
    a_booking_is_found_as_it_is,
    an_attempt_is_found_with_its_end,
);

/// The outbox after these replies.
fn expected(commands: &[Command], replies: &[Reply]) -> Vec<(u64, Event)> {
    let events = commands.iter().zip(replies);
    let events = events.filter_map(|(command, reply)| events::event(command, reply).unwrap());
    (1..).zip(events).collect()
}

/// Few attempts and bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8, proptest::option::of(0..2_u8)).prop_map(|(attempt, request)| {
            create(attempt, request)
        }),
        2 => (0..8_i64).prop_map(cancel),
        1 => (0..6_u8).prop_map(resolve),
        1 => (0..6_u8).prop_map(abort),
        1 => (0..6_u8).prop_map(complete),
        3 => (0..6_u8, 0..2_u8).prop_map(|(key, request)| tickets::enqueue(key, request)),
        3 => (0..6_u8, 0..2_u8, tickets::outcome()).prop_map(|(key, attempt, outcome)| {
            tickets::serve(key, attempt, outcome)
        }),
    ];
    vec(command, 0..16)
}

fn a_batch_is_the_same_as_one_by_one(new: fn() -> TestDatabase) {
    let cases = if matches!(new().database, Database::Sqlite(_)) { 24 } else { 12 };
    let settings = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let result = TestRunner::new(settings).run(&commands(), |commands| {
        let (mut batched, mut single) = (BookingStore::new(new), BookingStore::new(new));
        let connection = open_in_memory(MIGRATIONS).unwrap();
        let mut in_memory = AggregateStore::<Bookings>::new(connection, Notifier::default());
        let replies = batched.apply(&commands);
        let one_by_one: Vec<_> = commands.chunks(1).flat_map(|one| single.apply(one)).collect();
        prop_assert_eq!(&replies, &one_by_one);
        prop_assert_eq!(&submit(&mut in_memory, &commands), &replies);
        prop_assert_eq!(batched.all(), single.all());
        prop_assert_eq!(tickets::all(&batched), tickets::all(&single));
        for store in [batched, single] {
            let outbox = store.outbox().into_iter().map(|entry| (entry.sequence, entry.event));
            prop_assert_eq!(&outbox.collect::<Vec<_>>(), &expected(&commands, &replies));
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

fn only_new_or_repeatedly_resolved_ends_are_published(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let first = [create(1, None), create(1, None), cancel(1), cancel(1), resolve(1), resolve(2)];
    store.apply(&first);
    // `injection` publishes what is completed.
    let second =
        [create(2, None), create(3, None), complete(3), complete(9), cancel(2), resolve(3)];
    store.apply(&second);
    let expected = [
        "Booked",
        "BookingCancelled",
        "BookingCancelled",
        "ReservationAborted",
        "Booked",
        "Booked",
    ];
    assert_eq!(store.event_types(), expected);
}

fn an_event_names_the_attempt_and_the_booking(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None), cancel(1), resolve(2)]);
    let events: Vec<(i64, Value)> = store
        .outbox()
        .into_iter()
        .map(|entry| (entry.event.at_ms, serde_json::from_str(&entry.event.data).unwrap()))
        .collect();
    let of_booking = |status: &str| {
        serde_json::json!({
            "reservationId": reservation(1).to_string(),
            "bookingId": 1, "vaccineId": 1, "vcName": "FIZER 1", "userId": 5, "status": status,
        })
    };
    let aborted = serde_json::json!({"reservationId": reservation(2).to_string()});
    let expected = [
        (1_000, of_booking("BOOKED")),
        (100_000, of_booking("BOOKING_CANCELLED")),
        (200_000, aborted),
    ];
    assert_eq!(events, expected);
}

/// From this migration on, an event that mentions poison violates a constraint.
const POISON: Migration = Migration {
    name: "9998_poison.sql",
    sqlite: "
        CREATE TRIGGER poisoned BEFORE INSERT ON outbox WHEN NEW.data LIKE '%poison%'
        BEGIN
            SELECT RAISE(ABORT, 'poison');
        END",
    postgres: "ALTER TABLE outbox ADD CHECK (data NOT LIKE '%poison%')",
};

fn poisoned(attempt: u8) -> CreateBooking {
    CreateBooking { vaccine_name: "poison".to_owned(), ..create_booking(attempt, None) }
}

fn a_batch_that_is_rejected_leaves_nothing(new: fn() -> TestDatabase) {
    let mut store = BookingStore::open(new(), &[POISON]);
    store.apply(&[create(1, None)]);
    let (before, outbox_before) = (store.all(), store.outbox());

    let batch = [create(2, None), cancel(1), resolve(3), poisoned(4).into()];
    assert!(matches!(store.try_apply(&batch), Err(StoreError::Rejected(_))));
    assert_eq!((store.all(), store.outbox()), (before, outbox_before));
    for attempt in [2, 3, 4] {
        assert_eq!(store.end_of(attempt), None);
    }

    let replies = store.apply(&[create(3, None)]);
    assert_eq!(booked(&replies[0]), Some(2), "not even the number is used up");
}

/// The number of a new booking.
fn booked(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::Create(CreateReply::Booked(record)) => Some(record.booking.booking_id.0),
        _ => None,
    }
}

fn one_rejected_command_does_not_fail_its_neighbours(new: fn() -> TestDatabase) {
    let BookingStore { database, store, reads: _ } = BookingStore::open(new(), &[POISON]);
    let (commands, ended) = Commands::<Bookings>::start("booking", store);
    let batch = vec![create_booking(1, None), poisoned(2), create_booking(3, None)];
    let deadline = Instant::now() + Duration::from_secs(10);
    let replies = database.block_on(async {
        let replies = commands.submit_all(batch, deadline).await.unwrap();
        commands.close();
        ended.await;
        replies
    });
    let ids: Vec<_> =
        replies.into_iter().map(|reply| reply.map(|reply| booked(&Reply::Create(reply)))).collect();
    assert_eq!(ids, [Ok(Some(1)), Err(CommandError::Rejected), Ok(Some(2))]);
}

fn without_an_outbox_nothing_is_booked(new: fn() -> TestDatabase) {
    const fn rename(name: &'static str, text: &'static str) -> Migration {
        Migration { name, sqlite: text, postgres: text }
    }
    const AWAY: Migration = rename("9998_away.sql", "ALTER TABLE outbox RENAME TO away");
    const BACK: Migration = rename("9999_back.sql", "ALTER TABLE away RENAME TO outbox");

    let mut store = BookingStore::open(new(), &[AWAY]);
    assert!(matches!(store.try_apply(&[create(1, None)]), Err(StoreError::Unavailable(_))));
    assert_eq!(store.all(), (vec![], 0));
    let mut store = store.reopened_with(&[AWAY, BACK]);
    store.apply(&[create(1, None)]);
    assert_eq!(store.outbox().len(), 1);
}

fn everything_is_still_there_after_reopening(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let commands =
        [create(1, Some(7)), create(2, None), cancel(2), resolve(3), create(5, None), complete(5)];
    store.apply(&commands);
    let before = (store.all(), store.outbox(), store.end_of(1));

    let mut store = store.reopened_with(&[]);
    assert_eq!((store.all(), store.outbox(), store.end_of(1)), before);
    let again = [create(1, Some(7)), create(4, None), create(3, None), cancel(3)];
    let replies = store.apply(&again);
    assert!(matches!(
        &replies[0],
        Reply::Create(CreateReply::BookedBefore(record)) if record.booked_at == at(1)
    ));
    assert_eq!(booked(&replies[1]), Some(4));
    let refused = [Reply::Create(CreateReply::Aborted), Reply::Cancel(CancelReply::Completed)];
    assert_eq!(replies[2..], refused);
}

fn a_page_begins_at_its_offset_or_key(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=5).map(|attempt| create(attempt, None)).collect::<Vec<_>>());
    for (start, size, expected) in [
        (PageStart::Offset(0), 2, vec![1, 2]),
        (PageStart::Offset(2), 2, vec![3, 4]),
        (PageStart::Offset(4), 2, vec![5]),
        (PageStart::Offset(5), 2, vec![]),
        (PageStart::After(2), 2, vec![3, 4]),
        (PageStart::After(5), 2, vec![]),
        (PageStart::After(i64::MAX), 1_000, vec![]),
        (PageStart::Before(4), 2, vec![2, 3]),
        (PageStart::Before(i64::MAX), 2, vec![4, 5]),
        (PageStart::Before(1), 2, vec![]),
    ] {
        let (page, total) = store.page(start, size);
        let ids: Vec<_> = page.iter().map(|booking| booking.booking_id.0).collect();
        assert_eq!((ids, total), (expected, 5), "{start:?} {size}");
    }
}

/// A store with so many bookings.
fn with_bookings(count: u32) -> TestDatabase {
    let mut store = BookingStore::new(TestDatabase::sqlite);
    let create = |number: u32| {
        let CreateBooking { attempt, vaccine_name, at } = create_booking(0, None);
        let reservation = ReservationId(Uuid::from_u128(number.into()));
        let attempt = BookingAttempt { reservation, ..attempt };
        Command::Create(CreateBooking { attempt, vaccine_name, at })
    };
    store.apply(&(0..count).map(create).collect::<Vec<_>>());
    store.close()
}

#[test]
fn a_page_costs_the_same_at_any_key_of_a_list_of_any_length() {
    let (short, long) = (with_bookings(40), with_bookings(4_000));
    let cost = |database: &TestDatabase, start| {
        steps(database, |tx| bookings(tx, PageRange { start, size: 20 }))
    };
    let limit = cost(&short, PageStart::After(0)) + 20;
    for start in [
        PageStart::Offset(0),
        PageStart::After(2_000),
        PageStart::After(3_980),
        PageStart::Before(2_000),
        PageStart::Before(i64::MAX),
    ] {
        let cost = cost(&long, start);
        assert!(cost <= limit, "{start:?}: {cost}, {limit}");
    }
}

fn a_booking_is_found_as_it_is(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None), cancel(1), create(2, None), create(3, None), complete(3)]);
    let found = |id| {
        let found = store.database.block_on(store.queries().booking(BookingId(id))).unwrap();
        found.map(|booking| (booking.vc_name, booking.status))
    };
    assert_eq!(found(1), Some(("FIZER 1".to_owned(), BookingStatus::BookingCancelled)));
    assert_eq!(found(2), Some(("FIZER 2".to_owned(), BookingStatus::Booked)));
    assert_eq!(found(3), Some(("FIZER 3".to_owned(), BookingStatus::InjectionCompleted)));
    assert_eq!(found(4), None);
}

fn a_snapshot_shows_which_bookings_were_made_and_cancelled(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None), create(2, None), create(3, None), cancel(2), complete(3)]);
    store.apply(&[resolve(4)]);
    let read = |after, limit| {
        let read = store.reads.read(move |tx| Bookings::snapshot(tx, after, limit));
        store.database.block_on(read).unwrap()
    };
    let shown = |(key, event): (i64, Event)| {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        (key, event.r#type, event.at_ms / 1_000, data["status"].as_str().unwrap().to_owned())
    };
    let all: Vec<_> = read(i64::MIN, 10).into_iter().map(shown).collect();
    let row = |key, r#type: &str, at, status: &str| (key, r#type.to_owned(), at, status.to_owned());
    assert_eq!(
        all,
        [
            row(1, "Booked", 1, "BOOKED"),
            row(2, "BookingCancelled", 100, "BOOKING_CANCELLED"),
            row(3, "Booked", 3, "BOOKED"),
        ]
    );
    let keys = |rows: Vec<(i64, Event)>| rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!((keys(read(i64::MIN, 2)), keys(read(2, 2))), (vec![1, 2], vec![3]));
}

fn an_aborted_attempt_of_a_key_is_kept(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let of_key = ReservationId(Uuid::new_v8([1; 16]));
    store.apply(&[ResolveAttempt { reservation: of_key, at: at(1) }.into(), resolve(2)]);
    assert_eq!(prune(&mut store.store, at(255).as_millisecond(), 0), 1);
    let end = store.database.block_on(store.queries().attempt(of_key)).unwrap();
    assert!(matches!(end, Some(AttemptEnd::Aborted(_))), "{end:?}");
}

fn old_attempts_without_a_booking_are_deleted(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None), resolve(2), abort(3)]);
    let (resolved_at, aborted_at) = (at(200).as_millisecond(), at(250).as_millisecond());
    assert_eq!(prune(&mut store.store, resolved_at, 0), 0);
    assert_eq!(store.end_of(2), Some(AttemptEnd::Aborted(at(200))));
    assert_eq!(prune(&mut store.store, aborted_at, 0), 1);
    assert_eq!((store.end_of(2), store.end_of(3)), (None, Some(AttemptEnd::Aborted(at(250)))));
    assert_eq!(prune(&mut store.store, at(255).as_millisecond(), 0), 1);
    assert!(matches!(store.end_of(1), Some(AttemptEnd::Booked(_))), "{:?}", store.end_of(1));
}

fn an_attempt_is_found_with_its_end(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let replies = store.apply(&[create(1, Some(7)), resolve(2)]);
    let Reply::Create(CreateReply::Booked(record)) = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(store.end_of(1), Some(AttemptEnd::Booked(record.clone())));
    assert_eq!(store.end_of(2), Some(AttemptEnd::Aborted(at(200))));
    assert_eq!(store.end_of(3), None);
}
