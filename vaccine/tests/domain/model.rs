//! The ledger as one would write it without a database: it counts anew whenever it is asked.

use std::collections::BTreeMap;

use contracts::ids::{HolderId, ReservationId};
use vaccine::domain::{
    Command, Done, Hold, Name, Outcome, Pool, PoolId, Refusal, Reservation, Said, State, Stock,
};

#[derive(Debug, Default)]
pub(crate) struct Model {
    vaccines: BTreeMap<PoolId, (Name, Stock)>,
    reservations: BTreeMap<ReservationId, Reservation>,
    heard: BTreeMap<HolderId, u64>,
    last: i64,
}

impl Model {
    /// A vaccine as it must stand: taken is the number of living reservations that name it.
    pub(crate) fn pool(&self, id: PoolId) -> Option<Pool> {
        let lives = |known: &&Reservation| known.state != State::Released;
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
                Ok(self.set(PoolId(self.last), name.clone(), *stock))
            }
            Command::Change { pool, name, stock } => {
                let now = self.pool(*pool).ok_or(Refusal::NoSuchPool)?;
                match stock {
                    Some(stock) if stock.doses() < now.taken => {
                        Err(Refusal::StockBelowTaken { taken: now.taken })
                    }
                    _ => {
                        let name = name.clone().unwrap_or(now.name);
                        Ok(self.set(*pool, name, stock.unwrap_or(now.stock)))
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
                Some(known) if (known.holder, &known.claims) == (hold.holder, &hold.claims) => {
                    self.held(hold)
                }
                Some(_) => Err(Refusal::Conflict),
            },
            Command::Confirm(hold) => self.confirm(hold),
            Command::Release { reservation, of, at } => {
                let spent = Reservation {
                    holder: None,
                    claims: Vec::new(),
                    state: State::Released,
                    held_at: *at,
                };
                let is_new = !self.reservations.contains_key(reservation);
                if is_new && of.is_some_and(|pool| self.pool(pool).is_none()) {
                    return Err(Refusal::NoSuchPool);
                }
                let known = self.reservations.entry(*reservation).or_insert(spent);
                let claims = &known.claims;
                if of.is_some_and(|pool| !claims.is_empty() && !claims.contains(&pool)) {
                    return Err(Refusal::NoSuchReservation);
                }
                if of.is_some() && known.state == State::Booked && known.holder.is_some() {
                    return Err(Refusal::Conflict);
                }
                known.state = State::Released;
                Ok(Done::Released)
            }
            Command::Hear { source, sequence, said } => {
                let heard = self.heard.get(source).copied().unwrap_or(0);
                if *sequence != heard + 1 {
                    return Ok(Done::Heard { sequence: heard, refused: None });
                }
                self.heard.insert(*source, *sequence);
                let effect = match said.clone() {
                    Said::Booked(hold) => self.confirm(&hold),
                    Said::GivenBack { reservation, at } if self.may(*source, reservation) => {
                        self.decide(&Command::Release { reservation, of: None, at })
                    }
                    Said::GivenBack { .. } => Err(Refusal::Conflict),
                };
                Ok(Done::Heard { sequence: *sequence, refused: effect.err() })
            }
        }
    }

    /// Whether a source may give it back: it is its own, or nobody's any more.
    fn may(&self, source: HolderId, id: ReservationId) -> bool {
        let strange =
            |known: &Reservation| known.state != State::Released && known.holder != Some(source);
        !self.reservations.get(&id).is_some_and(strange)
    }

    fn set(&mut self, id: PoolId, name: Name, stock: Stock) -> Done {
        self.vaccines.insert(id, (name, stock));
        Done::Vaccine(id, self.pool(id).expect("it is there"))
    }

    fn confirm(&mut self, hold: &Hold) -> Outcome {
        match self.reservations.get_mut(&hold.reservation) {
            None => self.claim(hold, State::Booked).map(|_| Done::Confirmed),
            Some(known) if known.state == State::Released => Err(Refusal::Released),
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
