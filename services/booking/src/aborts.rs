//! Aborts doses and attempts whose citizen was answered that there is no booking.
//!
//! That must be kept, whatever fails: the dose may be held, and its booking may be written late. It is recorded
//! in the own store; where that cannot write, a dose is aborted at the ledger, which releases it at once and
//! lists it until it is recorded here: see [`crate::resolver`]. So it survives a restart. Where neither answers,
//! it is tried again until one does.

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

use crate::domain::{Abort, Abortable, Bookings};

/// As many may wait; of one more, an error in the log is all that is kept. No more attempts than that can be under
/// way.
const QUEUE_MAX: usize = 16_384;

/// How long the own store may take. It may stop answering after it has accepted the write; should the write
/// succeed later after all, it changes nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the ledger may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause after neither has answered.
const PAUSE: Duration = Duration::from_millis(500);

/// Aborts doses and attempts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Aborts {
    queue: mpsc::Sender<Abortable>,
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

    /// Aborts a dose or an attempt, now or as soon as that can be kept.
    pub fn abort(&self, what: Abortable) {
        match self.queue.try_send(what) {
            Ok(()) => {}
            // The service drains; requests that it has accepted may still end after the task.
            Err(TrySendError::Closed(what)) => {
                let aborts = self.clone();
                self.worker.runtime.spawn(async move { aborts.abort_now(vec![what]).await });
            }
            Err(TrySendError::Full(what)) => {
                error!(?what, "too much waits to be aborted; a dose may stay held");
            }
        }
    }

    /// Aborts them, tried once: the service drains.
    pub(crate) async fn abort_now(&self, mut batch: Vec<Abortable>) {
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(HOLDS_MAX));
            let left = self.worker.keep(batch).await;
            if !left.is_empty() {
                error!(left = left.len(), "stopping before doses or attempts could be aborted");
            }
            batch = rest;
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
    async fn run(self, mut queue: mpsc::Receiver<Abortable>) {
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
                    left = pending.len(),
                    "stopping before doses or attempts could be aborted"
                );
            }
        }
    }

    /// Tries once; those that could not be kept.
    async fn keep(&self, batch: Vec<Abortable>) -> Vec<Abortable> {
        if self.commands.health().can_write() && self.write(&batch).await {
            return Vec::new();
        }
        // The ledger knows doses only.
        let (mut left, mut doses) = (Vec::new(), Vec::new());
        for what in batch {
            match what {
                Abortable::Dose(reservation) => doses.push(reservation),
                Abortable::Attempt(_) => left.push(what),
            }
        }
        if !doses.is_empty() {
            match self.call(&doses).await {
                // They are booked: only the own store can cancel that.
                Ok(AbortBatchReply { refused }) => doses = refused,
                Err(cause) => {
                    let (cause, doses) = (error_chain(&cause), doses.len());
                    warn!(cause, doses, "doses could not be aborted, retrying");
                }
            }
        }
        left.extend(doses.into_iter().map(Abortable::Dose));
        left
    }

    async fn write(&self, batch: &[Abortable]) -> bool {
        let at = clock::now();
        let commands = batch.iter().map(|what| Abort { what: *what, at }).collect();
        let written = self.commands.submit_all(commands, Instant::now() + WRITE_TIMEOUT);
        let Ok(Ok(replies)) = timeout(WRITE_TIMEOUT, written).await else { return false };
        replies.iter().all(Result::is_ok)
    }

    async fn call(&self, doses: &[ReservationId]) -> Result<AbortBatchReply, CallError> {
        let body = AbortBatch { owner: self.owner, reservation_ids: doses.to_vec() };
        let call = Call::post("/aborts", "application/json", &body)?;
        self.vaccine.call(call, Instant::now() + CALL_TIMEOUT).await
    }
}
