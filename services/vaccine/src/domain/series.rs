//! Two doses for a person: both are held, or neither.
//!
//! A hold of a series claims the units of both doses in one decision, so that nobody has a first dose without a second.
//! Afterwards they are two reservations, each confirmed, released or administered by itself: the second doses of a
//! block are a block of their own.

use std::borrow::Cow;

use contracts::vaccine::{ReservationState, product::DoseInterval};

use super::{
    Ledger,
    records::{GrantedNext, HoldDoses, Refusal, SetProduct},
    values::PoolId,
};

impl HoldDoses {
    /// What both doses of a person claim.
    pub(crate) fn all_claims(&self) -> Cow<'_, [PoolId]> {
        match &self.next {
            None => Cow::Borrowed(&self.claims),
            Some(next) => Cow::Owned([&self.claims[..], next].concat()),
        }
    }

    /// The second doses as a block of their own; none without, or beyond the numbers of a block.
    fn second(&self) -> Option<Self> {
        let claims = self.next.clone()?;
        Some(Self { first: self.first.nth(self.count)?, claims, next: None, ..self.clone() })
    }
}

impl Ledger {
    pub(super) fn set_product(&mut self, set: &SetProduct) -> Result<(), Refusal> {
        let SetProduct { vaccine, product } = set;
        if self.pools.get(&(*vaccine).into()).is_none() {
            return Err(Refusal::NoSuchPool);
        }
        match product {
            Some(product) => self.products.insert(*vaccine, product.clone()),
            None => self.products.remove(vaccine),
        }
        Ok(())
    }

    /// Whether the second dose is neither too early nor too late, by the dates at the sites.
    pub(super) fn check_interval(&self, hold: &HoldDoses) -> Result<(), Refusal> {
        let Some(next) = &hold.next else { return Ok(()) };
        let interval = self.interval(&hold.claims).ok_or(Refusal::SingleDose)?;
        let [first, second] = [&hold.claims, next].map(|claims| self.slots.held(claims));
        let (Some(first), Some(second)) = (first, second) else { return Err(Refusal::NoSuchSlot) };
        let days = (second.place.date - first.place.date).get_days();
        if interval.contains(days.into()) {
            Ok(())
        } else {
            Err(Refusal::OutsideInterval(interval))
        }
    }

    fn interval(&self, claims: &[PoolId]) -> Option<DoseInterval> {
        let vaccine = claims.iter().find_map(|id| id.vaccine())?;
        self.products.get(&vaccine)?.next_dose
    }

    pub(super) fn granted_next(&self, hold: &HoldDoses) -> Option<GrantedNext> {
        let slot = self.slots.held(hold.next.as_ref()?)?;
        Some(GrantedNext { slot, interval: self.interval(&hold.claims)? })
    }

    /// Takes the second doses of a block, of which so many first ones are taken.
    pub(super) fn take_next(&mut self, hold: &HoldDoses, count: u32, state: ReservationState) {
        if let Some(second) = hold.second() {
            self.take_units(&second.claims, count);
            self.record(&second, count, state);
        }
    }

    /// Whether as many second doses are known as were granted with so many first ones.
    pub(super) fn is_next_granted(&self, hold: &HoldDoses, count: u32) -> bool {
        let Some(second) = hold.second() else { return hold.next.is_none() };
        let known = self.reservations.block(&second.first);
        known.is_some_and(|known| known.is_granted(&second) && known.count() == count)
    }
}
