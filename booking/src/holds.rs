//! Asking `vaccine` for doses: whoever asks while one request is under way travels in the next.
//!
//! One request in flight, no timer: an idle system adds no delay, a busy one sends few, large
//! batches, and each batch ends in one commit over there. Two in flight were measured to be slower:
//! the batches get smaller and their commits queue up.

use std::time::{Duration, Instant};

use chassis::{
    client::{CallError, Client},
    telemetry::causes,
};
use contracts::{
    ids::HolderId,
    vaccine::{HOLDS_MAX, Hold, HoldBatch, HoldOutcome, HoldReply},
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

/// Holds that may wait for the next request; one more is refused with [`HoldError::Busy`].
const QUEUE_MAX: usize = 8_192;

/// Why a hold brought no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HoldError {
    /// Too many are waiting. Nothing was asked.
    #[error("too many holds are waiting")]
    Busy,
    /// `vaccine` could not be reached. Nothing was asked.
    #[error("vaccine is not reachable")]
    Unreachable,
    /// It was asked, but the answer is missing: a dose may be held or not.
    #[error("vaccine did not answer")]
    Unknown,
}

/// Hands holds to the task that sends them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Holds {
    queue: mpsc::Sender<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    hold: Hold,
    deadline: Instant,
    reply: oneshot::Sender<Result<HoldOutcome, HoldError>>,
}

impl Holds {
    /// The handle, and the task to be spawned; it ends when every handle is gone.
    pub fn new(vaccine: Client, holder: HolderId) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, wanted) = mpsc::channel(QUEUE_MAX);
        (Self { queue }, send_all(wanted, vaccine, holder))
    }

    /// Asks for a dose.
    pub async fn hold(&self, hold: Hold, deadline: Instant) -> Result<HoldOutcome, HoldError> {
        let (reply, outcome) = oneshot::channel();
        self.queue.try_send(Wanted { hold, deadline, reply }).map_err(|_| HoldError::Busy)?;
        outcome.await.unwrap_or(Err(HoldError::Unknown))
    }
}

async fn send_all(mut queue: mpsc::Receiver<Wanted>, vaccine: Client, holder: HolderId) {
    let mut batch = Vec::with_capacity(HOLDS_MAX);
    while queue.recv_many(&mut batch, HOLDS_MAX).await > 0 {
        let now = Instant::now();
        batch.retain(|wanted: &Wanted| !wanted.reply.is_closed()); // Their callers are gone.
        let (timely, late): (Vec<_>, Vec<_>) =
            batch.drain(..).partition(|wanted| wanted.deadline > now);
        answer(late, |_| Err(HoldError::Busy)); // It waited in the queue all its time.
        let Some(latest) = timely.iter().map(|wanted| wanted.deadline).max() else { continue };
        let holds = timely.iter().map(|wanted| wanted.hold).collect();
        match send(&vaccine, HoldBatch { holder, holds }, latest - now).await {
            Ok(reply) => {
                let mut outcomes = reply.outcomes.into_iter();
                answer(timely, |_| outcomes.next().ok_or(HoldError::Unknown));
            }
            Err(error) => answer(timely, |_| Err(error)),
        }
    }
}

fn answer(batch: Vec<Wanted>, mut outcome: impl FnMut(&Hold) -> Result<HoldOutcome, HoldError>) {
    for wanted in batch {
        let outcome = outcome(&wanted.hold);
        drop(wanted.reply.send(outcome)); // Whoever is gone has given the attempt up.
    }
}

async fn send(
    vaccine: &Client,
    batch: HoldBatch,
    within: Duration,
) -> Result<HoldReply, HoldError> {
    let holds = batch.holds.len();
    vaccine.post("/holds", "application/json", &batch, within).await.map_err(|error| {
        warn!(cause = %causes(&error), holds, "vaccine did not hold doses");
        match error {
            CallError::Unreachable(_) => HoldError::Unreachable,
            CallError::Unanswered(_) | CallError::Status(_) => HoldError::Unknown,
        }
    })
}
