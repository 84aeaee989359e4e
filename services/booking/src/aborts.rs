//! Aborts attempts whose citizen was answered that there is no booking.
//!
//! That must be kept, whatever fails: the attempt may hold a dose, and its booking may be written late. It
//! is recorded in the own store; where that cannot write, at the ledger, which releases the dose at once and
//! lists the attempt until it is recorded here: see [`crate::resolver`]. So it survives a restart. Where
//! neither answers, it is tried again until one does.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use contracts::{
    ids::{ReservationId, StoreId},
    vaccine::{AbortBatch, HOLDS_MAX},
};
use platform_rest::{
    client::{Call, CallError, Client},
    runtime::Runtime,
};
use platform_store::Commands;
use platform_telemetry::{clock, error_chain};
use tokio::{
    select,
    sync::mpsc::{self, error::TrySendError},
    time::{sleep, timeout},
};
use tracing::{error, warn};

use crate::domain::{AbortAttempt, Bookings};

/// Attempts that may wait; of one more, an error in the log is all that is kept. No more attempts than that
/// can be under way.
const QUEUE_MAX: usize = 16_384;

/// How long the own store may take. It may stop answering after it has accepted the write; should the write
/// succeed later after all, it changes nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the ledger may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause after neither has answered.
const PAUSE: Duration = Duration::from_millis(500);

/// Aborts attempts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Aborts {
    queue: mpsc::Sender<ReservationId>,
    worker: Worker,
}

impl Aborts {
    /// Starts the task that aborts. When the service stops, it tries once more what is left.
    pub fn start(
        vaccine: Client,
        owner: StoreId,
        commands: Commands<Bookings>,
        runtime: &Runtime,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let worker = Worker { vaccine, owner, commands, runtime: runtime.clone() };
        runtime.spawn(worker.clone().run(waiting));
        Self { queue, worker }
    }

    /// Aborts an attempt, now or as soon as that can be kept.
    pub fn abort(&self, reservation: ReservationId) {
        match self.queue.try_send(reservation) {
            Ok(()) => {}
            // The service drains; requests that it has accepted may still end after the task.
            Err(TrySendError::Closed(reservation)) => {
                let worker = self.worker.clone();
                self.worker.runtime.spawn(async move { worker.keep(&[reservation]).await });
            }
            Err(TrySendError::Full(reservation)) => {
                error!(%reservation, "too many attempts wait to be aborted; this one may hold a dose");
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Worker {
    vaccine: Client,
    owner: StoreId,
    commands: Commands<Bookings>,
    runtime: Runtime,
}

impl Worker {
    async fn run(self, mut queue: mpsc::Receiver<ReservationId>) {
        let mut batch = Vec::with_capacity(HOLDS_MAX);
        loop {
            select! {
                biased;
                count = queue.recv_many(&mut batch, HOLDS_MAX) => if count == 0 { return },
                () = self.runtime.stop.cancelled() => {
                    queue.close(); // What is queued is still received.
                    continue;
                }
            }
            self.keep(&batch).await;
            batch.clear();
        }
    }

    /// Tries until it is kept, or the service stops.
    async fn keep(&self, batch: &[ReservationId]) {
        while !self.is_kept(batch).await {
            if self.runtime.stop.is_cancelled() {
                return error!(attempts = batch.len(), "stopping before attempts could be aborted");
            }
            sleep(PAUSE).await;
        }
    }

    async fn is_kept(&self, batch: &[ReservationId]) -> bool {
        if self.commands.health().can_write() && self.write(batch).await {
            return true;
        }
        match self.call(batch).await {
            Ok(()) => true,
            Err(cause) => {
                let (cause, attempts) = (error_chain(&cause), batch.len());
                warn!(cause, attempts, "attempts could not be aborted, retrying");
                false
            }
        }
    }

    async fn write(&self, batch: &[ReservationId]) -> bool {
        let at = clock::now();
        let abort = |reservation: &_| AbortAttempt { reservation: *reservation, at };
        let commands = batch.iter().map(abort).collect();
        let written = self.commands.submit_all(commands, Instant::now() + WRITE_TIMEOUT);
        let Ok(Ok(replies)) = timeout(WRITE_TIMEOUT, written).await else { return false };
        replies.iter().all(Result::is_ok)
    }

    async fn call(&self, batch: &[ReservationId]) -> Result<(), CallError> {
        let body = AbortBatch { owner: self.owner, reservation_ids: batch.to_vec() };
        let call = Call::post("/aborts", "application/json", &body)?;
        let response = self.vaccine.send(call, Instant::now() + CALL_TIMEOUT).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(()),
            status => Err(CallError::Status(status)),
        }
    }
}
