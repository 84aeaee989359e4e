//! What the handlers share.

use std::time::{Duration, Instant};

use contracts::{ids::ReservationId, vaccine::SOLD_OUT_FOR};
use platform_rest::runtime::Runtime;
use platform_store::{CommandError, CommandOf, Commands, WriteError};
use platform_telemetry::clock;
use tokio::time::sleep;
use tracing::warn;

use crate::{
    domain::{Ledger, ReleaseReservation},
    holds::{Holds, Take},
    store::Queries,
};

/// How long a write may wait for its commit.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);

/// What the handlers work with.
#[derive(Clone, Debug)]
pub struct Stock {
    /// Submits commands.
    pub commands: Commands<Ledger>,
    /// Takes doses.
    pub holds: Holds,
    /// Reads the last commit.
    pub queries: Queries,
    /// Releases doses whose client is gone.
    pub runtime: Runtime,
}

impl Stock {
    pub(super) async fn submit<C: CommandOf<Ledger>>(
        &self,
        command: C,
    ) -> Result<C::Reply, WriteError> {
        self.commands.submit(command, Instant::now() + WRITE_TIMEOUT).await
    }

    pub(super) async fn take<C: Take>(&self, take: C) -> Result<C::Reply, WriteError> {
        let mut replies = self.holds.take(vec![take], Instant::now() + WRITE_TIMEOUT).await?;
        Ok(replies.pop().unwrap_or(Err(CommandError::Rejected))?)
    }

    /// Waits until no store repeats that a vaccine was sold out before the last commit.
    pub(super) async fn refusals_expire(&self) {
        sleep(SOLD_OUT_FOR).await;
    }

    pub(super) async fn release_cancelled(self, reservation: ReservationId) {
        let release = ReleaseReservation { reservation, of: None, at: clock::now() };
        if !matches!(self.submit(release).await, Ok(Ok(()))) {
            warn!(%reservation, "could not release a dose whose client is gone");
        }
    }
}
