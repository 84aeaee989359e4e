//! What the ledger has answered: who gets a dose, and who is refused.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::Ordering,
};

use contracts::{
    booking::BookedSlot,
    campaign::BOOKINGS_PER_PERSON_MAX,
    ids::SlotId,
    vaccine::{HeldNext, HeldPlace, HoldOutcome},
};

use super::{HeldOutcome, HoldClient};
use crate::{
    domain::{Choice, HeldSlot, NotGranted},
    hand::{Dose, Granted},
    lost::RequestedBlock,
};

impl HoldClient {
    /// The doses that are held: first to those who wait for them, the others stay in hand.
    ///
    /// That a vaccine is sold out is concluded from blocks that are new: the grant of a repeated one is an old decision.
    pub(super) fn give(
        &self,
        wanted: &[Choice],
        blocks: Vec<RequestedBlock>,
        held: Vec<HoldOutcome>,
    ) -> Vec<HeldOutcome> {
        let mut waiting = BTreeMap::<Choice, usize>::new();
        for id in wanted {
            *waiting.entry(*id).or_default() += 1;
        }
        let mut given = BTreeMap::<Choice, VecDeque<Dose>>::new();
        let mut not_granted = BTreeMap::new();
        let mut is_answering = true;
        for (requested, held) in blocks.into_iter().zip(held) {
            let RequestedBlock { block, held_at, is_repeated } = requested;
            let choice = requested.choice();
            let mut refuse = |reason| {
                not_granted.insert(choice, (reason, held_at));
            };
            match held {
                // Of which slot is not said.
                HoldOutcome::Held { place: None, .. } if choice.slot.is_some() => {
                    self.abort(&requested);
                }
                HoldOutcome::Held { next: None, .. } if choice.next.is_some() => {
                    self.abort(&requested);
                }
                HoldOutcome::Held { vc_name, count, place, next } => {
                    let of = granted(choice, &vc_name, place, next);
                    let doses = requested.doses(count);
                    let given = given.entry(choice).or_default();
                    let waiting = waiting.get(&choice).map_or(0, |waiting| waiting - given.len());
                    given.extend(self.hand.fill(choice, of, doses, waiting));
                    if count < block.count && !is_repeated {
                        refuse(too_few(choice));
                    }
                }
                // None of these ids will ever be used.
                HoldOutcome::Conflict => self.abort(&requested),
                HoldOutcome::Failed => {
                    self.lost.extend([requested]);
                    is_answering = false;
                }
                refusal => refusal_of(&refusal).into_iter().for_each(refuse),
            }
        }
        self.is_answering.store(is_answering, Ordering::Relaxed);
        let outcome = |choice: &Choice| {
            let dose = given.get_mut(choice).and_then(VecDeque::pop_front);
            match (dose.or_else(|| self.hand.take(*choice)), not_granted.get(choice)) {
                (Some(dose), _) => HeldOutcome::Held(dose),
                (None, Some((reason, asked_at))) if reason.is_sold_out() => {
                    if self.lost.is_of(*choice) {
                        return HeldOutcome::Unknown;
                    }
                    self.sold_out.insert(*choice, *reason, *asked_at);
                    HeldOutcome::NotGranted(*reason)
                }
                (None, Some((reason, _))) => HeldOutcome::NotGranted(*reason),
                (None, None) => HeldOutcome::Unknown,
            }
        };
        wanted.iter().map(outcome).collect()
    }
}

/// What the ledger says of the doses of a choice.
fn granted(
    choice: Choice,
    vaccine_name: &str,
    place: Option<HeldPlace>,
    next: Option<HeldNext>,
) -> Granted {
    let slot = choice.slot.zip(place).map(|(slot, place)| held_slot(slot, place));
    let next = choice.next.zip(next);
    let next = next.map(|(slot, next)| Box::new((held_slot(slot, next.place), next.interval)));
    Granted { vaccine_name: vaccine_name.into(), slot, next }
}

/// Why fewer are held than wanted. Of a slot it may be doses or places: the next request gets the answer.
fn too_few(choice: Choice) -> NotGranted {
    match (choice.slot, choice.next) {
        (None, _) => NotGranted::SoldOut,
        (Some(_), None) => NotGranted::SlotFull,
        (Some(_), Some(_)) => NotGranted::NextSlotFull,
    }
}

/// Why the ledger grants nothing.
fn refusal_of(outcome: &HoldOutcome) -> Option<NotGranted> {
    match outcome {
        HoldOutcome::SoldOut => Some(NotGranted::SoldOut),
        HoldOutcome::SlotFull => Some(NotGranted::SlotFull),
        HoldOutcome::NoSuchVaccine => Some(NotGranted::NoSuchVaccine),
        HoldOutcome::NoSuchSlot => Some(NotGranted::NoSuchSlot),
        HoldOutcome::NotOpen => Some(NotGranted::NotOpen),
        HoldOutcome::NextSlotFull => Some(NotGranted::NextSlotFull),
        HoldOutcome::OutsideInterval => Some(NotGranted::OutsideInterval),
        HoldOutcome::SingleDose => Some(NotGranted::SingleDose),
        HoldOutcome::Held { .. } | HoldOutcome::Conflict | HoldOutcome::Failed => None,
    }
}

fn held_slot(slot_id: SlotId, place: HeldPlace) -> HeldSlot {
    let HeldPlace { site_id, starts_at, campaign_id: campaign, bookings_per_person } = place;
    let booked = BookedSlot { slot_id, site_id, starts_at };
    let bookings_per_person = bookings_per_person.min(BOOKINGS_PER_PERSON_MAX);
    HeldSlot { booked, campaign, bookings_per_person }
}
