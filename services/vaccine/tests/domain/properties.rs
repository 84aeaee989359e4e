//! Properties of any commands in any order.

use contracts::vaccine::ReservationState;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, subsequence},
};
use vaccine::domain::{Command, ConfirmHold, Ledger, Pool, PoolId, Refusal, decide, is_sold_out};

use crate::{
    commands::{
        administer, any_command, confirm, doses, hold, name, register, reservation, return_dose,
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
            for id in 1..=ledger.last_pool {
                prop_assert_eq!(ledger.pools.get(&PoolId(id)).cloned(), model.pool(PoolId(id)));
            }
            for id in (1..=5).map(reservation) {
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
            for pool in (1..=ledger.last_pool).filter_map(|id| ledger.pools.get(&PoolId(id))) {
                let Pool { stock, taken, overcommitted, name: _ } = pool;
                prop_assert!((0..=stock.count() + overcommitted).contains(taken), "{:?}", pool);
                prop_assert!(*overcommitted == 0 || pool.free() <= 0, "{:?}", pool);
            }
        }
    }

    #[test]
    fn only_a_booking_or_a_used_dose_overcommits(commands in any_commands()) {
        let mut ledger = Ledger::default();
        for command in &commands {
            let before = ledger.clone();
            decide(&mut ledger, command);
            if matches!(command, Command::Administer(_) | Command::Confirm(_)) {
                continue;
            }
            for id in (1..=before.last_pool).map(PoolId) {
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
        for id in [PoolId(1), PoolId(2)] {
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
            if let Command::Hold(hold) | Command::Confirm(ConfirmHold(hold)) = command
                && (hold.owner.is_none() || matches!(command, Command::Hold(_)))
            {
                let is_known = before.reservations.get(&hold.reservation).is_some();
                let is_refused = refusal == Some(Refusal::SoldOut);
                prop_assert_eq!(is_sold_out(&before, hold), is_refused && !is_known);
            }
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
    (ledger.pools.get(&PoolId(1)), reservation.map(|known| known.state))
}
