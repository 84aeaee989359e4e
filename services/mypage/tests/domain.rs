//! How events are folded into views: rule by rule, and any order against a naive model.

use contracts::{
    booking::BookingStatus::{self, Booked, BookingCancelled, InjectionCompleted},
    ids::{BookingId, ReservationId, UserId, VaccineId},
    mypage::Mypage,
};
use jiff::Timestamp;
use mypage::domain::{Command, Views, fold};
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

fn reservation(booking: u8) -> ReservationId {
    ReservationId(Uuid::from_u128(booking.into()))
}

fn at(second: u8) -> Timestamp {
    Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second.into())
}

/// An event of booking 7 in that second.
fn event(status: BookingStatus, second: u8) -> Command {
    of_booking(7, status, second)
}

/// An event of a booking; events of injections have no name of the vaccine.
fn of_booking(booking: u8, status: BookingStatus, second: u8) -> Command {
    let vaccine_name = if status == InjectionCompleted { "" } else { "FIZER" };
    Command { reservation: reservation(booking), view: view(booking, vaccine_name, status, second) }
}

fn view(booking: u8, vaccine_name: &str, status: BookingStatus, second: u8) -> Mypage {
    Mypage {
        book_id: BookingId(booking.into()),
        vaccine_id: VaccineId(1),
        vc_name: vaccine_name.to_owned(),
        user_id: UserId(5),
        status,
        as_of: at(second),
    }
}

fn fold_all<'a>(commands: impl IntoIterator<Item = &'a Command>) -> Views {
    let mut views = Views::default();
    for command in commands {
        fold(&mut views, command);
    }
    views
}

/// The view of booking 7 after these events.
fn view_after(commands: &[Command]) -> Option<Mypage> {
    fold_all(commands).get(&reservation(7)).cloned()
}

#[test]
fn a_booking_without_events_has_no_view() {
    assert_eq!(view_after(&[]), None);
    assert_eq!(view_after(&[of_booking(8, Booked, 1)]), None);
}

#[test]
fn a_status_moves_forward() {
    let events = [event(Booked, 1), event(BookingCancelled, 2), event(InjectionCompleted, 3)];
    for (count, expected) in [
        (1, view(7, "FIZER", Booked, 1)),
        (2, view(7, "FIZER", BookingCancelled, 2)),
        (3, view(7, "FIZER", InjectionCompleted, 3)),
    ] {
        assert_eq!(view_after(&events[..count]), Some(expected));
    }
}

#[test]
fn a_status_never_moves_back() {
    let cancelled = Some(view(7, "FIZER", BookingCancelled, 2));
    assert_eq!(view_after(&[event(BookingCancelled, 2), event(Booked, 1)]), cancelled);
    assert_eq!(view_after(&[event(BookingCancelled, 2), event(Booked, 3)]), cancelled);
    let completed = Some(view(7, "FIZER", InjectionCompleted, 2));
    assert_eq!(
        view_after(&[event(Booked, 1), event(InjectionCompleted, 2), event(BookingCancelled, 3)]),
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

/// The view that the events of a booking result in, in any order: the highest status, since the first
/// event with it.
fn expected(commands: &[Command], booking: u8) -> Option<Mypage> {
    let events: Vec<_> =
        commands.iter().filter(|command| command.reservation == reservation(booking)).collect();
    let of = |status| events.iter().filter(move |command| command.view.status == status);
    let last = [InjectionCompleted, BookingCancelled, Booked]
        .into_iter()
        .find(|status| of(*status).next().is_some())?;
    let as_of = of(last).map(|command| command.view.as_of).min()?;
    let is_named = events.iter().any(|command| command.view.status != InjectionCompleted);
    let view = view(booking, if is_named { "FIZER" } else { "" }, last, 0);
    Some(Mypage { as_of, ..view })
}

/// Few bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let status = proptest::sample::select(&[Booked, BookingCancelled, InjectionCompleted]);
    let command = (0..4_u8, status, 0..9_u8)
        .prop_map(|(booking, status, second)| of_booking(booking, status, second));
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
