//! A booking of a slot whose doses come from lots of the site gets one exactly when each can get one.

use std::collections::BTreeMap;

use contracts::{
    ids::{LotId, SiteId},
    vaccine::lots::LotChangeKind,
};
use jiff::civil::Date;
use proptest::prelude::*;
use vaccine::domain::{
    ChangeLot, ConfirmHold, HoldDoses, Ledger, Refusal, Reply, SiteStock, SiteStockId, decide,
};

use super::ledger;
use crate::{
    commands::{administer, administer_lot, dose, hold_doses, release},
    lot_commands::{STOCK, change_lot, day, receive_lot, slots_of_days, waste},
};

/// A vaccine without central stock, and slot n on day n.
fn with_days(days: i64) -> Ledger {
    let mut ledger = ledger(&[0]);
    for command in slots_of_days(days) {
        decide(&mut ledger, &command);
    }
    ledger
}

fn receive(
    ledger: &mut Ledger,
    number: &str,
    expires_on: i64,
    doses: i64,
) -> Result<LotId, Refusal> {
    match decide(ledger, &receive_lot(number, expires_on, doses)) {
        Reply::LotReceived(reply) => reply.map(|(id, _)| id),
        reply => panic!("{reply:?}"),
    }
}

/// A dose of vaccine 1 and a place of the slot of this day.
fn book(ledger: &mut Ledger, number: u128, day: i64) -> Option<Refusal> {
    decide(ledger, &hold_doses(number, &[1, -day]).into()).refusal()
}

fn stock(ledger: &Ledger) -> &SiteStock {
    ledger.site_stocks.stocks.get(&STOCK).unwrap()
}

#[test]
fn a_dose_serves_the_dates_up_to_its_expiry() {
    let mut ledger = with_days(5);
    assert_eq!(book(&mut ledger, 1, 1), Some(Refusal::SoldOut), "a site without lots");
    receive(&mut ledger, "A", 2, 1).unwrap();
    assert_eq!(book(&mut ledger, 1, 3), Some(Refusal::SoldOut), "it expired the day before");
    assert_eq!(book(&mut ledger, 1, 2), None, "its last day");
    assert_eq!(book(&mut ledger, 2, 1), Some(Refusal::SoldOut));
    decide(&mut ledger, &release(1));
    assert_eq!(book(&mut ledger, 2, 1), None, "a dose that was given back");
}

#[test]
fn an_early_booking_leaves_the_doses_that_later_ones_need() {
    let mut ledger = with_days(5);
    receive(&mut ledger, "A", 2, 1).unwrap();
    receive(&mut ledger, "B", 4, 1).unwrap();
    assert_eq!(book(&mut ledger, 1, 1), None);
    assert_eq!(book(&mut ledger, 2, 4), None, "the first needs no dose of B");
    assert_eq!(book(&mut ledger, 3, 1), Some(Refusal::SoldOut));
    assert_eq!(stock(&ledger).margin(), 0);
}

#[test]
fn doses_that_bookings_need_are_not_taken_away_silently() {
    let mut ledger = with_days(5);
    receive(&mut ledger, "A", 2, 2).unwrap();
    receive(&mut ledger, "B", 4, 2).unwrap();
    for (number, day) in [(1, 3), (2, 4), (3, 1)] {
        assert_eq!(book(&mut ledger, number, day), None);
    }
    let before = ledger.clone();
    let claimed = Refusal::DosesClaimed { short: 1, after: Some(day(2)) };
    for kind in [LotChangeKind::Wasted, LotChangeKind::Counted] {
        assert_eq!(decide(&mut ledger, &change_lot(2, kind, 1).into()).refusal(), Some(claimed));
    }
    let to = Some(SiteId(2));
    let transfer = ChangeLot { to, ..change_lot(2, LotChangeKind::Transferred, 1) };
    assert_eq!(decide(&mut ledger, &transfer.clone().into()).refusal(), Some(claimed));
    assert_eq!(ledger, before, "a refusal changes nothing");
    assert_eq!(decide(&mut ledger, &waste(1, 1)).refusal(), None, "one of A is free");
    let planned = ChangeLot { overcommit: true, ..transfer };
    assert_eq!(decide(&mut ledger, &planned.into()).refusal(), None);
    assert_eq!(stock(&ledger).overcommitted, 1);
    assert_eq!(book(&mut ledger, 4, 1), Some(Refusal::SoldOut));
    decide(&mut ledger, &release(1));
    assert_eq!(stock(&ledger).overcommitted, 0);
    let other = SiteStockId { site: SiteId(2), ..STOCK };
    assert_eq!(ledger.site_stocks.stocks.get(&other).unwrap().doses, BTreeMap::from([(day(4), 1)]));
}

#[test]
fn an_injection_uses_the_first_lot_to_expire_that_is_valid() {
    let mut ledger = with_days(5);
    for (number, expiry) in [("C", 5), ("A", 1), ("B", 3)] {
        receive(&mut ledger, number, expiry, 1).unwrap();
    }
    assert_eq!(book(&mut ledger, 1, 2), None);
    decide(&mut ledger, &administer(1, 1));
    let left = BTreeMap::from([(day(1), 1), (day(5), 1)]);
    assert_eq!((&stock(&ledger).doses, stock(&ledger).taken.len()), (&left, 0));
    let used: Vec<_> = ledger.site_stocks.lots.iter().map(|(_, lot)| lot.used).collect();
    assert_eq!(used, [0, 0, 1], "in the order of their numbers: C, A, B");
}

#[test]
fn a_lot_is_received_once_and_has_one_expiry_everywhere() {
    let mut ledger = with_days(1);
    assert_eq!(receive(&mut ledger, "a-1", 2, 3), Ok(LotId(1)));
    assert_eq!(receive(&mut ledger, "A-1", 2, 3), Err(Refusal::LotExists(LotId(1))));
    let too_many = decide(&mut ledger, &waste(1, 4)).refusal();
    assert_eq!(too_many, Some(Refusal::NotEnoughDoses { doses: 3 }));
    assert_eq!(decide(&mut ledger, &waste(9, 1)).refusal(), Some(Refusal::NoSuchLot));
    let stale = ChangeLot { expected: Some(0), ..change_lot(1, LotChangeKind::Wasted, 1) };
    assert_eq!(decide(&mut ledger, &stale.into()).refusal(), Some(Refusal::Stale));
    let repeated = ChangeLot { expected: Some(1), ..change_lot(1, LotChangeKind::Wasted, 1) };
    assert_eq!(decide(&mut ledger, &repeated.clone().into()).refusal(), None);
    assert_eq!(decide(&mut ledger, &repeated.into()).refusal(), Some(Refusal::Stale));
}

#[test]
fn an_injection_uses_the_lot_that_was_recorded_whatever_it_is() {
    let used = |lot: &str| {
        let mut ledger = with_days(5);
        for (number, expires_on) in [("A", 2), ("B", 5), ("OLD", 1), ("EMPTY", 5)] {
            receive(&mut ledger, number, expires_on, 2).unwrap();
        }
        decide(&mut ledger, &waste(4, 2));
        assert_eq!(book(&mut ledger, 1, 2), None);
        decide(&mut ledger, &administer_lot(1, lot));
        let used = ledger.site_stocks.lots.iter().find(|(_, lot)| lot.used == 1);
        let total: i64 = ledger.site_stocks.lots.iter().map(|(_, lot)| lot.doses).sum();
        assert_eq!((total, stock(&ledger).pools().next().unwrap().doses), (5, 5));
        used.unwrap().1.number.as_str().to_owned()
    };
    assert_eq!(used("B"), "B", "another one would expire first");
    assert_eq!(used("b"), "B", "however it is written");
    assert_eq!(used("OLD"), "OLD", "it has expired, and was used");
    for unknown in ["EMPTY", "C", ""] {
        assert_eq!(used(unknown), "A", "the first to expire that is valid");
    }
}

#[test]
fn a_dose_of_another_lot_than_the_first_may_leave_a_booking_without_a_dose() {
    let mut ledger = with_days(5);
    receive(&mut ledger, "A", 2, 1).unwrap();
    receive(&mut ledger, "B", 5, 1).unwrap();
    assert_eq!(book(&mut ledger, 1, 2), None);
    assert_eq!(book(&mut ledger, 2, 5), None);
    decide(&mut ledger, &administer_lot(1, "B"));
    let stock = stock(&ledger);
    assert_eq!((stock.margin(), stock.overcommitted), (-1, 1), "only A is left, and day 5 needs B");
}

#[test]
fn a_booking_is_the_same_one_after_its_dose_was_found_at_the_site() {
    let mut ledger = with_days(1);
    receive(&mut ledger, "A", 1, 5).unwrap();
    let hold = HoldDoses { count: 2, ..hold_doses(1, &[1, -1]) };
    let first = decide(&mut ledger, &hold.clone().into());
    assert_eq!(decide(&mut ledger, &hold.into()), first, "a repeated hold has the same reply");
    let confirm = ConfirmHold(dose(1, &[1, -1]));
    for _ in 0..2 {
        assert_eq!(decide(&mut ledger, &confirm.clone().into()).refusal(), None);
    }
    assert_eq!(stock(&ledger).taken, BTreeMap::from([(day(1), 2)]));
}

/// What happens to a site.
#[derive(Clone, Debug)]
enum Step {
    Receive { expires_on: i64, doses: i64 },
    Book { day: i64 },
    Release { number: u128 },
    Waste { lot: i64, doses: i64 },
    Use { number: u128 },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_i64..6, 0_i64..4).prop_map(|(expires_on, doses)| Step::Receive { expires_on, doses }),
        8 => (1_i64..=5).prop_map(|day| Step::Book { day }),
        2 => (0_u128..20).prop_map(|number| Step::Release { number }),
        2 => (1_i64..4, 0_i64..3).prop_map(|(lot, doses)| Step::Waste { lot, doses }),
        1 => (0_u128..20).prop_map(|number| Step::Use { number }),
    ]
}

/// Whether each of these dates can have a dose of its own: tries every assignment, one booking after the other.
fn is_served(dates: &[Date], doses: &BTreeMap<Date, i64>) -> bool {
    let Some((date, others)) = dates.split_first() else { return true };
    let valid = doses.iter().filter(|(expires_on, left)| *expires_on >= date && **left > 0);
    valid.clone().any(|(expires_on, left)| {
        let mut left_over = doses.clone();
        left_over.insert(*expires_on, left - 1);
        is_served(others, &left_over)
    })
}

/// The bookings and the lots of a site, without any rule.
#[derive(Default)]
struct Site {
    booked: BTreeMap<u128, i64>,
    lots: Vec<(Date, i64)>,
}

impl Site {
    fn doses(&self) -> BTreeMap<Date, i64> {
        let mut doses = BTreeMap::new();
        for (expires_on, count) in &self.lots {
            *doses.entry(*expires_on).or_default() += count;
        }
        doses
    }

    fn is_served(&self, further: Option<i64>) -> bool {
        let days = self.booked.values().copied().chain(further);
        let dates: Vec<_> = days.map(day).collect();
        is_served(&dates, &self.doses())
    }
}

proptest! {
    /// Whatever happened before; and doses are taken away exactly when there still is one.
    #[test]
    fn a_booking_is_granted_exactly_when_some_assignment_serves_all(
        steps in proptest::collection::vec(any_step(), 0..30),
    ) {
        let mut ledger = with_days(5);
        let mut site = Site::default();
        for (number, step) in (0_u128..).zip(steps) {
            match step {
                Step::Receive { expires_on, doses } => {
                    receive(&mut ledger, &format!("L{number}"), expires_on, doses).unwrap();
                    site.lots.push((day(expires_on), doses));
                }
                Step::Book { day } if site.booked.len() < 6 => {
                    let refusal = book(&mut ledger, number, day);
                    prop_assert_eq!(refusal.is_none(), site.is_served(Some(day)), "{:?}", refusal);
                    if refusal.is_none() {
                        site.booked.insert(number, day);
                    }
                }
                Step::Book { .. } => {}
                Step::Release { number } => {
                    if site.booked.remove(&number).is_some() {
                        decide(&mut ledger, &release(number));
                    }
                }
                Step::Waste { lot, doses } => {
                    let refusal = decide(&mut ledger, &waste(lot, doses)).refusal();
                    let known = site.lots.get_mut(usize::try_from(lot).unwrap() - 1);
                    let Some(known) = known.filter(|known| known.1 >= doses) else {
                        prop_assert!(refusal.is_some());
                        continue;
                    };
                    known.1 -= doses;
                    prop_assert_eq!(refusal.is_none(), site.is_served(None), "{:?}", refusal);
                    if refusal.is_some() {
                        site.lots[usize::try_from(lot).unwrap() - 1].1 += doses;
                    }
                }
                Step::Use { number } => {
                    if let Some(date) = site.booked.remove(&number) {
                        decide(&mut ledger, &administer(number, 1));
                        let valid =
                            site.lots.iter_mut().filter(|lot| lot.0 >= day(date) && lot.1 > 0);
                        valid.min_by_key(|lot| lot.0).unwrap().1 -= 1;
                    }
                }
            }
            if let Some(stock) = ledger.site_stocks.stocks.get(&STOCK) {
                let doses: BTreeMap<_, _> =
                    site.doses().into_iter().filter(|(_, count)| *count > 0).collect();
                prop_assert_eq!(&stock.doses, &doses);
                prop_assert_eq!(stock.overcommitted, 0);
                prop_assert!(stock.margin() >= 0);
            }
        }
    }
}
