//! The decisions of the stock ledger. No async, no I/O, no clock, no randomness.
//!
//! The ledger counts *pools*. A reservation claims one unit of every pool that it names, all or
//! none. Today a vaccine is one pool, and a claim has one entry.
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
    ids::{ReservationId, StoreId},
    vaccine::ReservationState,
};
use jiff::Timestamp;
use platform_store::ChangeSet;

mod records;
mod values;

pub use records::*;
pub use values::{Doses, NAME_MAX, Name, PoolId, STOCK_MAX};

/// The pools and reservations that a batch of commands names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Pools.
    pub pools: ChangeSet<PoolId, Pool>,
    /// Reservations.
    pub reservations: ChangeSet<ReservationId, ReservationRecord>,
    /// The highest number of a pool ever given.
    pub last_pool: i64,
}

/// Decides one command; a refusal changes nothing.
pub fn decide(ledger: &mut Ledger, command: &Command) -> Reply {
    match command {
        Command::Register(register) => ledger.register(register),
        Command::Change(change) => Reply::Changed(ledger.change(change)),
        Command::Remove(remove) => Reply::Removed(ledger.remove(remove)),
        Command::Hold(hold) => Reply::Held(ledger.hold(hold)),
        Command::Confirm(ConfirmHold(hold)) => Reply::Confirmed(ledger.confirm(hold)),
        Command::Release(release) => {
            let ReleaseReservation { reservation, of, at } = *release;
            Reply::Released(ledger.release(reservation, of, at))
        }
        Command::Return(returned) => Reply::Returned(ledger.return_dose(returned)),
        Command::Abort(abort) => Reply::Aborted(ledger.abort(abort)),
        Command::Administer(administer) => Reply::Administered(ledger.administer(administer)),
    }
}

/// Whether a hold of an unknown reservation is refused because every unit is taken: the reply of [`decide`],
/// without a change.
pub fn is_sold_out(ledger: &Ledger, hold: &HoldDose) -> bool {
    let is_known = ledger.reservations.get(&hold.reservation).is_some();
    !is_known && ledger.room(&hold.claims) == Err(Refusal::SoldOut)
}

impl Ledger {
    fn register(&mut self, RegisterVaccine { name, stock, at: _ }: &RegisterVaccine) -> Reply {
        self.last_pool += 1;
        let id = PoolId(self.last_pool);
        let pool = Pool { name: name.clone(), stock: *stock, taken: 0, overcommitted: 0 };
        self.pools.insert(id, pool.clone());
        Reply::Registered(id, pool)
    }

    fn change(&mut self, change: &ChangeVaccine) -> Result<ChangedPool, Refusal> {
        let ChangeVaccine { pool: id, name, stock, expected, at: _ } = change;
        let Pool { taken, stock: stock_before, name: _, overcommitted: _ } =
            *self.expect(*id, expected.as_ref())?;
        if stock.is_some_and(|stock| stock.count() < taken && stock < stock_before) {
            return Err(Refusal::StockBelowTaken { taken });
        }
        let pool = self.pools.get_mut(id).ok_or(Refusal::NoSuchPool)?;
        if let Some(name) = name {
            pool.name = name.clone();
        }
        if let Some(stock) = stock {
            pool.stock = *stock;
            pool.reduce_overcommitted();
        }
        Ok(ChangedPool { id: *id, pool: pool.clone(), stock_before })
    }

    fn remove(&mut self, RemoveVaccine { pool, expected }: &RemoveVaccine) -> Result<(), Refusal> {
        let taken = self.expect(*pool, expected.as_ref())?.taken;
        if taken > 0 {
            return Err(Refusal::InUse { taken });
        }
        self.pools.remove(pool);
        Ok(())
    }

    /// A pool, if its name and its stock are still as its caller has seen them.
    fn expect(&self, id: PoolId, expected: Option<&Pool>) -> Result<&Pool, Refusal> {
        let pool = self.pools.get(&id).ok_or(Refusal::NoSuchPool)?;
        let is_other = |seen: &Pool| (&seen.name, seen.stock) != (&pool.name, pool.stock);
        if expected.is_some_and(is_other) {
            return Err(Refusal::Stale);
        }
        Ok(pool)
    }

    fn hold(&mut self, hold: &HoldDose) -> Result<Name, Refusal> {
        match self.reservations.get(&hold.reservation) {
            None => self.claim(hold, ReservationState::Held),
            Some(known) if known.is_released() => Err(Refusal::Released),
            Some(known) if known.state == ReservationState::Administered => {
                Err(Refusal::Administered)
            }
            Some(known) if known.matches(hold) => self.name(&hold.claims),
            Some(_) => Err(Refusal::Conflict),
        }
    }

    /// Also for a booking whose hold is unknown, since the ledger may have been restored from a backup.
    fn confirm(&mut self, hold: &HoldDose) -> Result<(), Refusal> {
        let Some(known) = self.reservations.get(&hold.reservation) else {
            if hold.owner.is_none() {
                // There is no booking, only somebody who wants one.
                return self.claim(hold, ReservationState::Booked).map(drop);
            }
            self.check_pools(&hold.claims)?;
            self.take(hold, ReservationState::Booked);
            self.each_pool(&hold.claims, Pool::overcommit);
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
                if let Some(known) = self.reservations.get_mut(&hold.reservation) {
                    known.state = ReservationState::Booked;
                }
                Ok(())
            }
        }
    }

    /// The guard against overselling: a unit of every pool, or nothing.
    fn claim(&mut self, hold: &HoldDose, state: ReservationState) -> Result<Name, Refusal> {
        let name = self.room(&hold.claims)?;
        self.take(hold, state);
        Ok(name)
    }

    fn take(&mut self, hold: &HoldDose, state: ReservationState) {
        self.each_pool(&hold.claims, |pool| pool.taken += 1);
        let reservation = ReservationRecord {
            owner: hold.owner,
            claims: hold.claims.clone(),
            state,
            held_at: hold.at,
        };
        self.reservations.insert(hold.reservation, reservation);
    }

    fn each_pool(&mut self, claims: &[PoolId], change: impl Fn(&mut Pool)) {
        for id in claims {
            if let Some(pool) = self.pools.get_mut(id) {
                change(pool);
            }
        }
    }

    /// Of no pool there is nothing to take.
    fn check_pools(&self, claims: &[PoolId]) -> Result<(), Refusal> {
        let exist = !claims.is_empty() && claims.iter().all(|id| self.pools.get(id).is_some());
        if exist { Ok(()) } else { Err(Refusal::NoSuchPool) }
    }

    fn room(&self, claims: &[PoolId]) -> Result<Name, Refusal> {
        let name = self.name(claims)?;
        for id in claims {
            let pool = self.pools.get(id).ok_or(Refusal::NoSuchPool)?;
            if pool.free() < units(claims, *id) {
                return Err(Refusal::SoldOut);
            }
        }
        Ok(name)
    }

    fn name(&self, claims: &[PoolId]) -> Result<Name, Refusal> {
        let first = claims.first().and_then(|id| self.pools.get(id));
        first.map(|pool| pool.name.clone()).ok_or(Refusal::NoSuchPool)
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
        if of.is_some_and(|pool| !known.claims.is_empty() && !known.claims.contains(&pool)) {
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
        let prevented = ReservationRecord { owner, claims: Vec::new(), state, held_at: at };
        self.reservations.insert(id, prevented);
    }

    /// Changes to a state in which no dose is taken.
    fn give_back(&mut self, id: ReservationId, state: ReservationState) {
        let Some(known) = self.reservations.get_mut(&id) else { return };
        let was_released = known.is_released();
        known.state = state;
        if was_released {
            return;
        }
        let claims = known.claims.clone();
        self.each_pool(&claims, |pool| {
            pool.taken -= 1;
            pool.reduce_overcommitted();
        });
    }

    fn return_dose(&mut self, returned: &ReturnDose) -> Result<(), Refusal> {
        self.check_owner(returned.reservation, returned.owner)?;
        self.release(returned.reservation, None, returned.at)
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
            }) if *known != Some(owner) => Err(Refusal::Conflict),
            Some(_) | None => Ok(()),
        }
    }

    /// In any state of the reservation: a used dose is gone.
    fn administer(&mut self, administer: &AdministerDose) -> Result<(), Refusal> {
        let AdministerDose { reservation: id, claims, at } = administer;
        let known = self.reservations.get(id);
        let claims = match known {
            Some(known) if known.state == ReservationState::Administered => return Ok(()),
            Some(known) if !known.is_released() => known.claims.clone(),
            Some(_) | None => claims.clone(),
        };
        self.check_pools(&claims)?;
        let is_known = known.is_some();
        self.give_back(*id, ReservationState::Administered);
        self.each_pool(&claims, Pool::use_one);
        if !is_known {
            self.reservations.insert(
                *id,
                ReservationRecord {
                    owner: None,
                    claims,
                    state: ReservationState::Administered,
                    held_at: *at,
                },
            );
        }
        Ok(())
    }
}

/// How many units of a pool are claimed.
fn units(claims: &[PoolId], id: PoolId) -> i64 {
    let units = claims.iter().filter(|claim| **claim == id).count();
    i64::try_from(units).unwrap_or(i64::MAX)
}
