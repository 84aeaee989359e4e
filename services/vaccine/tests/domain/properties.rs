//! Properties of any commands in any order.

use contracts::vaccine::ReservationState;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, subsequence},
};
use vaccine::domain::{
    Command, ConfirmHold, Ledger, Pool, PoolId, Refusal, Reply, ReservationBlock, decide, sold_out,
};

use crate::{
    commands::{
        administer, any_block, any_command, confirm, doses, hold, name, pool_id, register,
        reservation, return_dose,
    },
    model::Model,
};

/// Commands on two vaccines, and on those that they register.
fn any_commands() -> impl Strategy<Value = Vec<Command>> {
    let vaccines = vec![register(2), register(1)];
    vec(any_command(), 1..60).prop_map(move |commands| [vaccines.clone(), commands].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_ledger_is_the_naive_model(commands in any_commands()) {
        let (mut ledger, mut model) = (Ledger::default(), Model::default());
        for command in &commands {
            prop_assert_eq!(decide(&mut ledger, command), model.decide(command));
            for id in -2..=ledger.last_pool {
                prop_assert_eq!(ledger.pools.get(&pool_id(id)).cloned(), model.pool(pool_id(id)));
            }
            for id in (1..=12).chain(0xfff0..=0x1_0010).map(reservation) {
                prop_assert_eq!(ledger.reservations.get(&id), model.reservation(id));
            }
        }
    }

    #[test]
    fn the_doses_taken_are_from_zero_to_the_stock_and_what_is_overcommitted(
        commands in any_commands()
    ) {
        let mut ledger = Ledger::default();
        for command in &commands {
            decide(&mut ledger, command);
            for pool in (-2..=ledger.last_pool).filter_map(|id| ledger.pools.get(&pool_id(id))) {
                let Pool { stock, taken, overcommitted, name: _ } = pool;
                prop_assert!((0..=stock.count() + overcommitted).contains(taken), "{:?}", pool);
                prop_assert!(*overcommitted == 0 || pool.free() <= 0, "{:?}", pool);
            }
        }
    }

    #[test]
    fn the_doses_taken_are_the_reservations_held_and_booked_in_all_blocks(
        commands in any_commands()
    ) {
        let mut ledger = Ledger::default();
        for command in &commands {
            decide(&mut ledger, command);
            for pool in (1..=ledger.last_pool).map(pool_id) {
                let taken = ledger.pools.get(&pool).map_or(0, |pool| pool.taken);
                let blocks = ledger.reservations.changes();
                prop_assert_eq!(taken, blocks.map(|(_, block, _)| counted(block, pool)).sum::<i64>());
            }
        }
    }

    #[test]
    fn no_reservation_is_in_two_blocks(commands in any_commands()) {
        let mut ledger = Ledger::default();
        for command in &commands {
            decide(&mut ledger, command);
            let mut free = reservation(0);
            for (first, block, _) in ledger.reservations.changes() {
                prop_assert!(*first >= free, "{:?} begins before {:?}", first, free);
                prop_assert!(first.nth(block.count() - 1).is_some(), "{:?} is too long", first);
                free = reservation(first.0.as_u128() + u128::from(block.count()));
            }
        }
    }

    #[test]
    fn a_hold_that_was_granted_has_the_same_reply_until_a_reservation_of_it_is_released(
        commands in any_commands(), hold in any_block(), later in vec(any_command(), 0..20),
    ) {
        let mut ledger = Ledger::default();
        for command in &commands {
            decide(&mut ledger, command);
        }
        let hold = Command::Hold(hold);
        let reply = decide(&mut ledger, &hold);
        let is_release = |command: &Command| {
            matches!(
                command,
                Command::Release(_) | Command::Return(_) | Command::Abort(_) | Command::Move(_)
                    // A vaccine whose name is changed, or that is gone when its doses are used.
                    | Command::Change(_) | Command::Remove(_)
            )
        };
        for command in later.iter().filter(|command| !is_release(command)) {
            decide(&mut ledger, command);
            if matches!(&reply, Reply::Held(Ok(held)) if held.count > 0) {
                prop_assert_eq!(&decide(&mut ledger, &hold), &reply);
            }
        }
    }

    #[test]
    fn only_a_booking_or_a_used_dose_overcommits(commands in any_commands()) {
        let mut ledger = Ledger::default();
        for command in &commands {
            let before = ledger.clone();
            decide(&mut ledger, command);
            if matches!(
                command,
                Command::Administer(_) | Command::Confirm(_) | Command::Move(_)
            ) {
                continue;
            }
            for id in (1..=before.last_pool).map(pool_id) {
                if let (Some(before), Some(after)) = (before.pools.get(&id), ledger.pools.get(&id)) {
                    prop_assert!(after.overcommitted <= before.overcommitted, "{:?}", after);
                }
            }
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in any_commands()) {
        // Not even whether a loaded row has to be saved.
        let mut ledger = Ledger { last_pool: 2, ..Ledger::default() };
        for id in [pool_id(1), pool_id(2)] {
            ledger.pools.load(id, Pool { name: name("FIZER"), stock: doses(1), taken: 0, overcommitted: 0 });
        }
        for command in &commands {
            let before = ledger.clone();
            if decide(&mut ledger, command).refusal().is_some() {
                prop_assert_eq!(&ledger, &before);
            }
        }
    }

    #[test]
    fn a_hold_is_sold_out_exactly_if_a_commit_would_refuse_it_as_such(commands in any_commands()) {
        let mut ledger = Ledger::default();
        for command in &commands {
            let before = ledger.clone();
            let refusal = decide(&mut ledger, command).refusal();
            let hold = match command {
                Command::Hold(hold) => hold.clone(),
                Command::Confirm(ConfirmHold(dose)) if dose.owner.is_none() => dose.clone().into(),
                _ => continue,
            };
            let is_expected = |refusal: &Refusal| refusal.is_of_the_moment();
            prop_assert_eq!(sold_out(&before, &hold), refusal.filter(is_expected));
        }
    }

    /// Events of a booking may arrive in any order, and any number of times.
    #[test]
    fn repeated_and_shuffled_events_of_a_booking_end_in_the_same_state(
        events in subsequence(vec![confirm(1, 1), return_dose(1), administer(1, 1)], 1..=3),
        deliveries in vec(any::<Index>(), 0..10),
    ) {
        let mut in_order = with_doses();
        for command in &events {
            decide(&mut in_order, command);
        }
        let mut shuffled = with_doses();
        for delivery in deliveries {
            decide(&mut shuffled, delivery.get(&events));
        }
        for command in events.iter().rev() {
            decide(&mut shuffled, command);
        }
        prop_assert_eq!(end(&shuffled), end(&in_order));
    }
}

/// The doses of a pool that are held or booked in a block.
fn counted(block: &ReservationBlock, pool: PoolId) -> i64 {
    let is_counted = |state: &ReservationState| {
        matches!(state, ReservationState::Held | ReservationState::Booked)
    };
    let reservations = block.states.iter().copied().filter(is_counted).count();
    let units = block.claims.iter().filter(|claim| **claim == pool).count();
    i64::try_from(reservations * units).unwrap()
}

/// Enough doses of vaccine 1, one of them held.
fn with_doses() -> Ledger {
    let mut ledger = Ledger::default();
    for command in [register(3), hold(2, 1)] {
        assert_eq!(decide(&mut ledger, &command).refusal(), None);
    }
    ledger
}

/// Vaccine 1, and the state of reservation 1.
fn end(ledger: &Ledger) -> (Option<&Pool>, Option<ReservationState>) {
    let reservation = ledger.reservations.get(&reservation(1));
    (ledger.pools.get(&pool_id(1)), reservation.map(|known| known.state))
}
