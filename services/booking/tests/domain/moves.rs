//! A booking is moved to a dose with a place of another slot, never to none and never to two.

use super::*;

/// Booking 1 has dose 1.
fn create_first() -> Command {
    create(attempt(1), 1)
}

/// That booking after it had these doses, the last of which it has now.
fn moved(doses: &[u8]) -> Record {
    let mut record = booked(1, attempt(1), doses[0]);
    // A booking of a slot counts for its person.
    let campaign = doses.iter().find_map(|dose| held_dose(*dose).slot).map(|slot| slot.campaign);
    record.campaign_dose = campaign.map(counts_as);
    for dose in &doses[1..] {
        replace_dose(&mut record, reservation(*dose));
    }
    record
}

/// The last reply, which is one to a move.
fn reply_to_move(commands: &[Command]) -> MoveReply {
    let last = decide_all(commands).pop().unwrap();
    let Reply::Move(reply) = last else { panic!("it moves last: {last:?}") };
    reply
}

/// Whether the booking has not changed.
fn stands_unchanged(commands: &[Command]) -> bool {
    let mut bookings = Bookings::default();
    let (last, before) = commands.split_last().unwrap();
    for command in before {
        decide(&mut bookings, command);
    }
    let unchanged = bookings.clone();
    decide(&mut bookings, last);
    bookings == unchanged
}

#[test]
fn a_moved_booking_has_the_dose_and_the_slot_of_the_new_place() {
    assert_eq!(reply_to_move(&[create_first(), moves(1, 1, 4)]), MoveReply::Moved(moved(&[1, 4])));
    assert_eq!(moved(&[1, 4]).booking.slot, Some(slot(4)));
    let again = [create_first(), moves(1, 1, 4), moves(1, 4, 5)];
    assert_eq!(reply_to_move(&again), MoveReply::Moved(moved(&[1, 4, 5])));
}

#[test]
fn the_dose_of_a_place_that_was_left_is_never_booked_again() {
    let left = [create_first(), moves(1, 1, 4)];
    let replies = decide_all(&[&left[..], &[resolve(1), create(attempt(2), 1)]].concat());
    assert_eq!(
        replies[2..],
        [
            Reply::Resolve(ResolveReply::Aborted(reservation(1))),
            Reply::Create(CreateReply::DoseTaken)
        ]
    );
    let back = [&left[..], &[moves(1, 4, 1)]].concat();
    assert_eq!(reply_to_move(&back), MoveReply::DoseTaken);
    let of_another = [&left[..], &[create(attempt(2), 2), moves(2, 2, 1)]].concat();
    assert_eq!(reply_to_move(&of_another), MoveReply::DoseTaken);
}

#[test]
fn a_move_to_a_dose_that_was_aborted_or_is_booked_leaves_the_booking_where_it_is() {
    for taken in [resolve(4), abort(the_dose(4)), create(attempt(2), 4)] {
        let commands = [create_first(), taken, moves(1, 1, 4)];
        assert_eq!(reply_to_move(&commands), MoveReply::DoseTaken);
        assert!(stands_unchanged(&commands));
    }
}

#[test]
fn of_two_moves_the_first_counts_and_a_repeated_one_changes_nothing() {
    let other = [create_first(), moves(1, 1, 4), moves(1, 1, 5)];
    assert_eq!(reply_to_move(&other), MoveReply::Changed);
    assert!(stands_unchanged(&other));
    let same = [create_first(), moves(1, 1, 4), moves(1, 1, 4)];
    assert_eq!(reply_to_move(&same), MoveReply::MovedBefore(moved(&[1, 4])));
    assert!(stands_unchanged(&same));
}

#[test]
fn a_booking_that_ended_or_does_not_exist_is_not_moved() {
    for (end, refusal) in [
        (cancel(1), MoveReply::Cancelled),
        (abort(the_attempt(1)), MoveReply::Cancelled),
        (complete(1), MoveReply::Completed),
    ] {
        let commands = [create_first(), end, moves(1, 1, 4)];
        assert_eq!(reply_to_move(&commands), refusal);
        assert!(stands_unchanged(&commands));
    }
    assert_eq!(reply_to_move(&[create_first(), moves(2, 1, 4)]), MoveReply::NoSuchBooking);
}

#[test]
fn a_booking_is_moved_sixteen_times_at_most() {
    let move_of = |dose: u8| {
        let dose = HeldDose { slot: None, ..held_dose(dose) };
        let from = ReservationId(Uuid::from_u128(dose.reservation.0.as_u128() - 1));
        Command::Move(MoveBooking { booking: BookingId(1), from, dose, at: AT })
    };
    let allowed: Vec<_> = [create_first()].into_iter().chain((2..18).map(move_of)).collect();
    let last = reply_to_move(&allowed);
    assert!(matches!(&last, MoveReply::Moved(it) if it.previous.len() == MOVES_MAX), "{last:?}");
    let refused = [&allowed[..], &[move_of(18)]].concat();
    assert_eq!(reply_to_move(&refused), MoveReply::TooOften);
}

#[test]
fn a_moved_booking_is_cancelled_with_the_dose_that_it_has() {
    let commands = [create_first(), moves(1, 1, 4), cancel(1)];
    let expected = CancelReply::Cancelled(cancelled(moved(&[1, 4])));
    assert_eq!(decide_all(&commands)[2], Reply::Cancel(expected));
}

#[test]
fn a_dose_that_was_used_although_its_booking_was_moved_completes_the_booking() {
    let crossed = [create_first(), moves(1, 1, 4), moves(1, 4, 5), complete(1), complete(1)];
    let record = completed(moved(&[1, 4, 5, 1]));
    assert_eq!(record.booking.slot, None, "it is where they were");
    assert_eq!(
        decide_all(&crossed)[3..],
        [
            Reply::Complete(CompleteReply::MoveUndone {
                record: record.clone(),
                released: reservation(5)
            }),
            Reply::Complete(CompleteReply::Completed(record))
        ]
    );
    let released = [&crossed[..], &[create(attempt(2), 5)]].concat();
    assert_eq!(created(&released), CreateReply::DoseTaken);
}

#[test]
fn a_moved_booking_that_was_cancelled_is_completed_with_a_dose_that_it_had() {
    let commands = [create_first(), moves(1, 1, 4), cancel(1), complete(1)];
    let record = completed(cancelled(moved(&[1, 4, 1])));
    assert_eq!(
        decide_all(&commands)[3],
        Reply::Complete(CompleteReply::MoveUndone { record, released: reservation(4) })
    );
}

#[test]
fn a_moved_booking_is_completed_once() {
    let commands = [create_first(), moves(1, 1, 4), complete(4), complete(1)];
    let record = completed(moved(&[1, 4]));
    let reply = Reply::Complete(CompleteReply::Completed(record));
    assert_eq!(decide_all(&commands)[2..], [reply.clone(), reply]);
}
