//! A dose for each citizen: in hand, or requested together with those of others.
//!
//! Citizens who find none in hand while a request is in flight share the next. One request in flight, no timer: an
//! idle service adds no delay, a busy one sends few requests.
//!
//! While the own store cannot write, nobody gets a dose. While the circuit to `vaccine` is open, those who find none
//! in hand are refused at once, also those in the queue. Half open, a few doses are requested: should `vaccine` still
//! be overloaded, only those citizens have waited for it. Tickets go first: see [`crate::holds`].

use std::{
    mem,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::vaccine::HOLDS_MAX;
use platform_rest::{
    client::{CallError, CircuitState},
    runtime::Runtime,
};
use platform_store::WriterHealth;
use thiserror::Error;
use tokio::{
    select,
    sync::{mpsc, oneshot},
};

use crate::{
    domain::{Choice, NotGranted},
    hand::Dose,
    holds::{HeldOutcome, HoldClient, PROBE_MAX},
};

/// Citizens who may wait for the next request; one more is refused.
const QUEUE_MAX: usize = 8_192;

/// When to retry a request that was one too many for a probe.
const PROBE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long before the response is due the dose must be held.
const HOLD_MARGIN: Duration = Duration::from_millis(900);

/// Why a citizen gets no dose. None is held for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoDose {
    /// The ledger grants none.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    /// `vaccine` did not answer in time, or nothing can be booked now.
    #[error("no dose can be held at this moment")]
    RetryLater,
    /// The circuit to `vaccine` is open.
    #[error("the stock service is unavailable")]
    CircuitOpen {
        /// When to retry.
        retry_after: Duration,
    },
}

impl From<&CallError> for NoDose {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::CircuitOpen { retry_after } => {
                Self::CircuitOpen { retry_after: *retry_after }
            }
            CallError::Shed { .. }
            | CallError::Unreachable(_)
            | CallError::NoResponse(_)
            | CallError::TooLarge
            | CallError::Status(_) => Self::RetryLater,
        }
    }
}

/// Gets doses for citizens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DoseQueue {
    queue: mpsc::Sender<Waiting>,
    holds: Arc<HoldClient>,
    writer: WriterHealth,
}

/// A citizen in the queue.
#[derive(Debug)]
struct Waiting {
    choice: Choice,
    deadline: Instant,
    caller: oneshot::Sender<Result<Dose, NoDose>>,
}

impl Waiting {
    /// The caller may be gone: then a dose goes back in hand.
    fn end(self, dose: Result<Dose, NoDose>) {
        drop(self.caller.send(dose));
    }
}

impl DoseQueue {
    /// Starts the task that requests doses; it ends when every handle is dropped.
    pub fn start(holds: Arc<HoldClient>, writer: WriterHealth, runtime: &Runtime) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let requests = Requests { holds: Arc::clone(&holds), writer: writer.clone() };
        runtime.spawn(requests.run(waiting));
        Self { queue, holds, writer }
    }

    /// A dose, if one is in hand and nobody goes first.
    pub fn in_hand(&self, choice: Choice) -> Option<Dose> {
        match self.without_request(choice)? {
            HeldOutcome::Held(dose) => Some(dose),
            HeldOutcome::NotGranted(_) | HeldOutcome::Unknown => None,
        }
    }

    /// Those who wait in the queue go first. A dose that cannot be booked would be taken from another citizen.
    fn without_request(&self, choice: Choice) -> Option<HeldOutcome> {
        let is_first = self.writer.can_write() && self.queue.capacity() == QUEUE_MAX;
        is_first.then(|| self.holds.without_request(choice)).flatten()
    }

    /// A dose, in time for a response that is due at the deadline.
    pub async fn take(&self, choice: Choice, response_deadline: Instant) -> Result<Dose, NoDose> {
        if let Some(outcome) = self.without_request(choice) {
            return outcome.or(NoDose::RetryLater);
        }
        if !self.writer.can_write() {
            return Err(NoDose::RetryLater);
        }
        if let CircuitState::Open { retry_after } = self.holds.circuit_state() {
            return Err(NoDose::CircuitOpen { retry_after });
        }
        let deadline = response_deadline.checked_sub(HOLD_MARGIN).unwrap_or(response_deadline);
        let (caller, dose) = oneshot::channel();
        if self.queue.try_send(Waiting { choice, deadline, caller }).is_err() {
            return Err(NoDose::RetryLater);
        }
        dose.await.unwrap_or(Err(NoDose::RetryLater))
    }
}

impl HeldOutcome {
    /// The dose, or why there is none; `no_answer` if the ledger did not answer for it.
    fn or(self, no_answer: NoDose) -> Result<Dose, NoDose> {
        match self {
            Self::Held(dose) => Ok(dose),
            Self::NotGranted(reason) => Err(reason.into()),
            Self::Unknown => Err(no_answer),
        }
    }
}

/// Requests doses for those in the queue.
struct Requests {
    holds: Arc<HoldClient>,
    writer: WriterHealth,
}

impl Requests {
    async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(HOLDS_MAX);
        loop {
            select! {
                biased;
                count = queue.recv_many(&mut batch, self.holds.limit()) => {
                    if count == 0 {
                        return;
                    }
                }
                () = self.holds.hand.runs_low() => {}
            }
            let mut requesting = pin!(self.request(mem::take(&mut batch)));
            loop {
                select! {
                    () = &mut requesting => break,
                    // Only those who probe the circuit wait for `vaccine`.
                    Some(waiting) = queue.recv(), if self.is_probing() => {
                        waiting.end(Err(NoDose::CircuitOpen { retry_after: PROBE_RETRY_AFTER }));
                    }
                }
            }
        }
    }

    fn is_probing(&self) -> bool {
        self.holds.circuit_state() != CircuitState::Closed
    }

    /// Requests doses for a batch, and those that run low.
    async fn request(&self, batch: Vec<Waiting>) {
        let is_empty = batch.is_empty();
        let batch = self.permitted(timely(batch));
        if batch.is_empty() && !is_empty {
            return;
        }
        let until = last_deadline(&batch);
        let Some(turn) = self.holds.turn(until).await else {
            return end_all(batch, NoDose::RetryLater);
        };
        let mut waiting = Vec::with_capacity(batch.len());
        for one in self.permitted(timely(batch)) {
            match self.holds.hand.take(one.choice) {
                Some(dose) => one.end(Ok(dose)),
                None => waiting.push(one),
            }
        }
        let wanted: Vec<_> = waiting.iter().map(|one| one.choice).collect();
        let (outcomes, error) = self.holds.hold(&wanted, last_deadline(&waiting)).await;
        drop(turn);
        let no_answer = error.as_ref().map_or(NoDose::RetryLater, NoDose::from);
        for (one, outcome) in waiting.into_iter().zip(outcomes) {
            one.end(outcome.or(no_answer));
        }
    }

    /// Those of a batch that the circuit to `vaccine` permits now; the others are refused.
    fn permitted(&self, mut batch: Vec<Waiting>) -> Vec<Waiting> {
        if !self.writer.can_write() {
            end_all(batch, NoDose::RetryLater);
            return Vec::new();
        }
        let (permitted, retry_after) = match self.holds.circuit_state() {
            CircuitState::Closed => return batch,
            CircuitState::HalfOpen => (PROBE_MAX, PROBE_RETRY_AFTER),
            CircuitState::Open { retry_after } => (0, retry_after),
        };
        let refused = batch.split_off(permitted.min(batch.len()));
        end_all(refused, NoDose::CircuitOpen { retry_after });
        batch
    }
}

/// When the last of a batch must have its dose; soon, if there is nobody.
fn last_deadline(batch: &[Waiting]) -> Instant {
    let deadline = batch.iter().map(|one| one.deadline).max();
    deadline.unwrap_or_else(|| Instant::now() + HOLD_MARGIN)
}

/// Those whose callers still wait and have time left; the others are refused.
fn timely(mut batch: Vec<Waiting>) -> Vec<Waiting> {
    let now = Instant::now();
    batch.retain(|one| !one.caller.is_closed());
    let (timely, late) = batch.into_iter().partition(|one| one.deadline > now);
    end_all(late, NoDose::RetryLater);
    timely
}

fn end_all(batch: Vec<Waiting>, no_dose: NoDose) {
    for one in batch {
        one.end(Err(no_dose));
    }
}
