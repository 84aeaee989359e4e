//! What is free at a site is read exactly as a hold would find it, and costs no more where there are more sites.

use contracts::{
    ids::{CampaignId, SiteId, SlotId, VaccineId},
    vaccine::availability::{AVAILABLE_SLOTS_MAX, DoseAvailability},
};
use jiff::civil::{Date, date};
use testkit::{TestDatabase, TestStore, on_both_databases, steps::steps};
use vaccine::{
    domain::{Command, ConfirmHold, Ledger, PlanSlots, SlotCapacity, SlotPlace},
    store::{PlacesAndDoses, availability},
};

use super::{ledger, open};
use crate::{
    commands::{
        administer_doses, change_campaign, change_vaccine, dose, doses, hold_doses, open_campaign,
        plan, register, release, second,
    },
    lot_commands::{day, receive_lot, slots_of_days, waste},
};

on_both_databases!(
    places_and_central_doses_are_free_until_they_are_held_booked_or_used,
    doses_of_lots_are_free_on_the_dates_on_which_they_are_valid,
    what_is_overcommitted_is_not_free,
    more_slots_than_an_answer_has_are_refused,
);

const SITE: SiteId = SiteId(1);

/// What is free at site 1 from day to day of December 2026.
fn free(ledger: &TestStore<Ledger>, days: [i64; 2]) -> PlacesAndDoses {
    let dates = days.map(day);
    ledger.read(move |tx| availability(tx, SITE, dates)).unwrap()
}

/// Slots, and doses by vaccine and day.
type Counts = (Vec<(i64, i64)>, Vec<(i64, Option<i8>, i64)>);

fn counts((slots, doses): PlacesAndDoses) -> Counts {
    let slots = slots.iter().map(|slot| (slot.slot_id.0, slot.free));
    let count = |it: &DoseAvailability| (it.vaccine_id.0, it.date.map(Date::day), it.free);
    (slots.collect(), doses.iter().map(count).collect())
}

fn hold(number: u128, slot: i64) -> Command {
    hold_doses(number, &[1, -slot]).into()
}

/// The slots of `plan` are on this date.
fn epoch(ledger: &TestStore<Ledger>) -> Counts {
    let dates = [date(1970, 1, 1); 2];
    counts(ledger.read(move |tx| availability(tx, SITE, dates)).unwrap())
}

fn places_and_central_doses_are_free_until_they_are_held_booked_or_used(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(9), register(4), plan(1, 2), plan(2, 5)]);
    ledger.submit(&[change_campaign(open_campaign(&[1, 2, 3]))]);
    let central = |first| vec![(1, None, first), (2, None, 4), (3, None, 0)];
    assert_eq!(epoch(&ledger), (vec![(1, 2), (2, 5)], central(9)));
    ledger.submit(&[hold(1, 1), hold(2, 2)]);
    assert_eq!(epoch(&ledger), (vec![(1, 1), (2, 4)], central(7)));
    ledger.submit(&[ConfirmHold(dose(1, &[1, -1])).into(), release(2)]);
    assert_eq!(epoch(&ledger), (vec![(1, 1), (2, 5)], central(8)), "booked, and cancelled");
    ledger.submit(&[administer_doses(1, &[1, -1])]);
    let mut ledger: TestStore<Ledger> = open(ledger.close());
    assert_eq!(epoch(&ledger), (vec![(1, 1), (2, 5)], central(8)), "a used dose keeps its place");
    ledger.submit(&[plan(2, 0)]);
    assert_eq!(epoch(&ledger).0, [(1, 1), (2, 0)], "the site is closed");
    let elsewhere = ledger.read(|tx| availability(tx, SiteId(2), [date(1970, 1, 1); 2]));
    assert_eq!(elsewhere, Some((vec![], vec![])));
}

fn doses_of_lots_are_free_on_the_dates_on_which_they_are_valid(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(0)]);
    ledger.submit(&slots_of_days(5));
    let lots = |ledger: &TestStore<Ledger>| {
        let (slots, doses) = counts(free(ledger, [1, 5]));
        assert_eq!(slots.len(), 5);
        doses.into_iter().map(|(_, _, free)| free).collect::<Vec<_>>()
    };
    assert_eq!(lots(&ledger), [0; 5], "there are no lots");
    ledger.submit(&[receive_lot("OLD", 0, 9), receive_lot("A", 2, 3), receive_lot("B", 4, 2)]);
    assert_eq!(lots(&ledger), [5, 5, 2, 2, 0]);
    ledger.submit(&[hold(1, 3)]);
    assert_eq!(lots(&ledger), [4, 4, 1, 1, 0]);
    ledger.submit(&[hold(2, 1), hold(3, 4)]);
    assert_eq!(lots(&ledger), [2, 2, 0, 0, 0]);
    ledger.submit(&[release(3), waste(2, 2)]);
    assert_eq!(lots(&ledger), [1, 1, 1, 1, 0]);
    let row = DoseAvailability { vaccine_id: VaccineId(1), date: Some(day(2)), free: 1 };
    let (slots, doses) = free(&ledger, [2, 2]);
    assert_eq!((slots.len(), slots[0].date, doses), (1, day(2), vec![row]));
}

fn what_is_overcommitted_is_not_free(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(1), plan(1, 9), change_campaign(open_campaign(&[1]))]);
    ledger.submit(&[ConfirmHold(dose(1, &[1, -1])).into(), ConfirmHold(dose(2, &[1, -1])).into()]);
    ledger.submit(&[plan(1, 1)]);
    assert_eq!(epoch(&ledger), (vec![(1, 0)], vec![(1, None, 0)]));
    ledger.submit(&[change_vaccine(1, None, Some(3)).into(), plan(1, 4)]);
    assert_eq!(epoch(&ledger), (vec![(1, 2)], vec![(1, None, 1)]));
}

fn slots(numbers: impl Iterator<Item = i64>, site: SiteId) -> Command {
    let (campaign, date) = (CampaignId(1), day(1));
    let planned = numbers.map(|number| {
        let place = SlotPlace { campaign, site, date, starts_at: second(100) };
        SlotCapacity { slot: SlotId(number), place, capacity: doses(1) }
    });
    Command::PlanSlots(PlanSlots(planned.collect()))
}

fn more_slots_than_an_answer_has_are_refused(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    let max = i64::from(AVAILABLE_SLOTS_MAX);
    ledger.submit(&[slots(1..=max, SITE)]);
    assert_eq!(free(&ledger, [1, 1]).0.len(), 5_000);
    ledger.submit(&[slots(max + 1..=max + 1, SITE)]);
    assert_eq!(ledger.read(|tx| availability(tx, SITE, [day(1); 2])), None);
}

fn with_sites(count: i64) -> TestDatabase {
    let mut ledger = ledger(TestDatabase::sqlite);
    ledger.submit(&[register(9), change_campaign(open_campaign(&[1]))]);
    let of_site = |site| slots(site * 10..site * 10 + 10, SiteId(site));
    ledger.submit(&(1..=count).map(of_site).collect::<Vec<_>>());
    ledger.close()
}

#[test]
fn a_site_costs_the_same_however_many_others_there_are() {
    let cost = |database: &TestDatabase| steps(database, |tx| availability(tx, SITE, [day(1); 2]));
    let (one, many) = (cost(&with_sites(1)), cost(&with_sites(400)));
    assert!(many <= one + 20, "{many}, {one}");
}
