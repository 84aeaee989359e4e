//! The store keeps what was decided, all of a batch or nothing, with the events in the same commit.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "store/consumed.rs"]
mod consumed;
#[path = "store/moves.rs"]
mod moves;
#[path = "store/series.rs"]
mod series;
#[path = "store/tickets.rs"]
mod tickets;

use std::time::{Duration, Instant};

use booking::{
    domain::{
        Abort, Abortable, AttemptId, BookingAttempt, Bookings, CancelBooking, CancelReply, Command,
        CompleteBooking, CreateBooking, CreateReply, Fingerprint, HeldDose, NotGranted, Record,
        Reply, ResolveHold, ResolveReply, tickets::Answer,
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

/// An id of one moment, as [`Uuid::now_v7`] makes them: they are found together.
fn of_one_moment(number: u32) -> Uuid {
    Uuid::from_u128((0x7 << 76) + (0x8 << 60) + u128::from(number))
}

/// An attempt that the edge has given an id.
fn attempt_id(number: u8) -> AttemptId {
    AttemptId(of_one_moment(0x1_0000 + u32::from(number)))
}

fn reservation(number: u8) -> ReservationId {
    ReservationId(of_one_moment(number.into()))
}

fn held_dose(number: u8) -> HeldDose {
    HeldDose {
        reservation: reservation(number),
        vaccine_name: format!("FIZER {number}"),
        slot: None,
        next: None,
    }
}

fn the_attempt(number: u8) -> Abortable {
    Abortable::Attempt(attempt_id(number))
}

fn the_dose(number: u8) -> Abortable {
    Abortable::Dose(reservation(number))
}

fn create_with(id: Option<AttemptId>, request: Option<u8>, dose: u8) -> CreateBooking {
    let fingerprint = request.map(|request| Fingerprint([request; 16]));
    let attempt = BookingAttempt { id, choice: VaccineId(1).into(), user: UserId(5), fingerprint };
    CreateBooking { attempt, dose: held_dose(dose), at: at(dose) }
}

/// An attempt with the dose of the same number.
fn create_booking(number: u8, request: Option<u8>) -> CreateBooking {
    create_with(Some(attempt_id(number)), request, number)
}

fn create(number: u8, request: Option<u8>) -> Command {
    create_booking(number, request).into()
}

fn cancel(booking: i64) -> Command {
    CancelBooking { booking: BookingId(booking), at: at(100) }.into()
}

fn resolve(dose: u8) -> Command {
    ResolveHold { reservation: reservation(dose), at: at(200) }.into()
}

fn abort(what: Abortable) -> Command {
    Abort { what, at: at(250) }.into()
}

fn complete(dose: u8) -> Command {
    Command::Complete(CompleteBooking { reservation: reservation(dose), at: at(251) })
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

    fn booking_of(&self, attempt: u8) -> Option<Record> {
        self.database.block_on(self.queries().booking_of(attempt_id(attempt))).unwrap()
    }

    fn is_aborted(&self, what: Abortable) -> bool {
        self.database.block_on(self.queries().is_aborted(what)).unwrap()
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
    what_was_aborted_long_ago_is_deleted,
    a_booking_is_found_by_its_attempt_and_by_its_dose,
    an_attempt_without_an_id_is_stored_as_such,
    the_database_refuses_a_second_booking_of_an_attempt_or_a_dose,
    doses_are_orphaned_until_they_are_booked_or_aborted,
    a_batch_is_the_same_as_one_by_one,
    only_new_or_repeatedly_resolved_ends_are_published,
    an_event_names_the_dose_and_the_booking,
    a_batch_that_is_rejected_leaves_nothing,
    one_rejected_command_does_not_fail_its_neighbours,
    without_an_outbox_nothing_is_booked,
    everything_is_still_there_after_reopening,
    a_page_begins_at_its_offset_or_key,
    a_booking_is_found_as_it_is,
    an_attempt_is_found_with_its_booking,
    what_was_aborted_is_known,
);

/// The outbox after these replies.
fn expected(commands: &[Command], replies: &[Reply]) -> Vec<(u64, Event)> {
    let events = commands.iter().zip(replies);
    let events = events.flat_map(|(command, reply)| events::events(command, reply).unwrap());
    (1..).zip(events).collect()
}

/// Attempts of any kind.
fn attempts() -> impl Strategy<Value = (Option<AttemptId>, Option<u8>)> {
    prop_oneof![
        1 => Just((None, None)),
        2 => (0..4_u8).prop_map(|number| (Some(attempt_id(number)), None)),
        3 => (0..6_u8, 0..2_u8).prop_map(|(key, request)| {
            (Some(tickets::attempt_of(key)), Some(request))
        }),
    ]
}

fn abortable() -> impl Strategy<Value = Abortable> {
    prop_oneof![(0..4_u8).prop_map(the_attempt), (0..6_u8).prop_map(the_dose)]
}

/// Few attempts, doses and bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        4 => (attempts(), 0..6_u8).prop_map(|((id, request), dose)| {
            create_with(id, request, dose).into()
        }),
        2 => (0..8_i64).prop_map(cancel),
        3 => (0..4_i64, 0..6_u8, 0..6_u8).prop_map(|(booking, from, to)| {
            moves::move_booking(booking, from, to)
        }),
        1 => (0..6_u8).prop_map(resolve),
        2 => abortable().prop_map(abort),
        1 => (0..6_u8).prop_map(complete),
        3 => (0..6_u8, 0..2_u8).prop_map(|(key, request)| tickets::enqueue(key, request)),
        3 => (0..6_u8, tickets::answer()).prop_map(|(key, answer)| tickets::serve(key, answer)),
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
    store.apply(&[
        abort(the_attempt(4)),
        abort(the_dose(4)),
        abort(the_dose(3)),
        abort(the_dose(1)),
    ]);
    let expected = [
        "Booked",
        "BookingCancelled",
        "BookingCancelled",
        "ReservationAborted",
        "Booked",
        "Booked",
        // An attempt has no dose.
        "ReservationAborted",
    ];
    assert_eq!(store.event_types(), expected);
}

fn an_event_names_the_dose_and_the_booking(new: fn() -> TestDatabase) {
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
        CREATE TRIGGER poisoned BEFORE INSERT ON outbox WHEN NEW.events LIKE '%poison%'
        BEGIN
            SELECT RAISE(ABORT, 'poison');
        END",
    postgres: "ALTER TABLE outbox ADD CHECK (events NOT LIKE '%poison%')",
};

fn poisoned(number: u8) -> CreateBooking {
    let create = create_booking(number, None);
    CreateBooking { dose: HeldDose { vaccine_name: "poison".to_owned(), ..create.dose }, ..create }
}

fn a_batch_that_is_rejected_leaves_nothing(new: fn() -> TestDatabase) {
    let mut store = BookingStore::open(new(), &[POISON]);
    store.apply(&[create(1, None)]);
    let (before, outbox_before) = (store.all(), store.outbox());

    let batch = [
        create(2, None),
        cancel(1),
        resolve(3),
        abort(the_attempt(5)),
        tickets::enqueue(1, 1),
        poisoned(4).into(),
    ];
    assert!(matches!(store.try_apply(&batch), Err(StoreError::Rejected(_))));
    assert_eq!((store.all(), store.outbox()), (before, outbox_before));
    assert_eq!([2, 4].map(|attempt| store.booking_of(attempt)), [None, None]);
    assert_eq!([the_dose(3), the_attempt(5)].map(|what| store.is_aborted(what)), [false, false]);
    assert_eq!(tickets::all(&store), (vec![], vec![]));

    let replies = store.apply(&[create(3, None), create(5, None)]);
    let numbers: Vec<_> = replies.iter().map(booked).collect();
    assert_eq!(numbers, [Some(2), Some(3)], "not even the number is used up");
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
    let commands = [
        create(1, Some(7)),
        create(2, None),
        cancel(2),
        resolve(3),
        create(5, None),
        complete(5),
        abort(the_attempt(6)),
    ];
    store.apply(&commands);
    let known = |store: &BookingStore| (store.all(), store.outbox(), store.booking_of(1));
    let before = known(&store);

    let mut store = store.reopened_with(&[]);
    assert_eq!(known(&store), before);
    let again = [
        create(1, Some(7)),
        create(4, None),
        create(3, None),
        create(6, None),
        create_with(Some(attempt_id(7)), None, 1).into(),
        cancel(3),
    ];
    let replies = store.apply(&again);
    assert!(matches!(
        &replies[0],
        Reply::Create(CreateReply::BookedBefore(record)) if record.booked_at == at(1)
    ));
    assert_eq!(booked(&replies[1]), Some(4));
    let refused = [
        Reply::Create(CreateReply::DoseTaken),
        Reply::Create(CreateReply::Aborted),
        Reply::Create(CreateReply::DoseTaken),
        Reply::Cancel(CancelReply::Completed),
    ];
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
        let create = create_with(None, None, 0);
        let reservation = ReservationId(of_one_moment(number));
        Command::Create(CreateBooking { dose: HeldDose { reservation, ..create.dose }, ..create })
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

fn what_was_aborted_long_ago_is_deleted(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let of_key = Abortable::Attempt(tickets::attempt_of(1));
    store.apply(&[
        tickets::enqueue(1, 1),
        tickets::serve(1, Answer::NotGranted(NotGranted::SoldOut)),
    ]);
    store.apply(&[create(1, None), resolve(2), abort(the_dose(3)), abort(the_attempt(3))]);
    let all = [of_key, the_dose(2), the_dose(3), the_attempt(3)];
    let left = |store: &BookingStore| all.map(|what| store.is_aborted(what));
    let prune = |store: &mut BookingStore, before: u8| {
        (prune(&mut store.store, at(before).as_millisecond(), 0), left(store))
    };
    assert_eq!(prune(&mut store, 99), (0, [true, true, true, true]));
    assert_eq!(prune(&mut store, 200), (1, [false, true, true, true]));
    assert_eq!(prune(&mut store, 250), (1, [false, false, true, true]));
    assert_eq!(prune(&mut store, 251), (2, [false, false, false, false]));
    assert!(store.booking_of(1).is_some());
}

fn a_booking_is_found_by_its_attempt_and_by_its_dose(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let of_key = |dose| create_with(Some(tickets::attempt_of(9)), Some(7), dose).into();
    // Those that are found lie between others that are not.
    let replies = store.apply(&[create(1, None), create(4, None), create(2, None), of_key(5)]);
    let [first, _, second, third] = &replies[..] else { panic!("{replies:?}") };
    let before = |reply: &Reply| match reply {
        Reply::Create(CreateReply::Booked(record)) => {
            Reply::Create(CreateReply::BookedBefore(record.clone()))
        }
        other => panic!("{other:?}"),
    };
    let by_attempt = [
        create_with(Some(attempt_id(1)), None, 21).into(),
        create_with(Some(attempt_id(2)), None, 22).into(),
        of_key(23),
    ];
    let expected = [before(first), before(second), before(third)];
    assert_eq!(store.apply(&by_attempt), expected);
    for (again, expected) in by_attempt.iter().zip(&expected) {
        assert_eq!(store.apply(std::slice::from_ref(again)), std::slice::from_ref(expected));
    }
    let by_dose = [resolve(1), resolve(2), create_with(None, None, 5).into()];
    let replies = store.apply(&by_dose);
    assert!(
        matches!(
            &replies[..],
            [
                Reply::Resolve(ResolveReply::Booked(_)),
                Reply::Resolve(ResolveReply::Booked(_)),
                Reply::Create(CreateReply::DoseTaken)
            ]
        ),
        "{replies:?}"
    );
    assert_eq!(store.all().1, 4);
}

fn an_attempt_without_an_id_is_stored_as_such(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let once = |dose| Command::from(create_with(None, None, dose));
    let replies = store.apply(&[once(1), once(2)]);
    assert_eq!(replies.iter().map(booked).collect::<Vec<_>>(), [Some(1), Some(2)]);
    let mut store = store.reopened_with(&[]);
    let again = store.apply(&[once(2)]);
    let Reply::Create(CreateReply::BookedBefore(record)) = &again[0] else { panic!("{again:?}") };
    assert_eq!((record.attempt, record.booking.booking_id), (None, BookingId(2)));
}

/// A second booking: a copy of the first, but for what is given.
macro_rules! second_booking {
    ($attempt:literal, $reservation:literal) => {
        concat!(
            "INSERT INTO bookings SELECT 2, ",
            $attempt,
            ", ",
            $reservation,
            ", vaccine, vaccine_name, user_id, status, fingerprint, booked_at_ms, cancelled_at_ms,
                    slot, site, starts_at_ms, previous, campaign, dose, nth,
                    other_dose, min_days, max_days
               FROM bookings"
        )
    };
}

fn the_database_refuses_a_second_booking_of_an_attempt_or_a_dose(new: fn() -> TestDatabase) {
    const OF_ATTEMPT: Migration = Migration {
        name: "9998_second.sql",
        sqlite: second_booking!("attempt", "zeroblob(16)"),
        postgres: second_booking!("attempt", "'00000000-0000-0000-0000-000000000000'"),
    };
    const OF_DOSE: Migration = Migration {
        name: "9998_second.sql",
        sqlite: second_booking!("NULL", "reservation"),
        postgres: second_booking!("NULL", "reservation"),
    };
    const OF_OTHERS: Migration = Migration {
        name: "9998_second.sql",
        sqlite: second_booking!("NULL", "zeroblob(16)"),
        postgres: second_booking!("NULL", "'00000000-0000-0000-0000-000000000000'"),
    };
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None)]);
    let mut database = store.close();
    for second in [OF_ATTEMPT, OF_DOSE] {
        assert!(database.open("booking", &[MIGRATIONS, &[second]].concat()).is_err());
        let store = BookingStore::open(database, &[]);
        assert_eq!(store.all().1, 1);
        database = store.close();
    }
    assert_eq!(BookingStore::open(database, &[OF_OTHERS]).all().1, 2);
}

fn an_attempt_is_found_with_its_booking(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let replies = store.apply(&[create(1, Some(7)), resolve(2), create(2, None)]);
    let Reply::Create(CreateReply::Booked(record)) = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(store.booking_of(1).as_ref(), Some(record));
    assert_eq!([2, 3].map(|attempt| store.booking_of(attempt)), [None, None]);
    store.apply(&[cancel(1)]);
    let cancelled_at = store.booking_of(1).unwrap().cancelled_at;
    assert_eq!(cancelled_at, Some(at(100)));
}

fn what_was_aborted_is_known(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[
        create(1, None),
        resolve(1),
        abort(the_dose(1)),
        abort(the_attempt(1)),
        resolve(2),
        abort(the_dose(3)),
        abort(the_attempt(4)),
    ]);
    for (number, dose, attempt) in
        [(1, false, false), (2, true, false), (3, true, false), (4, false, true)]
    {
        let known = [the_dose(number), the_attempt(number)].map(|what| store.is_aborted(what));
        assert_eq!(known, [dose, attempt], "{number}");
    }
}

fn doses_are_orphaned_until_they_are_booked_or_aborted(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[tickets::enqueue(1, 1), tickets::enqueue(2, 1), tickets::enqueue(3, 1)]);
    store.apply(&[
        create(1, None),
        create(2, None),
        cancel(2),
        resolve(3),
        abort(the_dose(4)),
        abort(the_attempt(5)),
        create(5, None),
        tickets::serve(1, tickets::held(6)),
        tickets::serve(1, tickets::held(7)),
        tickets::serve(2, tickets::held(3)),
        tickets::serve(3, Answer::NotGranted(NotGranted::SoldOut)),
    ]);
    let in_another_order = [8, 1, 7, 2, 6, 3, 5, 4].map(reservation).to_vec();
    let queries = store.queries();
    let orphaned = store.database.block_on(queries.orphaned(in_another_order.clone())).unwrap();
    assert_eq!(orphaned, [8, 7, 5].map(reservation));
    let not_aborted = store.database.block_on(queries.not_aborted(in_another_order)).unwrap();
    assert_eq!(not_aborted, [8, 1, 7, 2, 6, 5].map(reservation));
    let none = store.database.block_on(queries.orphaned(Vec::new())).unwrap();
    assert_eq!(none, []);
}
