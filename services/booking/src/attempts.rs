//! Attempts in batches: one request holds the doses of a batch, and one commit books what was held.
//!
//! Attempts that arrive while a request is in flight are sent with the next one. One request in flight, no
//! timer: an idle service adds no delay, a busy one sends few, large batches, and each batch is one commit
//! in `vaccine` and one here. Two requests in flight were measured to be slower: the batches get smaller
//! and their commits queue up.
//!
//! While the circuit to `vaccine` is open, attempts are refused at once, also those in the queue. Half
//! open, a few attempts are sent: should `vaccine` still be overloaded, only those have waited for it. The
//! size of a batch is learned from the latency of `vaccine`.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use contracts::{
    booking::Booking,
    ids::StoreId,
    vaccine::{HOLDS_MAX, Hold, HoldBatch, HoldOutcome, HoldReply},
};
use platform_resilience::{
    limiter::{Limiter, LimiterConfig, Sample},
    time::Monotonic,
};
use platform_rest::{
    client::{Call, CallError, CircuitState, Client},
    runtime::Runtime,
};
use platform_store::{Commands, WriteError};
use platform_telemetry::{clock, error_chain};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::domain::{BookingAttempt, Bookings, CreateBooking, CreateReply};

/// Attempts that may wait for the next request; one more is refused.
const QUEUE_MAX: usize = 8_192;

/// The smallest limit of a batch, however slow `vaccine` is.
pub const BATCH_LIMIT_MIN: u32 = 64;

/// Attempts in a request that probes a half-open circuit.
const PROBE_MAX: usize = 5;

/// When to retry an attempt that was one too many for a probe.
const PROBE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long one request to an endpoint of `vaccine` may take. A batch takes milliseconds; after this time
/// another endpoint is tried.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);

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
            CallError::NoResponse(_) | CallError::Status(_) => Self::Unknown,
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
    vaccine: Client,
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
        let vaccine = batches.vaccine.clone();
        batches.runtime.clone().spawn(batches.run(waiting, limiter()));
        Self { queue, vaccine }
    }

    /// Makes an attempt, in time for a response that is due at the deadline.
    pub async fn submit(
        &self,
        attempt: BookingAttempt,
        response_deadline: Instant,
    ) -> AttemptOutcome {
        if let CircuitState::Open { retry_after } = self.vaccine.circuit_state() {
            return AttemptOutcome::CircuitOpen { retry_after };
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
    pub vaccine: Client,
    /// The owner of the holds.
    pub owner: StoreId,
    /// Writes bookings.
    pub commands: Commands<Bookings>,
    /// Runs the writes of one batch during the request of the next.
    pub runtime: Runtime,
}

impl HoldBatches {
    async fn run(self, mut queue: mpsc::Receiver<Waiting>, mut limiter: Limiter) {
        let mut batch = Vec::with_capacity(HOLDS_MAX);
        let clock = Monotonic::default();
        let limit = |limiter: &Limiter| usize::try_from(limiter.limit()).unwrap_or(HOLDS_MAX);
        while queue.recv_many(&mut batch, limit(&limiter).min(HOLDS_MAX)).await > 0 {
            let now = Instant::now();
            batch.retain(|waiting: &Waiting| !waiting.caller.is_closed());
            let (timely, late): (Vec<_>, Vec<_>) =
                batch.drain(..).partition(|waiting| waiting.hold_deadline() > now);
            end_all(late, &AttemptOutcome::RetryLater); // Their time ended in the queue.
            let timely = self.permitted(timely);
            let Some(deadline) = timely.iter().map(Waiting::hold_deadline).max() else {
                continue;
            };
            let (items, sent_at) = (items(&timely), clock.now());
            limiter.try_acquire(items, limiter.limit());
            let held = self.hold(&timely, deadline).await;
            limiter.learn(sample(&held), sent_at, clock.now());
            limiter.release(items);
            match held {
                Ok(outcomes) => self.book(timely, outcomes),
                Err(error) => end_all(timely, &AttemptOutcome::from(&error)),
            }
        }
    }

    /// Those of a batch that the circuit to `vaccine` permits now; the others are refused.
    fn permitted(&self, mut batch: Vec<Waiting>) -> Vec<Waiting> {
        let (permitted, retry_after) = match self.vaccine.circuit_state() {
            CircuitState::Closed => return batch,
            CircuitState::HalfOpen => (PROBE_MAX, PROBE_RETRY_AFTER),
            CircuitState::Open { retry_after } => (0, retry_after),
        };
        let refused = batch.split_off(permitted.min(batch.len()));
        end_all(refused, &AttemptOutcome::CircuitOpen { retry_after });
        batch
    }

    async fn hold(
        &self,
        batch: &[Waiting],
        deadline: Instant,
    ) -> Result<Vec<HoldOutcome>, CallError> {
        let holds = batch.iter().map(|waiting| hold_of(&waiting.attempt)).collect();
        hold_doses(&self.vaccine, self.owner, holds, deadline).await
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

pub(crate) fn hold_of(attempt: &BookingAttempt) -> Hold {
    Hold { reservation_id: attempt.reservation, vaccine_id: attempt.vaccine }
}

/// Requests doses, at most [`HOLDS_MAX`]; `vaccine` decides them in this order.
pub(crate) async fn hold_doses(
    vaccine: &Client,
    owner: StoreId,
    holds: Vec<Hold>,
    deadline: Instant,
) -> Result<Vec<HoldOutcome>, CallError> {
    let count = holds.len();
    let call = Call::post("/holds", "application/json", &HoldBatch { owner, holds })?;
    let call = call.items(count).idempotent(TRY_TIMEOUT);
    match vaccine.call::<HoldReply>(call, StatusCode::OK, deadline).await {
        Ok(reply) => Ok(reply.outcomes),
        Err(error) => {
            // The breaker logs once that the circuit is open.
            if !matches!(error, CallError::CircuitOpen { .. }) {
                warn!(cause = error_chain(&error), holds = count, "vaccine did not hold doses");
            }
            Err(error)
        }
    }
}

/// Limits a batch: fewer attempts when `vaccine` refuses them, or takes half of [`TRY_TIMEOUT`] for them. Not
/// sooner, since the fixed cost of a commit is the same for fewer.
fn limiter() -> Limiter {
    let max = u32::try_from(HOLDS_MAX).unwrap_or(u32::MAX);
    let config = LimiterConfig { min: BATCH_LIMIT_MIN, initial: max, max, target: TRY_TIMEOUT / 2 };
    #[expect(clippy::expect_used, reason = "BATCH_LIMIT_MIN is below HOLDS_MAX")]
    Limiter::new(config).expect("its bounds are in order")
}

fn items(batch: &[Waiting]) -> u32 {
    u32::try_from(batch.len()).unwrap_or(u32::MAX)
}

/// What the limiter learns from a batch; nothing from one that `vaccine` never received.
fn sample(held: &Result<Vec<HoldOutcome>, CallError>) -> Sample {
    match held {
        Ok(_) => Sample::Answered,
        Err(CallError::Shed { .. } | CallError::NoResponse(_) | CallError::Status(_)) => {
            Sample::Overloaded
        }
        Err(CallError::Unreachable(_) | CallError::CircuitOpen { .. }) => Sample::Ignored,
    }
}

fn end_all(batch: Vec<Waiting>, outcome: &AttemptOutcome) {
    for waiting in batch {
        waiting.end(outcome.clone());
    }
}
