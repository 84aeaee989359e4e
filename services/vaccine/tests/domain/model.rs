//! A naive model of the ledger: it keeps no counts, and counts the reservations whenever it needs them.

use std::collections::BTreeMap;

use contracts::{
    ids::{ReservationId, StoreId},
    vaccine::ReservationState,
};
use jiff::Timestamp;
use vaccine::domain::{
    AbortReservation, AdministerDose, ChangeVaccine, ChangedPool, Command, ConfirmHold, Doses,
    HoldDose, Name, Pool, PoolId, Refusal, RegisterVaccine, ReleaseReservation, RemoveVaccine,
    Reply, ReservationRecord, ReturnDose,
};

#[derive(Debug, Default)]
pub(crate) struct Model {
    vaccines: BTreeMap<PoolId, (Name, Doses)>,
    reservations: BTreeMap<ReservationId, ReservationRecord>,
    last: i64,
}

impl Model {
    /// A vaccine, with a dose taken for each held or booked claim of it.
    pub(crate) fn pool(&self, id: PoolId) -> Option<Pool> {
        let claims = self
            .reservations
            .values()
            .filter(|known| is_counted(known))
            .flat_map(|known| &known.claims);
        let taken = i64::try_from(claims.filter(|claim| **claim == id).count()).unwrap();
        let (name, stock) = self.vaccines.get(&id)?;
        Some(Pool { name: name.clone(), stock: *stock, taken })
    }

    pub(crate) fn reservation(&self, id: ReservationId) -> Option<&ReservationRecord> {
        self.reservations.get(&id)
    }

    pub(crate) fn decide(&mut self, command: &Command) -> Reply {
        match command {
            Command::Register(RegisterVaccine { name, stock, at: _ }) => {
                self.last += 1;
                let id = PoolId(self.last);
                Reply::Registered(id, self.set(id, name.clone(), *stock))
            }
            Command::Change(change) => Reply::Changed(self.change(change)),
            Command::Remove(remove) => Reply::Removed(self.remove(remove)),
            Command::Hold(hold) => Reply::Held(self.hold(hold)),
            Command::Confirm(ConfirmHold(hold)) => Reply::Confirmed(self.confirm(hold)),
            Command::Release(ReleaseReservation { reservation, of, at }) => {
                Reply::Released(self.release(*reservation, *of, *at))
            }
            Command::Return(returned) => Reply::Returned(self.return_dose(returned)),
            Command::Abort(AbortReservation { reservation, owner, at }) => {
                Reply::Aborted(self.abort(*reservation, *owner, *at))
            }
            Command::Administer(AdministerDose { reservation, claims, at }) => {
                Reply::Administered(self.administer(*reservation, claims, *at))
            }
        }
    }

    fn change(&mut self, change: &ChangeVaccine) -> Result<ChangedPool, Refusal> {
        let ChangeVaccine { pool: id, name, stock, expected, at: _ } = change;
        let pool = self.pool(*id).ok_or(Refusal::NoSuchPool)?;
        if expected.is_some() && *expected != Some(pool.clone()) {
            return Err(Refusal::Stale);
        }
        let Pool { name: name_before, stock: stock_before, taken } = pool;
        if stock.is_some_and(|stock| stock.count() < taken) {
            return Err(Refusal::StockBelowTaken { taken });
        }
        let name = name.clone().unwrap_or(name_before);
        let pool = self.set(*id, name, stock.unwrap_or(stock_before));
        Ok(ChangedPool { id: *id, pool, stock_before })
    }

    fn remove(
        &mut self,
        RemoveVaccine { pool: id, expected }: &RemoveVaccine,
    ) -> Result<(), Refusal> {
        let pool = self.pool(*id).ok_or(Refusal::NoSuchPool)?;
        if expected.is_some() && *expected != Some(pool.clone()) {
            return Err(Refusal::Stale);
        }
        match pool.taken {
            0 => self.vaccines.remove(id).map(drop).ok_or(Refusal::NoSuchPool),
            taken => Err(Refusal::InUse { taken }),
        }
    }

    fn hold(&mut self, hold: &HoldDose) -> Result<Name, Refusal> {
        match self.reservations.get(&hold.reservation) {
            None => self.claim(hold, ReservationState::Held),
            Some(known) if is_released(known) => Err(Refusal::Released),
            Some(known) if known.state == ReservationState::Administered => {
                Err(Refusal::Administered)
            }
            Some(known) if (known.owner, &known.claims) == (hold.owner, &hold.claims) => {
                self.name(hold)
            }
            Some(_) => Err(Refusal::Conflict),
        }
    }

    fn return_dose(&mut self, returned: &ReturnDose) -> Result<(), Refusal> {
        let ReturnDose { reservation, owner, at } = *returned;
        match self.reservations.get(&reservation).filter(|known| is_counted(known)) {
            Some(known) if known.owner != Some(owner) => Err(Refusal::Conflict),
            Some(_) | None => self.release(reservation, None, at),
        }
    }

    fn abort(
        &mut self,
        reservation: ReservationId,
        owner: StoreId,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let aborted = ReservationState::Aborted;
        match self.reservations.get_mut(&reservation) {
            Some(known) if known.state == ReservationState::Held && known.owner == Some(owner) => {
                known.state = aborted;
                Ok(())
            }
            Some(known) if is_counted(known) => Err(Refusal::Conflict),
            Some(_) => Ok(()),
            None => {
                let new = without_owner(aborted, &[], at);
                self.reservations
                    .insert(reservation, ReservationRecord { owner: Some(owner), ..new });
                Ok(())
            }
        }
    }

    fn set(&mut self, id: PoolId, name: Name, stock: Doses) -> Pool {
        self.vaccines.insert(id, (name, stock));
        self.pool(id).unwrap()
    }

    fn release(
        &mut self,
        id: ReservationId,
        of: Option<PoolId>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let is_new = !self.reservations.contains_key(&id);
        if is_new && of.is_some_and(|pool| self.pool(pool).is_none()) {
            return Err(Refusal::NoSuchPool);
        }
        let known = self
            .reservations
            .entry(id)
            .or_insert_with(|| without_owner(ReservationState::Released, &[], at));
        let claims = &known.claims;
        if of.is_some_and(|pool| !claims.is_empty() && !claims.contains(&pool)) {
            return Err(Refusal::NoSuchReservation);
        }
        match known.state {
            ReservationState::Administered => return Err(Refusal::Administered),
            ReservationState::Booked if of.is_some() && known.owner.is_some() => {
                return Err(Refusal::Conflict);
            }
            ReservationState::Held
            | ReservationState::Booked
            | ReservationState::Released
            | ReservationState::Aborted => {}
        }
        known.state = ReservationState::Released;
        Ok(())
    }

    /// There must be enough doses for it and for all other reservations.
    fn administer(
        &mut self,
        id: ReservationId,
        claims: &[PoolId],
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let (own, used) = match self.reservations.get(&id) {
            Some(known) if known.state == ReservationState::Administered => return Ok(()),
            Some(known) if !is_released(known) => (known.claims.clone(), known.claims.clone()),
            Some(_) | None => (Vec::new(), claims.to_vec()),
        };
        for id in &used {
            let pool = self.pool(*id).ok_or(Refusal::NoSuchPool)?;
            let count = |claims: &[PoolId]| claims.iter().filter(|claim| *claim == id).count();
            let others = pool.taken - i64::try_from(count(&own)).unwrap();
            if pool.stock.count() - others < i64::try_from(count(&used)).unwrap() {
                return Err(Refusal::SoldOut);
            }
        }
        for id in &used {
            let (_, stock) = self.vaccines.get_mut(id).unwrap();
            *stock = Doses::parse(stock.count() - 1).unwrap();
        }
        let new = || without_owner(ReservationState::Administered, claims, at);
        self.reservations.entry(id).or_insert_with(new).state = ReservationState::Administered;
        Ok(())
    }

    fn confirm(&mut self, hold: &HoldDose) -> Result<(), Refusal> {
        match self.reservations.get_mut(&hold.reservation) {
            None => self.claim(hold, ReservationState::Booked).map(drop),
            Some(known) if is_released(known) => Err(Refusal::Released),
            Some(known) if known.state == ReservationState::Administered => Ok(()),
            Some(known) if (known.owner, &known.claims) != (hold.owner, &hold.claims) => {
                Err(Refusal::Conflict)
            }
            Some(known) => {
                known.state = ReservationState::Booked;
                Ok(())
            }
        }
    }

    fn claim(&mut self, hold: &HoldDose, state: ReservationState) -> Result<Name, Refusal> {
        let name = self.name(hold)?;
        for id in &hold.claims {
            let pool = self.pool(*id).ok_or(Refusal::NoSuchPool)?;
            let wanted = hold.claims.iter().filter(|claim| *claim == id).count();
            if pool.taken + i64::try_from(wanted).unwrap() > pool.stock.count() {
                return Err(Refusal::SoldOut);
            }
        }
        let HoldDose { reservation, owner, claims, at } = hold.clone();
        self.reservations
            .insert(reservation, ReservationRecord { owner, claims, state, held_at: at });
        Ok(name)
    }

    fn name(&self, hold: &HoldDose) -> Result<Name, Refusal> {
        let first = hold.claims.first().and_then(|id| self.vaccines.get(id));
        let (name, _) = first.ok_or(Refusal::NoSuchPool)?;
        Ok(name.clone())
    }
}

fn without_owner(state: ReservationState, claims: &[PoolId], at: Timestamp) -> ReservationRecord {
    ReservationRecord { owner: None, claims: claims.to_vec(), state, held_at: at }
}

fn is_counted(known: &ReservationRecord) -> bool {
    matches!(known.state, ReservationState::Held | ReservationState::Booked)
}

fn is_released(known: &ReservationRecord) -> bool {
    matches!(known.state, ReservationState::Released | ReservationState::Aborted)
}
