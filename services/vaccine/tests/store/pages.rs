//! Vaccines are listed by number, page by page.

use platform_store::{PageRange, PageStart};
use testkit::{TestDatabase, TestStore, on_both_databases, steps::steps};
use vaccine::{domain::Ledger, store::vaccines};

use super::{hold, ledger, register, release, remove};

on_both_databases!(
    vaccines_are_listed_by_number_in_pages,
    a_removed_vaccine_leaves_no_gap_in_the_pages,
);

/// The numbers of a page, and whether there are vaccines before and after it.
fn page(ledger: &TestStore<Ledger>, start: PageStart, size: u32) -> (Vec<i64>, bool, bool) {
    let list = ledger.read(move |tx| vaccines(tx, PageRange { start, size }));
    assert_eq!(list.total, None);
    let keys = list.rows.items.iter().map(|(key, vaccine)| {
        assert_eq!(*key, vaccine.vaccine_id.0);
        *key
    });
    (keys.collect(), list.rows.has_previous, list.rows.has_next)
}

fn vaccines_are_listed_by_number_in_pages(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    assert_eq!(page(&ledger, PageStart::Offset(0), 9), (vec![], false, false));
    ledger.submit(&[register(1), register(2), register(3), remove(2), register(4)]);
    for (start, size, expected) in [
        (PageStart::Offset(0), 9, (vec![1, 3, 4], false, false)),
        (PageStart::Offset(0), 2, (vec![1, 3], false, true)),
        (PageStart::Offset(1), 1, (vec![3], true, true)),
        (PageStart::Offset(3), 1, (vec![], true, false)),
        (PageStart::Offset(i64::MAX.unsigned_abs()), u32::MAX, (vec![], true, false)),
        (PageStart::OffsetFromEnd(0), 2, (vec![3, 4], true, false)),
        (PageStart::OffsetFromEnd(1), 1, (vec![3], true, true)),
        (PageStart::OffsetFromEnd(1), 2, (vec![1, 3], false, true)),
        (PageStart::OffsetFromEnd(3), 1, (vec![], false, true)),
        (PageStart::After(1), 1, (vec![3], true, true)),
        (PageStart::After(3), 1, (vec![4], true, false)),
        (PageStart::After(i64::MAX), 9, (vec![], true, false)),
        (PageStart::Before(4), 1, (vec![3], true, true)),
        (PageStart::Before(3), 9, (vec![1], false, true)),
        (PageStart::Before(i64::MAX), 2, (vec![3, 4], true, true)),
    ] {
        assert_eq!(page(&ledger, start, size), expected, "{start:?}, {size}");
    }
}

fn a_removed_vaccine_leaves_no_gap_in_the_pages(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(1), register(2), register(3), register(4), register(5)]);
    ledger.submit(&[hold(1, 4), register(6), remove(1), remove(3), register(7), remove(5)]);
    for (offset, expected) in [(0, vec![2, 4]), (2, vec![6, 7]), (4, vec![])] {
        let (numbers, ..) = page(&ledger, PageStart::Offset(offset), 2);
        assert_eq!(numbers, expected, "from {offset}");
    }
    // Also behind the number of a vaccine that is gone.
    assert_eq!(page(&ledger, PageStart::After(3), 2), (vec![4, 6], true, true));
    assert_eq!(page(&ledger, PageStart::Before(5), 9), (vec![2, 4], false, true));
    ledger.submit(&[remove(7), release(1)]);
    ledger.submit(&[register(8)]);
    assert_eq!(page(&ledger, PageStart::After(4), 2), (vec![6, 8], true, false));
}

fn with_vaccines(count: i64) -> TestDatabase {
    let mut ledger = ledger(TestDatabase::sqlite);
    ledger.submit(&(0..count).map(|_| register(1)).collect::<Vec<_>>());
    ledger.close()
}

/// Vaccines in a long list; a page of it is one of hundreds.
const COUNT: i64 = 4_000;

/// The steps to read a page.
fn cost(database: &TestDatabase, start: PageStart) -> i32 {
    steps(database, |tx| vaccines(tx, PageRange { start, size: 20 }))
}

#[test]
fn a_page_costs_the_same_at_any_cursor_of_a_list_of_any_length() {
    let (short, long) = (with_vaccines(40), with_vaccines(COUNT));
    let limit = cost(&short, PageStart::Offset(0)) + 20;
    assert!(cost(&long, PageStart::Offset(0)) <= limit);
    for key in [20, COUNT / 2, COUNT - 20] {
        for start in [PageStart::After(key), PageStart::Before(key)] {
            let cost = cost(&long, start);
            assert!(cost <= limit, "{start:?}: {cost}, {limit}");
        }
    }
}

/// What is skipped costs a little, which is why the depth of such a page has a limit.
#[test]
fn a_page_by_number_costs_the_same_but_for_what_it_skips() {
    const STEPS_TO_SKIP: i32 = 3;

    let (short, long) = (with_vaccines(40), with_vaccines(COUNT));
    let limit = cost(&short, PageStart::Offset(0)) + 20;
    for skipped in [0_i32, 2_000, 3_980] {
        for start in [PageStart::Offset, PageStart::OffsetFromEnd] {
            let start = start(skipped.unsigned_abs().into());
            let cost = cost(&long, start);
            assert!(cost <= limit + STEPS_TO_SKIP * skipped, "{start:?}: {cost}, {limit}");
        }
    }
}
