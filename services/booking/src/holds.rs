//! Holding doses: who requests them next, and for how many attempts at once.
//!
//! One request is in flight at a time. Two were measured to be slower: the batches get smaller, and their
//! commits queue up. Tickets go first: while some wait, other requests wait until those that were in the
//! queue are served. Then one batch of the others has its turn, so that tickets that keep arriving do not
//! keep it from them. Half open, the circuit is probed with tickets if there are any: other clients that
//! retry during an outage get no dose before those that have waited for it.
//!
//! The size of a batch is learned from the latency of `vaccine`, for both.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use contracts::{
    event::ConsumerOffset,
    ids::StoreId,
    vaccine::{HOLDS_MAX, Hold, HoldBatch, HoldOutcome, HoldReply},
};
use parking_lot::Mutex as SyncMutex;
use platform_resilience::{
    limiter::{Limiter, LimiterConfig, Sample},
    time::Monotonic,
};
use platform_rest::client::{Call, CallError, CircuitState, Client};
use platform_store::{ReadPool, outbox};
use platform_telemetry::error_chain;
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    time::{sleep, timeout_at},
};
use tracing::warn;

use crate::domain::BookingAttempt;

/// The smallest limit of a batch, however slow `vaccine` is.
pub const BATCH_LIMIT_MIN: u32 = 64;

/// The smallest limit after batches that got no answer.
const ANSWERED_MIN: usize = 16;

/// Attempts in a request that probes a half-open circuit.
pub(crate) const PROBE_MAX: usize = 5;

/// How long one request to an endpoint of `vaccine` may take. A batch takes milliseconds; after this time
/// another endpoint is tried.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);

/// After so long without a hold `vaccine` may have been restored from a backup, which does not know the latest
/// bookings.
const CHECK_AFTER: Duration = Duration::from_secs(5);

/// How often it is asked whether it has consumed them.
const CHECK_INTERVAL: Duration = Duration::from_millis(25);

/// When to retry if it has not.
const CHECK_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Requests doses from `vaccine`.
#[derive(Debug)]
pub struct HoldClient {
    vaccine: Client,
    owner: StoreId,
    outbox: ReadPool,
    /// When doses were held the last time.
    last_held: SyncMutex<Option<Instant>>,
    limiter: SyncMutex<Limiter>,
    /// Half of the last batch that got no answer; twice as many after each one that did.
    answered_max: AtomicUsize,
    clock: Monotonic,
    turn: Mutex<()>,
    backlog: watch::Sender<Backlog>,
}

/// Whether tickets wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// None, or only such as arrived after the last turn of the queue.
    Empty,
    /// The queue is being served, or `vaccine` is not called.
    Waiting,
    /// Some wait, and several requests for them have failed.
    Stalled,
    /// The queue is not served any more: the service drains.
    Ended,
}

/// The turn to request doses; ends when it is dropped.
pub(crate) type Turn<'a> = MutexGuard<'a, ()>;

impl HoldClient {
    /// Doses are held for this owner, whose events are in this outbox.
    pub fn new(vaccine: Client, owner: StoreId, outbox: ReadPool) -> Self {
        let backlog = watch::Sender::new(Backlog::Empty);
        let (limiter, clock) = (SyncMutex::new(limiter()), Monotonic::default());
        Self {
            vaccine,
            owner,
            outbox,
            last_held: SyncMutex::default(),
            limiter,
            answered_max: AtomicUsize::new(HOLDS_MAX),
            clock,
            turn: Mutex::default(),
            backlog,
        }
    }

    /// Whether `vaccine` is called now.
    pub(crate) fn circuit_state(&self) -> CircuitState {
        self.vaccine.circuit_state()
    }

    /// How many attempts a batch may have now. The limiter needs many samples; a batch that got no answer
    /// would not get one the next time either.
    pub(crate) fn limit(&self) -> usize {
        let limit = usize::try_from(self.limiter.lock().limit()).unwrap_or(HOLDS_MAX);
        limit.min(self.answered_max.load(Ordering::Relaxed))
    }

    /// A ticket has joined the queue. While `vaccine` is called, the next turn of the queue is near, and one
    /// batch of the others may go before: tickets that keep arriving would keep it from them.
    pub(crate) fn enqueued(&self) {
        if self.circuit_state() == CircuitState::Closed {
            return;
        }
        self.backlog.send_if_modified(|backlog| {
            let was_empty = *backlog == Backlog::Empty;
            if was_empty {
                *backlog = Backlog::Waiting;
            }
            was_empty
        });
    }

    /// What the queue has found. Those who wait for their turn look again.
    pub(crate) fn set_backlog(&self, backlog: Backlog) {
        self.backlog.send_replace(backlog);
    }

    /// The next turn, for the queue.
    pub(crate) async fn ticket_turn(&self) -> Turn<'_> {
        self.turn.lock().await
    }

    /// The next turn after the tickets; none by then.
    pub(crate) async fn turn(&self, until: Instant) -> Option<Turn<'_>> {
        let turn = async {
            let mut backlog = self.backlog.subscribe();
            loop {
                backlog.wait_for(|backlog| !self.goes_first(*backlog)).await.ok()?;
                let turn = self.turn.lock().await;
                if !self.goes_first(*self.backlog.borrow()) {
                    return Some(turn);
                }
            }
        };
        timeout_at(until.into(), turn).await.ok().flatten()
    }

    fn goes_first(&self, backlog: Backlog) -> bool {
        match backlog {
            Backlog::Empty | Backlog::Ended => false,
            // While it is open, the others are refused at once.
            Backlog::Waiting => !matches!(self.circuit_state(), CircuitState::Open { .. }),
            Backlog::Stalled => self.circuit_state() == CircuitState::HalfOpen,
        }
    }

    /// Requests doses for at most [`HoldClient::limit`] attempts; `vaccine` decides them in this order.
    pub(crate) async fn hold(
        &self,
        attempts: impl Iterator<Item = &BookingAttempt>,
        deadline: Instant,
    ) -> Result<Vec<HoldOutcome>, CallError> {
        self.check_consumed(deadline).await?;
        let holds: Vec<_> = attempts.map(hold_of).collect();
        let count = holds.len();
        let items = u32::try_from(count).unwrap_or(u32::MAX);
        let sent_at = self.clock.now();
        let held = self.request(holds, deadline).await;
        let sample = sample(&held);
        let max = self.answered_max.load(Ordering::Relaxed);
        let max = match sample {
            Sample::Answered => (max * 2).min(HOLDS_MAX),
            Sample::Overloaded => (count / 2).max(ANSWERED_MIN),
            Sample::Ignored => max,
        };
        self.answered_max.store(max, Ordering::Relaxed);
        let mut limiter = self.limiter.lock();
        // Nothing else is in flight, so the batch may as well be counted now.
        limiter.try_acquire(items, items);
        limiter.learn(sample, sent_at, self.clock.now());
        limiter.release(items);
        held
    }

    /// Waits until `vaccine` has consumed the events of all bookings until now, if it may be older than they
    /// are: it would hold their doses for others.
    async fn check_consumed(&self, deadline: Instant) -> Result<(), CallError> {
        let is_recent = |at: Instant| at.elapsed() < CHECK_AFTER;
        if self.last_held.lock().is_some_and(is_recent) {
            return Ok(());
        }
        let retry_later = CallError::Shed { retry_after: CHECK_RETRY_AFTER };
        let Ok(head) = self.outbox.read(outbox::head).await else { return Err(retry_later) };
        let path = format!("/events/offset?source={}", self.owner);
        while self.vaccine.get::<ConsumerOffset>(&path, TRY_TIMEOUT).await?.sequence < head {
            if Instant::now() + CHECK_INTERVAL >= deadline {
                warn!(head, "vaccine has not consumed the events of all bookings yet");
                return Err(retry_later);
            }
            sleep(CHECK_INTERVAL).await;
        }
        Ok(())
    }

    async fn request(
        &self,
        holds: Vec<Hold>,
        deadline: Instant,
    ) -> Result<Vec<HoldOutcome>, CallError> {
        let count = holds.len();
        let body = HoldBatch { owner: self.owner, holds };
        let call = Call::post("/holds", "application/json", &body)?.idempotent(TRY_TIMEOUT);
        match self.vaccine.call::<HoldReply>(call, deadline).await {
            Ok(reply) => {
                *self.last_held.lock() = Some(Instant::now());
                Ok(reply.outcomes)
            }
            Err(error) => {
                // The breaker logs once that the circuit is open.
                if !matches!(error, CallError::CircuitOpen { .. }) {
                    warn!(cause = error_chain(&error), holds = count, "vaccine did not hold doses");
                }
                Err(error)
            }
        }
    }
}

fn hold_of(attempt: &BookingAttempt) -> Hold {
    Hold { reservation_id: attempt.reservation, vaccine_id: attempt.vaccine }
}

/// Limits a batch: fewer attempts when `vaccine` refuses them, or takes half of [`TRY_TIMEOUT`] for them. Not
/// sooner, since the fixed cost of a commit is the same for fewer.
fn limiter() -> Limiter {
    let max = u32::try_from(HOLDS_MAX).unwrap_or(u32::MAX);
    let config = LimiterConfig { min: BATCH_LIMIT_MIN, initial: max, max, target: TRY_TIMEOUT / 2 };
    #[expect(clippy::expect_used, reason = "BATCH_LIMIT_MIN is below HOLDS_MAX")]
    Limiter::new(config).expect("its bounds are in order")
}

/// What the limiter learns from a batch; nothing from one that `vaccine` never received.
fn sample(held: &Result<Vec<HoldOutcome>, CallError>) -> Sample {
    match held {
        Ok(_) => Sample::Answered,
        Err(
            CallError::Shed { .. }
            | CallError::NoResponse(_)
            | CallError::TooLarge
            | CallError::Status(_),
        ) => Sample::Overloaded,
        Err(CallError::Unreachable(_) | CallError::CircuitOpen { .. }) => Sample::Ignored,
    }
}
