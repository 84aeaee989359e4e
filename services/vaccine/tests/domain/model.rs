//! A naive model of the ledger: it keeps no counts and no blocks. It counts the reservations whenever it needs them,
//! and each knows which one was the first of its block.

use std::collections::BTreeMap;

use contracts::{
    campaign::CampaignStatus,
    ids::{CampaignId, ReservationId, StoreId, VaccineId},
    vaccine::ReservationState,
};
use jiff::Timestamp;
use vaccine::domain::{
    AbortReservation, AdministerDose, ChangeVaccine, ChangedPool, Command, ConfirmHold, Doses,
    GrantedSlot, HeldBlock, HoldDose, HoldDoses, MoveReservation, Name, PlanSlots, Pool, PoolId,
    RecordCampaign, Refusal, RegisterVaccine, ReleaseReservation, RemoveVaccine, Reply,
    ReservationRecord, ReturnDose, SlotCampaign, SlotCapacity, SlotPlace,
};

/// A reservation.
#[derive(Clone, Debug)]
struct Known {
    first: ReservationId,
    owner: Option<StoreId>,
    claims: Vec<PoolId>,
    state: ReservationState,
    held_at: Timestamp,
    /// Whether it was administered, and had a place of a slot.
    keeps_place: bool,
}

/// The guard decides about holds only; bookings and used doses are facts.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Vaccines, and slots.
    vaccines: BTreeMap<PoolId, (Name, Doses, i64)>,
    slots: BTreeMap<PoolId, SlotPlace>,
    campaigns: BTreeMap<CampaignId, SlotCampaign>,
    reservations: BTreeMap<ReservationId, Known>,
    last: i64,
}

impl Model {
    /// A vaccine or a slot, with a unit taken for each held or booked claim of it; a place also for a used dose.
    pub(crate) fn pool(&self, id: PoolId) -> Option<Pool> {
        let claims = self
            .reservations
            .values()
            .filter(|known| is_counted(known) || (id.is_slot() && known.keeps_place))
            .flat_map(|known| &known.claims);
        let taken = i64::try_from(claims.filter(|claim| **claim == id).count()).unwrap();
        let (name, stock, overcommitted) = self.vaccines.get(&id)?;
        Some(Pool { name: name.clone(), stock: *stock, taken, overcommitted: *overcommitted })
    }

    pub(crate) fn reservation(&self, id: ReservationId) -> Option<ReservationRecord<'_>> {
        let Known { owner, claims, state, held_at, .. } = self.reservations.get(&id)?;
        Some(ReservationRecord { owner: *owner, claims, state: *state, held_at: *held_at })
    }

    pub(crate) fn decide(&mut self, command: &Command) -> Reply {
        match command {
            Command::Register(RegisterVaccine { name, stock, at: _ }) => {
                self.last += 1;
                let id = VaccineId(self.last);
                Reply::Registered(id, self.set(id.into(), name.clone(), *stock, 0))
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
            Command::Move(moved) => Reply::Moved(self.move_reservation(moved)),
            Command::Administer(AdministerDose { reservation, claims, lot: _, at }) => {
                Reply::Administered(self.administer(*reservation, claims, *at))
            }
            Command::PlanSlots(PlanSlots(slots)) => {
                for SlotCapacity { slot, place, capacity } in slots {
                    let id = PoolId::from(*slot);
                    self.slots.entry(id).or_insert(*place);
                    self.set(id, Name::of_slots(), *capacity, 0);
                    self.record_missing(&[id]);
                }
                Reply::SlotsPlanned
            }
            Command::RecordCampaign(RecordCampaign { id, campaign }) => {
                self.campaigns.insert(*id, campaign.clone());
                Reply::CampaignChanged
            }
            Command::ReceiveLot(_) | Command::ChangeLot(_) | Command::SetProduct(_) => {
                unreachable!("it has no lots and no series")
            }
        }
    }

    fn change(&mut self, change: &ChangeVaccine) -> Result<ChangedPool, Refusal> {
        let ChangeVaccine { vaccine, name, stock, expected, at: _ } = change;
        let id = &PoolId::from(*vaccine);
        let pool = self.pool(*id).ok_or(Refusal::NoSuchPool)?;
        if expected
            .as_ref()
            .is_some_and(|seen| (&seen.name, seen.stock) != (&pool.name, pool.stock))
        {
            return Err(Refusal::Stale);
        }
        let Pool { name: name_before, stock: stock_before, taken, overcommitted } = pool;
        if stock.is_some_and(|stock| stock.count() < taken && stock < stock_before) {
            return Err(Refusal::StockBelowTaken { taken });
        }
        let name = name.clone().unwrap_or(name_before);
        let overcommitted = match stock {
            Some(stock) => overcommitted.min((taken - stock.count()).max(0)),
            None => overcommitted,
        };
        let pool = self.set(*id, name, stock.unwrap_or(stock_before), overcommitted);
        Ok(ChangedPool { id: *vaccine, pool, stock_before })
    }

    fn remove(
        &mut self,
        RemoveVaccine { vaccine, expected }: &RemoveVaccine,
    ) -> Result<(), Refusal> {
        let id = &PoolId::from(*vaccine);
        let pool = self.pool(*id).ok_or(Refusal::NoSuchPool)?;
        if expected
            .as_ref()
            .is_some_and(|seen| (&seen.name, seen.stock) != (&pool.name, pool.stock))
        {
            return Err(Refusal::Stale);
        }
        match pool.taken {
            0 => self.vaccines.remove(id).map(drop).ok_or(Refusal::NoSuchPool),
            taken => Err(Refusal::InUse { taken }),
        }
    }

    fn hold(&mut self, hold: &HoldDoses) -> Result<HeldBlock, Refusal> {
        let wanted = hold.count + hold.ahead;
        let ids: Option<Vec<_>> = (0..wanted.max(1)).map(|n| hold.first.nth(n)).collect();
        let ids = ids.ok_or(Refusal::Conflict)?;
        let Some(last) = ids.iter().rev().find_map(|id| self.reservations.get(id)) else {
            let granted = self.room(hold)?;
            for id in ids.into_iter().zip(0..granted.count).map(|(id, _)| id) {
                self.insert(hold.first, &one(hold, id), ReservationState::Held);
            }
            return Ok(granted);
        };
        let block = self.block(hold.first);
        let is_same = |known: &&Known| {
            (known.owner, &known.claims) == (hold.owner, &hold.claims) && !is_released(known)
        };
        let count = u32::try_from(block.len()).unwrap();
        if (1..=wanted).contains(&count) && block.iter().all(is_same) {
            return self.granted(&hold.claims, count);
        }
        let known = self.block(last.first);
        Err(if known.iter().any(|known| is_released(known)) {
            Refusal::Released
        } else if known.iter().any(|known| known.state == ReservationState::Administered) {
            Refusal::Administered
        } else {
            Refusal::Conflict
        })
    }

    /// The reservations of one block.
    fn block(&self, first: ReservationId) -> Vec<&Known> {
        self.reservations.values().filter(|known| known.first == first).collect()
    }

    /// Grants dose by dose, as long as there are units of every pool.
    fn room(&self, hold: &HoldDoses) -> Result<HeldBlock, Refusal> {
        self.check_exist(&hold.claims)?;
        self.check_slots(hold)?;
        let left: Vec<_> =
            hold.claims.iter().map(|id| (*id, self.pool(*id).unwrap().free())).collect();
        let units = |id| hold.claims.iter().filter(|claim| **claim == id).count();
        let fits_in = |(id, free): &(PoolId, i64), doses: i64| {
            doses * i64::try_from(units(*id)).unwrap() <= *free
        };
        let fits = |doses: i64| left.iter().all(|pool| fits_in(pool, doses));
        let count = i64::from(hold.count);
        let now = (0..=count).rev().find(|doses| *doses == 0 || fits(*doses)).unwrap();
        // 64 more doses have to be free for each that its owner has ahead of demand.
        let may_have = |ahead: i64| {
            let in_hand = i64::from(hold.in_hand) + ahead;
            in_hand <= 1_024 && fits(count + 64 * in_hand)
        };
        let ahead = (0..=i64::from(hold.ahead)).rev().find(|ahead| *ahead == 0 || may_have(*ahead));
        let granted = now + ahead.unwrap();
        if count > 0 && granted == 0 {
            let is_dose_left = left.iter().all(|pool| pool.0.is_slot() || fits_in(pool, 1));
            return Err(if is_dose_left { Refusal::SlotFull } else { Refusal::SoldOut });
        }
        self.granted(&hold.claims, u32::try_from(granted).unwrap())
    }

    fn granted(&self, claims: &[PoolId], count: u32) -> Result<HeldBlock, Refusal> {
        let place = claims.iter().find_map(|id| self.slots.get(id)).copied();
        let slot = place.map(|place| GrantedSlot { place, bookings_per_person: 1 });
        Ok(HeldBlock { name: self.name(claims)?, count, slot, next: None })
    }

    fn check_exist(&self, claims: &[PoolId]) -> Result<(), Refusal> {
        for id in claims {
            if self.pool(*id).is_none() {
                let is_slot = id.is_slot();
                return Err(if is_slot { Refusal::NoSuchSlot } else { Refusal::NoSuchPool });
            }
        }
        if claims.is_empty() { Err(Refusal::NoSuchPool) } else { Ok(()) }
    }

    /// A slot can be booked with what its campaign offers, while that is open, and until it begins.
    fn check_slots(&self, hold: &HoldDoses) -> Result<(), Refusal> {
        for id in hold.claims.iter().filter(|id| id.is_slot()) {
            let place = self.slots.get(id).ok_or(Refusal::NoSuchSlot)?;
            let campaign = self.campaigns.get(&place.campaign).ok_or(Refusal::NoSuchSlot)?;
            let mut vaccines = hold.claims.iter().filter(|id| !id.is_slot());
            if vaccines.any(|id| !campaign.vaccines.contains(&id.vaccine().unwrap())) {
                return Err(Refusal::NoSuchSlot);
            }
            let is_early = campaign.book_from.is_some_and(|from| hold.at < from);
            let is_late = campaign.book_until.is_some_and(|until| hold.at >= until);
            let is_past = hold.at >= place.starts_at;
            if campaign.status != CampaignStatus::Open || is_early || is_late || is_past {
                return Err(Refusal::NotOpen);
            }
        }
        Ok(())
    }

    fn return_dose(&mut self, returned: &ReturnDose) -> Result<(), Refusal> {
        let ReturnDose { reservation, owner, at } = *returned;
        match self.reservations.get(&reservation).filter(|known| is_counted(known)) {
            Some(known) if known.owner != Some(owner) => Err(Refusal::Conflict),
            Some(_) | None => self.release(reservation, None, at),
        }
    }

    /// As if each reservation had an event of its own.
    fn move_reservation(&mut self, moved: &MoveReservation) -> Result<(), Refusal> {
        let MoveReservation { previous, reservation, owner, claims, at, is_cancelled } =
            moved.clone();
        let mut replies = Vec::new();
        for reservation in previous.into_iter().filter(|id| *id != reservation) {
            replies.push(self.return_dose(&ReturnDose { reservation, owner, at }));
        }
        replies.push(if is_cancelled {
            self.return_dose(&ReturnDose { reservation, owner, at })
        } else {
            self.confirm(&HoldDose { reservation, owner: Some(owner), claims, at })
        });
        replies.into_iter().collect()
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
                let freed = known.claims.clone();
                self.reduce_overcommitted(&freed);
                Ok(())
            }
            Some(known) if is_counted(known) => Err(Refusal::Conflict),
            Some(_) => Ok(()),
            None => {
                let new = without_owner(reservation, aborted, &[], at);
                self.reservations.insert(reservation, Known { owner: Some(owner), ..new });
                Ok(())
            }
        }
    }

    fn set(&mut self, id: PoolId, name: Name, stock: Doses, overcommitted: i64) -> Pool {
        self.vaccines.insert(id, (name, stock, overcommitted));
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
            .or_insert_with(|| without_owner(id, ReservationState::Released, &[], at));
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
        let freed = if is_counted(known) { known.claims.clone() } else { Vec::new() };
        known.state = ReservationState::Released;
        self.reduce_overcommitted(&freed);
        Ok(())
    }

    /// These doses are free again: no more is overcommitted than what is still missing.
    fn reduce_overcommitted(&mut self, freed: &[PoolId]) {
        for id in freed {
            let Some(Pool { stock, taken, .. }) = self.pool(*id) else { continue };
            let (_, _, overcommitted) = self.vaccines.get_mut(id).unwrap();
            *overcommitted = (*overcommitted).min((taken - stock.count()).max(0));
        }
    }

    fn administer(
        &mut self,
        id: ReservationId,
        claims: &[PoolId],
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let used = match self.reservations.get(&id) {
            Some(known) if known.state == ReservationState::Administered => return Ok(()),
            Some(known) if !is_released(known) => known.claims.clone(),
            Some(_) | None => claims.iter().copied().filter(|id| !id.is_slot()).collect(),
        };
        self.check_exist(&used)?;
        let new = || without_owner(id, ReservationState::Administered, &used, at);
        let known = self.reservations.entry(id).or_insert_with(new);
        let was_counted = is_counted(known);
        known.state = ReservationState::Administered;
        known.keeps_place = was_counted;
        if was_counted {
            self.reduce_overcommitted(&used);
        }
        for id in used.iter().filter(|id| !id.is_slot()) {
            let taken = self.pool(*id).unwrap().taken;
            let (_, stock, overcommitted) = self.vaccines.get_mut(id).unwrap();
            if stock.count() <= taken {
                *overcommitted += 1;
            }
            *stock = Doses::parse((stock.count() - 1).max(0)).unwrap();
        }
        Ok(())
    }

    fn confirm(&mut self, hold: &HoldDose) -> Result<(), Refusal> {
        match self.reservations.get_mut(&hold.reservation) {
            None if hold.owner.is_none() => {
                self.room(&hold.clone().into())?;
                self.insert(hold.reservation, hold, ReservationState::Booked);
                Ok(())
            }
            None => self.record_booked(hold),
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

    /// Whether there is room or not.
    fn record_booked(&mut self, hold: &HoldDose) -> Result<(), Refusal> {
        let (slots, doses): (Vec<_>, Vec<_>) = hold.claims.iter().partition(|id| id.is_slot());
        self.check_exist(&doses)?;
        for slot in slots {
            if self.pool(slot).is_none() {
                self.set(slot, Name::of_slots(), Doses::NONE, 0);
            }
        }
        self.insert(hold.reservation, hold, ReservationState::Booked);
        self.record_missing(&hold.claims);
        Ok(())
    }

    /// What was taken although there was no room for it is overcommitted.
    fn record_missing(&mut self, claims: &[PoolId]) {
        for id in claims {
            let Pool { stock, taken, .. } = self.pool(*id).unwrap();
            let (_, _, overcommitted) = self.vaccines.get_mut(id).unwrap();
            *overcommitted = (*overcommitted).max(taken - stock.count());
        }
    }

    fn insert(&mut self, first: ReservationId, hold: &HoldDose, state: ReservationState) {
        let HoldDose { reservation, owner, claims, at } = hold.clone();
        self.reservations.insert(
            reservation,
            Known { first, owner, claims, state, held_at: at, keeps_place: false },
        );
    }

    fn name(&self, claims: &[PoolId]) -> Result<Name, Refusal> {
        let first = claims.first().and_then(|id| self.vaccines.get(id));
        let (name, ..) = first.ok_or(Refusal::NoSuchPool)?;
        Ok(name.clone())
    }
}

fn one(hold: &HoldDoses, reservation: ReservationId) -> HoldDose {
    HoldDose { reservation, owner: hold.owner, claims: hold.claims.clone(), at: hold.at }
}

fn without_owner(
    id: ReservationId,
    state: ReservationState,
    claims: &[PoolId],
    at: Timestamp,
) -> Known {
    let claims = claims.to_vec();
    Known { first: id, owner: None, claims, state, held_at: at, keeps_place: false }
}

fn is_counted(known: &Known) -> bool {
    matches!(known.state, ReservationState::Held | ReservationState::Booked)
}

fn is_released(known: &Known) -> bool {
    matches!(known.state, ReservationState::Released | ReservationState::Aborted)
}
