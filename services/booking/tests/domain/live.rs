//! A person has as many live bookings of a campaign as may be.

use super::*;

/// A booking of this slot of a campaign of which a person can have so many.
fn create_of(number: u8, user: i64, [campaign, per_person]: [u8; 2]) -> Command {
    let slot = HeldSlot { bookings_per_person: per_person, ..held_slot(number, campaign.into()) };
    let dose = HeldDose { slot: Some(slot), ..held_dose(number) };
    let attempt = BookingAttempt { user: UserId(user), ..attempt(number) };
    Command::Create(CreateBooking { attempt, dose, at: AT })
}

/// Which of the bookings of its person the last one is.
fn nth(commands: &[Command]) -> Option<u8> {
    match created(commands) {
        CreateReply::Booked(record) => Some(record.campaign_dose.unwrap().nth),
        CreateReply::AlreadyBooked => None,
        reply => panic!("{reply:?}"),
    }
}

#[test]
fn one_booking_of_a_campaign_and_any_number_without_a_slot() {
    let first = create_of(1, 5, [1, 1]);
    assert_eq!(nth(&[first.clone(), create_of(2, 5, [1, 1])]), None);
    assert_eq!(nth(&[first.clone(), create_of(2, 6, [1, 1])]), Some(0), "another person");
    assert_eq!(nth(&[first.clone(), create_of(2, 5, [2, 1])]), Some(0), "another campaign");
    let without = created(&[first, create(attempt(2), 2), create(attempt(3), 3)]);
    assert_eq!(without, CreateReply::Booked(booked(3, attempt(3), 3)));
}

#[test]
fn a_campaign_may_allow_more() {
    let three: Vec<_> = (1..4).map(|number| create_of(number, 5, [1, 2])).collect();
    assert_eq!([1, 2, 3].map(|count| nth(&three[..count])), [Some(0), Some(1), None]);
    let freed = [&three[..2], &[cancel(1)], &three[2..]].concat();
    assert_eq!(nth(&freed), Some(0));
}

#[test]
fn a_booking_that_was_cancelled_does_not_count_and_a_completed_one_does() {
    let (first, second) = (create_of(1, 5, [1, 1]), create_of(2, 5, [1, 1]));
    let after = |between: &[Command]| nth(&[from_ref(&first), between, from_ref(&second)].concat());
    assert_eq!(after(&[cancel(1)]), Some(0));
    assert_eq!(after(&[abort(the_attempt(1))]), Some(0));
    assert_eq!(after(&[complete(1)]), None);
    assert_eq!(after(&[cancel(1), complete(1)]), None, "its dose was used after all");
}

#[test]
fn a_booking_that_is_moved_counts_in_the_campaign_that_it_is_moved_to() {
    let (first, second) = (create_of(1, 5, [1, 1]), create_of(2, 5, [2, 1]));
    // Slot 4 is one of campaign 1.
    assert_eq!(
        decide_all(&[first.clone(), second.clone(), moves(2, 2, 4)])[2],
        Reply::Move(MoveReply::AlreadyBooked)
    );
    let within = decide_all(&[first, moves(1, 1, 4)]).pop().unwrap();
    assert!(matches!(within, Reply::Move(MoveReply::Moved(_))), "{within:?}");
    assert_eq!(nth(&[second.clone(), moves(1, 2, 4), create_of(1, 5, [1, 1])]), None);
    assert_eq!(nth(&[second, moves(1, 2, 4), create_of(1, 5, [2, 1])]), Some(0));
}
