//! What holds for any commands in any order.

use proptest::{collection::vec, prelude::*, sample::Index};
use vaccine::domain::{Command, Done, Ledger, Pool, PoolId, Said, decide};

use crate::{
    commands::{any_command, any_said, holder, name, register, reservation, stock},
    model::Model,
};

fn hear(sequence: usize, said: &Said) -> Command {
    let sequence = u64::try_from(sequence).expect("a few");
    Command::Hear { source: holder(1), sequence, said: said.clone() }
}

/// How far the source was heard, after it said this.
fn heard(ledger: &mut Ledger, sequence: usize, said: &Said) -> usize {
    match decide(ledger, &hear(sequence, said)) {
        Ok(Done::Heard { sequence, .. }) => usize::try_from(sequence).expect("a few"),
        other => panic!("{other:?} is no answer to an event"),
    }
}

/// Two vaccines, two doses each.
fn vaccines() -> Ledger {
    let mut ledger = Ledger::default();
    for command in [register(2), register(2)] {
        decide(&mut ledger, &command).expect("registers");
    }
    ledger
}

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

    /// The source says everything in any order and as often as it likes, and at last goes on from
    /// where it was heard.
    #[test]
    fn events_count_once_and_in_their_order(
        said in vec(any_said(), 1..20),
        deliveries in vec(any::<Index>(), 0..60),
    ) {
        let mut in_order = vaccines();
        for (index, said) in said.iter().enumerate() {
            prop_assert_eq!(heard(&mut in_order, index + 1, said), index + 1);
        }

        let mut shuffled = vaccines();
        let mut position = 0;
        for delivery in deliveries {
            let index = delivery.index(said.len());
            let answer = heard(&mut shuffled, index + 1, &said[index]);
            prop_assert!(answer == position || answer == position + 1);
            position = answer;
        }
        for (index, said) in said.iter().enumerate().skip(position) {
            heard(&mut shuffled, index + 1, said);
        }
        prop_assert_eq!(shuffled, in_order);
    }
}
