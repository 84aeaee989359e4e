//! The decisions of the stock ledger. No async, no I/O, no clock, no chance.
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
//! Also: released before its hold came, and administered before its booking was heard of.
//! Every command may come twice, late, or in another order, and still counts once.

use std::sync::Arc;

use contracts::ids::{HolderId, ReservationId, VaccineId};
use jiff::Timestamp;
use storage::rows::Rows;
use thiserror::Error;

/// The largest stock of one pool.
pub const STOCK_MAX: i64 = 1_000_000_000;

/// The longest name, in characters.
pub const NAME_MAX: usize = 100;

/// Something that can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolId(pub i64);

impl From<VaccineId> for PoolId {
    fn from(vaccine: VaccineId) -> Self {
        Self(vaccine.0)
    }
}

impl From<PoolId> for VaccineId {
    fn from(pool: PoolId) -> Self {
        Self(pool.0)
    }
}

/// A pool's name: 1 to [`NAME_MAX`] characters, no control characters, no space around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Arc<str>);

impl Name {
    /// The name, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let length = text.chars().count();
        let fits = (1..=NAME_MAX).contains(&length) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number of doses: 0 to [`STOCK_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stock(i64);

impl Stock {
    /// The number, if it is one.
    pub fn parse(doses: i64) -> Option<Self> {
        (0..=STOCK_MAX).contains(&doses).then_some(Self(doses))
    }

    /// As a number.
    pub fn doses(self) -> i64 {
        self.0
    }
}

/// A pool as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What it is called.
    pub name: Name,
    /// Units that exist.
    pub stock: Stock,
    /// Units held or booked; never more than `stock`.
    pub taken: i64,
}

impl Pool {
    /// Units that nobody holds or has booked.
    pub fn free(&self) -> i64 {
        self.stock.0 - self.taken
    }
}

/// A reservation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Who will say what becomes of it; nobody, for a reservation that stands until it is released.
    pub holder: Option<HolderId>,
    /// One unit of each of these; none, if it was released before its hold came.
    pub claims: Vec<PoolId>,
    /// Where it stands.
    pub state: State,
    /// When it was asked for.
    pub held_at: Timestamp,
}

impl Reservation {
    fn is_that_of(&self, hold: &Hold) -> bool {
        self.claims == hold.claims && self.holder == hold.holder
    }
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Set aside; its holder has not said yet what becomes of it.
    Held,
    /// A booking stands behind it.
    Booked,
    /// Given back; the id is spent.
    Released,
    /// Used up; it does not count any more.
    Administered,
}

/// What may be asked of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A new vaccine.
    Register { name: Name, stock: Stock },
    /// Another name or another stock.
    Change { pool: PoolId, name: Option<Name>, stock: Option<Stock> },
    /// The vaccine is not offered any more.
    Remove { pool: PoolId },
    /// One unit of each pool, please.
    Hold(Hold),
    /// The booking stands.
    Confirm(Hold),
    /// The units go back. With a pool: only if the reservation claims it.
    Release { reservation: ReservationId, of: Option<PoolId>, at: Timestamp },
    /// Its holder says that there is no booking and will be none: the units go back.
    GiveBack { reservation: ReservationId, holder: HolderId, at: Timestamp },
    /// The units were used: they do not exist any more.
    Administer { reservation: ReservationId, claims: Vec<PoolId>, at: Timestamp },
}

/// A reservation that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id; asking again repeats the answer.
    pub reservation: ReservationId,
    /// Who will settle it.
    pub holder: Option<HolderId>,
    /// What it takes.
    pub claims: Vec<PoolId>,
    /// When it is asked for.
    pub at: Timestamp,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// There is a new vaccine.
    Registered(PoolId, Pool),
    /// The vaccine as it is now, and the stock that it had.
    Changed { id: PoolId, pool: Pool, before: Stock },
    /// It is not offered any more.
    Removed,
    /// One unit of each is set aside (or was, when the id came before).
    Held { name: Name },
    /// A booking stands behind it.
    Confirmed,
    /// Nothing is taken by this reservation.
    Released,
    /// The units are used up.
    Administered,
}

/// Why nothing was done. A healthy answer, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No pool of that id.
    #[error("there is no such vaccine")]
    NoSuchPool,
    /// Every unit is taken.
    #[error("every dose is held or booked")]
    SoldOut,
    /// The reservation was released before.
    #[error("the reservation was released before")]
    Released,
    /// The reservation's dose is used.
    #[error("the dose was administered")]
    Administered,
    /// The id belongs to another reservation.
    #[error("the reservation id is taken by another one")]
    Conflict,
    /// No reservation of that id on that pool.
    #[error("there is no such reservation")]
    NoSuchReservation,
    /// The new stock would be less than what is taken.
    #[error("{taken} doses are held or booked")]
    StockBelowTaken { taken: i64 },
    /// Units are taken.
    #[error("{taken} doses are held or booked")]
    InUse { taken: i64 },
}

/// The answer to a command.
pub type Outcome = Result<Done, Refusal>;

/// The rows that a batch of commands is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Pools.
    pub pools: Rows<PoolId, Pool>,
    /// Reservations.
    pub reservations: Rows<ReservationId, Reservation>,
    /// The highest pool id ever given.
    pub last_pool: i64,
}

/// Decides one command and changes the ledger accordingly; a refusal changes nothing.
pub fn decide(ledger: &mut Ledger, command: &Command) -> Outcome {
    match command {
        Command::Register { name, stock } => Ok(ledger.register(name.clone(), *stock)),
        Command::Change { pool, name, stock } => ledger.change(*pool, name.as_ref(), *stock),
        Command::Remove { pool } => ledger.remove(*pool),
        Command::Hold(hold) => ledger.hold(hold),
        Command::Confirm(hold) => ledger.confirm(hold),
        Command::Release { reservation, of, at } => ledger.release(*reservation, *of, *at),
        Command::GiveBack { reservation, holder, at } => {
            ledger.give_back(*holder, *reservation, *at)
        }
        Command::Administer { reservation, claims, at } => {
            ledger.administer(*reservation, claims, *at)
        }
    }
}

/// Whether a reservation that nobody knows is refused because every unit is taken: what [`decide`]
/// would answer to its [`Command::Hold`] or [`Command::Confirm`], and change nothing.
pub fn is_sold_out(ledger: &Ledger, hold: &Hold) -> bool {
    let is_known = ledger.reservations.get(&hold.reservation).is_some();
    !is_known && ledger.room(&hold.claims) == Err(Refusal::SoldOut)
}

impl Ledger {
    fn register(&mut self, name: Name, stock: Stock) -> Done {
        self.last_pool += 1;
        let id = PoolId(self.last_pool);
        let pool = Pool { name, stock, taken: 0 };
        self.pools.put(id, pool.clone());
        Done::Registered(id, pool)
    }

    fn change(&mut self, id: PoolId, name: Option<&Name>, stock: Option<Stock>) -> Outcome {
        let Pool { taken, stock: before, name: _ } =
            *self.pools.get(&id).ok_or(Refusal::NoSuchPool)?;
        if stock.is_some_and(|stock| stock.0 < taken) {
            return Err(Refusal::StockBelowTaken { taken });
        }
        let pool = self.pools.get_mut(&id).ok_or(Refusal::NoSuchPool)?;
        if let Some(name) = name {
            pool.name = name.clone();
        }
        if let Some(stock) = stock {
            pool.stock = stock;
        }
        Ok(Done::Changed { id, pool: pool.clone(), before })
    }

    fn remove(&mut self, id: PoolId) -> Outcome {
        let taken = self.pools.get(&id).ok_or(Refusal::NoSuchPool)?.taken;
        if taken > 0 {
            return Err(Refusal::InUse { taken });
        }
        self.pools.remove(&id);
        Ok(Done::Removed)
    }

    fn hold(&mut self, hold: &Hold) -> Outcome {
        match self.reservations.get(&hold.reservation) {
            None => self.claim(hold, State::Held),
            Some(known) if known.state == State::Released => Err(Refusal::Released),
            Some(known) if known.state == State::Administered => Err(Refusal::Administered),
            Some(known) if known.is_that_of(hold) => self.held(&hold.claims),
            Some(_) => Err(Refusal::Conflict),
        }
    }

    /// Also for a booking whose hold is not known: a ledger that was restored from an older copy
    /// learns again what it forgot.
    fn confirm(&mut self, hold: &Hold) -> Outcome {
        let Some(known) = self.reservations.get(&hold.reservation) else {
            return self.claim(hold, State::Booked).map(|_| Done::Confirmed);
        };
        match known.state {
            State::Released => Err(Refusal::Released),
            // Who used it need not know who held it.
            State::Administered => Ok(Done::Confirmed),
            _ if !known.is_that_of(hold) => Err(Refusal::Conflict),
            State::Booked => Ok(Done::Confirmed),
            State::Held => {
                if let Some(known) = self.reservations.get_mut(&hold.reservation) {
                    known.state = State::Booked;
                }
                Ok(Done::Confirmed)
            }
        }
    }

    /// The guard: a unit of every pool, or nothing.
    fn claim(&mut self, hold: &Hold, state: State) -> Outcome {
        let granted = self.room(&hold.claims)?;
        for id in &hold.claims {
            if let Some(pool) = self.pools.get_mut(id) {
                pool.taken += 1;
            }
        }
        let reservation = Reservation {
            holder: hold.holder,
            claims: hold.claims.clone(),
            state,
            held_at: hold.at,
        };
        self.reservations.put(hold.reservation, reservation);
        Ok(granted)
    }

    fn room(&self, claims: &[PoolId]) -> Outcome {
        let granted = self.held(claims)?;
        for id in claims {
            let pool = self.pools.get(id).ok_or(Refusal::NoSuchPool)?;
            if pool.free() < wanted(claims, *id) {
                return Err(Refusal::SoldOut);
            }
        }
        Ok(granted)
    }

    fn held(&self, claims: &[PoolId]) -> Outcome {
        let first = claims.first().and_then(|id| self.pools.get(id)).ok_or(Refusal::NoSuchPool)?;
        Ok(Done::Held { name: first.name.clone() })
    }

    fn release(&mut self, id: ReservationId, of: Option<PoolId>, at: Timestamp) -> Outcome {
        let Some(known) = self.reservations.get(&id) else {
            if of.is_some_and(|pool| self.pools.get(&pool).is_none()) {
                return Err(Refusal::NoSuchPool);
            }
            // The hold may still be on its way: it must not find the door open.
            let spent = Reservation {
                holder: None,
                claims: Vec::new(),
                state: State::Released,
                held_at: at,
            };
            self.reservations.put(id, spent);
            return Ok(Done::Released);
        };
        if of.is_some_and(|pool| !known.claims.is_empty() && !known.claims.contains(&pool)) {
            return Err(Refusal::NoSuchReservation);
        }
        match known.state {
            State::Released => return Ok(Done::Released),
            State::Administered => return Err(Refusal::Administered),
            State::Held | State::Booked => {}
        }
        if of.is_some() && known.state == State::Booked && known.holder.is_some() {
            return Err(Refusal::Conflict); // A booking stands behind it; cancel that.
        }
        for pool in known.claims.clone() {
            if let Some(pool) = self.pools.get_mut(&pool) {
                pool.taken -= 1;
            }
        }
        if let Some(known) = self.reservations.get_mut(&id) {
            known.state = State::Released;
        }
        Ok(Done::Released)
    }

    /// A holder speaks of its own reservations only.
    fn give_back(&mut self, holder: HolderId, id: ReservationId, at: Timestamp) -> Outcome {
        match self.reservations.get(&id) {
            Some(Reservation { state: State::Held | State::Booked, holder: other, .. })
                if *other != Some(holder) =>
            {
                Err(Refusal::Conflict)
            }
            Some(_) | None => self.release(id, None, at),
        }
    }

    /// Whatever was said of the reservation before: a dose that is used is gone.
    fn administer(&mut self, id: ReservationId, claims: &[PoolId], at: Timestamp) -> Outcome {
        let known = self.reservations.get(&id);
        let (taken, claims) = match known {
            Some(known) if known.state == State::Administered => return Ok(Done::Administered),
            Some(known) if known.state != State::Released => (1, known.claims.clone()),
            Some(_) | None => (0, claims.to_vec()),
        };
        for id in &claims {
            let pool = self.pools.get(id).ok_or(Refusal::NoSuchPool)?;
            if taken == 0 && pool.free() < wanted(&claims, *id) {
                return Err(Refusal::SoldOut);
            }
        }
        for id in &claims {
            if let Some(pool) = self.pools.get_mut(id) {
                pool.stock.0 -= 1;
                pool.taken -= taken;
            }
        }
        match self.reservations.get_mut(&id) {
            Some(known) => known.state = State::Administered,
            None => self.reservations.put(
                id,
                Reservation { holder: None, claims, state: State::Administered, held_at: at },
            ),
        }
        Ok(Done::Administered)
    }
}

/// How many units of a pool.
fn wanted(claims: &[PoolId], id: PoolId) -> i64 {
    let units = claims.iter().filter(|claim| **claim == id).count();
    i64::try_from(units).unwrap_or(i64::MAX)
}
