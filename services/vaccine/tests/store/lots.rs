//! Lots and stocks of sites are kept, and the database rejects a booking without a valid dose.

use contracts::{
    ids::{LotId, SiteId},
    vaccine::lots::{DateCount, ExpiryPool, LotChangeKind, SiteStockCount},
};
use platform_store::{PageRange, PageStart, StoreError};
use testkit::{TestDatabase, TestStore, on_both_databases};
use vaccine::domain::{ChangeLot, Command, Ledger, Refusal, Reply, SiteStockId};

use super::{ledger, open, queries};
use crate::{
    commands::{administer_lot, change_vaccine, hold_doses, register, release},
    lot_commands::{STOCK, change_lot, day, receive_lot, slots_of_days, waste},
    unguarded::Unguarded,
};

on_both_databases!(
    a_dose_of_a_lot_is_booked_used_and_given_back_after_reopening,
    a_transfer_is_in_one_commit_and_both_lots_say_so,
    lots_are_listed_by_site,
    the_database_rejects_a_booking_without_a_valid_dose,
    holds_of_lots_are_listed_by_their_vaccine,
);

/// A vaccine without central stock, and slot n on day n of five.
fn with_days(new: fn() -> TestDatabase) -> TestStore<Ledger> {
    let mut ledger = ledger(new);
    ledger.submit(&[register(0)]);
    ledger.submit(&slots_of_days(5));
    ledger
}

fn book(number: u128, day: i64) -> Command {
    hold_doses(number, &[1, -day]).into()
}

fn refusals(ledger: &mut TestStore<Ledger>, commands: &[Command]) -> Vec<Option<Refusal>> {
    ledger.submit(commands).iter().map(Reply::refusal).collect()
}

fn stock(ledger: &TestStore<Ledger>, id: SiteStockId) -> Option<SiteStockCount> {
    ledger.database.block_on(queries(ledger).site_stock(id)).unwrap()
}

fn a_dose_of_a_lot_is_booked_used_and_given_back_after_reopening(new: fn() -> TestDatabase) {
    let mut ledger = with_days(new);
    assert_eq!(stock(&ledger, STOCK), None);
    let received = [receive_lot("A", 2, 1), receive_lot("B", 4, 2)];
    assert_eq!(refusals(&mut ledger, &received), [None, None]);
    let booked = [book(1, 1), book(2, 4), book(3, 3), book(4, 1)];
    let sold_out = Some(Refusal::SoldOut);
    assert_eq!(refusals(&mut ledger, &booked), [None, None, None, sold_out]);
    let mut ledger: TestStore<Ledger> = open(ledger.close());
    assert_eq!(refusals(&mut ledger, &[book(5, 1), waste(2, 1)])[0], sold_out);
    assert_eq!(refusals(&mut ledger, &[release(2), administer_lot(1, "A")]), [None, None]);
    let pool = |after, doses, taken| ExpiryPool { after, doses, taken };
    let counted = SiteStockCount {
        site_id: STOCK.site,
        vaccine_id: STOCK.vaccine,
        overcommitted: 0,
        pools: vec![pool(None, 2, 1), pool(Some(day(4)), 0, 0)],
        dates: vec![DateCount { date: day(3), taken: 1 }],
    };
    assert_eq!(stock(&ledger, STOCK), Some(counted));
    let lot = ledger.database.block_on(queries(&ledger).lot(LotId(1))).unwrap().unwrap();
    assert_eq!((lot.doses, lot.used, lot.changes.len()), (0, 1, 1));
}

fn a_transfer_is_in_one_commit_and_both_lots_say_so(new: fn() -> TestDatabase) {
    let mut ledger = with_days(new);
    let to = Some(SiteId(2));
    let transfer =
        |doses| Command::from(ChangeLot { to, ..change_lot(1, LotChangeKind::Transferred, doses) });
    ledger.submit(&[receive_lot("A", 2, 9)]);
    assert_eq!(refusals(&mut ledger, &[transfer(4)]), [None]);
    assert_eq!(refusals(&mut ledger, &[transfer(1)]), [None], "the same lot is there already");
    let lot = |id| ledger.database.block_on(queries(&ledger).lot(LotId(id))).unwrap().unwrap();
    let (from, at) = (lot(1), lot(2));
    assert_eq!((from.doses, from.transferred), (4, 5));
    assert_eq!((at.site_id, at.doses, at.received, at.expires_on), (SiteId(2), 5, 5, day(2)));
    let others = |changes: &[contracts::vaccine::lots::LotChange]| {
        changes.iter().map(|change| change.site_id).collect::<Vec<_>>()
    };
    assert_eq!(others(&from.changes), [None, to, to]);
    assert_eq!(others(&at.changes), [Some(SiteId(1)); 2]);
    let there = stock(&ledger, SiteStockId { site: SiteId(2), ..STOCK }).unwrap();
    assert_eq!(there.pools[0], ExpiryPool { after: None, doses: 5, taken: 0 });
}

fn lots_are_listed_by_site(new: fn() -> TestDatabase) {
    let mut ledger = with_days(new);
    let to = Some(SiteId(2));
    ledger.submit(&[receive_lot("A", 2, 9), receive_lot("B", 2, 9), receive_lot("C", 2, 9)]);
    ledger.submit(&[ChangeLot { to, ..change_lot(1, LotChangeKind::Transferred, 1) }.into()]);
    let range = |start, size| PageRange { start, size };
    let numbers = |list: platform_rest::hal::List<contracts::vaccine::lots::Lot>| {
        list.rows.items.into_iter().map(|(_, lot)| lot.lot_id.0).collect::<Vec<_>>()
    };
    let of = |site, range| ledger.database.block_on(queries(&ledger).lots_of(site, range)).unwrap();
    assert_eq!(numbers(of(SiteId(1), range(PageStart::Offset(0), 2))), [1, 2]);
    assert_eq!(numbers(of(SiteId(1), range(PageStart::After(2), 2))), [3]);
    assert_eq!(numbers(of(SiteId(2), range(PageStart::Offset(0), 9))), [4]);
    let all = ledger.database.block_on(queries(&ledger).lots(range(PageStart::Offset(0), 9)));
    assert_eq!(numbers(all.unwrap()), [1, 2, 3, 4]);
}

/// As if the decision had forgotten that doses expire: the database is the second line of defence.
fn the_database_rejects_a_booking_without_a_valid_dose(new: fn() -> TestDatabase) {
    let mut ledger = with_days(new);
    ledger.submit(&[change_vaccine(1, None, Some(9)).into(), receive_lot("A", 2, 5)]);
    let mut ledger = open::<Unguarded>(ledger.close());
    assert!(ledger.try_submit(&[book(1, 2)]).is_ok());
    let expired = ledger.try_submit(&[book(2, 3)]);
    assert!(matches!(expired, Err(StoreError::Rejected(_))), "{expired:?}");
}

fn holds_of_lots_are_listed_by_their_vaccine(new: fn() -> TestDatabase) {
    let mut ledger = with_days(new);
    ledger.submit(&[receive_lot("A", 2, 5)]);
    ledger.submit(&[book(1, 1), book(2, 2)]);
    let listed = |pool| {
        let filter = vaccine::store::HoldFilter { owner: None, pool: Some(pool) };
        let queries = queries(&ledger);
        let holds = queries.orphaned_holds(
            filter,
            crate::commands::second(9),
            std::time::Duration::ZERO,
            9,
        );
        ledger.database.block_on(holds).unwrap().reservation_ids.len()
    };
    let pools = [1, 2, -1, -2, -3].map(crate::commands::pool_id);
    assert_eq!(pools.map(listed), [2, 0, 1, 1, 0]);
}
