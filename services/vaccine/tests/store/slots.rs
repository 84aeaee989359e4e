//! Slots and campaigns are kept, and a hold of a slot finds both.

use std::time::Duration;

use contracts::{
    campaign::CampaignStatus,
    ids::{SiteId, SlotId},
    vaccine::SlotCount,
};
use platform_store::{PageRange, PageStart};
use testkit::{TestDatabase, TestStore, on_both_databases};
use vaccine::{
    domain::{Command, ConfirmHold, HeldBlock, HoldDoses, Ledger, Refusal, Reply, SlotCampaign},
    store::HoldFilter,
};

use super::{ledger, open, queries};
use crate::commands::{
    administer, change_campaign, dose, hold_doses, open_campaign, owner, plan, pool_id, register,
    second,
};

on_both_databases!(
    a_slot_is_booked_after_reopening_as_its_campaign_then_is,
    a_slot_is_counted_and_is_no_vaccine,
    a_used_dose_keeps_its_place,
    holds_are_listed_by_their_vaccine_and_by_their_slot,
    a_slot_that_is_booked_before_it_is_known_is_one_when_it_is,
);

/// A dose of vaccine 1 and a place of slot 1.
fn hold(number: u128) -> Command {
    hold_doses(number, &[1, -1]).into()
}

fn held(reply: &Reply) -> Result<u32, Refusal> {
    match reply {
        Reply::Held(Ok(HeldBlock { count, slot, .. })) => {
            assert_eq!(slot.map(|slot| slot.place.site), Some(SiteId(1)));
            Ok(*count)
        }
        Reply::Held(Err(refusal)) => Err(*refusal),
        reply => panic!("{reply:?}"),
    }
}

fn a_slot_is_booked_after_reopening_as_its_campaign_then_is(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(9), plan(1, 2), plan(2, 5), change_campaign(open_campaign(&[1, 2]))]);
    assert_eq!(held(&ledger.submit(&[hold(1)])[0]), Ok(1));
    let mut ledger: TestStore<Ledger> = open(ledger.close());
    assert_eq!(held(&ledger.submit(&[hold(2)])[0]), Ok(1));
    assert_eq!(held(&ledger.submit(&[hold(3)])[0]), Err(Refusal::SlotFull));
    let paused = SlotCampaign {
        status: CampaignStatus::Paused,
        book_from: Some(second(5)),
        book_until: Some(second(6)),
        ..open_campaign(&[1])
    };
    ledger.submit(&[plan(1, 9), change_campaign(paused.clone())]);
    assert_eq!(held(&ledger.submit(&[hold(3)])[0]), Err(Refusal::NotOpen));
    let within = |at| HoldDoses { at: second(at), ..hold_doses(3, &[1, -1]) }.into();
    ledger.submit(&[change_campaign(SlotCampaign { status: CampaignStatus::Open, ..paused })]);
    assert_eq!(held(&ledger.submit(&[within(6)])[0]), Err(Refusal::NotOpen));
    assert_eq!(held(&ledger.submit(&[within(5)])[0]), Ok(1));
}

fn a_slot_is_counted_and_is_no_vaccine(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(9), plan(1, 2), change_campaign(open_campaign(&[1])), hold(1)]);
    let slot = |id| ledger.database.block_on(queries(&ledger).slot(SlotId(id))).unwrap();
    let counted = SlotCount {
        slot_id: SlotId(1),
        site_id: SiteId(1),
        starts_at: second(100),
        capacity: 2,
        taken: 1,
        overcommitted: 0,
    };
    assert_eq!((slot(1), slot(2)), (Some(counted), None));
    let range = PageRange { start: PageStart::Offset(0), size: 9 };
    let vaccines = ledger.database.block_on(queries(&ledger).vaccines(range)).unwrap();
    assert_eq!(vaccines.rows.items.len(), 1, "{vaccines:?}");
    ledger.submit(&[plan(1, 0)]);
    let overcommitted = ledger.database.block_on(queries(&ledger).overcommitted()).unwrap();
    assert_eq!(overcommitted, [0, 1], "no dose, one place");
}

fn a_used_dose_keeps_its_place(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(2), plan(1, 1), change_campaign(open_campaign(&[1])), hold(1)]);
    ledger.submit(&[administer(1, 1)]);
    assert_eq!(held(&ledger.submit(&[hold(2)])[0]), Err(Refusal::SlotFull));
}

fn a_slot_that_is_booked_before_it_is_known_is_one_when_it_is(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(9), ConfirmHold(dose(1, &[1, -1])).into()]);
    let slot = |ledger: &TestStore<Ledger>| {
        ledger.database.block_on(queries(ledger).slot(SlotId(1))).unwrap()
    };
    assert_eq!(slot(&ledger), None, "where it is is not known");
    ledger.submit(&[plan(1, 2), change_campaign(open_campaign(&[1]))]);
    let counted = slot(&ledger).unwrap();
    assert_eq!((counted.taken, counted.overcommitted, counted.starts_at), (1, 0, second(100)));
    assert_eq!(held(&ledger.submit(&[hold(2)])[0]), Ok(1));
    assert_eq!(held(&ledger.submit(&[hold(3)])[0]), Err(Refusal::SlotFull));
}

fn holds_are_listed_by_their_vaccine_and_by_their_slot(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(9), register(9), plan(1, 9), plan(11, 9)]);
    let campaign = open_campaign(&[1, 2]);
    ledger.submit(&[change_campaign(campaign)]);
    let claims: [&[i64]; 4] = [&[1, -1], &[1, -11], &[1], &[2, -1]];
    let holds = (1..).zip(claims).map(|(number, claims)| hold_doses(number, claims).into());
    ledger.submit(&holds.collect::<Vec<_>>());
    let listed = |pool| {
        let filter = HoldFilter { owner: Some(owner(1)), pool: Some(pool_id(pool)) };
        let queries = queries(&ledger);
        let holds = queries.orphaned_holds(filter, second(9), Duration::ZERO, 9);
        let mut ids = ledger.database.block_on(holds).unwrap().reservation_ids;
        ids.sort_unstable();
        ids.into_iter().map(|id| id.0.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(
        [1, 2, -1, -11, -111].map(listed),
        [vec![1, 2, 3], vec![4], vec![1, 4], vec![2], vec![]]
    );
}
