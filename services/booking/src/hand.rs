//! The doses in hand: held for this store, and not given to a citizen yet.
//!
//! A request for doses asks for those of the citizens who wait, and for some that will be wanted soon; so most citizens
//! get one without waiting for `vaccine`. A dose in hand is an ordinary hold: the ledger has counted it, and should
//! this process end, it is an orphaned one, which [`crate::resolver`] releases. One that nobody wants is given back
//! before it would count as orphaned.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use contracts::{
    ids::ReservationId,
    vaccine::{AHEAD_MAX, product::DoseInterval},
};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::domain::{Choice, HeldDose, HeldSlot, NextDose};

/// How long a dose is kept in hand. A commit begins within three seconds of that, so it is booked before a hold counts
/// as orphaned: [`crate::resolver::ORPHANED_AFTER_MS`].
pub const KEPT_FOR: Duration = Duration::from_secs(4);

/// For how long the doses in hand should be enough, at the rate at which they were taken since the last request.
const HORIZON: Duration = Duration::from_millis(100);

/// The shortest time over which that rate is measured: citizens who come at once are no more than they are. A quarter, so
/// that of a rate that lasts twice as many are requested each time, until there are enough.
const RATE_SPAN_MIN: Duration = Duration::from_millis(25);

/// Choices of which doses are in hand; those of further ones are requested one by one.
const CHOICES_MAX: usize = 1_024;

/// The doses in hand. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Hand(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    supplies: Mutex<BTreeMap<Choice, Supply>>,
    runs_low: Notify,
}

/// The doses in hand of one choice.
#[derive(Debug)]
struct Supply {
    of: Granted,
    /// The oldest first.
    doses: VecDeque<InHand>,
    /// How many there were after the last request.
    filled_to: usize,
    filled_at: Instant,
    /// Taken since then.
    taken: u32,
    /// Whether half of them is taken.
    is_low: bool,
}

/// A dose that is held since then, or both doses of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InHand {
    pub(crate) reservation: ReservationId,
    pub(crate) next: Option<ReservationId>,
    pub(crate) held_at: Instant,
}

impl InHand {
    fn reservations(self) -> impl Iterator<Item = ReservationId> {
        [self.reservation].into_iter().chain(self.next)
    }
}

/// What the ledger says of the doses of a choice.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) vaccine_name: Arc<str>,
    pub(crate) slot: Option<HeldSlot>,
    /// Of a second dose: its slot, and how many days after the first it may be.
    pub(crate) next: Option<Box<(HeldSlot, DoseInterval)>>,
}

/// A dose for one citizen. Dropped before it was [spent](Dose::spend), it is back in hand.
#[derive(Debug)]
pub struct Dose {
    choice: Choice,
    of: Granted,
    held: InHand,
    /// None once it is spent.
    hand: Option<Hand>,
}

impl Dose {
    /// Its reservation.
    pub fn reservation(&self) -> ReservationId {
        self.held.reservation
    }

    /// Whether it is of a series. In hand, it would be for those alone who want the same two slots.
    pub fn is_of_series(&self) -> bool {
        self.held.next.is_some()
    }

    /// Its reservation, and that of the second dose of a series.
    pub fn reservations(&self) -> impl Iterator<Item = ReservationId> + use<> {
        self.held.reservations()
    }

    /// What a booking has to know of it.
    pub fn held(&self) -> HeldDose {
        let Granted { vaccine_name, slot, next } = &self.of;
        let InHand { reservation, next: next_reservation, held_at: _ } = self.held;
        let next = next.as_deref().zip(next_reservation).map(|((slot, interval), reservation)| {
            Box::new(NextDose { reservation, slot: *slot, interval: *interval })
        });
        let vaccine_name = (**vaccine_name).to_owned();
        HeldDose { reservation, vaccine_name, slot: *slot, next }
    }

    /// It is booked, or may be: nobody else gets it.
    pub fn spend(mut self) {
        self.hand = None;
    }
}

impl Drop for Dose {
    fn drop(&mut self) {
        if let Some(Hand(shared)) = self.hand.take() {
            let mut supplies = shared.supplies.lock();
            let supply = supplies.entry(self.choice);
            supply.or_insert_with(|| Supply::new(self.of.clone())).put_back(self.held);
        }
    }
}

/// Doses of one choice to be requested ahead of demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// How many.
    pub(crate) wanted: u32,
    /// Doses in hand already.
    pub(crate) in_hand: u32,
}

impl Hand {
    /// A dose for a choice, if one is in hand.
    pub(crate) fn take(&self, choice: Choice) -> Option<Dose> {
        let mut supplies = self.0.supplies.lock();
        let supply = supplies.get_mut(&choice)?;
        // Older ones are about to be given back.
        let old = supply.doses.partition_point(|dose| dose.held_at.elapsed() >= KEPT_FOR);
        let dose = supply.doses.remove(old)?;
        supply.taken = supply.taken.saturating_add(1);
        let is_low = supply.filled_to > 0 && supply.doses.len() * 2 <= supply.filled_to;
        if is_low && !supply.is_low {
            supply.is_low = true;
            self.0.runs_low.notify_one();
        }
        Some(self.dose(choice, &supply.of, dose))
    }

    fn dose(&self, choice: Choice, of: &Granted, held: InHand) -> Dose {
        Dose { choice, of: of.clone(), held, hand: Some(self.clone()) }
    }

    /// Waits until half of what was last requested ahead is taken, of some choice.
    pub(crate) async fn runs_low(&self) {
        self.0.runs_low.notified().await;
    }

    /// The choices of which it is.
    pub(crate) fn low(&self) -> Vec<Choice> {
        let supplies = self.0.supplies.lock();
        supplies.iter().filter(|(_, supply)| supply.is_low).map(|(id, _)| *id).collect()
    }

    /// How many doses to request ahead of demand, where so many citizens wait for others.
    pub(crate) fn ahead(&self, choice: Choice, waiting: u32) -> Ahead {
        // A share of what is free is one of the doses of the vaccine: each of its slots would take one.
        if choice.slot.is_some() {
            return Ahead { wanted: 0, in_hand: 0 };
        }
        let mut supplies = self.0.supplies.lock();
        let is_full = supplies.len() >= CHOICES_MAX;
        let Some(supply) = supplies.get_mut(&choice) else {
            // As many may come next as have come at once with the first of them; one alone may be the only one.
            let wanted = if is_full { 0 } else { waiting.saturating_sub(1) };
            return Ahead { wanted, in_hand: 0 };
        };
        let wanted = u128::from(supply.taken.saturating_add(waiting));
        let elapsed = supply.filled_at.elapsed().max(RATE_SPAN_MIN);
        let enough = wanted * HORIZON.as_micros() / elapsed.as_micros();
        let enough = u32::try_from(enough).unwrap_or(AHEAD_MAX).min(AHEAD_MAX);
        let in_hand = u32::try_from(supply.doses.len()).unwrap_or(u32::MAX).min(AHEAD_MAX);
        let wanted = enough.saturating_sub(in_hand);
        supply.is_low &= wanted > 0;
        Ahead { wanted, in_hand }
    }

    /// Adds doses that are held since then, but for those of the citizens who wait: nobody else can take them.
    pub(crate) fn fill(
        &self,
        choice: Choice,
        of: Granted,
        mut held: impl Iterator<Item = InHand>,
        waiting: usize,
    ) -> Vec<Dose> {
        let dose = |held| self.dose(choice, &of, held);
        let given = held.by_ref().take(waiting).map(dose).collect();
        let mut held = held.peekable();
        let mut supplies = self.0.supplies.lock();
        // Of most slots none is ever in hand: they must not leave those out of which some are.
        let is_new_wanted = choice.slot.is_none() && supplies.len() < CHOICES_MAX;
        if held.peek().is_some() || is_new_wanted || supplies.contains_key(&choice) {
            let supply = supplies.entry(choice).or_insert_with(|| Supply::new(of.clone()));
            supply.of = of;
            held.for_each(|dose| supply.put_back(dose));
            (supply.filled_to, supply.filled_at) = (supply.doses.len(), Instant::now());
            (supply.taken, supply.is_low) = (0, false);
        }
        given
    }

    /// Takes the doses that were in hand for too long, and forgets the choices of which there are none.
    pub(crate) fn expire(&self) -> Vec<ReservationId> {
        let mut expired = Vec::new();
        self.0.supplies.lock().retain(|_, supply| {
            let is_old = |dose: &InHand| dose.held_at.elapsed() >= KEPT_FOR;
            while let Some(dose) = supply.doses.pop_front_if(|dose| is_old(dose)) {
                expired.extend(dose.reservations());
            }
            !supply.doses.is_empty() || supply.filled_at.elapsed() < KEPT_FOR
        });
        expired
    }

    /// Takes every dose.
    pub(crate) fn empty(&self) -> Vec<ReservationId> {
        let supplies = mem::take(&mut *self.0.supplies.lock());
        supplies
            .into_values()
            .flat_map(|supply| supply.doses)
            .flat_map(InHand::reservations)
            .collect()
    }
}

impl Supply {
    fn new(of: Granted) -> Self {
        Self {
            of,
            doses: VecDeque::new(),
            filled_to: 0,
            filled_at: Instant::now(),
            taken: 0,
            is_low: false,
        }
    }

    fn put_back(&mut self, dose: InHand) {
        let older = self.doses.partition_point(|other| other.held_at < dose.held_at);
        self.doses.insert(older, dose);
    }
}
