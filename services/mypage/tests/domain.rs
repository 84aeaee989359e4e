//! How events are folded into views: rule by rule, and any order against a naive model.

use contracts::{
    booking::{
        BookedSlot,
        BookingStatus::{self, Booked, BookingCancelled, InjectionCompleted},
    },
    campaign::{Address, LocalizedName, SitePlace},
    ids::{BookingId, ReservationId, SiteId, SlotId, UserId, VaccineId},
    mypage::GivenDose,
};
use jiff::Timestamp;
use mypage::domain::{Command, KnownSite, PlacedView, RecordSite, UpdateView, View, Views, fold};
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

fn reservation(booking: u8) -> ReservationId {
    ReservationId(Uuid::from_u128(booking.into()))
}

fn at(second: u8) -> Timestamp {
    Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second.into())
}

/// An event of booking 7 in that second.
fn event(status: BookingStatus, second: u8) -> UpdateView {
    of_booking(7, status, second)
}

/// An event of a booking; events of injections have no name of the vaccine.
fn of_booking(booking: u8, status: BookingStatus, second: u8) -> UpdateView {
    let vaccine_name = if status == InjectionCompleted { "" } else { "FIZER" };
    UpdateView {
        reservation: reservation(booking),
        view: view(booking, vaccine_name, status, second),
    }
}

fn view(booking: u8, vaccine_name: &str, status: BookingStatus, second: u8) -> View {
    View {
        book_id: BookingId(booking.into()),
        vaccine_id: VaccineId(1),
        vc_name: vaccine_name.to_owned(),
        user_id: UserId(5),
        status,
        as_of: at(second),
        moves: 0,
        slot: None,
        slot_as_of: at(second),
        dose: None,
    }
}

/// A slot at a site.
fn slot(number: u8) -> BookedSlot {
    let slot_id = SlotId(number.into());
    BookedSlot { slot_id, site_id: SiteId(1), starts_at: at(number) }
}

/// The event, with the slot that the booking has after so many moves.
fn after_moves(mut event: UpdateView, moves: u8) -> UpdateView {
    (event.view.moves, event.view.slot) = (moves.into(), Some(slot(moves)));
    event
}

/// The injection of a dose of this slot in that second.
fn completed(number: u8, second: u8) -> UpdateView {
    let mut event = event(InjectionCompleted, second);
    event.view.slot = Some(slot(number));
    event.view.dose = Some(dose(second));
    event
}

fn dose(second: u8) -> GivenDose {
    GivenDose {
        lot_number: Some(format!("LOT {second}")),
        dose_number: Some(2),
        occurred_at: at(second),
    }
}

fn fold_all<'a>(events: impl IntoIterator<Item = &'a UpdateView>) -> Views {
    let mut views = Views::default();
    for event in events {
        fold(&mut views, &Command::UpdateView(event.clone()));
    }
    views
}

/// The view of booking 7 after these events.
fn view_after(commands: &[UpdateView]) -> Option<View> {
    fold_all(commands).get(&reservation(7)).cloned()
}

/// Its status, and since when.
fn status_after(commands: &[UpdateView]) -> Option<(BookingStatus, Timestamp)> {
    view_after(commands).map(|view| (view.status, view.as_of))
}

#[test]
fn a_booking_without_events_has_no_view() {
    assert_eq!(view_after(&[]), None);
    assert_eq!(view_after(&[of_booking(8, Booked, 1)]), None);
}

#[test]
fn a_status_moves_forward() {
    let events = [event(Booked, 1), event(BookingCancelled, 2), event(InjectionCompleted, 3)];
    for (count, expected) in
        [(1, (Booked, at(1))), (2, (BookingCancelled, at(2))), (3, (InjectionCompleted, at(3)))]
    {
        assert_eq!(status_after(&events[..count]), Some(expected));
    }
}

#[test]
fn a_status_never_moves_back() {
    let cancelled = Some((BookingCancelled, at(2)));
    assert_eq!(status_after(&[event(BookingCancelled, 2), event(Booked, 1)]), cancelled);
    assert_eq!(status_after(&[event(BookingCancelled, 2), event(Booked, 3)]), cancelled);
    let completed = Some((InjectionCompleted, at(2)));
    assert_eq!(
        status_after(&[event(Booked, 1), event(InjectionCompleted, 2), event(BookingCancelled, 3)]),
        completed
    );
}

#[test]
fn the_name_of_the_vaccine_appears_with_the_first_event_of_booking() {
    assert_eq!(
        view_after(&[event(InjectionCompleted, 2)]),
        Some(view(7, "", InjectionCompleted, 2))
    );
    assert_eq!(
        view_after(&[event(InjectionCompleted, 2), event(Booked, 1)]),
        Some(view(7, "FIZER", InjectionCompleted, 2))
    );
}

#[test]
fn a_status_counts_from_the_first_event_with_it() {
    for order in [[1, 2], [2, 1]] {
        let twice = order.map(|second| event(Booked, second));
        assert_eq!(view_after(&twice), Some(view(7, "FIZER", Booked, 1)));
    }
}

#[test]
fn views_of_different_bookings_are_independent() {
    let views = fold_all(&[of_booking(1, Booked, 1), of_booking(2, BookingCancelled, 2)]);
    assert_eq!(views.get(&reservation(1)), Some(&view(1, "FIZER", Booked, 1)));
    assert_eq!(views.get(&reservation(2)), Some(&view(2, "FIZER", BookingCancelled, 2)));
}

/// Every order of these events.
fn orders(events: &[UpdateView]) -> Vec<Vec<UpdateView>> {
    let [first, rest @ ..] = events else { return vec![Vec::new()] };
    let inserted = |order: &Vec<UpdateView>, index| {
        let mut order = order.clone();
        order.insert(index, first.clone());
        order
    };
    let all = orders(rest);
    all.iter().flat_map(|order| (0..=order.len()).map(move |at| inserted(order, at))).collect()
}

#[test]
fn a_moved_booking_has_its_new_slot_and_the_age_of_its_status_in_any_order() {
    let events = [0, 1, 2].map(|moves| after_moves(event(Booked, moves + 1), moves));
    for order in orders(&events) {
        let view = view_after(&order).unwrap();
        assert_eq!((view.slot, view.slot_as_of, view.moves), (Some(slot(2)), at(3), 2));
        assert_eq!((view.status, view.as_of), (Booked, at(1)));
    }
}

/// A snapshot has the time of the booking, not of its move.
#[test]
fn a_move_is_newer_than_its_booking_also_if_its_time_is_the_same() {
    let events = [0, 1].map(|moves| after_moves(event(Booked, 1), moves));
    for order in orders(&events) {
        assert_eq!(view_after(&order).unwrap().slot, Some(slot(1)));
    }
}

#[test]
fn a_booking_that_was_moved_and_then_cancelled_is_cancelled_at_its_new_slot_in_any_order() {
    let booked = after_moves(event(Booked, 1), 0);
    let moved = after_moves(event(Booked, 2), 1);
    let cancelled = after_moves(event(BookingCancelled, 3), 1);
    for order in orders(&[booked, moved, cancelled]) {
        let view = view_after(&order).unwrap();
        assert_eq!((view.status, view.as_of), (BookingCancelled, at(3)));
        assert_eq!((view.slot, view.slot_as_of), (Some(slot(1)), at(2)));
    }
}

#[test]
fn a_dose_that_was_given_has_the_slot_also_if_the_booking_was_moved_meanwhile() {
    let booked = after_moves(event(Booked, 1), 0);
    let moved = after_moves(event(Booked, 3), 1);
    for order in orders(&[booked, moved, completed(0, 2)]) {
        let view = view_after(&order).unwrap();
        assert_eq!((view.status, view.as_of), (InjectionCompleted, at(2)));
        assert_eq!((view.slot, view.moves, view.dose), (Some(slot(0)), 1, Some(dose(2))));
    }
}

fn site(phone: &str, second: u8) -> RecordSite {
    let name = LocalizedName { ko: "강남구 보건소".to_owned(), en: None };
    let place = SitePlace {
        name,
        address: Address::default(),
        phone: phone.to_owned(),
        time_zone: "Asia/Seoul".to_owned(),
        position: None,
        accessibility: None,
    };
    RecordSite { id: SiteId(1), site: KnownSite { place, since: at(second) } }
}

#[test]
fn a_site_is_the_place_that_was_published_last() {
    let (first, second) = (site("112", 1), site("119", 2));
    for order in [[&first, &second], [&second, &first]] {
        let mut views = Views::default();
        for record in order {
            fold(&mut views, &Command::RecordSite(record.clone()));
        }
        assert_eq!(views.sites.get(&SiteId(1)), Some(&second.site));
    }
}

/// An hour that there is twice has its offset.
#[test]
fn a_citizen_sees_the_time_at_the_site() {
    let local_time = |starts_at: &str, time_zone: &str| {
        let mut view = view(7, "FIZER", Booked, 1);
        view.slot = Some(BookedSlot { starts_at: starts_at.parse().unwrap(), ..slot(1) });
        let mut site = site("112", 1).site;
        time_zone.clone_into(&mut site.place.time_zone);
        PlacedView { view, site: Some(site) }.mypage().visit.unwrap().local_time
    };
    for (starts_at, time_zone, expected) in [
        ("2026-12-01T00:30:00Z", "Asia/Seoul", Some("2026-12-01T09:30+09:00[Asia/Seoul]")),
        ("2026-10-25T01:30:00Z", "Europe/Berlin", Some("2026-10-25T02:30+01:00[Europe/Berlin]")),
        ("2026-10-25T00:30:00Z", "Europe/Berlin", Some("2026-10-25T02:30+02:00[Europe/Berlin]")),
        ("2026-12-01T00:30:00Z", "Asia/Nowhere", None),
    ] {
        assert_eq!(local_time(starts_at, time_zone).as_deref(), expected);
    }
}

#[test]
fn a_visit_at_an_unknown_site_has_only_its_numbers_and_its_start() {
    let mut view = view(7, "FIZER", Booked, 1);
    assert_eq!(PlacedView { view: view.clone(), site: None }.mypage().visit, None);
    view.slot = Some(slot(3));
    let visit = PlacedView { view, site: None }.mypage().visit.unwrap();
    assert_eq!((visit.slot.slot_id, visit.local_time, visit.site), (SlotId(3), None, None));
}

/// The view that the events of a booking result in, in any order: the highest status, since the first event with it;
/// the dose and the slot of the first injection, else the slot after the most moves.
fn expected(commands: &[UpdateView], booking: u8) -> Option<View> {
    let mut events: Vec<_> =
        commands.iter().filter(|it| it.reservation == reservation(booking)).collect();
    events.sort_by_key(|event| event.view.as_of);
    let first = |status| events.iter().find(|event| event.view.status == status).copied();
    let last = [InjectionCompleted, BookingCancelled, Booked].into_iter().find_map(first)?;
    let moves = events.iter().map(|event| event.view.moves).max()?;
    let after_moves = events.iter().find(|event| event.view.moves == moves).copied();
    let of_slot = first(InjectionCompleted).or(after_moves)?.view.clone();
    let is_named = events.iter().any(|event| event.view.status != InjectionCompleted);
    let vc_name = if is_named { "FIZER" } else { "" }.to_owned();
    let View { status, as_of, .. } = last.view;
    Some(View { status, as_of, moves, vc_name, ..of_slot })
}

/// Few bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<UpdateView>> {
    let status = proptest::sample::select(&[Booked, BookingCancelled, InjectionCompleted]);
    let command =
        (0..4_u8, status, 0..3_u8, 0..9_u8).prop_map(|(booking, status, moves, second)| {
            let event = of_booking(booking, status, second);
            if status == InjectionCompleted {
                let view =
                    View { slot: Some(slot(second)), dose: Some(dose(second)), ..event.view };
                return UpdateView { view, ..event };
            }
            after_moves(event, moves)
        });
    vec(command, 0..24)
}

proptest! {
    #[test]
    fn any_order_results_in_the_view_of_the_model(commands in commands().prop_shuffle()) {
        let views = fold_all(&commands);
        for booking in 0..4 {
            prop_assert_eq!(
                views.get(&reservation(booking)).cloned(),
                expected(&commands, booking)
            );
        }
    }

    #[test]
    fn repeated_events_change_nothing(commands in commands()) {
        let once = fold_all(&commands);
        let twice = fold_all(commands.iter().chain(&commands));
        prop_assert_eq!(once, twice);
    }
}
