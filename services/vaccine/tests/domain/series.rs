//! Two doses for a person are held together, or neither.

use contracts::{
    ids::{CampaignId, ReservationId, SlotId, VaccineId},
    vaccine::{
        ReservationState,
        product::{DoseInterval, Product},
    },
};
use proptest::{collection::vec, prelude::*};
use vaccine::domain::{
    Command, HeldBlock, HoldDoses, Ledger, PlanSlots, PoolId, Refusal, Reply, SetProduct,
    SlotCapacity, SlotPlace, decide,
};

use super::{ledger, taken};
use crate::{
    commands::{
        administer, change_campaign, confirm_of, doses, hold_doses, open_campaign, pool_id,
        release, reservation, second,
    },
    lot_commands::{STOCK, day, receive_lot, slots_of_days},
};

/// The second dose is due 21 to 42 days after the first.
const INTERVAL: DoseInterval = DoseInterval { min_days: 21, max_days: 42 };

fn two_doses() -> Command {
    let product = Product { next_dose: Some(INTERVAL), ..Product::default() };
    SetProduct { vaccine: VaccineId(1), product: Some(product) }.into()
}

/// Slots of these days with so many places, numbered from 1.
fn plan(slots: &[(i64, i64)]) -> Command {
    let planned = (1..).zip(slots).map(|(number, (on, places))| {
        let (campaign, site, starts_at) = (CampaignId(1), STOCK.site, second(1_000_000));
        let place = SlotPlace { campaign, site, date: day(*on), starts_at };
        SlotCapacity { slot: SlotId(number), place, capacity: doses(*places) }
    });
    Command::PlanSlots(PlanSlots(planned.collect()))
}

/// So many doses of vaccine 1, which needs two of them, and these slots.
fn with_slots(doses: i64, slots: &[(i64, i64)]) -> Ledger {
    let mut ledger = ledger(&[doses]);
    for command in [two_doses(), plan(slots), change_campaign(open_campaign(&[1]))] {
        assert_eq!(decide(&mut ledger, &command).refusal(), None);
    }
    ledger
}

/// So many series with a first dose at one slot, and a second one at another.
fn series(first: u128, count: u32, [slot, next]: [i64; 2]) -> HoldDoses {
    let next = Some([1, -next].map(pool_id).to_vec());
    HoldDoses { count, next, ..hold_doses(first, &[1, -slot]) }
}

fn held(ledger: &mut Ledger, hold: HoldDoses) -> Result<u32, Refusal> {
    match decide(ledger, &hold.into()) {
        Reply::Held(reply) => reply.map(|HeldBlock { count, .. }| count),
        reply => panic!("{reply:?}"),
    }
}

/// What is taken of vaccine 1, and of these slots.
fn taken_of(ledger: &Ledger, slots: &[i64]) -> Vec<i64> {
    [1].into_iter().chain(slots.iter().map(|slot| -slot)).map(|id| taken(ledger, id)).collect()
}

fn state(ledger: &Ledger, number: u128) -> Option<ReservationState> {
    ledger.reservations.get(&reservation(number)).map(|known| known.state)
}

#[test]
fn both_doses_and_both_places_are_taken_and_each_is_a_reservation() {
    let mut ledger = with_slots(10, &[(1, 5), (22, 5)]);
    assert_eq!(held(&mut ledger, series(1, 2, [1, 2])), Ok(2));
    assert_eq!(taken_of(&ledger, &[1, 2]), [4, 2, 2]);
    let states = (1..=5).map(|number| state(&ledger, number));
    let held = Some(ReservationState::Held);
    assert_eq!(states.collect::<Vec<_>>(), [held, held, held, held, None]);
    // The first series is booked, its first dose used; of the second series nothing is left.
    for command in [confirm_of(1, &[1, -1]), confirm_of(3, &[1, -2]), administer(1, 1)] {
        assert_eq!(decide(&mut ledger, &command).refusal(), None);
    }
    for number in [2, 4] {
        decide(&mut ledger, &release(number));
    }
    assert_eq!(taken_of(&ledger, &[1, 2]), [1, 1, 1]);
    assert_eq!(state(&ledger, 3), Some(ReservationState::Booked));
}

#[test]
fn neither_is_taken_where_one_of_them_cannot_be() {
    for (doses, places, expected) in [
        (10, [5, 5], Ok(3)),
        (10, [2, 5], Ok(2)),
        (10, [5, 2], Ok(2)),
        (5, [5, 5], Ok(2)),
        (10, [0, 5], Err(Refusal::SlotFull)),
        (10, [5, 0], Err(Refusal::NextSlotFull)),
        (1, [5, 5], Err(Refusal::SoldOut)),
        (0, [0, 0], Err(Refusal::SoldOut)),
    ] {
        let mut ledger = with_slots(doses, &[(1, places[0]), (22, places[1])]);
        let before = ledger.clone();
        assert_eq!(held(&mut ledger, series(1, 3, [1, 2])), expected, "{doses}, {places:?}");
        let count = i64::from(expected.unwrap_or(0));
        assert_eq!(taken_of(&ledger, &[1, 2]), [2 * count, count, count]);
        assert!(expected.is_ok() || ledger == before, "a refusal changes nothing");
    }
}

#[test]
fn the_second_dose_is_neither_too_early_nor_too_late() {
    for (on, expected) in [
        (21, Err(Refusal::OutsideInterval(INTERVAL))),
        (22, Ok(1)),
        (43, Ok(1)),
        (44, Err(Refusal::OutsideInterval(INTERVAL))),
        (1, Err(Refusal::OutsideInterval(INTERVAL))),
    ] {
        let mut ledger = with_slots(10, &[(1, 5), (on, 5)]);
        assert_eq!(held(&mut ledger, series(1, 1, [1, 2])), expected, "on day {on}");
    }
    let mut ledger = with_slots(10, &[(1, 5), (22, 5)]);
    let backwards = held(&mut ledger, series(1, 1, [2, 1]));
    assert_eq!(backwards, Err(Refusal::OutsideInterval(INTERVAL)));
    let same = held(&mut ledger, series(1, 1, [1, 1]));
    assert_eq!(same, Err(Refusal::OutsideInterval(INTERVAL)));
}

#[test]
fn a_vaccine_has_a_second_dose_where_its_product_rules_say_so() {
    let mut ledger = with_slots(10, &[(1, 5), (22, 5)]);
    let set = |product| Command::from(SetProduct { vaccine: VaccineId(1), product });
    for product in [None, Some(Product { cvx: Some(208), ..Product::default() })] {
        assert_eq!(decide(&mut ledger, &set(product)).refusal(), None);
        let refused = held(&mut ledger, series(1, 1, [1, 2]));
        assert_eq!(refused, Err(Refusal::SingleDose));
    }
    let unknown = SetProduct { vaccine: VaccineId(9), product: None };
    assert_eq!(decide(&mut ledger, &unknown.into()).refusal(), Some(Refusal::NoSuchPool));
}

#[test]
fn a_repeated_hold_has_the_same_reply_while_no_dose_of_it_was_released() {
    let mut ledger = with_slots(10, &[(1, 5), (22, 2)]);
    let hold = series(1, 3, [1, 2]);
    let first = decide(&mut ledger, &hold.clone().into());
    let after = ledger.clone();
    assert_eq!(decide(&mut ledger, &hold.clone().into()), first);
    assert_eq!(ledger, after);
    let others = [series(1, 3, [2, 1]), series(1, 2, [1, 2]), hold_doses(4, &[1])];
    for other in others {
        let refused = held(&mut ledger, other.clone());
        assert_eq!(refused, Err(Refusal::Conflict), "{other:?}");
    }
    decide(&mut ledger, &release(4));
    assert_eq!(held(&mut ledger, hold), Err(Refusal::Released));
}

#[test]
fn the_doses_of_the_lots_of_a_site_must_be_valid_on_both_dates() {
    let mut ledger = ledger(&[0]);
    for command in slots_of_days(30).into_iter().chain([two_doses(), receive_lot("A", 10, 5)]) {
        assert_eq!(decide(&mut ledger, &command).refusal(), None);
    }
    let refused = held(&mut ledger, series(1, 1, [1, 22]));
    assert_eq!(refused, Err(Refusal::NextSlotFull), "none is valid on day 22");
    assert_eq!(decide(&mut ledger, &receive_lot("B", 30, 2)).refusal(), None);
    assert_eq!(held(&mut ledger, series(1, 3, [1, 22])), Ok(2));
    let stock = ledger.site_stocks.stocks.get(&STOCK).unwrap();
    assert_eq!(stock.taken, [(day(1), 2), (day(22), 2)].into());
    assert_eq!(stock.margin(), 0);
}

#[test]
fn a_series_takes_places_of_a_slot_that_others_take_alone() {
    let mut ledger = with_slots(10, &[(1, 5), (22, 2)]);
    assert_eq!(held(&mut ledger, hold_doses(100, &[1, -2])), Ok(1));
    assert_eq!(held(&mut ledger, series(1, 5, [1, 2])), Ok(1));
    let refused = held(&mut ledger, series(50, 1, [1, 2]));
    assert_eq!(refused, Err(Refusal::NextSlotFull));
    assert_eq!(held(&mut ledger, hold_doses(200, &[1, -2])), Err(Refusal::SlotFull));
    assert_eq!(held(&mut ledger, hold_doses(201, &[1, -1])), Ok(1));
}

/// A hold of a series, one of a single dose, or a release.
fn steps() -> impl Strategy<Value = Vec<Command>> {
    let slots = || prop_oneof![Just([1, 2]), Just([1, 3]), Just([2, 3])];
    let first = || (0..6_u128).prop_map(|number| 1 + 10 * number);
    let step = prop_oneof![
        4 => (first(), 0..4_u32, slots()).prop_map(|(first, count, slots)| {
            series(first, count, slots).into()
        }),
        2 => (first(), 1..4_i64).prop_map(|(first, slot)| hold_doses(first, &[1, -slot]).into()),
        2 => (0..60_u128).prop_map(release),
    ];
    vec(step, 0..40)
}

proptest! {
    #[test]
    fn each_series_is_whole_or_absent_and_no_pool_is_oversold(
        commands in steps(), stock in 0..12_i64, places in [0..5_i64, 0..5_i64, 0..5_i64]
    ) {
        let mut ledger = with_slots(stock, &[(1, places[0]), (22, places[1]), (43, places[2])]);
        for command in &commands {
            let before = ledger.clone();
            let reply = decide(&mut ledger, command);
            if let (Command::Hold(hold), Reply::Held(reply)) = (command, &reply) {
                let count = reply.as_ref().map_or(0, |held| held.count);
                let of_one = |first: ReservationId| {
                    let ids = (0..hold.count).filter_map(move |n| first.nth(n));
                    ids.filter(|id| ledger.reservations.get(id) != before.reservations.get(id)).count()
                };
                let firsts = of_one(hold.first);
                prop_assert!(firsts == 0 || u32::try_from(firsts) == Ok(count));
                if hold.next.is_some() {
                    prop_assert_eq!(of_one(hold.first.nth(hold.count).unwrap()), firsts);
                }
            }
            for id in [PoolId::Vaccine(VaccineId(1))].into_iter().chain((1..4).map(|id| SlotId(id).into())) {
                let pool = ledger.pools.get(&id).unwrap();
                prop_assert!((0..=pool.stock.count()).contains(&pool.taken), "{:?}: {:?}", id, pool);
            }
        }
    }
}
