//! A block is one row, in which each reservation has its state.

use std::time::Duration;

use contracts::vaccine::{HOLDS_MAX, OrphanedHolds};
use platform_store::Tx;
use testkit::{TestDatabase, TestStore, on_both_databases, steps::steps};
use vaccine::domain::{Command, HoldDoses, Ledger, Reply};

use super::{filter, ledger, queries};
use crate::commands::{
    abort_by, administer, confirm, held, hold, hold_block, owner, register, release, reservation,
    second,
};

on_both_databases!(
    a_block_is_one_row,
    a_confirmation_changes_no_list_while_others_of_its_block_are_held,
    orphaned_holds_and_aborted_reservations_of_a_block_are_listed_one_by_one,
    a_block_is_deleted_only_when_all_of_it_is_released,
    each_reservation_is_found_where_blocks_and_single_ones_lie_close_together,
    a_repeated_block_is_recognised_among_other_rows_of_its_range,
);

/// First number, states, and whether any is held, any is aborted, and all are released.
type SavedRow = (u128, String, [i64; 3]);

fn saved(ledger: &TestStore<Ledger>) -> Vec<SavedRow> {
    const ROWS: &str = "
        SELECT id, states, has_held, has_aborted, is_released
          FROM reservations
      ORDER BY id";
    ledger.read(|tx: &Tx<'_>| {
        tx.all(ROWS, &[], |row| {
            let flags = [row.int(2)?, row.int(3)?, row.int(4)?];
            Ok((row.uuid(0)?.as_u128(), row.text(1)?.to_owned(), flags))
        })
    })
}

fn row(first: u128, states: &str, flags: [i64; 3]) -> SavedRow {
    (first, states.to_owned(), flags)
}

fn a_block_is_one_row(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    let replies = ledger.submit(&[register(8), hold_block(1, 5, 0).into(), hold(9, 1)]);
    assert_eq!(replies[1..], [5, 1].map(|count| Reply::Held(Ok(held(count)))));
    assert_eq!(saved(&ledger), [row(1, "00000", [1, 0, 0]), row(9, "0", [1, 0, 0])]);
    ledger.submit(&[confirm(1, 1), confirm(3, 1), release(4), abort_by(5, 1)]);
    ledger.submit(&[administer(3, 1), hold_block(20, 5, 0).into(), hold_block(30, 0, 4).into()]);
    assert_eq!(
        saved(&ledger),
        [row(1, "10324", [1, 1, 0]), row(9, "0", [1, 0, 0]), row(20, "0000", [1, 0, 0])]
    );
    let repeated = ledger.submit(&[hold_block(20, 5, 0).into(), release(23), release(23)]);
    assert_eq!(repeated[0], Reply::Held(Ok(held(4))));
    assert_eq!(saved(&ledger)[2], row(20, "0002", [1, 0, 0]));
}

/// PostgreSQL then writes only the row, and no index.
fn a_confirmation_changes_no_list_while_others_of_its_block_are_held(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(9), hold_block(1, 3, 0).into()]);
    ledger.submit(&[confirm(2, 1)]);
    assert_eq!(saved(&ledger), [row(1, "010", [1, 0, 0])]);
    ledger.submit(&[confirm(1, 1), confirm(3, 1)]);
    assert_eq!(saved(&ledger), [row(1, "111", [0, 0, 0])]);
}

fn listed(ledger: &TestStore<Ledger>, by: Option<u128>, until: i64, limit: u32) -> [Vec<u128>; 2] {
    let queries = queries(ledger);
    let (now, held_for) = (second(until + 1), Duration::from_secs(1));
    let listed = queries.orphaned_holds(filter(by.map(owner)), now, held_for, limit);
    let OrphanedHolds { reservation_ids, aborted } = ledger.database.block_on(listed).unwrap();
    [reservation_ids, aborted].map(|ids| ids.iter().map(|id| id.0.as_u128()).collect())
}

fn orphaned_holds_and_aborted_reservations_of_a_block_are_listed_one_by_one(
    new: fn() -> TestDatabase,
) {
    let mut ledger = ledger(new);
    let block = |first, at| Command::from(HoldDoses { at: second(at), ..hold_block(first, 4, 0) });
    ledger.submit(&[register(99), block(10, 20), block(20, 10), block(30, 5), block(40, 40)]);
    ledger.submit(&[confirm(11, 1), release(12), confirm(20, 1), confirm(22, 1), abort_by(13, 1)]);
    ledger.submit(&[30, 31, 32, 33].map(|number| confirm(number, 1)));
    assert_eq!(listed(&ledger, Some(1), 30, 9), [vec![21, 23, 10], vec![13]]);
    assert_eq!(listed(&ledger, Some(1), 30, 2), [vec![21, 23], vec![13]]);
    assert_eq!(listed(&ledger, None, 30, 9), [vec![21, 23, 10], vec![]]);
    assert_eq!(listed(&ledger, Some(1), 15, 9), [vec![21, 23], vec![13]]);
    assert_eq!(listed(&ledger, Some(2), 30, 9), [vec![], vec![]]);
    ledger.submit(&[abort_by(21, 1), abort_by(23, 1), release(13)]);
    assert_eq!(listed(&ledger, Some(1), 30, 9), [vec![10], vec![21, 23]]);
}

fn a_block_is_deleted_only_when_all_of_it_is_released(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    let blocks = [10, 20, 30, 40, 50].map(|first| hold_block(first, 3, 0).into());
    ledger.submit(&[&[register(99)], &blocks[..]].concat());
    let released = [10, 11, 12, 20, 21, 30, 31, 40, 41, 50, 51].map(release);
    ledger.submit(&[&released[..], &[confirm(22, 1), abort_by(32, 1), administer(42, 1)]].concat());
    assert_eq!(ledger.prune(i64::MAX, 0), 1);
    let kept = |ledger: &TestStore<Ledger>| saved(ledger).into_iter().map(|(first, ..)| first);
    assert_eq!(kept(&ledger).collect::<Vec<_>>(), [20, 30, 40, 50]);
    ledger.submit(&[release(22), release(32), release(52)]);
    assert_eq!(ledger.prune(i64::MAX, 0), 3);
    assert_eq!(kept(&ledger).collect::<Vec<_>>(), [40]);
}

/// Lengths of blocks, with gaps between some of them.
fn dense() -> Vec<(u128, u32)> {
    let lengths = [1, 1, 7, 1, 300, 2, 1, 1, 1, 512];
    let mut blocks = Vec::new();
    let mut first = 3;
    for (index, count) in lengths.into_iter().cycle().take(60).enumerate() {
        blocks.push((first, count));
        first += u128::from(count) + u128::from(index % 3 == 0);
    }
    blocks
}

fn each_reservation_is_found_where_blocks_and_single_ones_lie_close_together(
    new: fn() -> TestDatabase,
) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(1_000_000)]);
    let blocks = dense();
    let holds: Vec<_> =
        blocks.iter().map(|(first, count)| hold_block(*first, *count, 0).into()).collect();
    ledger.submit(&holds);
    let ids = blocks.iter().flat_map(|(first, count)| (*first..).zip(0..*count).map(|(id, _)| id));
    let ids: Vec<u128> = ids.collect();
    // Some with one other, far away; the rest together.
    for (index, id) in ids.iter().enumerate().step_by(97) {
        ledger.submit(&[confirm(*id, 1), confirm(ids[ids.len() - 1 - index], 1)]);
    }
    for ids in ids.chunks(500) {
        let replies = ledger.submit(&ids.iter().map(|id| confirm(*id, 1)).collect::<Vec<_>>());
        assert_eq!(replies, vec![Reply::Confirmed(Ok(())); ids.len()]);
    }
    let expected = blocks.iter().map(|(first, count)| {
        row(*first, &"1".repeat(usize::try_from(*count).unwrap()), [0, 0, 0])
    });
    assert_eq!(
        saved(&ledger),
        expected.collect::<Vec<_>>(),
        "a confirmation was of an unknown hold"
    );
    let known = |id| ledger.database.block_on(queries(&ledger).reservation(reservation(id)));
    for (first, count) in &blocks[..12] {
        let end = first + u128::from(*count);
        let is_gap = blocks.iter().all(|(first, _)| *first != end);
        assert!(known(*first).unwrap().is_some() && known(end - 1).unwrap().is_some());
        assert_eq!(known(end).unwrap().is_none(), is_gap, "{end}");
    }
}

fn a_repeated_block_is_recognised_among_other_rows_of_its_range(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    // Only three of its doses are granted; others use the numbers that are left.
    ledger.submit(&[register(3), hold_block(10, 9, 0).into()]);
    ledger.submit(&[confirm(14, 1), confirm(15, 1), confirm(16, 1), confirm(17, 1)]);
    assert_eq!(ledger.submit(&[hold_block(10, 9, 0).into()]), [Reply::Held(Ok(held(3)))]);
}

/// The row is read once for all of its reservations.
#[test]
fn many_reservations_of_a_block_cost_little_more_to_load_than_one() {
    use platform_store::Aggregate;

    let mut ledger = ledger(TestDatabase::sqlite);
    let count = u32::try_from(HOLDS_MAX).unwrap();
    ledger.submit(&[register(1_000), hold_block(1, count, 0).into()]);
    let database = ledger.close();
    let cost = |count: u128| {
        let commands: Vec<_> = (1..=count).map(|number| confirm(number, 1)).collect();
        let commands: Vec<_> = commands.iter().collect();
        steps(&database, |tx| Ledger::load(tx, &commands))
    };
    assert!(cost(count.into()) <= cost(1) + 5, "{} {}", cost(count.into()), cost(1));
}
