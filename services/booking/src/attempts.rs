//! Attempts in batches: one request holds the doses of a batch, and one commit books what was held.
//!
//! Attempts that arrive while a request is in flight are sent with the next one. One request in flight, no
//! timer: an idle service adds no delay, a busy one sends few, large batches, and each batch is one commit
//! in `vaccine` and one here.
//!
//! While the own store cannot write, nothing is held. While the circuit to `vaccine` is open, attempts are
//! refused at once, also those in the queue. Half open, a few attempts are sent: should `vaccine` still be
//! overloaded, only those have waited for it. Tickets go first: see [`crate::holds`].

use std::{
    mem,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::{
    booking::Booking,
    vaccine::{HOLDS_MAX, HoldOutcome},
};
use platform_rest::{
    client::{CallError, CircuitState},
    runtime::Runtime,
};
use platform_store::{Commands, WriteError, WriterHealth};
use platform_telemetry::clock;
use tokio::{
    select,
    sync::{mpsc, oneshot},
};

use crate::{
    domain::{BookingAttempt, Bookings, CreateBooking, CreateReply},
    holds::{HoldClient, PROBE_MAX},
};

/// Attempts that may wait for the next request; one more is refused.
const QUEUE_MAX: usize = 8_192;

/// When to retry an attempt that was one too many for a probe.
const PROBE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The outcome of such an attempt.
const PROBED: AttemptOutcome = AttemptOutcome::CircuitOpen { retry_after: PROBE_RETRY_AFTER };

/// How long before the response is due the hold must be answered.
const HOLD_MARGIN: Duration = Duration::from_millis(900);

/// How long before the response is due a commit must have begun.
const WRITE_MARGIN: Duration = Duration::from_millis(500);

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A booking.
    Booked(Booking),
    /// Every dose is held or booked.
    SoldOut,
    /// There is no such vaccine.
    NoSuchVaccine,
    /// The key belongs to another request.
    KeyReused,
    /// Its dose was released by `vaccine`, which will not hold one for it again.
    Released,
    /// It was aborted: the next attempt of the same key may begin.
    Aborted,
    /// Nothing has happened, and nothing will.
    RetryLater,
    /// The circuit to `vaccine` is open. Nothing has happened.
    CircuitOpen {
        /// When to retry.
        retry_after: Duration,
    },
    /// A dose is held, but its booking was not written and never will be.
    NotWritten,
    /// A dose may be held, and a booking may be written.
    Unknown,
}

impl AttemptOutcome {
    /// Whether a dose or a booking may be left behind.
    pub fn is_open(&self) -> bool {
        match self {
            Self::NotWritten | Self::Unknown => true,
            Self::Booked(_)
            | Self::SoldOut
            | Self::NoSuchVaccine
            | Self::KeyReused
            | Self::Released
            | Self::Aborted
            | Self::RetryLater
            | Self::CircuitOpen { .. } => false,
        }
    }
}

impl From<CreateReply> for AttemptOutcome {
    fn from(reply: CreateReply) -> Self {
        match reply {
            CreateReply::Booked(record) | CreateReply::BookedBefore(record) => {
                Self::Booked(record.booking)
            }
            CreateReply::Aborted => Self::Aborted,
            CreateReply::KeyReused => Self::KeyReused,
        }
    }
}

/// What came of an attempt whose booking was not committed.
impl From<WriteError> for AttemptOutcome {
    fn from(error: WriteError) -> Self {
        if error.outcome_is_unknown() { Self::Unknown } else { Self::NotWritten }
    }
}

/// What came of an attempt for which `vaccine` did not answer.
impl From<&CallError> for AttemptOutcome {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::Shed { .. } | CallError::Unreachable(_) => Self::RetryLater,
            CallError::CircuitOpen { retry_after } => {
                Self::CircuitOpen { retry_after: *retry_after }
            }
            CallError::NoResponse(_) | CallError::TooLarge | CallError::Status(_) => Self::Unknown,
        }
    }
}

/// When the commit of a request must have begun.
pub(crate) fn write_deadline(response_deadline: Instant) -> Instant {
    before(response_deadline, WRITE_MARGIN)
}

fn before(deadline: Instant, margin: Duration) -> Instant {
    deadline.checked_sub(margin).unwrap_or(deadline)
}

/// Submits attempts to the task that makes batches of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Attempts {
    queue: mpsc::Sender<Waiting>,
    holds: Arc<HoldClient>,
    writer: WriterHealth,
}

/// An attempt in the queue, and its caller.
#[derive(Debug)]
struct Waiting {
    attempt: BookingAttempt,
    response_deadline: Instant,
    caller: oneshot::Sender<AttemptOutcome>,
}

impl Waiting {
    fn hold_deadline(&self) -> Instant {
        before(self.response_deadline, HOLD_MARGIN)
    }

    /// The caller may be gone: then nothing receives the outcome.
    fn end(self, outcome: AttemptOutcome) {
        drop(self.caller.send(outcome));
    }
}

impl Attempts {
    /// Starts the task; it ends when every handle is dropped.
    pub fn start(batches: HoldBatches) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let (holds, writer) = (Arc::clone(&batches.holds), batches.commands.health().clone());
        batches.runtime.clone().spawn(batches.run(waiting));
        Self { queue, holds, writer }
    }

    /// Makes an attempt, in time for a response that is due at the deadline.
    pub async fn submit(
        &self,
        attempt: BookingAttempt,
        response_deadline: Instant,
    ) -> AttemptOutcome {
        if let CircuitState::Open { retry_after } = self.holds.circuit_state() {
            return AttemptOutcome::CircuitOpen { retry_after };
        }
        // A dose that cannot be booked would be taken from another citizen.
        if !self.writer.can_write() {
            return AttemptOutcome::RetryLater;
        }
        let (caller, outcome) = oneshot::channel();
        let waiting = Waiting { attempt, response_deadline, caller };
        if self.queue.try_send(waiting).is_err() {
            return AttemptOutcome::RetryLater;
        }
        outcome.await.unwrap_or(AttemptOutcome::Unknown)
    }
}

/// Holds doses for batches of attempts, and books them.
#[derive(Debug)]
pub struct HoldBatches {
    /// Holds doses.
    pub holds: Arc<HoldClient>,
    /// Writes bookings.
    pub commands: Commands<Bookings>,
    /// Runs the writes of one batch during the request of the next.
    pub runtime: Runtime,
}

impl HoldBatches {
    async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(HOLDS_MAX);
        while queue.recv_many(&mut batch, self.holds.limit()).await > 0 {
            let mut holding = pin!(self.hold(mem::take(&mut batch)));
            loop {
                select! {
                    () = &mut holding => break,
                    // Only the attempts that probe the circuit wait for `vaccine`.
                    Some(waiting) = queue.recv(), if self.is_probing() => waiting.end(PROBED),
                }
            }
        }
    }

    fn is_probing(&self) -> bool {
        self.holds.circuit_state() != CircuitState::Closed
    }

    async fn hold(&self, batch: Vec<Waiting>) {
        let batch = self.permitted(timely(batch));
        let Some(until) = batch.iter().map(Waiting::hold_deadline).max() else { return };
        let Some(turn) = self.holds.turn(until).await else {
            return end_all(batch, &AttemptOutcome::RetryLater);
        };
        let batch = self.permitted(timely(batch)); // It may have waited.
        let Some(deadline) = batch.iter().map(Waiting::hold_deadline).max() else { return };
        let held = self.holds.hold(batch.iter().map(|waiting| &waiting.attempt), deadline).await;
        drop(turn);
        match held {
            Ok(outcomes) => self.book(batch, outcomes),
            Err(error) => end_all(batch, &AttemptOutcome::from(&error)),
        }
    }

    /// Those of a batch that the circuit to `vaccine` permits now; the others are refused.
    fn permitted(&self, mut batch: Vec<Waiting>) -> Vec<Waiting> {
        if !self.commands.health().can_write() {
            end_all(batch, &AttemptOutcome::RetryLater);
            return Vec::new();
        }
        let (permitted, retry_after) = match self.holds.circuit_state() {
            CircuitState::Closed => return batch,
            CircuitState::HalfOpen => (PROBE_MAX, PROBE_RETRY_AFTER),
            CircuitState::Open { retry_after } => (0, retry_after),
        };
        let refused = batch.split_off(permitted.min(batch.len()));
        end_all(refused, &AttemptOutcome::CircuitOpen { retry_after });
        batch
    }

    /// Books the doses that are held, and answers the others.
    fn book(&self, batch: Vec<Waiting>, outcomes: Vec<HoldOutcome>) {
        let at = clock::now();
        let mut outcomes = outcomes.into_iter();
        let (mut commands, mut booking) = (Vec::new(), Vec::new());
        let mut deadline = None;
        for waiting in batch {
            let outcome = match outcomes.next() {
                // A caller that is gone aborts its attempt: there is no use in booking before.
                Some(HoldOutcome::Held { .. }) if waiting.caller.is_closed() => continue,
                Some(HoldOutcome::Held { vc_name }) => {
                    let attempt = waiting.attempt;
                    commands.push(CreateBooking { attempt, vaccine_name: vc_name, at });
                    deadline = deadline.max(Some(write_deadline(waiting.response_deadline)));
                    booking.push(waiting);
                    continue;
                }
                Some(HoldOutcome::SoldOut) => AttemptOutcome::SoldOut,
                Some(HoldOutcome::NoSuchVaccine) => AttemptOutcome::NoSuchVaccine,
                Some(HoldOutcome::Conflict) => AttemptOutcome::KeyReused,
                Some(HoldOutcome::Released) => AttemptOutcome::Released,
                Some(HoldOutcome::Failed) | None => AttemptOutcome::Unknown,
            };
            waiting.end(outcome);
        }
        let Some(deadline) = deadline else { return };
        let writer = self.commands.clone();
        self.runtime.spawn(async move {
            match writer.submit_all(commands, deadline).await {
                Err(error) => end_all(booking, &error.into()),
                Ok(replies) => {
                    for (waiting, reply) in booking.into_iter().zip(replies) {
                        waiting.end(match reply {
                            Ok(reply) => reply.into(),
                            Err(error) => WriteError::from(error).into(),
                        });
                    }
                }
            }
        });
    }
}

/// Those whose callers still wait and have time left; the others are refused.
fn timely(mut batch: Vec<Waiting>) -> Vec<Waiting> {
    let now = Instant::now();
    batch.retain(|waiting| !waiting.caller.is_closed());
    let (timely, late) = batch.into_iter().partition(|waiting| waiting.hold_deadline() > now);
    end_all(late, &AttemptOutcome::RetryLater);
    timely
}

fn end_all(batch: Vec<Waiting>, outcome: &AttemptOutcome) {
    for waiting in batch {
        waiting.end(outcome.clone());
    }
}
