//! Vaccines are listed in the order of their numbers; each page begins at a known place, and costs
//! the same.

use storage::writer::StoreError;
use vaccine::store::{MIGRATIONS, page};

use super::{Book, Command, Kept, Place, PoolId, hold, on_both, register, release, steps::steps};

on_both!(
    vaccines_come_in_pages,
    whoever_comes_behind_a_removed_vaccine_moves_up,
    vaccines_of_an_older_version_are_listed,
);

/// Vaccines in a long list; a page of it is one of hundreds.
const MANY: u32 = 4_000;

fn vaccines(ledger: &Kept, offset: u64, limit: u32) -> (Vec<i64>, u64) {
    let page = ledger.place.wait(ledger.reads().vaccines(offset, limit));
    let (vaccines, total) = page.expect("reads");
    (vaccines.iter().map(|vaccine| vaccine.vaccine_id.0).collect(), total)
}

fn remove(pool: i64) -> Command {
    Command::Remove { pool: PoolId(pool) }
}

fn vaccines_come_in_pages(new: fn() -> Place) {
    let mut ledger = Kept::new(new);
    ledger.apply(&[register(1), register(2), register(3), remove(2)]);
    assert_eq!(vaccines(&ledger, 0, 9), (vec![1, 3], 2));
    assert_eq!(vaccines(&ledger, 1, 1), (vec![3], 2));
    assert_eq!(vaccines(&ledger, 2, 1), (vec![], 2));
    assert_eq!(vaccines(&ledger, u64::MAX, u32::MAX), (vec![], 2));
}

fn whoever_comes_behind_a_removed_vaccine_moves_up(new: fn() -> Place) {
    let mut ledger = Kept::new(new);
    ledger.apply(&[register(1), register(2), register(3), register(4), register(5)]);
    ledger.apply(&[hold(1, 4), register(6), remove(1), remove(3), register(7), remove(5)]);
    for (offset, expected) in [(0, vec![2, 4]), (2, vec![6, 7]), (4, vec![])] {
        assert_eq!(vaccines(&ledger, offset, 2), (expected, 4), "from {offset}");
    }
    ledger.apply(&[remove(7), release(1)]);
    ledger.apply(&[register(8)]);
    assert_eq!(vaccines(&ledger, 2, 2), (vec![6, 8], 4));
}

fn vaccines_of_an_older_version_are_listed(new: fn() -> Place) {
    let place = new();
    let (mut writable, _) = place.open("vaccine", &MIGRATIONS[..1]).expect("opens");
    let kept: Result<(), StoreError> = writable.transaction(|tx| {
        tx.run(
            "INSERT INTO pools (id, name, stock, taken)
                  VALUES (2, 'FIZER', 5, 0), (7, 'MODERNA', 5, 0);
             UPDATE last_pool SET id = 8;",
        )
    });
    kept.expect("keeps them");
    drop(writable);

    let mut ledger = Kept::open(place, Book::default());
    assert_eq!(vaccines(&ledger, 1, 9), (vec![7], 2));
    ledger.apply(&[register(9)]);
    assert_eq!(vaccines(&ledger, 0, 9), (vec![2, 7, 9], 3));
}

fn list(many: u32) -> Place {
    let mut ledger = Kept::new(Place::sqlite);
    let many: Vec<_> = (0..many).map(|_| register(1)).collect();
    ledger.apply(&many);
    ledger.close()
}

#[test]
fn a_page_costs_the_same_at_any_depth_of_a_list_of_any_length() {
    let (short, long) = (list(40), list(MANY));
    let of_all = |place, offset| steps(place, |tx| page(tx, offset, 20));
    let limit = of_all(&short, 0) + 20;
    for offset in [0, MANY / 2, MANY - 20].map(u64::from) {
        let cost = of_all(&long, offset);
        assert!(cost <= limit, "from {offset}: {cost}, {limit}");
    }
}
