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

use contracts::{
    ids::{ReservationId, StoreId},
    vaccine::ReservationState,
};
use jiff::Timestamp;
use platform_store::ChangeSet;
use thiserror::Error;

mod values;

pub use values::{Doses, NAME_MAX, Name, PoolId, STOCK_MAX};

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: Name,
    /// Units that exist.
    pub stock: Doses,
    /// Units held or booked; at most `stock`.
    pub taken: i64,
}

impl Pool {
    /// Units that are neither held nor booked.
    pub fn free(&self) -> i64 {
        self.stock.count() - self.taken
    }
}

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationRecord {
    /// The store that resolves it; none, for a reservation that stands until it is released.
    pub owner: Option<StoreId>,
    /// One unit of each of these pools; none, if it was released before its hold arrived.
    pub claims: Vec<PoolId>,
    /// Its state.
    pub state: ReservationState,
    /// When it was requested.
    pub held_at: Timestamp,
}

impl ReservationRecord {
    fn is_released(&self) -> bool {
        matches!(self.state, ReservationState::Released | ReservationState::Aborted)
    }

    fn matches(&self, hold: &HoldDose) -> bool {
        self.claims == hold.claims && self.owner == hold.owner
    }
}

/// Every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Registers a vaccine.
    Register(RegisterVaccine),
    /// Changes the name or the stock of a vaccine.
    Change(ChangeVaccine),
    /// Removes a vaccine.
    Remove(RemoveVaccine),
    /// Holds a dose.
    Hold(HoldDose),
    /// A booking was made for a hold.
    Confirm(ConfirmHold),
    /// Releases a reservation.
    Release(ReleaseReservation),
    /// Its owner says that there is no booking and will be none.
    Return(ReturnDose),
    /// Its owner wants to say so, and cannot record it now.
    Abort(AbortReservation),
    /// A dose was used.
    Administer(AdministerDose),
}

/// Registers a vaccine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterVaccine {
    /// Its name.
    pub name: Name,
    /// Its stock.
    pub stock: Doses,
    /// When it was registered.
    pub at: Timestamp,
}

/// Changes the name or the stock of a vaccine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeVaccine {
    /// The vaccine.
    pub pool: PoolId,
    /// The new name.
    pub name: Option<Name>,
    /// The new stock.
    pub stock: Option<Doses>,
    /// When it was changed.
    pub at: Timestamp,
}

/// Removes a vaccine that has no doses held or booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveVaccine {
    /// The vaccine.
    pub pool: PoolId,
}

/// Holds one unit of each pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldDose {
    /// The id of the reservation; a repeated command has the same reply.
    pub reservation: ReservationId,
    /// The store that will resolve it.
    pub owner: Option<StoreId>,
    /// The pools.
    pub claims: Vec<PoolId>,
    /// When it was requested.
    pub at: Timestamp,
}

/// Marks a hold as booked. A ledger that was restored from a backup, and does not know the hold, takes it
/// over from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmHold(pub HoldDose);

/// Releases a reservation, or prevents one that has not arrived yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseReservation {
    /// The reservation.
    pub reservation: ReservationId,
    /// Only if it claims this pool.
    pub of: Option<PoolId>,
    /// When it was released.
    pub at: Timestamp,
}

/// Releases a reservation on behalf of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnDose {
    /// The reservation.
    pub reservation: ReservationId,
    /// Its owner.
    pub owner: StoreId,
    /// When it was returned.
    pub at: Timestamp,
}

/// Releases a hold for its owner, which cannot record now that there will be no booking, and does so later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortReservation {
    /// The reservation.
    pub reservation: ReservationId,
    /// Its owner.
    pub owner: StoreId,
    /// When it was aborted.
    pub at: Timestamp,
}

/// Records that the units were used: they leave the stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdministerDose {
    /// The reservation.
    pub reservation: ReservationId,
    /// The pools, for a reservation that is not known here.
    pub claims: Vec<PoolId>,
    /// When they were used.
    pub at: Timestamp,
}

/// Every reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Register`]: the new vaccine.
    Registered(PoolId, Pool),
    /// To [`Command::Change`].
    Changed(Result<ChangedPool, Refusal>),
    /// To [`Command::Remove`].
    Removed(Result<(), Refusal>),
    /// To [`Command::Hold`]: the name of the vaccine.
    Held(Result<Name, Refusal>),
    /// To [`Command::Confirm`].
    Confirmed(Result<(), Refusal>),
    /// To [`Command::Release`].
    Released(Result<(), Refusal>),
    /// To [`Command::Return`].
    Returned(Result<(), Refusal>),
    /// To [`Command::Abort`].
    Aborted(Result<(), Refusal>),
    /// To [`Command::Administer`].
    Administered(Result<(), Refusal>),
}

impl Reply {
    /// Why the command changed nothing, if it was refused.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Changed(Err(refusal))
            | Self::Held(Err(refusal))
            | Self::Removed(Err(refusal))
            | Self::Confirmed(Err(refusal))
            | Self::Released(Err(refusal))
            | Self::Returned(Err(refusal))
            | Self::Aborted(Err(refusal))
            | Self::Administered(Err(refusal)) => Some(*refusal),
            Self::Registered(..)
            | Self::Changed(Ok(_))
            | Self::Held(Ok(_))
            | Self::Removed(Ok(()))
            | Self::Confirmed(Ok(()))
            | Self::Released(Ok(()))
            | Self::Returned(Ok(()))
            | Self::Aborted(Ok(()))
            | Self::Administered(Ok(())) => None,
        }
    }
}

/// A vaccine after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPool {
    /// Its number.
    pub id: PoolId,
    /// The vaccine after the change.
    pub pool: Pool,
    /// The stock before.
    pub stock_before: Doses,
}

/// Why a command changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No pool has this number.
    #[error("there is no such vaccine")]
    NoSuchPool,
    /// Every unit is taken.
    #[error("every dose is held or booked")]
    SoldOut,
    /// The reservation was released before.
    #[error("the reservation was released before")]
    Released,
    /// The dose of the reservation was used.
    #[error("the dose was administered")]
    Administered,
    /// The id belongs to a reservation with other claims or another owner.
    #[error("the reservation id is taken by another one")]
    Conflict,
    /// No reservation of that pool has this id.
    #[error("there is no such reservation")]
    NoSuchReservation,
    /// The new stock would be less than what is taken.
    #[error("{taken} doses are held or booked")]
    StockBelowTaken {
        /// Doses held or booked.
        taken: i64,
    },
    /// Units are held or booked.
    #[error("{taken} doses are held or booked")]
    InUse {
        /// Doses held or booked.
        taken: i64,
    },
}

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
        Command::Remove(remove) => Reply::Removed(ledger.remove(remove.pool)),
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
        let pool = Pool { name: name.clone(), stock: *stock, taken: 0 };
        self.pools.insert(id, pool.clone());
        Reply::Registered(id, pool)
    }

    fn change(&mut self, change: &ChangeVaccine) -> Result<ChangedPool, Refusal> {
        let ChangeVaccine { pool: id, name, stock, at: _ } = change;
        let Pool { taken, stock: stock_before, name: _ } =
            *self.pools.get(id).ok_or(Refusal::NoSuchPool)?;
        if stock.is_some_and(|stock| stock.count() < taken) {
            return Err(Refusal::StockBelowTaken { taken });
        }
        let pool = self.pools.get_mut(id).ok_or(Refusal::NoSuchPool)?;
        if let Some(name) = name {
            pool.name = name.clone();
        }
        if let Some(stock) = stock {
            pool.stock = *stock;
        }
        Ok(ChangedPool { id: *id, pool: pool.clone(), stock_before })
    }

    fn remove(&mut self, id: PoolId) -> Result<(), Refusal> {
        let taken = self.pools.get(&id).ok_or(Refusal::NoSuchPool)?.taken;
        if taken > 0 {
            return Err(Refusal::InUse { taken });
        }
        self.pools.remove(&id);
        Ok(())
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
            return self.claim(hold, ReservationState::Booked).map(drop);
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
        for id in &hold.claims {
            if let Some(pool) = self.pools.get_mut(id) {
                pool.taken += 1;
            }
        }
        let reservation = ReservationRecord {
            owner: hold.owner,
            claims: hold.claims.clone(),
            state,
            held_at: hold.at,
        };
        self.reservations.insert(hold.reservation, reservation);
        Ok(name)
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
        for pool in known.claims.clone() {
            if let Some(pool) = self.pools.get_mut(&pool) {
                pool.taken -= 1;
            }
        }
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
        let (taken, claims) = match known {
            Some(known) if known.state == ReservationState::Administered => return Ok(()),
            Some(known) if !known.is_released() => (1, known.claims.clone()),
            Some(_) | None => (0, claims.clone()),
        };
        for id in &claims {
            let pool = self.pools.get(id).ok_or(Refusal::NoSuchPool)?;
            if taken == 0 && pool.free() < units(&claims, *id) {
                return Err(Refusal::SoldOut);
            }
        }
        for id in &claims {
            if let Some(pool) = self.pools.get_mut(id) {
                pool.stock.take_one();
                pool.taken -= taken;
            }
        }
        match self.reservations.get_mut(id) {
            Some(known) => known.state = ReservationState::Administered,
            None => self.reservations.insert(
                *id,
                ReservationRecord {
                    owner: None,
                    claims,
                    state: ReservationState::Administered,
                    held_at: *at,
                },
            ),
        }
        Ok(())
    }
}

/// How many units of a pool are claimed.
fn units(claims: &[PoolId], id: PoolId) -> i64 {
    let units = claims.iter().filter(|claim| **claim == id).count();
    i64::try_from(units).unwrap_or(i64::MAX)
}
