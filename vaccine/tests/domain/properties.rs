//! What holds for any commands in any order.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, subsequence},
};
use vaccine::domain::{Command, Ledger, Pool, PoolId, Refusal, State, decide, is_sold_out};

use crate::{
    commands::{
        administer, any_command, confirm, give_back, hold, name, register, reservation, stock,
    },
    model::Model,
};

/// What happens to two vaccines.
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
    fn never_more_is_taken_than_there_is_nor_less_than_nothing(commands in any_commands()) {
        let mut ledger = Ledger::default();
        for command in &commands {
            let _ = decide(&mut ledger, command);
            for pool in (1..=ledger.last_pool).filter_map(|id| ledger.pools.get(&PoolId(id))) {
                prop_assert!((0..=pool.stock.doses()).contains(&pool.taken), "{:?}", pool);
            }
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in any_commands()) {
        // Not even whether a row that came from the database has to be saved.
        let mut ledger = Ledger { last_pool: 2, ..Ledger::default() };
        for id in [PoolId(1), PoolId(2)] {
            ledger.pools.loaded(id, Pool { name: name("FIZER"), stock: stock(1), taken: 0 });
        }
        for command in &commands {
            let before = ledger.clone();
            if decide(&mut ledger, command).is_err() {
                prop_assert_eq!(&ledger, &before);
            }
        }
    }

    #[test]
    fn what_is_called_sold_out_is_what_a_commit_would_refuse(commands in any_commands()) {
        let mut ledger = Ledger::default();
        for command in &commands {
            let before = ledger.clone();
            let outcome = decide(&mut ledger, command);
            if let Command::Hold(hold) | Command::Confirm(hold) = command {
                let is_known = before.reservations.get(&hold.reservation).is_some();
                let refused = outcome == Err(Refusal::SoldOut);
                prop_assert_eq!(is_sold_out(&before, hold), refused && !is_known);
            }
        }
    }

    /// What is said of a booking may arrive in any order, and as often as it likes.
    #[test]
    fn however_news_of_a_booking_arrives_it_ends_the_same(
        said in subsequence(vec![confirm(1, 1), give_back(1), administer(1, 1)], 1..=3),
        deliveries in vec(any::<Index>(), 0..10),
    ) {
        let mut in_order = with_doses();
        for command in &said {
            let _ = decide(&mut in_order, command);
        }
        let mut shuffled = with_doses();
        for delivery in deliveries {
            let _ = decide(&mut shuffled, delivery.get(&said));
        }
        for command in said.iter().rev() {
            let _ = decide(&mut shuffled, command);
        }
        prop_assert_eq!(end(&shuffled), end(&in_order));
    }
}

/// Enough of vaccine 1 for whatever comes, one of them held.
fn with_doses() -> Ledger {
    let mut ledger = Ledger::default();
    for command in [register(3), hold(2, 1)] {
        decide(&mut ledger, &command).expect("there is enough");
    }
    ledger
}

/// What is left of vaccine 1, and where reservation 1 stands.
fn end(ledger: &Ledger) -> (Option<&Pool>, Option<State>) {
    let reservation = ledger.reservations.get(&reservation(1));
    (ledger.pools.get(&PoolId(1)), reservation.map(|known| known.state))
}
