//! Doses are held in blocks; then each reservation goes its own way.

use contracts::{
    ids::ReservationId,
    vaccine::{AHEAD_MAX, ReservationState},
};
use insta::assert_snapshot;
use vaccine::domain::{
    BLOCK_MAX, Command, ConfirmHold, HeldBlock, HoldDose, HoldDoses, Ledger, Refusal, Reply,
    decide, sold_out,
};

use super::{change_stock, ledger, replies, replies_and_stock, taken};
use crate::commands::{
    abort_by, administer, confirm, dose, held, hold, hold_block, owner, pool_id, register, release,
    reservation, return_dose,
};

/// How many doses of vaccine 1 a block is granted, of which so many are free.
fn granted(free: i64, hold: HoldDoses) -> Option<u32> {
    let mut ledger = ledger(&[free]);
    match decide(&mut ledger, &hold.into()) {
        Reply::Held(Ok(HeldBlock { count, .. })) => {
            assert_eq!(taken(&ledger, 1), i64::from(count), "it counts what it grants");
            Some(count)
        }
        reply => {
            assert_eq!(reply, Reply::Held(Err(Refusal::SoldOut)));
            None
        }
    }
}

#[test]
fn a_block_gets_as_many_doses_as_are_free() {
    assert_eq!(granted(5, hold_block(1, 5, 0)), Some(5));
    assert_eq!(granted(3, hold_block(1, 5, 0)), Some(3));
    assert_eq!(granted(0, hold_block(1, 5, 0)), None);
    let two_each = HoldDoses { claims: vec![pool_id(1); 2], ..hold_block(1, 5, 0) };
    assert_snapshot!(replies(&mut ledger(&[7]), &[two_each.into()]), @"held 3 FIZER (6 taken)");
}

#[test]
fn of_what_is_left_an_owner_gets_a_64th_ahead_of_demand() {
    for (free, count, ahead, in_hand, expected) in [
        (640, 0, 5, 0, 5),
        (640, 0, 20, 0, 10),
        (639, 0, 20, 0, 9),
        (643, 3, 20, 0, 3 + 10),
        (642, 3, 20, 0, 3 + 9),
        (640, 0, 20, 4, 6),
        (640, 0, 20, 10, 0),
        (640, 0, 20, 11, 0),
        (63, 0, 20, 0, 0),
        (63, 2, 20, 0, 2),
        (3, 5, 20, 0, 3),
        (0, 0, 20, 0, 0),
    ] {
        let hold = HoldDoses { in_hand, ..hold_block(1, count, ahead) };
        assert_eq!(granted(free, hold.clone()), Some(expected), "of {free}: {hold:?}");
    }
}

#[test]
fn ahead_of_demand_an_owner_has_1024_doses_at_most() {
    let free = 1_000_000;
    assert_eq!(granted(free, hold_block(1, 512, AHEAD_MAX)), Some(512 + 1_024));
    assert_eq!(
        granted(free, HoldDoses { in_hand: 1_000, ..hold_block(1, 1, AHEAD_MAX) }),
        Some(25)
    );
    assert_eq!(granted(free, HoldDoses { in_hand: 1_024, ..hold_block(1, 1, AHEAD_MAX) }), Some(1));
    assert_eq!(granted(free, HoldDoses { in_hand: u32::MAX, ..hold_block(1, 1, 7) }), Some(1));
}

#[test]
fn a_block_that_wants_nothing_now_and_gets_nothing_takes_no_numbers() {
    let mut ledger = ledger(&[10]);
    let commands = [hold_block(1, 0, 5).into(), hold_block(1, 0, 0).into(), hold(1, 1)];
    assert_snapshot!(replies(&mut ledger, &commands), @"
    held 0 FIZER (0 taken)
    held 0 FIZER (0 taken)
    held FIZER (1 taken)
    ");
}

#[test]
fn a_repeated_block_has_the_same_reply_also_after_it_was_booked_and_the_last_dose_taken() {
    let block = Command::from(hold_block(1, 5, 0));
    let commands = [
        block.clone(),
        block.clone(),
        register(1),
        hold(9, 1),
        confirm(1, 1),
        block.clone(),
        confirm(2, 1),
        confirm(3, 1),
        block.clone(),
        administer(2, 1),
        block,
    ];
    assert_snapshot!(replies(&mut ledger(&[3]), &commands), @"
    held 3 FIZER (3 taken)
    held 3 FIZER (3 taken)
    2: 0 of 1 FIZER (3 taken)
    refused, every dose is held or booked (3 taken)
    confirmed (3 taken)
    held 3 FIZER (3 taken)
    confirmed (3 taken)
    confirmed (3 taken)
    held 3 FIZER (3 taken)
    administered (2 taken)
    held 3 FIZER (2 taken)
    ");
}

#[test]
fn a_block_with_a_reservation_that_is_known_otherwise_is_refused_whole() {
    for before in [
        vec![release(3)],
        vec![abort_by(1, 1)],
        vec![confirm(5, 1)],
        vec![administer(5, 1)],
        vec![hold_block(5, 2, 0).into()],
        vec![hold_block(0, 2, 0).into()],
        vec![hold_block(1, 5, 0).into(), release(4)],
        vec![hold_block(1, 6, 0).into()],
        vec![HoldDoses { owner: Some(owner(2)), ..hold_block(1, 5, 0) }.into()],
        vec![HoldDoses { owner: None, ..hold_block(1, 5, 0) }.into()],
        vec![HoldDoses { claims: vec![pool_id(2)], ..hold_block(1, 5, 0) }.into()],
    ] {
        let mut ledger = ledger(&[1_000, 1_000]);
        for command in &before {
            assert_eq!(decide(&mut ledger, command).refusal(), None, "{command:?}");
        }
        let expected = ledger.clone();
        let refusal = decide(&mut ledger, &hold_block(1, 5, 0).into()).refusal();
        assert!(
            matches!(refusal, Some(Refusal::Conflict | Refusal::Released | Refusal::Administered)),
            "{before:?}: {refusal:?}"
        );
        assert_eq!(ledger, expected, "{before:?}");
    }
}

#[test]
fn a_block_leaves_the_reservations_beside_it_alone() {
    let commands = [
        release(0),
        release(6),
        hold_block(1, 5, 0).into(),
        hold_block(7, 2, 0).into(),
        release(5),
    ];
    assert_snapshot!(replies(&mut ledger(&[9]), &commands), @"
    released (0 taken)
    released (0 taken)
    held 5 FIZER (5 taken)
    held 2 FIZER (7 taken)
    released (6 taken)
    ");
}

/// What was not granted can be the beginning of another block.
#[test]
fn a_block_has_the_reservations_that_were_granted_and_no_more() {
    let mut ledger = ledger(&[3]);
    let [first, second] = [hold_block(1, 5, 0), hold_block(4, 2, 0)].map(Command::from);
    let more = change_stock(1, 9);
    assert_eq!(decide(&mut ledger, &first), Reply::Held(Ok(held(3))));
    assert_eq!(ledger.reservations.get(&reservation(4)), None);
    decide(&mut ledger, &more);
    assert_eq!(decide(&mut ledger, &second), Reply::Held(Ok(held(2))));
    assert_eq!(decide(&mut ledger, &first), Reply::Held(Ok(held(3))));
    assert_eq!(taken(&ledger, 1), 5);
}

#[test]
fn each_reservation_of_a_block_has_a_state_of_its_own() {
    let mut ledger = ledger(&[6]);
    let commands = [
        hold_block(1, 6, 0).into(),
        release(3),
        release(3),
        confirm(1, 1),
        confirm(2, 1),
        confirm(3, 1),
        abort_by(4, 1),
        abort_by(4, 1),
        confirm(4, 1),
        abort_by(2, 1),
        administer(2, 1),
        administer(2, 1),
        return_dose(1),
        return_dose(7),
        confirm(6, 1),
    ];
    assert_snapshot!(replies_and_stock(&mut ledger, &commands), @"
    held 6 FIZER (6 taken of 6)
    released (5 taken of 6)
    released (5 taken of 6)
    confirmed (5 taken of 6)
    confirmed (5 taken of 6)
    refused, the reservation was released before (5 taken of 6)
    aborted (4 taken of 6)
    aborted (4 taken of 6)
    refused, the reservation was released before (4 taken of 6)
    refused, the reservation id is taken by another one (4 taken of 6)
    administered (3 taken of 5)
    administered (3 taken of 5)
    returned (2 taken of 5)
    returned (2 taken of 5)
    confirmed (2 taken of 5)
    ");
    assert_eq!(
        states(&ledger, 1..=7),
        [
            Some(ReservationState::Released),
            Some(ReservationState::Administered),
            Some(ReservationState::Released),
            Some(ReservationState::Aborted),
            Some(ReservationState::Held),
            Some(ReservationState::Booked),
            Some(ReservationState::Released),
        ]
    );
}

#[test]
fn a_confirmation_of_a_block_by_another_owner_or_for_another_vaccine_is_refused() {
    let mut ledger = ledger(&[9, 9]);
    let other = Command::Confirm(ConfirmHold(HoldDose { owner: Some(owner(2)), ..dose(2, &[1]) }));
    assert_snapshot!(replies(&mut ledger, &[hold_block(1, 3, 0).into(), other, confirm(2, 2)]), @"
    held 3 FIZER (3 taken)
    refused, the reservation id is taken by another one (3 taken)
    refused, the reservation id is taken by another one (3 taken)
    ");
}

#[test]
fn a_block_that_is_too_long_or_leaves_the_last_16_bits_is_refused() {
    for (first, count, ahead) in [
        (0xfffe, 3, 0),
        (0xfffe, 0, 3),
        (0xffff, 1, 1),
        (1, BLOCK_MAX, 1),
        (1, u32::MAX, 0),
        (1, u32::MAX, u32::MAX),
    ] {
        let mut ledger = ledger(&[1_000_000]);
        let (hold, before) = (hold_block(first, count, ahead), ledger.clone());
        assert_eq!(sold_out(&ledger, &hold), None, "{hold:?}");
        let reply = decide(&mut ledger, &hold.clone().into());
        assert_eq!(reply, Reply::Held(Err(Refusal::Conflict)), "{hold:?}");
        assert_eq!(ledger, before);
    }
    for hold in [hold_block(0xfffe, 2, 0), hold_block(0xffff, 1, 0), hold_block(1, BLOCK_MAX, 0)] {
        assert_eq!(granted(1_000_000, hold.clone()), Some(hold.count), "{hold:?}");
    }
}

fn states(ledger: &Ledger, numbers: impl Iterator<Item = u128>) -> Vec<Option<ReservationState>> {
    let state = |id: ReservationId| Some(ledger.reservations.get(&id)?.state);
    numbers.map(|number| state(reservation(number))).collect()
}
