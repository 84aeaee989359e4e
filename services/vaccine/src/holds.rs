//! Holding doses; and refusing them as sold out without a commit.
//!
//! On opening day most requests come too late, and a commit for each refusal would keep the disk busy with
//! nothing. So where a vaccine was sold out lately, or a slot was full or not open, its holds are first checked
//! against the last commit: if it has no room for them and the reservations are unknown, that is the reply, true at
//! that moment, and what a commit would have replied, since a refusal changes nothing. Everything else is decided in
//! a commit.
//! What is remembered here only says what to check: if it is wrong, a check was in vain.
//! Why not from memory alone: `docs/adr/0002-holds.md`.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc, time::Instant};

use parking_lot::Mutex;
use platform_store::{CommandError, CommandOf, Commands, WriteError};

use crate::{
    domain::{ConfirmHold, HeldBlock, HoldDoses, Ledger, PoolId, Refusal, no_room, sold_out},
    store::Queries,
};

/// Pools that are remembered as sold out; with a further one the others are forgotten, and remembered again by a commit.
const POOLS_MAX: usize = 1_024;

/// Submits holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Holds {
    commands: Commands<Ledger>,
    queries: Queries,
    sold_out: Arc<Mutex<BTreeSet<PoolId>>>,
}

/// A command that takes doses: [`HoldDoses`] or [`ConfirmHold`].
pub trait Take: CommandOf<Ledger, Reply = Result<Self::Granted, Refusal>> + Clone {
    /// The reply if doses are granted.
    type Granted;

    /// What is taken.
    fn hold(&self) -> Cow<'_, HoldDoses>;
}

impl Take for HoldDoses {
    type Granted = HeldBlock;

    fn hold(&self) -> Cow<'_, HoldDoses> {
        Cow::Borrowed(self)
    }
}

impl Take for ConfirmHold {
    type Granted = ();

    fn hold(&self) -> Cow<'_, HoldDoses> {
        Cow::Owned(self.0.clone().into())
    }
}

/// One reply per command, in their order.
type Replies<T> = Vec<Result<Result<T, Refusal>, CommandError>>;

impl Holds {
    /// Submits commands to a writer; checks with its readers.
    pub fn new(commands: Commands<Ledger>, queries: Queries) -> Self {
        Self { commands, queries, sold_out: Arc::default() }
    }

    /// Takes doses; one reply per command, in their order.
    pub async fn take<C: Take>(
        &self,
        takes: Vec<C>,
        deadline: Instant,
    ) -> Result<Replies<C::Granted>, WriteError> {
        let refused = self.refused(&takes).await;
        let open = takes.iter().zip(&refused).filter(|(_, refused)| refused.is_none());
        let open: Vec<C> = open.map(|(take, _)| take.clone()).collect();
        let mut decided = Vec::new().into_iter();
        if !open.is_empty() {
            decided = self.commands.submit_all(open, deadline).await?.into_iter();
        }
        let reply = |(take, refused): (&C, Option<Refusal>)| {
            if let Some(refusal) = refused {
                return Ok(Err(refusal));
            }
            let reply = decided.next().unwrap_or(Err(CommandError::Rejected));
            if let Ok(Err(refusal)) = &reply {
                self.remember(&take.hold().all_claims(), *refusal);
            }
            reply
        };
        Ok(takes.iter().zip(refused).map(reply).collect())
    }

    /// For each command why the last commit refuses it, if every dose or place is taken.
    async fn refused<C: Take>(&self, takes: &[C]) -> Vec<Option<Refusal>> {
        let holds: Vec<_> = takes.iter().map(Take::hold).collect();
        let is_suspect = {
            let sold_out = self.sold_out.lock();
            !sold_out.is_empty()
                && holds.iter().any(|hold| hold.all_claims().iter().any(|id| sold_out.contains(id)))
        };
        if !is_suspect {
            return vec![None; takes.len()];
        }
        let Ok(ledger) = self.queries.of_holds(holds.iter().map(AsRef::as_ref)).await else {
            return vec![None; takes.len()]; // The commit will decide, or fail.
        };
        let mut suspects = self.sold_out.lock();
        for hold in holds.iter().filter(|hold| no_room(&ledger, hold).is_none()) {
            // There is room again, or the vaccine was removed.
            suspects.retain(|id| !hold.all_claims().contains(id));
        }
        holds.iter().map(|hold| sold_out(&ledger, hold)).collect()
    }

    /// What has run out, or cannot be booked: the slots of a hold; without one, its vaccine.
    fn remember(&self, claims: &[PoolId], refusal: Refusal) {
        let of_slots = claims.iter().any(|id| id.is_slot());
        if !refusal.is_of_the_moment() {
            return;
        }
        let mut sold_out = self.sold_out.lock();
        if sold_out.len() >= POOLS_MAX {
            // Slots that are full stay so: what is asked for is remembered again.
            sold_out.clear();
        }
        sold_out.extend(claims.iter().filter(|id| id.is_slot() == of_slots));
    }
}
