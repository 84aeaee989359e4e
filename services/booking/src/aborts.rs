//! Aborts attempts whose citizen was answered that there is no booking.
//!
//! That must be kept, whatever fails: the attempt may hold a dose, and its booking may be written late. It
//! is recorded in the own store; where that cannot write, at the ledger, which releases the dose at once and
//! lists the attempt until it is recorded here: see [`crate::resolver`]. So it survives a restart. Where
//! neither answers, it is tried again until one does.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use contracts::{
    ids::{ReservationId, StoreId},
    vaccine::{AbortBatch, AbortBatchReply, HOLDS_MAX},
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

    /// Whether none waits.
    pub fn is_idle(&self) -> bool {
        self.queue.capacity() == self.queue.max_capacity()
    }

    /// Aborts an attempt, now or as soon as that can be kept.
    pub fn abort(&self, reservation: ReservationId) {
        match self.queue.try_send(reservation) {
            Ok(()) => {}
            // The service drains; requests that it has accepted may still end after the task.
            Err(TrySendError::Closed(reservation)) => {
                let worker = self.worker.clone();
                self.worker.runtime.spawn(async move {
                    if !worker.keep(vec![reservation]).await.is_empty() {
                        error!(%reservation, "stopping before an attempt could be aborted");
                    }
                });
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
        let mut pending = VecDeque::new();
        loop {
            let mut received = Vec::new();
            select! {
                biased;
                count = queue.recv_many(&mut received, QUEUE_MAX) => {
                    if count == 0 && pending.is_empty() {
                        return;
                    }
                }
                () = self.runtime.stop.cancelled(), if !queue.is_closed() => {
                    queue.close(); // What is queued is still received.
                    continue;
                }
                () = sleep(PAUSE), if !pending.is_empty() => {}
            }
            pending.extend(received);
            // Those that are tried again go behind the others, so that one that is refused stops none.
            let batch: Vec<_> = pending.drain(..pending.len().min(HOLDS_MAX)).collect();
            pending.extend(self.keep(batch).await);
            if !pending.is_empty() && self.runtime.stop.is_cancelled() {
                return error!(
                    attempts = pending.len(),
                    "stopping before attempts could be aborted"
                );
            }
        }
    }

    /// Tries once; those that could not be kept.
    async fn keep(&self, batch: Vec<ReservationId>) -> Vec<ReservationId> {
        if self.commands.health().can_write() && self.write(&batch).await {
            return Vec::new();
        }
        match self.call(&batch).await {
            // They are booked: only the own store can cancel that.
            Ok(AbortBatchReply { refused }) => refused,
            Err(cause) => {
                let (cause, attempts) = (error_chain(&cause), batch.len());
                warn!(cause, attempts, "attempts could not be aborted, retrying");
                batch
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

    async fn call(&self, batch: &[ReservationId]) -> Result<AbortBatchReply, CallError> {
        let body = AbortBatch { owner: self.owner, reservation_ids: batch.to_vec() };
        let call = Call::post("/aborts", "application/json", &body)?;
        self.vaccine.call(call, Instant::now() + CALL_TIMEOUT).await
    }
}
