//! Holding doses: who requests them next, and for how many citizens at once.
//!
//! A request names a block of doses for each vaccine: one for each citizen who waits, and some ahead of demand, see
//! [`crate::hand`].
//!
//! One request is in flight at a time. Two were measured to be slower: the batches get smaller, and their
//! commits queue up. Tickets go first: while some wait, other requests wait until those that were in the
//! queue are served. Then one batch of the others has its turn, so that tickets that keep arriving do not
//! keep it from them. Half open, the circuit is probed with tickets if there are any: other clients that
//! retry during an outage get no dose before those that have waited for it.
//!
//! The size of a batch is learned from the latency of `vaccine`, for both.
//!
//! Where its answer is lost, the doses may be held: the same block is requested again with the next request, which has
//! the same outcome, and they are in hand. Until then no dose is requested ahead of demand, and nobody learns that the
//! vaccine is sold out. After a few seconds they are aborted.

use std::{
    collections::BTreeMap,
    mem,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use contracts::{
    event::ConsumerOffset,
    ids::{ReservationId, StoreId, VaccineId},
    vaccine::{HOLDS_MAX, HoldBatch, HoldBlock, HoldOutcome, HoldReply, OrphanedHolds},
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
    time::{sleep, timeout},
};
use tracing::warn;

use uuid::Uuid;

use crate::{
    aborts::Aborts,
    domain::Abortable,
    hand::{Ahead, Dose, Hand, KEPT_FOR},
    store::Queries,
};

/// The smallest limit of a batch, however slow `vaccine` is.
pub const BATCH_LIMIT_MIN: u32 = 64;

/// The smallest limit after batches that got no answer.
const ANSWERED_MIN: usize = 16;

/// Doses in a request that probes a half-open circuit.
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
    /// Whether the last request got an answer.
    is_answering: AtomicBool,
    clock: Monotonic,
    turn: Mutex<()>,
    backlog: watch::Sender<Backlog>,
    /// The doses in hand.
    pub(crate) hand: Hand,
    aborts: Aborts,
    /// Blocks whose answer was lost.
    lost: SyncMutex<Vec<RequestedBlock>>,
}

/// A block as it was requested.
#[derive(Clone, Copy, Debug)]
struct RequestedBlock {
    block: HoldBlock,
    held_at: tokio::time::Instant,
    /// Its answer was lost: doses may be held already.
    is_repeated: bool,
}

/// Whether doses are unresolved could not be read.
#[derive(Debug)]
pub(crate) struct NotKnown;

fn ids(block: &HoldBlock) -> impl Iterator<Item = ReservationId> + use<> {
    let first = block.first;
    (0..block.count + block.ahead).map_while(move |n| first.nth(n))
}

/// What came of the request of a dose for a citizen.
#[derive(Debug)]
pub(crate) enum HeldOutcome {
    /// A dose.
    Held(Dose),
    /// Every dose is held or booked.
    SoldOut,
    /// There is no such vaccine.
    NoSuchVaccine,
    /// `vaccine` did not answer for it.
    Unknown,
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
    pub fn new(vaccine: Client, owner: StoreId, outbox: ReadPool, aborts: Aborts) -> Self {
        let backlog = watch::Sender::new(Backlog::Empty);
        let (limiter, clock) = (SyncMutex::new(limiter()), Monotonic::default());
        Self {
            vaccine,
            owner,
            outbox,
            last_held: SyncMutex::default(),
            limiter,
            answered_max: AtomicUsize::new(HOLDS_MAX),
            is_answering: AtomicBool::new(true),
            clock,
            turn: Mutex::default(),
            backlog,
            hand: Hand::default(),
            aborts,
            lost: SyncMutex::default(),
        }
    }

    /// Whether `vaccine` is called now.
    pub(crate) fn circuit_state(&self) -> CircuitState {
        self.vaccine.circuit_state()
    }

    /// How many citizens a batch may have now. The limiter needs many samples; a batch that got no answer
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
        timeout(until.saturating_duration_since(Instant::now()), turn).await.ok().flatten()
    }

    fn goes_first(&self, backlog: Backlog) -> bool {
        match backlog {
            Backlog::Empty | Backlog::Ended => false,
            // While it is open, the others are refused at once.
            Backlog::Waiting => !matches!(self.circuit_state(), CircuitState::Open { .. }),
            Backlog::Stalled => self.circuit_state() == CircuitState::HalfOpen,
        }
    }

    /// A dose in hand, unless tickets go first.
    pub(crate) fn take_in_hand(&self, vaccine: VaccineId) -> Option<Dose> {
        match *self.backlog.borrow() {
            Backlog::Empty | Backlog::Ended => self.hand.take(vaccine),
            Backlog::Waiting | Backlog::Stalled => None,
        }
    }

    /// Requests doses for citizens, at most [`HoldClient::limit`], in this order; and some ahead of demand, also of the
    /// vaccines of which [few are in hand](Hand::low). One outcome for each citizen; and the error, if `vaccine` did
    /// not answer.
    pub(crate) async fn hold(
        &self,
        wanted: &[VaccineId],
        deadline: Instant,
    ) -> (Vec<HeldOutcome>, Option<CallError>) {
        let unknown = || wanted.iter().map(|_| HeldOutcome::Unknown).collect();
        let blocks = self.blocks(wanted);
        if blocks.is_empty() {
            return (unknown(), None);
        }
        let requested = blocks.iter().map(|it| it.block).collect();
        match self.request_and_learn(requested, deadline).await {
            Ok(held) => (self.give(wanted, blocks, held), None),
            Err(error) => {
                if is_lost(&error) {
                    let lost =
                        blocks.into_iter().map(|it| RequestedBlock { is_repeated: true, ..it });
                    self.lost.lock().extend(lost);
                } else {
                    let is_repeated = |it: &RequestedBlock| it.is_repeated;
                    self.lost.lock().extend(blocks.into_iter().filter(is_repeated));
                }
                self.is_answering.store(false, Ordering::Relaxed);
                (unknown(), Some(error))
            }
        }
    }

    /// What to request: first the blocks whose answer was lost, again, and then what these citizens want beyond those.
    fn blocks(&self, wanted: &[VaccineId]) -> Vec<RequestedBlock> {
        let mut missing = BTreeMap::<VaccineId, u32>::new();
        for id in wanted {
            *missing.entry(*id).or_default() += 1;
        }
        let is_answering = self.circuit_state() == CircuitState::Closed
            && self.is_answering.load(Ordering::Relaxed);
        if is_answering {
            for id in self.hand.low() {
                missing.entry(id).or_default();
            }
        }
        let limit = self.limit();
        let is_within =
            |it: &RequestedBlock| usize::try_from(it.block.count).is_ok_and(|count| count <= limit);
        let (mut blocks, too_large): (Vec<_>, Vec<_>) =
            mem::take(&mut *self.lost.lock()).into_iter().partition(is_within);
        // They would get no answer again.
        for it in too_large {
            self.abort(&it.block);
        }
        let rest = blocks.split_off(blocks.len().min(HOLDS_MAX.saturating_sub(missing.len())));
        self.lost.lock().extend(rest);
        for RequestedBlock { block, .. } in &blocks {
            if let Some(missing) = missing.get_mut(&block.vaccine_id) {
                *missing = missing.saturating_sub(block.count);
            }
        }
        let held_at = tokio::time::Instant::now();
        for (vaccine_id, count) in missing {
            let Ahead { wanted, in_hand } = self.hand.ahead(vaccine_id, count);
            let ahead = if is_answering { wanted } else { 0 };
            if count + ahead > 0 {
                let block =
                    HoldBlock { first: first_of_block(), vaccine_id, count, ahead, in_hand };
                blocks.push(RequestedBlock { block, held_at, is_repeated: false });
            }
        }
        blocks
    }

    /// The doses that are held: first to those who wait for them, the others stay in hand.
    fn give(
        &self,
        wanted: &[VaccineId],
        blocks: Vec<RequestedBlock>,
        held: Vec<HoldOutcome>,
    ) -> Vec<HeldOutcome> {
        self.is_answering.store(true, Ordering::Relaxed);
        let mut answered = BTreeMap::new();
        for (requested, held) in blocks.into_iter().zip(held) {
            let RequestedBlock { block, held_at, .. } = requested;
            let id = block.vaccine_id;
            match held {
                HoldOutcome::Held { vc_name, count } => {
                    let doses = (0..count).map_while(|n| block.first.nth(n));
                    self.hand.fill(id, &vc_name, doses, held_at);
                    answered.insert(id, true);
                }
                HoldOutcome::SoldOut => drop(answered.entry(id).or_insert(true)),
                HoldOutcome::NoSuchVaccine => drop(answered.entry(id).or_insert(false)),
                // None of these ids will ever be used.
                HoldOutcome::Conflict => self.abort(&block),
                HoldOutcome::Failed => {
                    self.lost.lock().push(RequestedBlock { is_repeated: true, ..requested });
                }
            }
        }
        let outcome = |id: &VaccineId| match (self.hand.take(*id), answered.get(id)) {
            (Some(dose), _) => HeldOutcome::Held(dose),
            (None, Some(true)) if !self.is_lost(*id) => HeldOutcome::SoldOut,
            (None, Some(false)) => HeldOutcome::NoSuchVaccine,
            (None, Some(true) | None) => HeldOutcome::Unknown,
        };
        let outcomes = wanted.iter().map(outcome).collect();
        self.hand.filled();
        outcomes
    }

    /// Whether doses of a vaccine may be held for this process, which does not know of them.
    fn is_lost(&self, vaccine: VaccineId) -> bool {
        self.lost.lock().iter().any(|it| it.block.vaccine_id == vaccine)
    }

    /// Takes the doses that were in hand for too long, and those whose answer was lost that long ago.
    pub(crate) fn expire(&self) -> Vec<ReservationId> {
        let mut expired = self.hand.expire();
        let is_old = |it: &mut RequestedBlock| it.held_at.elapsed() >= KEPT_FOR;
        let lost: Vec<_> = self.lost.lock().extract_if(.., is_old).collect();
        expired.extend(lost.iter().flat_map(|it| ids(&it.block)));
        expired
    }

    /// Takes every dose that is, or may be, in hand.
    pub(crate) fn empty(&self) -> Vec<ReservationId> {
        let mut all = self.hand.empty();
        let lost = mem::take(&mut *self.lost.lock());
        all.extend(lost.iter().flat_map(|it| ids(&it.block)));
        all
    }

    /// Whether doses of a vaccine are held for this store that are neither booked nor aborted: in hand of another
    /// process, or of one that has ended.
    pub(crate) async fn has_unresolved(
        &self,
        vaccine: VaccineId,
        queries: &Queries,
    ) -> Result<bool, NotKnown> {
        let path = format!("/holds?owner={}&heldForMs=0&vaccineId={vaccine}", self.owner);
        let OrphanedHolds { reservation_ids, .. } =
            self.vaccine.get(&path, TRY_TIMEOUT).await.map_err(|_| NotKnown)?;
        let unresolved = queries.orphaned(reservation_ids).await.map_err(|_| NotKnown)?;
        Ok(!unresolved.is_empty())
    }

    fn abort(&self, block: &HoldBlock) {
        ids(block).for_each(|reservation| self.aborts.abort(Abortable::Dose(reservation)));
    }

    async fn request_and_learn(
        &self,
        blocks: Vec<HoldBlock>,
        deadline: Instant,
    ) -> Result<Vec<HoldOutcome>, CallError> {
        self.check_consumed(deadline).await?;
        let items = blocks.iter().map(|block| block.count).sum::<u32>();
        let count = usize::try_from(items).unwrap_or(HOLDS_MAX);
        let sent_at = self.clock.now();
        let held = self.request(blocks, deadline).await;
        if items == 0 {
            return held; // Nobody has waited for it.
        }
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
        blocks: Vec<HoldBlock>,
        deadline: Instant,
    ) -> Result<Vec<HoldOutcome>, CallError> {
        let body = HoldBatch { owner: self.owner, blocks };
        let call = Call::post("/holds", "application/json", &body)?.idempotent(TRY_TIMEOUT);
        match self.vaccine.call::<HoldReply>(call, deadline).await {
            Ok(HoldReply { mut outcomes }) => {
                *self.last_held.lock() = Some(Instant::now());
                outcomes.resize(body.blocks.len(), HoldOutcome::Failed);
                Ok(outcomes)
            }
            Err(error) => {
                // The breaker logs once that the circuit is open.
                if !matches!(error, CallError::CircuitOpen { .. }) {
                    let blocks = body.blocks.len();
                    warn!(cause = error_chain(&error), blocks, "vaccine did not hold doses");
                }
                Err(error)
            }
        }
    }
}

/// The first id of a new block: the others differ from it in their last 16 bits.
fn first_of_block() -> ReservationId {
    let [first, _] = ReservationId(Uuid::now_v7()).block_range();
    first
}

/// Whether `vaccine` may have held the doses.
fn is_lost(error: &CallError) -> bool {
    match error {
        CallError::Shed { .. } | CallError::Unreachable(_) | CallError::CircuitOpen { .. } => false,
        CallError::NoResponse(_) | CallError::TooLarge | CallError::Status(_) => true,
    }
}

/// Limits a batch: fewer citizens when `vaccine` refuses them, or takes half of [`TRY_TIMEOUT`] for them. Not
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
