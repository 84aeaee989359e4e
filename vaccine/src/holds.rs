//! Taking doses; and saying "sold out" without a commit.
//!
//! On opening day most who ask come too late, and a commit for each "no" would keep the disk busy
//! with nothing. So where a vaccine ran out lately, its holds are first looked at in the last
//! commit: if every dose is taken there and the reservation is not known, that is the answer, true
//! at that moment, and just what a commit would have said, since a refusal leaves nothing behind.
//! Everything else is decided in a commit as ever.
//! What is remembered here only says where to look: if it is wrong, a look was in vain.
//! Why not from memory alone: `docs/adr/0009-sold-out-without-a-commit.md`.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use storage::{
    store::Desk,
    writer::{Failed, WriteError},
};

use crate::{
    domain::{Command, Hold, Outcome, PoolId, Refusal, is_sold_out},
    store::{Book, Reads},
};

/// Pools that are remembered to have run out; holds of further ones are decided in commits.
const POOLS_MAX: usize = 1_024;

/// Takes doses for whoever asks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Holds {
    desk: Desk<Book>,
    reads: Reads,
    ran_out: Arc<Mutex<BTreeSet<PoolId>>>,
}

impl Holds {
    /// Decides with a desk; looks with its readers.
    pub fn new(desk: Desk<Book>, reads: Reads) -> Self {
        Self { desk, reads, ran_out: Arc::default() }
    }

    /// Takes doses, each as [`Command::Hold`] or [`Command::Confirm`]; one outcome per hold, in
    /// their order.
    pub async fn take(
        &self,
        holds: Vec<Hold>,
        command: fn(Hold) -> Command,
        deadline: Instant,
    ) -> Result<Vec<Result<Outcome, Failed>>, WriteError> {
        let sold_out = self.sold_out(&holds).await;
        let mut open = sold_out.iter().map(|sold_out| !sold_out);
        let asked: Vec<_> = holds.iter().filter(|_| open.next() == Some(true)).cloned().collect();
        let mut decided = Vec::new().into_iter();
        if !asked.is_empty() {
            let commands = asked.into_iter().map(command).collect();
            decided = self.desk.ask_all(commands, deadline).await?.into_iter();
        }
        let outcome = |(hold, sold_out): (&Hold, bool)| {
            if sold_out {
                return Ok(Err(Refusal::SoldOut));
            }
            let outcome = decided.next().unwrap_or(Err(Failed::Refused));
            if outcome == Ok(Err(Refusal::SoldOut)) {
                self.remember(hold);
            }
            outcome
        };
        Ok(holds.iter().zip(sold_out).map(outcome).collect())
    }

    /// For each hold whether the last commit refuses it because every dose is taken.
    async fn sold_out(&self, holds: &[Hold]) -> Vec<bool> {
        let claims = || holds.iter().flat_map(|hold| &hold.claims);
        let is_suspect = {
            let ran_out = self.ran_out();
            claims().any(|id| ran_out.contains(id))
        };
        if !is_suspect {
            return vec![false; holds.len()];
        }
        let Ok(ledger) = self.reads.of_holds(holds).await else {
            return vec![false; holds.len()]; // The commit will decide, or say that it cannot.
        };
        let mut ran_out = self.ran_out();
        for id in claims() {
            if ledger.pools.get(id).is_none_or(|pool| pool.free() > 0) {
                ran_out.remove(id); // There are doses again, or it is not offered any more.
            }
        }
        holds.iter().map(|hold| is_sold_out(&ledger, hold)).collect()
    }

    fn remember(&self, hold: &Hold) {
        let mut ran_out = self.ran_out();
        if ran_out.len() < POOLS_MAX {
            ran_out.extend(&hold.claims);
        }
    }

    fn ran_out(&self) -> MutexGuard<'_, BTreeSet<PoolId>> {
        self.ran_out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
