//! The ledger as one would write it without a database: it counts anew whenever it is asked.

use std::collections::BTreeMap;

use contracts::ids::ReservationId;
use jiff::Timestamp;
use vaccine::domain::{
    Command, Done, Hold, Name, Outcome, Pool, PoolId, Refusal, Reservation, State, Stock,
};

#[derive(Debug, Default)]
pub(crate) struct Model {
    vaccines: BTreeMap<PoolId, (Name, Stock)>,
    reservations: BTreeMap<ReservationId, Reservation>,
    last: i64,
}

impl Model {
    /// A vaccine as it must stand: taken is the number of living reservations that name it.
    pub(crate) fn pool(&self, id: PoolId) -> Option<Pool> {
        let lives = |known: &&Reservation| matches!(known.state, State::Held | State::Booked);
        let claims = self.reservations.values().filter(lives).flat_map(|known| &known.claims);
        let taken = i64::try_from(claims.filter(|claim| **claim == id).count()).ok()?;
        self.vaccines.get(&id).map(|(name, stock)| Pool {
            name: name.clone(),
            stock: *stock,
            taken,
        })
    }

    pub(crate) fn reservation(&self, id: ReservationId) -> Option<&Reservation> {
        self.reservations.get(&id)
    }

    pub(crate) fn decide(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Register { name, stock } => {
                self.last += 1;
                let id = PoolId(self.last);
                Ok(Done::Registered(id, self.set(id, name.clone(), *stock)))
            }
            Command::Change { pool, name, stock } => {
                let now = self.pool(*pool).ok_or(Refusal::NoSuchPool)?;
                match stock {
                    Some(stock) if stock.doses() < now.taken => {
                        Err(Refusal::StockBelowTaken { taken: now.taken })
                    }
                    _ => {
                        let name = name.clone().unwrap_or(now.name);
                        let changed = self.set(*pool, name, stock.unwrap_or(now.stock));
                        Ok(Done::Changed { id: *pool, pool: changed, before: now.stock })
                    }
                }
            }
            Command::Remove { pool } => match self.pool(*pool).ok_or(Refusal::NoSuchPool)?.taken {
                0 => Ok(self.vaccines.remove(pool).map(|_| Done::Removed).expect("it is there")),
                taken => Err(Refusal::InUse { taken }),
            },
            Command::Hold(hold) => match self.reservations.get(&hold.reservation) {
                None => self.claim(hold, State::Held),
                Some(known) if known.state == State::Released => Err(Refusal::Released),
                Some(known) if known.state == State::Administered => Err(Refusal::Administered),
                Some(known) if (known.holder, &known.claims) == (hold.holder, &hold.claims) => {
                    self.held(hold)
                }
                Some(_) => Err(Refusal::Conflict),
            },
            Command::Confirm(hold) => self.confirm(hold),
            Command::Release { reservation, of, at } => self.release(*reservation, *of, *at),
            Command::GiveBack { reservation, holder, at } => {
                let living =
                    |known: &&Reservation| matches!(known.state, State::Held | State::Booked);
                match self.reservations.get(reservation).filter(living) {
                    Some(known) if known.holder != Some(*holder) => Err(Refusal::Conflict),
                    Some(_) | None => self.release(*reservation, None, *at),
                }
            }
            Command::Administer { reservation, claims, at } => {
                self.administer(*reservation, claims, *at)
            }
        }
    }

    fn set(&mut self, id: PoolId, name: Name, stock: Stock) -> Pool {
        self.vaccines.insert(id, (name, stock));
        self.pool(id).expect("it is there")
    }

    fn release(&mut self, id: ReservationId, of: Option<PoolId>, at: Timestamp) -> Outcome {
        let is_new = !self.reservations.contains_key(&id);
        if is_new && of.is_some_and(|pool| self.pool(pool).is_none()) {
            return Err(Refusal::NoSuchPool);
        }
        let known =
            self.reservations.entry(id).or_insert_with(|| nobodys(State::Released, &[], at));
        let claims = &known.claims;
        if of.is_some_and(|pool| !claims.is_empty() && !claims.contains(&pool)) {
            return Err(Refusal::NoSuchReservation);
        }
        match known.state {
            State::Administered => return Err(Refusal::Administered),
            State::Booked if of.is_some() && known.holder.is_some() => {
                return Err(Refusal::Conflict);
            }
            State::Held | State::Booked | State::Released => {}
        }
        known.state = State::Released;
        Ok(Done::Released)
    }

    /// There must be enough for it and for everybody else.
    fn administer(&mut self, id: ReservationId, claims: &[PoolId], at: Timestamp) -> Outcome {
        let (own, used) = match self.reservations.get(&id) {
            Some(known) if known.state == State::Administered => return Ok(Done::Administered),
            Some(known) if known.state != State::Released => {
                (known.claims.clone(), known.claims.clone())
            }
            Some(_) | None => (Vec::new(), claims.to_vec()),
        };
        for id in &used {
            let pool = self.pool(*id).ok_or(Refusal::NoSuchPool)?;
            let count = |claims: &[PoolId]| claims.iter().filter(|claim| *claim == id).count();
            let others = pool.taken - i64::try_from(count(&own)).expect("a few");
            if pool.stock.doses() - others < i64::try_from(count(&used)).expect("a few") {
                return Err(Refusal::SoldOut);
            }
        }
        for id in &used {
            let (_, stock) = self.vaccines.get_mut(id).expect("it is there");
            *stock = Stock::parse(stock.doses() - 1).expect("there is enough");
        }
        let new = || nobodys(State::Administered, claims, at);
        self.reservations.entry(id).or_insert_with(new).state = State::Administered;
        Ok(Done::Administered)
    }

    fn confirm(&mut self, hold: &Hold) -> Outcome {
        match self.reservations.get_mut(&hold.reservation) {
            None => self.claim(hold, State::Booked).map(|_| Done::Confirmed),
            Some(known) if known.state == State::Released => Err(Refusal::Released),
            Some(known) if known.state == State::Administered => Ok(Done::Confirmed),
            Some(known) if (known.holder, &known.claims) != (hold.holder, &hold.claims) => {
                Err(Refusal::Conflict)
            }
            Some(known) => {
                known.state = State::Booked;
                Ok(Done::Confirmed)
            }
        }
    }

    fn claim(&mut self, hold: &Hold, state: State) -> Outcome {
        let granted = self.held(hold)?;
        for id in &hold.claims {
            let pool = self.pool(*id).ok_or(Refusal::NoSuchPool)?;
            let wanted = hold.claims.iter().filter(|claim| *claim == id).count();
            if pool.taken + i64::try_from(wanted).expect("a few") > pool.stock.doses() {
                return Err(Refusal::SoldOut);
            }
        }
        let Hold { reservation, holder, claims, at } = hold.clone();
        self.reservations.insert(reservation, Reservation { holder, claims, state, held_at: at });
        Ok(granted)
    }

    fn held(&self, hold: &Hold) -> Outcome {
        let first = hold.claims.first().and_then(|id| self.vaccines.get(id));
        let (name, _) = first.ok_or(Refusal::NoSuchPool)?;
        Ok(Done::Held { name: name.clone() })
    }
}

fn nobodys(state: State, claims: &[PoolId], at: Timestamp) -> Reservation {
    Reservation { holder: None, claims: claims.to_vec(), state, held_at: at }
}
