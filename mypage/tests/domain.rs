//! How views are folded: rule by rule, and any order against a naive model.

use contracts::{
    ids::{BookingId, ReservationId, UserId, VaccineId},
    mypage::MypageStatus::{self, Booked, BookingCancelled, InjectionCompleted},
};
use jiff::Timestamp;
use mypage::domain::{Command, View, Views, fold};
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

fn reservation(booking: u8) -> ReservationId {
    ReservationId(Uuid::from_u128(booking.into()))
}

fn at(second: u8) -> Timestamp {
    Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second.into())
}

/// What is said about booking 7 in that second; injections do not say the vaccine's name.
fn said(status: MypageStatus, second: u8) -> Command {
    about(7, status, second)
}

fn about(booking: u8, status: MypageStatus, second: u8) -> Command {
    let vaccine_name = if status == InjectionCompleted { "" } else { "FIZER" };
    Command { reservation: reservation(booking), view: view(booking, vaccine_name, status, second) }
}

fn view(booking: u8, vaccine_name: &str, status: MypageStatus, second: u8) -> View {
    View {
        booking: BookingId(booking.into()),
        vaccine: VaccineId(1),
        vaccine_name: vaccine_name.to_owned(),
        user: UserId(5),
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

/// What booking 7 looks like after all that.
fn seen(commands: &[Command]) -> Option<View> {
    fold_all(commands).get(&reservation(7)).cloned()
}

#[test]
fn nothing_is_seen_before_it_was_heard() {
    assert_eq!(seen(&[]), None);
    assert_eq!(seen(&[about(8, Booked, 1)]), None);
}

#[test]
fn a_status_moves_forward() {
    let story = [said(Booked, 1), said(BookingCancelled, 2), said(InjectionCompleted, 3)];
    for (heard, expected) in [
        (1, view(7, "FIZER", Booked, 1)),
        (2, view(7, "FIZER", BookingCancelled, 2)),
        (3, view(7, "FIZER", InjectionCompleted, 3)),
    ] {
        assert_eq!(seen(&story[..heard]), Some(expected));
    }
}

#[test]
fn a_status_never_moves_back() {
    let cancelled = Some(view(7, "FIZER", BookingCancelled, 2));
    assert_eq!(seen(&[said(BookingCancelled, 2), said(Booked, 1)]), cancelled);
    assert_eq!(seen(&[said(BookingCancelled, 2), said(Booked, 3)]), cancelled);
    let completed = Some(view(7, "FIZER", InjectionCompleted, 2));
    assert_eq!(
        seen(&[said(Booked, 1), said(InjectionCompleted, 2), said(BookingCancelled, 3)]),
        completed
    );
}

#[test]
fn the_name_of_the_vaccine_is_there_as_soon_as_bookings_have_said_it() {
    assert_eq!(seen(&[said(InjectionCompleted, 2)]), Some(view(7, "", InjectionCompleted, 2)));
    assert_eq!(
        seen(&[said(InjectionCompleted, 2), said(Booked, 1)]),
        Some(view(7, "FIZER", InjectionCompleted, 2))
    );
}

#[test]
fn a_status_counts_from_the_first_that_says_so() {
    for order in [[1, 2], [2, 1]] {
        let twice = order.map(|second| said(Booked, second));
        assert_eq!(seen(&twice), Some(view(7, "FIZER", Booked, 1)));
    }
}

#[test]
fn bookings_are_seen_apart() {
    let views = fold_all(&[about(1, Booked, 1), about(2, BookingCancelled, 2)]);
    assert_eq!(views.get(&reservation(1)), Some(&view(1, "FIZER", Booked, 1)));
    assert_eq!(views.get(&reservation(2)), Some(&view(2, "FIZER", BookingCancelled, 2)));
}

/// What all that was said about a booking amounts to, in whatever order: the last status that was
/// reached, the first time that it was.
fn expected(commands: &[Command], booking: u8) -> Option<View> {
    let said: Vec<_> =
        commands.iter().filter(|command| command.reservation == reservation(booking)).collect();
    let of = |status| said.iter().filter(move |command| command.view.status == status);
    let last = [InjectionCompleted, BookingCancelled, Booked]
        .into_iter()
        .find(|status| of(*status).next().is_some())?;
    let as_of = of(last).map(|command| command.view.as_of).min()?;
    let is_named = said.iter().any(|command| command.view.status != InjectionCompleted);
    let view = view(booking, if is_named { "FIZER" } else { "" }, last, 0);
    Some(View { as_of, ..view })
}

/// Few bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let status = proptest::sample::select(&[Booked, BookingCancelled, InjectionCompleted]);
    let command = (0..4_u8, status, 0..9_u8)
        .prop_map(|(booking, status, second)| about(booking, status, second));
    vec(command, 0..24)
}

proptest! {
    #[test]
    fn any_order_ends_in_what_the_model_says(commands in commands().prop_shuffle()) {
        let views = fold_all(&commands);
        for booking in 0..4 {
            prop_assert_eq!(
                views.get(&reservation(booking)).cloned(),
                expected(&commands, booking)
            );
        }
    }

    #[test]
    fn hearing_everything_again_changes_nothing(commands in commands()) {
        let once = fold_all(&commands);
        let twice = fold_all(commands.iter().chain(&commands));
        prop_assert_eq!(once, twice);
    }
}
