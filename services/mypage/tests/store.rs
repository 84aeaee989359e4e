//! The store holds what the events say about bookings, and deletes it on demand.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use contracts::{
    booking::{BookedSlot, BookingStatus},
    campaign::{Address, LocalizedName, SitePlace},
    ids::{BookingId, ReservationId, SiteId, SlotId, UserId, VaccineId},
    mypage::{GivenDose, Mypage},
};
use jiff::Timestamp;
use mypage::{
    domain::{Command, KnownSite, PlacedView, RecordSite, UpdateView, View, Views},
    store::{MIGRATIONS, Queries, all, delete_all},
};
use platform_store::{PageRange, PageStart, consumer};
use proptest::{collection::vec, prelude::*};
use testkit::{TestDatabase, TestStore, on_both_databases};
use uuid::Uuid;

#[path = "store/deliveries.rs"]
mod deliveries;
#[path = "store/pages.rs"]
mod pages;

on_both_databases!(
    views_are_still_there_after_reopening,
    a_view_causes_no_event,
    a_booking_is_found_by_its_number,
    a_site_is_shown_wherever_its_slots_are,
    a_view_has_another_slot_after_it_was_moved,
    a_dose_that_was_given_is_shown,
    after_a_deletion_all_events_are_consumed_again,
);

const SOURCE: Uuid = Uuid::from_u128(1 << 100);
const CAMPAIGN: Uuid = Uuid::from_u128(2 << 100);

fn open(database: TestDatabase) -> TestStore<Views> {
    TestStore::open(database, "mypage", MIGRATIONS)
}

fn at(second: u8) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap()
}

/// An event of a booking; every third booking is of user 0, and so on.
fn event(booking: u8, status: BookingStatus) -> Command {
    Command::UpdateView(update(booking, status, at(booking)))
}

fn update(booking: u8, status: BookingStatus, as_of: Timestamp) -> UpdateView {
    let reservation = ReservationId(Uuid::from_u128(booking.into()));
    let view = View {
        book_id: BookingId(booking.into()),
        vaccine_id: VaccineId(1),
        vc_name: format!("FIZER {booking}"),
        user_id: UserId(i64::from(booking) % 3),
        status,
        as_of,
        moves: 0,
        slot: None,
        slot_as_of: as_of,
        dose: None,
    };
    UpdateView { reservation, view }
}

fn booked(booking: u8) -> Command {
    event(booking, BookingStatus::Booked)
}

/// A booking of a slot at a site.
fn booked_slot(booking: u8, slot: u8, site: u8) -> Command {
    moved(booking, [0, slot], site)
}

/// A booking after so many moves, at a slot of a site.
fn moved(booking: u8, [moves, slot]: [u8; 2], site: u8) -> Command {
    let mut update = update(booking, BookingStatus::Booked, at(booking));
    let (slot_id, site_id) = (SlotId(slot.into()), SiteId(site.into()));
    update.view.slot = Some(BookedSlot { slot_id, site_id, starts_at: at(slot) });
    update.view.moves = moves.into();
    Command::UpdateView(update)
}

/// The injection of a booking, which is recorded with these fields.
fn given(booking: u8, lot_number: Option<&str>, dose_number: Option<i64>) -> Command {
    let mut update = update(booking, BookingStatus::InjectionCompleted, at(booking));
    let lot_number = lot_number.map(str::to_owned);
    update.view.dose = Some(GivenDose { lot_number, dose_number, occurred_at: at(9) });
    Command::UpdateView(update)
}

fn place(phone: u8) -> SitePlace {
    SitePlace {
        name: LocalizedName { ko: "강남구 보건소".to_owned(), en: None },
        address: Address::default(),
        phone: format!("02 {phone}"),
        time_zone: "Asia/Seoul".to_owned(),
        position: None,
        accessibility: Some("엘리베이터".to_owned()),
    }
}

fn site(id: u8, phone: u8) -> Command {
    let site = KnownSite { place: place(phone), since: at(phone) };
    Command::RecordSite(RecordSite { id: SiteId(id.into()), site })
}

/// What a citizen sees of a booking without a slot.
fn shown(command: &Command) -> Mypage {
    let Command::UpdateView(update) = command else { panic!("{command:?}") };
    PlacedView { view: update.view.clone(), site: None }.mypage()
}

/// All views with their numbers, and how many there are.
fn views(store: &TestStore<Views>) -> (Vec<(i64, Mypage)>, Option<u64>) {
    let list = store.read(|tx| all(tx, PageRange { start: PageStart::Offset(0), size: 1_000 }));
    (list.rows.items, list.total)
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    use BookingStatus::{Booked, BookingCancelled, InjectionCompleted};
    let status = proptest::sample::select(&[Booked, BookingCancelled, InjectionCompleted]);
    let update = (0..6_u8, status, 0..9_u8).prop_map(|(booking, status, second)| {
        Command::UpdateView(update(booking, status, at(second)))
    });
    let slot = (0..6_u8, 0..3_u8, 0..9_u8, 0..3_u8)
        .prop_map(|(booking, moves, slot, site)| moved(booking, [moves, slot], site));
    let site = (0..3_u8, 0..9_u8).prop_map(|(id, phone)| site(id, phone));
    vec(prop_oneof![update, slot, site], 0..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_has_the_effect_of_its_commands_one_by_one(commands in commands()) {
        let (mut batched, mut single) =
            (open(TestDatabase::sqlite()), open(TestDatabase::sqlite()));
        batched.submit(&commands);
        for command in &commands {
            single.submit(std::slice::from_ref(command));
        }
        prop_assert_eq!(views(&batched), views(&single));
    }
}

fn views_are_still_there_after_reopening(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let cancelled = event(2, BookingStatus::BookingCancelled);
    let completed = event(3, BookingStatus::InjectionCompleted);
    store.submit(&[booked(1), booked(2), cancelled.clone(), completed.clone()]);
    let expected = vec![(1, shown(&booked(1))), (2, shown(&cancelled)), (3, shown(&completed))];
    assert_eq!(views(&store), (expected.clone(), Some(3)));
    let mut store = open(store.close());
    assert_eq!(views(&store), (expected.clone(), Some(3)));
    store.submit(&[booked(3)]);
    assert_eq!(views(&store), (expected, Some(3)));
}

fn a_view_causes_no_event(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[booked(1), event(1, BookingStatus::InjectionCompleted)]);
    assert_eq!(store.outbox(), []);
}

/// With several booking stores a number may belong to several bookings.
fn a_booking_is_found_by_its_number(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let mut of_another_store = update(2, BookingStatus::BookingCancelled, at(2));
    of_another_store.reservation.0 = Uuid::from_u128(1 << 64);
    store.submit(&[booked(1), booked(2), Command::UpdateView(of_another_store)]);
    let queries = Queries(store.reads());
    let find = |booking| store.database.block_on(queries.of_booking(BookingId(booking)));
    assert_eq!(find(2).unwrap().map(|found| found.mypage()), Some(shown(&booked(2))));
    assert_eq!(find(3), Ok(None));
}

fn a_site_is_shown_wherever_its_slots_are(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[booked_slot(1, 7, 1), booked_slot(2, 8, 2), booked(3)]);
    store.submit(&[site(1, 4)]);
    let phones = |store: &TestStore<Views>| {
        let of = |(_, view): (i64, Mypage)| {
            view.visit.map(|visit| visit.site.map_or("unknown".to_owned(), |site| site.phone))
        };
        views(store).0.into_iter().map(of).collect::<Vec<_>>()
    };
    let expected = ["02 4", "unknown"].map(|phone| Some(phone.to_owned()));
    assert_eq!(phones(&store), [expected.as_slice(), &[None]].concat());

    store.submit(&[site(1, 5), site(2, 6)]);
    let mut store = open(store.close());
    store.submit(&[site(1, 3)]);
    let expected = ["02 5", "02 6"].map(|phone| Some(phone.to_owned()));
    assert_eq!(phones(&store), [expected.as_slice(), &[None]].concat());
    let queries = Queries(store.reads());
    let found = store.database.block_on(queries.of_booking(BookingId(1))).unwrap().unwrap();
    assert_eq!(found.mypage(), views(&store).0[0].1);
    assert_eq!(found.site, Some(KnownSite { place: place(5), since: at(5) }));
}

fn a_view_has_another_slot_after_it_was_moved(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[booked_slot(1, 3, 1), site(2, 1)]);
    store.submit(&[moved(1, [1, 7], 2)]);
    let mut store = open(store.close());
    store.submit(&[booked_slot(1, 3, 1)]);
    let visit = views(&store).0.remove(0).1.visit.unwrap();
    let slot = BookedSlot { slot_id: SlotId(7), site_id: SiteId(2), starts_at: at(7) };
    assert_eq!((visit.slot, visit.site), (slot, Some(place(1))));
}

fn a_dose_that_was_given_is_shown(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let given = [given(1, Some("EW0150"), Some(2)), given(2, None, None)];
    store.submit(&[booked(1), booked(2)]);
    store.submit(&given);
    let expected = given.map(|command| shown(&command));
    let store = open(store.close());
    assert_eq!(views(&store).0, [(1, expected[0].clone()), (2, expected[1].clone())]);
}

fn after_a_deletion_all_events_are_consumed_again(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let booked = |booking| booked_slot(booking, 3, 1);
    assert_eq!((store.consume(SOURCE, 1, booked(1)), store.consume(SOURCE, 2, booked(2))), (1, 2));
    let before = views(&store);
    assert_eq!(store.consume(CAMPAIGN, 1, site(1, 2)), 1);

    let database = store.close();
    let (mut connection, _) = database.open("mypage", MIGRATIONS).unwrap();
    delete_all(&mut connection).unwrap();
    drop(connection);

    let mut store = open(database);
    assert_eq!(views(&store), (vec![], Some(0)));
    assert_eq!(store.read(|tx| consumer::offset(tx, SOURCE)), 0.into());
    assert_eq!(store.consume(SOURCE, 2, booked(2)), 0);
    assert_eq!((store.consume(SOURCE, 1, booked(1)), store.consume(SOURCE, 2, booked(2))), (1, 2));
    assert_eq!(views(&store), before);
}
