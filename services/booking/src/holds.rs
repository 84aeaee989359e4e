//! Holding doses: who requests them next, and for how many citizens at once.
//!
//! A request names a block of doses for each vaccine, and for each slot: one for each citizen who waits, and of a vaccine
//! some ahead of demand, see [`crate::hand`].
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
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use contracts::{
    event::ConsumerOffset,
    ids::{ReservationId, StoreId},
    vaccine::{
        HOLDS_MAX, HoldBatch, HoldBlock, HoldOutcome, HoldReply, ORPHANED_MAX, OrphanedHolds,
    },
};
use parking_lot::Mutex as SyncMutex;
use platform_rest::client::{Call, CallError, CircuitState, Client};
use platform_store::{ReadPool, outbox};
use platform_telemetry::error_chain;
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    aborts::Aborts,
    batch_limit::BatchLimit,
    block_ids::BlockIds,
    domain::{Abortable, Choice, NotGranted},
    hand::{Ahead, Dose, Hand},
    lost::{Lost, RequestedBlock},
    sold_out::SoldOut,
    store::Queries,
};

mod answers;

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
    limit: BatchLimit,
    /// Whether the last request got an answer.
    is_answering: AtomicBool,
    turn: Mutex<()>,
    backlog: watch::Sender<Backlog>,
    /// The doses in hand.
    pub(crate) hand: Hand,
    aborts: Aborts,
    lost: Lost,
    sold_out: SoldOut,
    stop: CancellationToken,
}

/// Whether doses are booked could not be read.
#[derive(Debug)]
pub(crate) struct NotKnown;

/// What came of the request of a dose for a citizen.
#[derive(Debug)]
pub(crate) enum HeldOutcome {
    /// A dose.
    Held(Dose),
    /// The ledger grants none.
    NotGranted(NotGranted),
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
    /// Doses are held for this owner, whose events are in this outbox; none ahead of demand once it stops.
    pub fn new(
        vaccine: Client,
        owner: StoreId,
        outbox: ReadPool,
        aborts: Aborts,
        stop: CancellationToken,
    ) -> Self {
        let backlog = watch::Sender::new(Backlog::Empty);
        Self {
            vaccine,
            owner,
            outbox,
            last_held: SyncMutex::default(),
            limit: BatchLimit::new(TRY_TIMEOUT),
            is_answering: AtomicBool::new(true),
            turn: Mutex::default(),
            backlog,
            hand: Hand::default(),
            aborts,
            lost: Lost::default(),
            sold_out: SoldOut::default(),
            stop,
        }
    }

    /// Whether `vaccine` is called now.
    pub(crate) fn circuit_state(&self) -> CircuitState {
        self.vaccine.circuit_state()
    }

    /// How many citizens a batch may have now.
    pub(crate) fn limit(&self) -> usize {
        self.limit.get()
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

    /// What comes of a request of a dose without asking the ledger: a dose in hand, or what it has just answered.
    /// None while tickets go first.
    pub(crate) fn without_request(&self, choice: Choice) -> Option<HeldOutcome> {
        if self.goes_first(*self.backlog.borrow()) {
            return None;
        }
        let sold_out = || self.sold_out.get(choice).map(HeldOutcome::NotGranted);
        self.hand.take(choice).map(HeldOutcome::Held).or_else(sold_out)
    }

    /// Requests doses for citizens, at most [`HoldClient::limit`], in this order; and some ahead of demand, also of the
    /// choices of which [few are in hand](Hand::low). One outcome for each citizen; and the error, if `vaccine` did
    /// not answer.
    pub(crate) async fn hold(
        &self,
        wanted: &[Choice],
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
                let is_lost = is_lost(&error);
                self.lost.extend(blocks.into_iter().filter(|it| is_lost || it.is_repeated));
                self.is_answering.store(false, Ordering::Relaxed);
                (unknown(), Some(error))
            }
        }
    }

    /// What to request: first blocks whose answer was lost, again, and then what these citizens want beyond those.
    fn blocks(&self, wanted: &[Choice]) -> Vec<RequestedBlock> {
        let mut missing = BTreeMap::<Choice, u32>::new();
        for id in wanted {
            *missing.entry(*id).or_default() += 1;
        }
        let asks_ahead = self.circuit_state() == CircuitState::Closed
            && self.is_answering.load(Ordering::Relaxed)
            && !self.stop.is_cancelled();
        if asks_ahead {
            for id in self.hand.low() {
                if missing.len() < HOLDS_MAX {
                    missing.entry(id).or_default();
                }
            }
        }
        let mut ids = BlockIds::new();
        let mut blocks = self.lost_blocks(wanted.len(), &mut missing);
        let held_at = tokio::time::Instant::now();
        for (choice, count) in missing {
            let Ahead { wanted, in_hand } = self.hand.ahead(choice, count);
            let ahead = if asks_ahead { wanted } else { 0 };
            if count + ahead > 0 {
                let Choice { vaccine: vaccine_id, slot: slot_id, next: next_slot_id } = choice;
                let second = if next_slot_id.is_some() { count } else { 0 };
                let first = ids.next(count + second + ahead);
                let block =
                    HoldBlock { first, vaccine_id, slot_id, next_slot_id, count, ahead, in_hand };
                blocks.push(RequestedBlock { block, held_at, is_repeated: false });
            }
        }
        blocks
    }

    /// The blocks whose answer was lost that are requested again, and are not missing then: those whose doses are
    /// wanted, and as many others as the limit has room for; none of these probe a half-open circuit.
    fn lost_blocks(
        &self,
        wanted: usize,
        missing: &mut BTreeMap<Choice, u32>,
    ) -> Vec<RequestedBlock> {
        let limit = self.limit();
        // They would get no answer again.
        let too_large = self.lost.extract(|it| it.block.count > number(limit));
        for it in &too_large {
            self.abort(it);
        }
        let mut room = match self.circuit_state() {
            CircuitState::Closed => number(limit.saturating_sub(wanted)),
            CircuitState::HalfOpen | CircuitState::Open { .. } => 0,
        };
        let mut blocks_max = HOLDS_MAX.saturating_sub(missing.len());
        self.lost.extract(|requested| {
            let (block, missing) = (requested.block, missing.get_mut(&requested.choice()));
            let is_wanted = missing.as_ref().map_or(0, |missing| block.count.min(**missing));
            let further = block.count - is_wanted;
            if blocks_max == 0 || further > room {
                return false;
            }
            (blocks_max, room) = (blocks_max - 1, room - further);
            if let Some(missing) = missing {
                *missing -= is_wanted;
            }
            true
        })
    }

    /// Takes the doses that were in hand for too long, and those whose answer was lost that long ago.
    pub(crate) fn expire(&self) -> Vec<ReservationId> {
        let mut expired = self.hand.expire();
        expired.append(&mut self.lost.expire());
        expired
    }

    /// Takes every dose that is, or may be, in hand.
    pub(crate) fn empty(&self) -> Vec<ReservationId> {
        let mut all = self.hand.empty();
        all.append(&mut self.lost.empty());
        all
    }

    /// Whether every dose of a vaccine, and every place of a slot, that is held for this store is booked. One that is not, in
    /// hand of another process or on its way back, will be free.
    pub(crate) async fn are_booked(
        &self,
        Choice { vaccine, slot, next }: Choice,
        queries: &Queries,
    ) -> Result<bool, NotKnown> {
        let of_slots = slot.into_iter().chain(next).map(|slot| format!("slotId={slot}"));
        for of in [format!("vaccineId={vaccine}")].into_iter().chain(of_slots) {
            let path = format!("/holds?owner={}&heldForMs=0&{of}", self.owner);
            let OrphanedHolds { reservation_ids, .. } =
                self.vaccine.get(&path, TRY_TIMEOUT).await.map_err(|_| NotKnown)?;
            let is_all =
                u32::try_from(reservation_ids.len()).is_ok_and(|count| count < ORPHANED_MAX);
            let unbooked = queries.unbooked(reservation_ids).await.map_err(|_| NotKnown)?;
            if !is_all || !unbooked.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn abort(&self, block: &RequestedBlock) {
        block.ids().for_each(|reservation| self.aborts.abort(Abortable::Dose(reservation)));
    }

    async fn request_and_learn(
        &self,
        blocks: Vec<HoldBlock>,
        deadline: Instant,
    ) -> Result<Vec<HoldOutcome>, CallError> {
        // Until then nothing is requested, so nothing is lost.
        self.check_consumed(deadline).await.map_err(|error| match error {
            CallError::CircuitOpen { .. } => error,
            _ => CallError::Shed { retry_after: CHECK_RETRY_AFTER },
        })?;
        let items = blocks.iter().map(|block| block.count).sum();
        let sent_at = self.limit.now();
        let held = self.request(blocks, deadline).await;
        self.limit.learn(items, sent_at, held.as_ref().err());
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

fn number(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// Whether `vaccine` may have held the doses.
fn is_lost(error: &CallError) -> bool {
    match error {
        CallError::Shed { .. } | CallError::Unreachable(_) | CallError::CircuitOpen { .. } => false,
        CallError::NoResponse(_) | CallError::TooLarge | CallError::Status(_) => true,
    }
}
