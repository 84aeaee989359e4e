//! A booking that was moved has the units of its new reservation and no others, whatever arrives first.

use contracts::vaccine::ReservationState::{self, Administered, Booked, Held, Released};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, subsequence},
};
use vaccine::domain::{
    Command, ConfirmHold, HoldDose, Ledger, MoveReservation, Pool, Refusal, Reply,
};

use super::{decide, ledger, taken};
use crate::commands::{
    administer, change_campaign, dose, hold_doses, open_campaign, owner, plan, pool_id,
    reservation, return_dose,
};

/// A dose of vaccine 1 with a place of slot 1.
const FIRST: [i64; 2] = [1, -1];

/// A dose of vaccine 1 with a place of slot 2.
const SECOND: [i64; 2] = [1, -2];

/// A booking of owner 1 was moved from these reservations to one of these pools.
fn move_from(previous: &[u128], number: u128, pools: &[i64]) -> MoveReservation {
    let previous = previous.iter().copied().map(reservation).collect();
    let HoldDose { reservation, claims, at, owner: _ } = dose(number, pools);
    MoveReservation { previous, reservation, owner: owner(1), claims, at, is_cancelled: false }
}

fn moved(previous: &[u128], number: u128, pools: &[i64]) -> Command {
    Command::Move(move_from(previous, number, pools))
}

/// So many doses, and a place of each of two slots.
fn with_slots(doses: i64) -> Ledger {
    let mut ledger = ledger(&[doses]);
    run(&mut ledger, &[plan(1, 1), plan(2, 1), change_campaign(open_campaign(&[1]))]);
    ledger
}

fn run(ledger: &mut Ledger, commands: &[Command]) {
    for command in commands {
        assert_eq!(decide(ledger, command).refusal(), None);
    }
}

fn booked(number: u128, pools: &[i64]) -> Command {
    ConfirmHold(dose(number, pools)).into()
}

/// Reservation 1 is booked with the first slot; reservation 2 is held with the second.
fn before_the_move() -> Ledger {
    let mut ledger = with_slots(2);
    let held = |number, pools: &[i64]| Command::from(hold_doses(number, pools));
    run(&mut ledger, &[held(1, &FIRST), booked(1, &FIRST), held(2, &SECOND)]);
    assert_eq!((states(&ledger), counts(&ledger)), ([Some(Booked), Some(Held)], [2, 1, 1]));
    ledger
}

/// The reply to the move of reservation 1 to the second slot.
fn reply_to_move(ledger: &mut Ledger) -> Result<(), Refusal> {
    match decide(ledger, &moved(&[1], 2, &SECOND)) {
        Reply::Moved(reply) => reply,
        reply => panic!("{reply:?}"),
    }
}

/// The states of both reservations.
fn states(ledger: &Ledger) -> [Option<ReservationState>; 2] {
    [1, 2].map(|id| ledger.reservations.get(&reservation(id)).map(|known| known.state))
}

/// Doses, and places of both slots, that are taken.
fn counts(ledger: &Ledger) -> [i64; 3] {
    [1, -1, -2].map(|pool| taken(ledger, pool))
}

#[test]
fn the_new_place_is_booked_and_the_old_one_is_released_once() {
    let mut ledger = before_the_move();
    for _ in 0..2 {
        assert_eq!(reply_to_move(&mut ledger), Ok(()));
        assert_eq!(states(&ledger), [Some(Released), Some(Booked)]);
        assert_eq!(counts(&ledger), [1, 0, 1]);
    }
}

#[test]
fn a_ledger_that_does_not_know_the_hold_takes_the_last_dose_from_the_old_place() {
    let mut ledger = with_slots(1);
    run(&mut ledger, &[booked(1, &FIRST)]);
    assert_eq!(reply_to_move(&mut ledger), Ok(()));
    assert_eq!((states(&ledger), counts(&ledger)), ([Some(Released), Some(Booked)], [1, 0, 1]));
    let overcommitted = [1, -1, -2].map(|id| ledger.pools.get(&pool_id(id)).unwrap().overcommitted);
    assert_eq!(overcommitted, [0, 0, 0]);
}

#[test]
fn a_move_that_arrives_before_its_booking_prevents_the_old_reservation() {
    let mut ledger = with_slots(2);
    assert_eq!(reply_to_move(&mut ledger), Ok(()));
    for late in [booked(1, &FIRST), hold_doses(1, &FIRST).into()] {
        assert_eq!(decide(&mut ledger, &late).refusal(), Some(Refusal::Released));
    }
    assert_eq!((states(&ledger), counts(&ledger)), ([Some(Released), Some(Booked)], [1, 0, 1]));
}

#[test]
fn a_dose_that_was_used_before_the_move_stays_used_and_the_new_one_is_free_again() {
    let mut ledger = before_the_move();
    run(&mut ledger, &[administer(1, 1)]);
    assert_eq!(reply_to_move(&mut ledger), Err(Refusal::Administered));
    assert_eq!(states(&ledger), [Some(Administered), Some(Booked)]);
    // The booking is completed with the dose that was used.
    run(&mut ledger, &[return_dose(2)]);
    assert_eq!(states(&ledger), [Some(Administered), Some(Released)]);
    assert_eq!(counts(&ledger), [0, 1, 0], "somebody was there");
}

#[test]
fn a_booking_that_was_cancelled_after_the_move_has_nothing() {
    let mut late = before_the_move();
    run(&mut late, &[return_dose(2)]);
    assert_eq!(reply_to_move(&mut late), Err(Refusal::Released));
    let mut at_once = before_the_move();
    let cancelled = MoveReservation { is_cancelled: true, ..move_from(&[1], 2, &SECOND) };
    run(&mut at_once, &[Command::Move(cancelled)]);
    for ledger in [late, at_once] {
        assert_eq!(states(&ledger), [Some(Released), Some(Released)]);
        assert_eq!(counts(&ledger), [0, 0, 0]);
    }
}

#[test]
fn a_booking_that_has_its_first_dose_again_keeps_it() {
    let mut ledger = before_the_move();
    run(&mut ledger, &[moved(&[1, 2], 1, &FIRST)]);
    assert_eq!((states(&ledger), counts(&ledger)), ([Some(Booked), Some(Released)], [1, 1, 0]));
}

#[test]
fn a_store_moves_only_its_own_reservations() {
    let mut ledger = before_the_move();
    let by_another = MoveReservation { owner: owner(2), ..move_from(&[1], 2, &SECOND) };
    let before = ledger.clone();
    let reply = decide(&mut ledger, &Command::Move(by_another));
    assert_eq!(reply, Reply::Moved(Err(Refusal::Conflict)));
    assert_eq!(ledger, before);
}

proptest! {
    /// Events of a booking that was moved may arrive in any order, and any number of times.
    #[test]
    fn repeated_and_shuffled_events_of_a_moved_booking_end_in_the_same_state(
        events in subsequence(
            vec![booked(1, &FIRST), moved(&[1], 2, &SECOND), administer(1, 1), return_dose(2)],
            1..=4,
        ),
        deliveries in vec(any::<Index>(), 0..10),
    ) {
        let mut in_order = before_the_move();
        for command in &events {
            decide(&mut in_order, command);
        }
        let mut shuffled = before_the_move();
        for delivery in deliveries {
            decide(&mut shuffled, delivery.get(&events));
        }
        for command in events.iter().rev() {
            decide(&mut shuffled, command);
        }
        prop_assert_eq!(end(&shuffled), end(&in_order));
    }
}

/// The doses, the places of the second slot, and the states of both reservations. A place of the first slot stays taken
/// only if its dose was used before it was released.
fn end(ledger: &Ledger) -> ([Option<&Pool>; 2], [Option<ReservationState>; 2]) {
    ([1, -2].map(|id| ledger.pools.get(&pool_id(id))), states(ledger))
}
