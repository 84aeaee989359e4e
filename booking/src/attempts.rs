//! Attempts in batches: the doses of all of them are held in one request, and what was held is
//! booked in one commit.
//!
//! Whoever comes while one request is under way travels in the next. One request in flight, no
//! timer: an idle system adds no delay, a busy one sends few, large batches, and each batch ends in
//! one commit over there and one here. Two in flight were measured to be slower: the batches get
//! smaller and their commits queue up.
//!
//! While `vaccine` is left in peace, nobody joins the queue and whoever is in it is sent away at
//! once. Its first calls afterwards are on a few people's behalf only: should it still be in
//! trouble, only they have waited for it. How many travel together is learned from how long
//! `vaccine` takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use chassis::{
    client::{Call, CallError, Client, Passage},
    clock,
    process::Process,
    telemetry::causes,
};
use contracts::{
    ids::{HolderId, ReservationId, UserId, VaccineId},
    vaccine::{HOLDS_MAX, Hold, HoldBatch, HoldOutcome, HoldReply},
};
use resilience::{
    limiter::{Limiter, LimiterConfig, Sample},
    time::{Clock, Monotonic},
};
use storage::{
    store::Desk,
    writer::{Failed, WriteError},
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::{
    domain::{self, Command, Fingerprint, Outcome},
    store::Book,
};

/// Attempts that may wait for the next request; one more is refused with [`NotTried::Busy`].
const QUEUE_MAX: usize = 8_192;

/// So many may always travel together, however long `vaccine` takes for them.
pub const HOLDS_MIN: u32 = 64;

/// Attempts that may find out whether `vaccine` answers again.
const PROBE_MAX: usize = 5;

/// When to come back for who would have been one too many of them.
const PROBED_AFTER: Duration = Duration::from_secs(1);

/// How long `vaccine` may take for one request. A batch takes milliseconds; whoever waits longer
/// for it is better off with another process of it, or with an answer.
const TRY_WITHIN: Duration = Duration::from_secs(1);

/// One reservation id's try to become a booking.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Its id.
    pub reservation: ReservationId,
    /// The vaccine wanted.
    pub vaccine: VaccineId,
    /// Who books.
    pub user: UserId,
    /// What exactly was asked, where an `Idempotency-Key` came with it.
    pub asked: Option<Fingerprint>,
    /// When the hold must be answered.
    pub hold_by: Instant,
    /// When the commit must have begun.
    pub write_by: Instant,
}

/// How far an attempt came.
#[derive(Clone, Debug)]
pub enum Tried {
    /// A dose was held, and the booking was decided or could not be written.
    Written(Result<Outcome, NotWritten>),
    /// No dose was held.
    Refused(HoldOutcome),
}

/// Why a decision was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritten {
    /// It was not, and never will be.
    Nothing,
    /// It may have been.
    Unknown,
}

impl From<WriteError> for NotWritten {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy | WriteError::Expired | WriteError::Closed => Self::Nothing,
            WriteError::Stopped => Self::Unknown,
        }
    }
}

impl From<Failed> for NotWritten {
    fn from(_: Failed) -> Self {
        Self::Nothing
    }
}

/// Why `vaccine` said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotTried {
    /// Too many are waiting, here or at `vaccine`'s door. Nothing has happened.
    #[error("too many attempts are waiting")]
    Busy,
    /// `vaccine` could not be reached. Nothing was asked.
    #[error("vaccine is not reachable")]
    Unreachable,
    /// `vaccine` is left in peace until it may have recovered. Nothing was asked.
    #[error("vaccine is in trouble")]
    Isolated {
        /// When it is asked again.
        after: Duration,
    },
    /// It was asked, but the answer is missing: a dose may be held or not.
    #[error("vaccine did not answer")]
    Unknown,
}

/// Hands attempts to the task that makes batches of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Attempts {
    queue: mpsc::Sender<Waiting>,
    vaccine: Client,
}

#[derive(Debug)]
struct Waiting {
    attempt: Attempt,
    reply: oneshot::Sender<Result<Tried, NotTried>>,
}

impl Attempts {
    /// The handle, and the task to be spawned; it ends when every handle is gone.
    pub fn new(batches: Batches) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        (Self { queue, vaccine: batches.vaccine.clone() }, batches.run(waiting, limiter()))
    }

    /// Makes an attempt.
    pub async fn make(&self, attempt: Attempt) -> Result<Tried, NotTried> {
        if let Passage::Shut { after } = self.vaccine.passage() {
            return Err(NotTried::Isolated { after });
        }
        let (reply, tried) = oneshot::channel();
        self.queue.try_send(Waiting { attempt, reply }).map_err(|_| NotTried::Busy)?;
        tried.await.unwrap_or(Err(NotTried::Unknown))
    }
}

/// What batches of attempts work with.
#[derive(Debug)]
pub struct Batches {
    /// Holds doses.
    pub vaccine: Client,
    /// On whose behalf.
    pub holder: HolderId,
    /// Writes bookings.
    pub desk: Desk<Book>,
    /// Writes them while the next doses are asked for.
    pub process: Process,
}

impl Batches {
    async fn run(self, mut queue: mpsc::Receiver<Waiting>, limiter: Arc<Limiter>) {
        let mut batch = Vec::with_capacity(HOLDS_MAX);
        // One for all batches: what is learned of one is compared with what comes after.
        let clock = Monotonic::default();
        let most = || usize::try_from(limiter.limit()).map_or(HOLDS_MAX, |it| it.min(HOLDS_MAX));
        while queue.recv_many(&mut batch, most()).await > 0 {
            let now = Instant::now();
            batch.retain(|waiting: &Waiting| !waiting.reply.is_closed()); // Their callers are gone.
            let (timely, late): (Vec<_>, Vec<_>) =
                batch.drain(..).partition(|waiting| waiting.attempt.hold_by > now);
            refuse(late, NotTried::Busy); // They waited in the queue all their time.
            let timely = self.let_through(timely);
            let Some(latest) = timely.iter().map(|waiting| waiting.attempt.hold_by).max() else {
                continue;
            };
            let in_flight = limiter.try_acquire(items(&timely), clock.now());
            let held = self.hold(&timely, latest).await;
            if let Some(in_flight) = in_flight {
                in_flight.finish(sample(&held), clock.now());
            }
            match held {
                Ok(outcomes) => self.go_on(timely, outcomes),
                Err(error) => refuse(timely, error),
            }
        }
    }

    /// Those of a batch on whose behalf `vaccine` may be asked now; the others are told.
    fn let_through(&self, mut batch: Vec<Waiting>) -> Vec<Waiting> {
        let (most, after) = match self.vaccine.passage() {
            Passage::Free => return batch,
            Passage::Probe => (PROBE_MAX, PROBED_AFTER),
            Passage::Shut { after } => (0, after),
        };
        refuse(batch.split_off(most.min(batch.len())), NotTried::Isolated { after });
        batch
    }

    async fn hold(&self, batch: &[Waiting], by: Instant) -> Result<HoldReply, NotTried> {
        let hold = |Waiting { attempt, .. }: &Waiting| Hold {
            reservation_id: attempt.reservation,
            vaccine_id: attempt.vaccine,
        };
        let holds = batch.iter().map(hold).collect();
        hold_doses(&self.vaccine, self.holder, holds, by).await
    }

    /// Books what is held, and answers the rest.
    fn go_on(&self, batch: Vec<Waiting>, reply: HoldReply) {
        let at = clock::now();
        let mut outcomes = reply.outcomes.into_iter();
        let (mut commands, mut writing) = (Vec::new(), Vec::new());
        let mut write_by = None;
        for Waiting { attempt, reply } in batch {
            match outcomes.next() {
                // Whoever is gone gives the attempt up: there is no use in booking before.
                Some(HoldOutcome::Held { .. }) if reply.is_closed() => {}
                Some(HoldOutcome::Held { vc_name }) => {
                    commands.push(Command::Book(book(attempt, vc_name, at)));
                    writing.push(reply);
                    write_by = write_by.max(Some(attempt.write_by));
                }
                Some(refused) => drop(reply.send(Ok(Tried::Refused(refused)))),
                None => drop(reply.send(Err(NotTried::Unknown))),
            }
        }
        let Some(write_by) = write_by else { return };
        let desk = self.desk.clone();
        self.process.spawn(async move {
            let mut written = match desk.ask_all(commands, write_by).await {
                Ok(outcomes) => outcomes.into_iter(),
                Err(error) => {
                    return writing.into_iter().for_each(|reply| {
                        drop(reply.send(Ok(Tried::Written(Err(error.into())))));
                    });
                }
            };
            for reply in writing {
                let outcome =
                    written.next().unwrap_or(Err(Failed::Refused)).map_err(NotWritten::from);
                drop(reply.send(Ok(Tried::Written(outcome))));
            }
        });
    }
}

/// Asks for doses, at most [`HOLDS_MAX`]; `vaccine` decides about them in this order.
pub(crate) async fn hold_doses(
    vaccine: &Client,
    holder: HolderId,
    holds: Vec<Hold>,
    by: Instant,
) -> Result<HoldReply, NotTried> {
    let batch = HoldBatch { holder, holds };
    ask(vaccine, &batch, by).await.map_err(|error| match error {
        // Said when it begins, by the breaker, and not by everybody who meets it.
        CallError::Isolated { after } => NotTried::Isolated { after },
        error => {
            warn!(cause = %causes(&error), holds = batch.holds.len(), "vaccine did not hold doses");
            match error {
                CallError::Shed { .. } => NotTried::Busy,
                CallError::Unreachable(_) => NotTried::Unreachable,
                CallError::Isolated { after } => NotTried::Isolated { after },
                CallError::Unanswered(_) | CallError::Status(_) => NotTried::Unknown,
            }
        }
    })
}

async fn ask(vaccine: &Client, holds: &HoldBatch, by: Instant) -> Result<HoldReply, CallError> {
    let call = Call::post("/holds", "application/json", holds)?;
    let call = call.items(holds.holds.len()).repeatable(TRY_WITHIN);
    vaccine.ask(call, StatusCode::OK, by).await
}

fn book(attempt: Attempt, vaccine_name: String, at: jiff::Timestamp) -> domain::Book {
    domain::Book {
        reservation: attempt.reservation,
        vaccine: attempt.vaccine,
        vaccine_name,
        user: attempt.user,
        asked: attempt.asked,
        at,
    }
}

/// How many travel together: fewer when `vaccine` turns them away, or takes for them half of what a
/// try may take. Not sooner, as what a commit costs at all is the same for fewer.
fn limiter() -> Arc<Limiter> {
    let most = u32::try_from(HOLDS_MAX).unwrap_or(u32::MAX);
    let config = LimiterConfig {
        min: HOLDS_MIN,
        initial: most,
        max: most,
        target: TRY_WITHIN / 2,
        ..LimiterConfig::default()
    };
    #[expect(clippy::expect_used, reason = "HOLDS_MIN is below HOLDS_MAX")]
    Arc::new(Limiter::new(config).expect("its bounds are in order"))
}

fn items(batch: &[Waiting]) -> u32 {
    u32::try_from(batch.len()).unwrap_or(u32::MAX)
}

/// What became of a batch; one that was never decided says nothing.
fn sample(held: &Result<HoldReply, NotTried>) -> Sample {
    match held {
        Ok(_) => Sample::Answered,
        Err(NotTried::Busy | NotTried::Unknown) => Sample::Overloaded,
        Err(NotTried::Unreachable | NotTried::Isolated { .. }) => Sample::Ignored,
    }
}

fn refuse(batch: Vec<Waiting>, why: NotTried) {
    for waiting in batch {
        drop(waiting.reply.send(Err(why)));
    }
}
