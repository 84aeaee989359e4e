//! Two doses are booked together, or neither.

use booking::domain::NextDose;
use contracts::{booking::BookedSeries, vaccine::product::DoseInterval};

use super::*;

const INTERVAL: DoseInterval = DoseInterval { min_days: 21, max_days: 42 };

/// A slot of campaign 1 that begins so many hours after another one.
fn slot_after(number: u8, hours: i64) -> HeldSlot {
    let mut slot = held_slot(number, 1);
    slot.booked.starts_at = Timestamp::from_second(hours * 3_600).unwrap();
    slot
}

/// A first dose at this hour, and a second one at another.
fn both([first, second]: [u8; 2], hours: [i64; 2]) -> HeldDose {
    let next = NextDose {
        reservation: reservation(second),
        slot: slot_after(second, hours[1]),
        interval: INTERVAL,
    };
    HeldDose {
        slot: Some(slot_after(first, hours[0])),
        next: Some(Box::new(next)),
        ..held_dose(first)
    }
}

const DAY: i64 = 24;

fn create_both(attempt: BookingAttempt, doses: [u8; 2]) -> Command {
    let dose = both(doses, [0, 30 * DAY]);
    Command::Create(CreateBooking { attempt, dose, at: AT })
}

/// Bookings 1 and 2, with doses 1 and 2.
fn create_series() -> Command {
    create_both(attempt(1), [1, 2])
}

fn move_dose(booking: i64, from: u8, dose: HeldDose) -> Command {
    let (booking, from) = (BookingId(booking), reservation(from));
    Command::Move(MoveBooking { booking, from, dose, at: AT })
}

/// To a slot that begins at this hour.
fn move_one(booking: i64, from: u8, dose: u8, hours: i64) -> Command {
    let slot = Some(slot_after(dose, hours));
    move_dose(booking, from, HeldDose { slot, ..held_dose(dose) })
}

fn store_after(commands: &[Command]) -> Bookings {
    let mut bookings = Bookings::default();
    for command in commands {
        decide(&mut bookings, command);
    }
    bookings
}

/// The status and the dose of bookings 1 and 2.
fn state(commands: &[Command]) -> Vec<(BookingStatus, ReservationId)> {
    let bookings = store_after(commands);
    records(&bookings).into_iter().map(|it| (it.booking.status, it.reservation)).collect()
}

#[test]
fn each_dose_is_a_booking_that_names_the_other() {
    let CreateReply::BookedBoth(both) = created(&[create_series()]) else { panic!("two") };
    let [first, second] = *both;
    let series = |dose_number, other| {
        let other_dose_booking_id = BookingId(other);
        Some(BookedSeries { dose_number, other_dose_booking_id })
    };
    assert_eq!((first.booking.series, first.attempt), (series(1, 2), Some(attempt_id(1))));
    assert_eq!((second.booking.series, second.attempt), (series(2, 1), None));
    assert_eq!([first.reservation, second.reservation], [1, 2].map(reservation));
    assert_eq!(first.booking.user_id, second.booking.user_id);
    let starts = [&first, &second].map(|it| it.booking.slot.unwrap().starts_at.as_second());
    assert_eq!(starts, [0, 30 * DAY * 3_600]);
    assert_eq!([&first, &second].map(Record::dose_number), [1, 2]);
    let again = created(&[create_series(), create_both(attempt(1), [3, 4])]);
    assert_eq!(again, CreateReply::BookedBefore(first));
}

#[test]
fn neither_is_booked_where_one_of_the_doses_is_taken_or_was_aborted() {
    for dose in [1, 2] {
        for taken in [create(attempt(2), dose), resolve(dose), abort(the_dose(dose))] {
            let before = store_after(from_ref(&taken));
            let mut after = before.clone();
            let reply = decide(&mut after, &create_series());
            assert_eq!(reply, Reply::Create(CreateReply::DoseTaken), "{taken:?}");
            assert_eq!(after, before);
        }
    }
}

#[test]
fn a_person_has_one_series_of_a_campaign_and_neither_dose_twice() {
    let other = create_both(attempt(2), [3, 4]);
    assert_eq!(created(&[create_series(), other.clone()]), CreateReply::AlreadyBooked);
    let first = created(&[create_series(), create(attempt(2), 4)]);
    assert_eq!(first, CreateReply::AlreadyBooked, "dose 4 has a slot of the campaign");
    // The second alone was cancelled, so that the person still has a first dose.
    assert_eq!(created(&[create_series(), cancel(2), other.clone()]), CreateReply::AlreadyBooked);
    let after = created(&[create_series(), cancel(1), other]);
    assert!(matches!(after, CreateReply::BookedBoth(_)), "{after:?}");
}

#[test]
fn who_cancels_the_first_dose_cancels_the_second_and_the_second_is_cancelled_alone() {
    use BookingStatus::{Booked, BookingCancelled, InjectionCompleted};
    let statuses = |commands: &[Command]| {
        let all = [&[create_series()], commands].concat();
        state(&all).into_iter().map(|(status, _)| status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&[cancel(1)]), [BookingCancelled, BookingCancelled]);
    assert_eq!(statuses(&[cancel(2)]), [Booked, BookingCancelled]);
    assert_eq!(statuses(&[complete(1), cancel(1)]), [InjectionCompleted, Booked]);
    assert_eq!(statuses(&[complete(1), cancel(2)]), [InjectionCompleted, BookingCancelled]);
    assert_eq!(statuses(&[cancel(2), cancel(1)]), [BookingCancelled, BookingCancelled]);
    let replies = decide_all(&[create_series(), cancel(1), cancel(1), cancel(2)]);
    let Reply::Cancel(CancelReply::CancelledBoth(both)) = &replies[1] else { panic!("two") };
    let [first, second] = (**both).clone();
    let before = [first, second].map(|it| Reply::Cancel(CancelReply::CancelledBefore(it)));
    assert_eq!(replies[2..], before);
}

#[test]
fn what_is_aborted_leaves_none_of_both() {
    use BookingStatus::{Booked, BookingCancelled, InjectionCompleted};
    for what in [the_attempt(1), the_dose(1), the_dose(2)] {
        let replies = decide_all(&[create_series(), abort(what)]);
        let Reply::Abort(AbortReply::CancelledBoth(both)) = &replies[1] else { panic!("two") };
        let ids = (**both).each_ref().map(|it| (it.booking.booking_id.0, it.booking.status));
        assert_eq!(ids, [(1, BookingCancelled), (2, BookingCancelled)], "{what:?}");
    }
    let used = state(&[create_series(), complete(1), abort(the_dose(2))]);
    assert_eq!([used[0].0, used[1].0], [InjectionCompleted, BookingCancelled]);
    let kept = state(&[create_series(), resolve(1), resolve(2)]);
    assert_eq!(
        [kept[0].0, kept[1].0],
        [Booked, Booked],
        "a hold that is booked is resolved as it is"
    );
}

#[test]
fn both_doses_are_moved_or_neither() {
    let moved = move_dose(1, 1, both([3, 4], [48, 32 * DAY]));
    let replies = decide_all(&[create_series(), moved.clone(), moved.clone()]);
    let Reply::Move(MoveReply::MovedBoth(both_moved)) = &replies[1] else { panic!("{replies:?}") };
    let doses = (**both_moved).each_ref().map(|it| (it.reservation, it.previous.clone()));
    let [one, two, three, four] = [1, 2, 3, 4].map(reservation);
    assert_eq!(doses, [(three, vec![one]), (four, vec![two])]);
    assert_eq!(replies[2], Reply::Move(MoveReply::MovedBefore(both_moved[0].clone())));
    for (between, refusal) in [
        (create(attempt(2), 4), MoveReply::DoseTaken),
        (resolve(3), MoveReply::DoseTaken),
        (cancel(2), MoveReply::Changed),
        (complete(2), MoveReply::Changed),
        (cancel(1), MoveReply::Cancelled),
    ] {
        // Dose 4 of another person.
        let between = match between {
            Command::Create(create) => {
                let attempt = BookingAttempt { user: UserId(9), ..create.attempt };
                Command::Create(CreateBooking { attempt, ..create })
            }
            other => other,
        };
        let before = store_after(&[create_series(), between]);
        let mut after = before.clone();
        assert_eq!(decide(&mut after, &moved), Reply::Move(refusal));
        assert_eq!(after, before);
    }
}

#[test]
fn a_dose_is_moved_alone_as_far_as_the_other_is_neither_too_early_nor_too_late() {
    let is_moved = |command: Command| match decide_all(&[create_series(), command]).pop().unwrap() {
        Reply::Move(MoveReply::Moved(_)) => true,
        Reply::Move(MoveReply::OutsideInterval) => false,
        reply => panic!("{reply:?}"),
    };
    // The second dose is 30 days after the first, and due 21 to 42 days after it.
    assert!(is_moved(move_one(1, 1, 3, 9 * DAY)));
    assert!(!is_moved(move_one(1, 1, 3, 10 * DAY)));
    assert!(!is_moved(move_one(1, 1, 3, 40 * DAY)));
    assert!(is_moved(move_one(2, 2, 3, 21 * DAY)));
    assert!(is_moved(move_one(2, 2, 3, 21 * DAY - 11)), "earlier in the day");
    assert!(!is_moved(move_one(2, 2, 3, 21 * DAY - 13)));
    assert!(is_moved(move_one(2, 2, 3, 42 * DAY + 11)));
    assert!(!is_moved(move_one(2, 2, 3, 42 * DAY + 13)));
    let far = |between: Command| {
        decide_all(&[create_series(), between, move_one(1, 1, 3, 40 * DAY)]).pop().unwrap()
    };
    assert!(
        matches!(far(cancel(2)), Reply::Move(MoveReply::Moved(_))),
        "nothing to be too early for"
    );
}

#[test]
fn a_ticket_ends_with_both_doses_or_neither() {
    use booking::domain::{
        NotGranted,
        tickets::{Answer, EnqueueTicket, ServeReply, ServeTicket, TicketEnd},
    };
    use contracts::ids::TicketId;
    let ticket = |number: u8| TicketId(attempt_id(number).0);
    let enqueue = |number| {
        Command::Enqueue(EnqueueTicket {
            ticket: ticket(number),
            choice: attempt(number).choice,
            user: UserId(5),
            fingerprint: fingerprint(number),
            at: AT,
        })
    };
    let serve = |number, doses| {
        let answer = Answer::Held(both(doses, [0, 30 * DAY]));
        Command::Serve(ServeTicket { ticket: ticket(number), answer, at: AT })
    };
    let commands = [enqueue(1), enqueue(2), resolve(2), serve(1, [1, 2]), serve(1, [3, 4])];
    let replies = decide_all(&[&commands[..], &[serve(2, [0, 5])]].concat());
    assert_eq!(replies[3], Reply::Serve(ServeReply::DoseTaken));
    let Reply::Serve(ServeReply::BookedBoth(booked)) = &replies[4] else { panic!("{replies:?}") };
    assert_eq!(booked[0].attempt, Some(attempt_id(1)));
    let Reply::Serve(ServeReply::Ended(ended)) = &replies[5] else { panic!("{replies:?}") };
    assert_eq!(ended.end, Some(TicketEnd::NotGranted(NotGranted::AlreadyBooked)));
}

/// Series, single doses of the same pools, and everything that ends them.
fn steps() -> impl Strategy<Value = Vec<Command>> {
    let doses = || prop_oneof![Just([0, 1]), Just([2, 3]), Just([4, 5]), Just([3, 4])];
    let person = |number: u8| BookingAttempt { user: UserId(number.into()), ..attempt(number) };
    let step = prop_oneof![
        4 => (0..4_u8, doses()).prop_map(move |(number, doses)| create_both(person(number), doses)),
        1 => (0..4_u8, 0..6_u8).prop_map(move |(number, dose)| create(person(number), dose)),
        2 => (0..8_i64).prop_map(cancel),
        2 => (0..8_i64, 0..6_u8, doses())
            .prop_map(|(id, from, doses)| move_dose(id, from, both(doses, [0, 30 * DAY]))),
        1 => (0..6_u8).prop_map(resolve),
        2 => abortable().prop_map(abort),
        1 => (0..6_u8).prop_map(complete),
    ];
    vec(step, 0..40)
}

proptest! {
    #[test]
    fn a_series_is_whole_until_its_second_dose_is_cancelled_or_its_first_was_used(
        commands in steps()
    ) {
        let mut bookings = Bookings::default();
        let mut cancelled_alone = BTreeSet::new();
        for command in &commands {
            let before = bookings.clone();
            let reply = decide(&mut bookings, command);
            if let Reply::Cancel(CancelReply::Cancelled(record)) = &reply {
                cancelled_alone.insert(record.booking.booking_id);
            }
            if is_refusal(&reply) {
                prop_assert_eq!(&before, &bookings);
            }
            for record in records(&bookings) {
                let Some(second) = record.second() else { continue };
                let second = bookings.bookings.get(&second).unwrap();
                let statuses = [record, second].map(|it| it.booking.status);
                let is_split = statuses[0] == BookingStatus::Booked
                    && statuses[1] == BookingStatus::BookingCancelled;
                let id = second.booking.booking_id;
                prop_assert!(!is_split || cancelled_alone.contains(&id), "{:?}", (record, second));
                let stands_alone = statuses[0] == BookingStatus::BookingCancelled
                    && statuses[1] == BookingStatus::Booked;
                prop_assert!(!stands_alone, "{:?}", (record, second));
            }
        }
    }
}
