//! The decisions of the stock ledger. No async, no I/O, no clock, no randomness.
//!
//! The ledger counts *pools*: the doses of a vaccine, those of a site that can be used after a date, the places of a
//! slot. A reservation claims one unit of every pool
//! that it names, all or none: a dose, or a dose and a place.
//!
//! Doses are held in *blocks* of reservations whose ids follow each other: those that are wanted now, as many as are
//! free, and some ahead of demand, as long as the owner has only a small share of what is free in its hand.
//! Afterwards each reservation is confirmed, released, or administered by itself.
//!
//! ```text
//! hold ──► held ──confirm──► booked ──┬── administer ──► administered
//!            │                  │     │                       ▲
//!            └──release──┬──────┘     │                       │
//!                        ▼            │                       │
//!                    released ────────┘ (the dose was used after all)
//! ```
//!
//! An *aborted* reservation is released, and its owner has still to record that there is no booking.
//! A release may arrive before its hold, and an administration before its booking.
//! Every command may be repeated, late, or in another order, and counts once.
//!
//! The guard decides about holds. A booking that was made and a dose that was used are facts, and counted also
//! where every unit is taken: the pool is then *overcommitted*.

use contracts::{
    ids::{LotId, ReservationId, StoreId, VaccineId},
    vaccine::{AHEAD_MAX, AHEAD_SHARE, ReservationState, product::Product},
};
use jiff::Timestamp;
use platform_store::ChangeSet;

mod availability;
mod claims;
mod lot_records;
mod lots;
mod places;
mod records;
mod reservations;
mod series;
mod site_stock;
mod slots;
mod values;

pub use lot_records::*;
pub use lots::SiteStocks;
pub use places::*;
pub use records::*;
pub use reservations::{ReservationBlock, ReservationRecord, Reservations};
pub use site_stock::SiteStock;
pub use slots::Slots;
use values::doses;
pub use values::{Doses, LotNumber, NAME_MAX, Name, PoolId, STOCK_MAX, SiteStockId, claims};

/// The pools and reservations that a batch of commands names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Pools.
    pub pools: ChangeSet<PoolId, Pool>,
    /// Reservations.
    pub reservations: Reservations,
    /// Slots, and their campaigns.
    pub slots: Slots,
    /// The doses of sites, by lot.
    pub site_stocks: SiteStocks,
    /// The product rules of vaccines.
    pub products: ChangeSet<VaccineId, Product>,
    /// The highest number of a pool ever given.
    pub last_pool: i64,
}

/// Decides one command; a refusal changes nothing.
pub fn decide(ledger: &mut Ledger, command: &Command) -> Reply {
    match command {
        Command::Register(register) => ledger.register(register),
        Command::Change(change) => Reply::Changed(ledger.change(change)),
        Command::Remove(remove) => Reply::Removed(ledger.remove(remove)),
        Command::SetProduct(set) => Reply::ProductSet(ledger.set_product(set)),
        Command::Hold(hold) => Reply::Held(ledger.hold(hold)),
        Command::Confirm(ConfirmHold(hold)) => Reply::Confirmed(ledger.confirm(hold)),
        Command::Release(release) => {
            let ReleaseReservation { reservation, of, at } = *release;
            Reply::Released(ledger.release(reservation, of, at))
        }
        Command::Return(returned) => Reply::Returned(ledger.return_dose(returned)),
        Command::Abort(abort) => Reply::Aborted(ledger.abort(abort)),
        Command::Move(moved) => Reply::Moved(ledger.move_reservation(moved)),
        Command::Administer(administer) => Reply::Administered(ledger.administer(administer)),
        Command::PlanSlots(plan) => {
            ledger.slots.plan(plan, &mut ledger.pools);
            Reply::SlotsPlanned
        }
        Command::RecordCampaign(change) => {
            ledger.slots.change_campaign(change);
            Reply::CampaignChanged
        }
        Command::ReceiveLot(receive) => Reply::LotReceived(ledger.receive_lot(receive)),
        Command::ChangeLot(change) => Reply::LotChanged(ledger.site_stocks.change(change)),
    }
}

/// Why a hold of unknown reservations is refused, if nothing is left of what it claims, or it cannot be booked: the reply of [`decide`],
/// without a change.
pub fn sold_out(ledger: &Ledger, hold: &HoldDoses) -> Option<Refusal> {
    let is_unknown = matches!(ledger.known(hold), Ok(None));
    no_room(ledger, hold).filter(|_| is_unknown)
}

/// Why there is no room for a hold, as far as that may be otherwise in a moment.
pub fn no_room(ledger: &Ledger, hold: &HoldDoses) -> Option<Refusal> {
    let refusal = ledger.room(&ledger.located(hold)).err();
    refusal.filter(|refusal| refusal.is_of_the_moment())
}

impl Ledger {
    fn register(&mut self, RegisterVaccine { name, stock, at: _ }: &RegisterVaccine) -> Reply {
        self.last_pool += 1;
        let id = VaccineId(self.last_pool);
        let pool = Pool { name: name.clone(), stock: *stock, taken: 0, overcommitted: 0 };
        self.pools.insert(id.into(), pool.clone());
        Reply::Registered(id, pool)
    }

    fn change(&mut self, change: &ChangeVaccine) -> Result<ChangedPool, Refusal> {
        let ChangeVaccine { vaccine: id, name, stock, expected, at: _ } = change;
        let Pool { taken, stock: stock_before, name: _, overcommitted: _ } =
            *self.expect(*id, expected.as_ref())?;
        if stock.is_some_and(|stock| stock.count() < taken && stock < stock_before) {
            return Err(Refusal::StockBelowTaken { taken });
        }
        let pool = self.pools.get_mut(&(*id).into()).ok_or(Refusal::NoSuchPool)?;
        if let Some(name) = name {
            pool.name = name.clone();
        }
        if let Some(stock) = stock {
            pool.stock = *stock;
            pool.reduce_overcommitted();
        }
        Ok(ChangedPool { id: *id, pool: pool.clone(), stock_before })
    }

    fn remove(
        &mut self,
        RemoveVaccine { vaccine, expected }: &RemoveVaccine,
    ) -> Result<(), Refusal> {
        let taken = self.expect(*vaccine, expected.as_ref())?.taken;
        if taken > 0 {
            return Err(Refusal::InUse { taken });
        }
        self.pools.remove(&(*vaccine).into());
        self.products.remove(vaccine);
        Ok(())
    }

    fn receive_lot(&mut self, receive: &ReceiveLot) -> Result<(LotId, LotRecord), Refusal> {
        if self.pools.get(&receive.stock.vaccine.into()).is_none() {
            return Err(Refusal::NoSuchPool);
        }
        self.site_stocks.receive(receive)
    }

    /// A pool, if its name and its stock are still as its caller has seen them.
    fn expect(&self, id: VaccineId, expected: Option<&Pool>) -> Result<&Pool, Refusal> {
        let pool = self.pools.get(&id.into()).ok_or(Refusal::NoSuchPool)?;
        let is_other = |seen: &Pool| (&seen.name, seen.stock) != (&pool.name, pool.stock);
        if expected.is_some_and(is_other) {
            return Err(Refusal::Stale);
        }
        Ok(pool)
    }

    fn hold(&mut self, hold: &HoldDoses) -> Result<HeldBlock, Refusal> {
        let Some(known) = self.known(hold)? else {
            return self.claim(hold, ReservationState::Held);
        };
        match self.reservations.block(&hold.first) {
            Some(block) if block.is_granted(hold) && self.is_next_granted(hold, block.count()) => {
                self.granted(hold, block.count())
            }
            Some(_) | None => Err(known.refusal()),
        }
    }

    /// The last block that has ids of this one already.
    fn known(&self, hold: &HoldDoses) -> Result<Option<&ReservationBlock>, Refusal> {
        let last = hold.last().ok_or(Refusal::Conflict)?;
        Ok(self.reservations.last_within(hold.first, last))
    }

    /// Also for a booking whose hold is unknown, since the ledger may have been restored from a backup.
    fn confirm(&mut self, hold: &HoldDose) -> Result<(), Refusal> {
        let Some(known) = self.reservations.get(&hold.reservation) else {
            if hold.owner.is_none() {
                // There is no booking, only somebody who wants one.
                return self.claim(&hold.clone().into(), ReservationState::Booked).map(drop);
            }
            let hold = hold.clone().into();
            let hold = self.located(&hold).into_owned();
            self.check_pools(&doses(&hold.claims))?;
            self.take_unguarded(&hold);
            self.record(&hold, 1, ReservationState::Booked);
            return Ok(());
        };
        match known.state {
            ReservationState::Released | ReservationState::Aborted => Err(Refusal::Released),
            // The service that administered it need not know the owner.
            ReservationState::Held | ReservationState::Booked if !known.matches(hold) => {
                Err(Refusal::Conflict)
            }
            ReservationState::Administered | ReservationState::Booked => Ok(()),
            ReservationState::Held => {
                self.reservations.set_state(&hold.reservation, ReservationState::Booked);
                Ok(())
            }
        }
    }

    /// The guard against overselling: a unit of every pool for each reservation that there is room for.
    fn claim(&mut self, hold: &HoldDoses, state: ReservationState) -> Result<HeldBlock, Refusal> {
        let hold = self.located(hold).into_owned();
        let count = self.room(&hold)?;
        if count > 0 {
            self.take(&hold, count, state);
        }
        self.granted(&hold, count)
    }

    fn granted(&self, hold: &HoldDoses, count: u32) -> Result<HeldBlock, Refusal> {
        let (name, slot) = (self.name(&hold.claims)?, self.slots.held(&hold.claims));
        Ok(HeldBlock { name, count, slot, next: self.granted_next(hold) })
    }

    fn take(&mut self, hold: &HoldDoses, count: u32, state: ReservationState) {
        self.take_units(&hold.claims, count);
        self.record(hold, count, state);
        self.take_next(hold, count, state);
    }

    fn record(&mut self, hold: &HoldDoses, count: u32, state: ReservationState) {
        let block = ReservationBlock {
            owner: hold.owner,
            claims: hold.claims.clone(),
            held_at: hold.at,
            states: (0..count).map(|_| state).collect(),
        };
        self.reservations.insert(hold.first, block);
    }

    /// How many reservations of a block are granted: first those that are wanted now; with what its owner then has
    /// ahead of demand, it has no more than its share of what is left.
    fn room(&self, hold: &HoldDoses) -> Result<u32, Refusal> {
        let claims = &*hold.all_claims();
        self.check_pools(claims)?;
        self.slots.check(claims, hold.at)?;
        self.check_interval(hold)?;
        let free = self.free(claims);
        let [count, ahead, in_hand] = [hold.count, hold.ahead, hold.in_hand].map(i64::from);
        let now = count.min(free);
        let in_hand_max = ((free - count) / AHEAD_SHARE).min(AHEAD_MAX.into());
        let granted = now + ahead.min(in_hand_max - in_hand).clamp(0, free - now);
        if count > 0 && granted == 0 {
            return Err(self.refusal(hold));
        }
        Ok(u32::try_from(granted).unwrap_or_default())
    }

    fn release(
        &mut self,
        id: ReservationId,
        of: Option<PoolId>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(known) = self.reservations.get(&id) else {
            if of.is_some_and(|pool| self.pools.get(&pool).is_none()) {
                return Err(Refusal::NoSuchPool);
            }
            self.prevent(id, None, ReservationState::Released, at);
            return Ok(());
        };
        let is_of = |pool| known.claims.iter().any(|id| id.requested() == pool);
        if of.is_some_and(|pool| !known.claims.is_empty() && !is_of(pool)) {
            return Err(Refusal::NoSuchReservation);
        }
        if known.state == ReservationState::Administered {
            return Err(Refusal::Administered);
        }
        if of.is_some() && known.state == ReservationState::Booked && known.owner.is_some() {
            return Err(Refusal::Conflict); // It has a booking, which has to be cancelled instead.
        }
        self.give_back(id, ReservationState::Released);
        Ok(())
    }

    /// The hold of an unknown reservation may still arrive, and must not be granted.
    fn prevent(
        &mut self,
        id: ReservationId,
        owner: Option<StoreId>,
        state: ReservationState,
        at: Timestamp,
    ) {
        let states = vec![state];
        let prevented = ReservationBlock { owner, claims: Vec::new(), held_at: at, states };
        self.reservations.insert(id, prevented);
    }

    /// Changes to a state in which no dose is taken.
    fn give_back(&mut self, id: ReservationId, state: ReservationState) {
        let Some(known) = self.reservations.get(&id) else { return };
        if !known.is_released() {
            let claims = known.claims.to_vec();
            self.give_back_units(&claims);
        }
        self.reservations.set_state(&id, state);
    }

    fn return_dose(&mut self, returned: &ReturnDose) -> Result<(), Refusal> {
        self.check_owner(returned.reservation, returned.owner)?;
        self.release(returned.reservation, None, returned.at)
    }

    /// What is released comes first, so that a ledger that does not know the hold has room for it. A part that is refused
    /// stops no other.
    fn move_reservation(&mut self, moved: &MoveReservation) -> Result<(), Refusal> {
        let MoveReservation { previous, reservation, owner, claims, at, is_cancelled } = moved;
        let released = previous.iter().filter(|id| *id != reservation);
        let mut result = Ok(());
        for id in released.chain(is_cancelled.then_some(reservation)) {
            let returned = ReturnDose { reservation: *id, owner: *owner, at: *at };
            result = result.and(self.return_dose(&returned));
        }
        if *is_cancelled {
            return result;
        }
        let (owner, claims) = (Some(*owner), claims.clone());
        let hold = HoldDose { reservation: *reservation, owner, claims, at: *at };
        result.and(self.confirm(&hold))
    }

    fn abort(&mut self, abort: &AbortReservation) -> Result<(), Refusal> {
        let AbortReservation { reservation, owner, at } = *abort;
        self.check_owner(reservation, owner)?;
        let aborted = ReservationState::Aborted;
        match self.reservations.get(&reservation).map(|known| known.state) {
            None => self.prevent(reservation, Some(owner), aborted, at),
            Some(ReservationState::Held) => self.give_back(reservation, aborted),
            // It has a booking, which its owner has to cancel.
            Some(ReservationState::Booked) => return Err(Refusal::Conflict),
            Some(
                ReservationState::Aborted
                | ReservationState::Released
                | ReservationState::Administered,
            ) => {}
        }
        Ok(())
    }

    /// An owner can only return its own reservations.
    fn check_owner(&self, id: ReservationId, owner: StoreId) -> Result<(), Refusal> {
        match self.reservations.get(&id) {
            Some(ReservationRecord {
                state: ReservationState::Held | ReservationState::Booked,
                owner: known,
                ..
            }) if known != Some(owner) => Err(Refusal::Conflict),
            Some(_) | None => Ok(()),
        }
    }

    /// In any state of the reservation: a used dose is gone.
    fn administer(&mut self, administer: &AdministerDose) -> Result<(), Refusal> {
        let AdministerDose { reservation: id, claims, lot, at } = administer;
        let known = self.reservations.get(id);
        let claims = match known {
            Some(known) if known.state == ReservationState::Administered => return Ok(()),
            Some(known) if !known.is_released() => known.claims.to_vec(),
            // Who comes without a booking takes no place.
            Some(_) | None => doses(claims),
        };
        self.check_pools(&claims)?;
        let is_known = known.is_some();
        self.give_back(*id, ReservationState::Administered);
        self.use_units(&claims, lot.as_ref());
        if !is_known {
            let states = vec![ReservationState::Administered];
            let used = ReservationBlock { owner: None, claims, held_at: *at, states };
            self.reservations.insert(*id, used);
        }
        Ok(())
    }
}
