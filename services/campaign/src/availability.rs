//! What is free at sites, as the ledger answers it: asked once a second for all citizens who want to know it.
//!
//! The ledger is protected from these reads: an answer is kept for a second, one request is under way for a site and
//! its dates however many citizens ask, and few requests at a time altogether. While `vaccine` does not answer, the last
//! answer is given until it is a minute old; it says since when it was true.
//!
//! A request is made by a task of its own, so that it is finished, and its answer kept, also when the citizen who asked
//! first is gone. That there was no answer is kept for a second too.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant as StdInstant},
};

use contracts::{
    ids::SiteId,
    vaccine::availability::{AVAILABLE_SLOTS_MAX, SiteAvailability},
};
use jiff::civil::Date;
use parking_lot::Mutex;
use platform_rest::{
    client::{Call, CallError, Client},
    problem::Problem,
    runtime::Runtime,
};
use platform_telemetry::error_chain;
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore},
    time::{Instant, timeout},
};
use tracing::warn;

use crate::domain::FreeAtSite;

/// How long an answer is given without another request; and how long none is made after one that failed.
pub const KEPT_FOR: Duration = Duration::from_secs(1);

/// How old an answer may be that is given while `vaccine` does not answer.
pub const STALE_MAX: Duration = Duration::from_mins(1);

/// How long a citizen waits for `vaccine`. Then an older answer is given.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a request may take: long enough that one without an answer counts as a failure for the circuit breaker.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Sites and dates whose answers are kept; with a further one, that is forgotten which was asked for the longest ago.
pub const ANSWERS_MAX: usize = 4_096;

/// Counts in all answers that are kept, of 16 to 24 bytes each.
pub const KEPT_COUNTS_MAX: usize = 1 << 20;

/// Requests to `vaccine` at a time: as many as a store has connections to read.
pub const REQUESTS_MAX: usize = 4;

/// Requests that wait for their turn; a further one fails.
pub const WAITING_MAX: usize = 256;

/// When to retry, where it is not known better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A site, and the first and the last date at it.
pub type SiteDates = (SiteId, [Date; 2]);

/// Why it is not known what is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKnown {
    /// There are too many slots for one answer.
    TooManySlots,
    /// `vaccine` does not answer.
    Unavailable {
        /// When to retry.
        retry_after: Duration,
    },
}

impl From<NotKnown> for Problem {
    fn from(reason: NotKnown) -> Self {
        match reason {
            NotKnown::TooManySlots => {
                let reason = format!("fewer days: there are more than {AVAILABLE_SLOTS_MAX} slots");
                Self::invalid("to", reason)
            }
            NotKnown::Unavailable { retry_after } => {
                Self::retry_later(retry_after, "it is not known now what is free")
            }
        }
    }
}

/// Asks what is free. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Availability {
    vaccine: Client,
    answers: Arc<Answers>,
}

impl Availability {
    /// Asks this service.
    pub fn new(vaccine: Client, runtime: &Runtime) -> Self {
        Self { vaccine, answers: Arc::new(Answers::new(runtime)) }
    }

    /// What is free at a site on these dates.
    pub async fn at(&self, site: SiteId, dates: [Date; 2]) -> Result<Arc<FreeAtSite>, NotKnown> {
        let vaccine = self.vaccine.clone();
        let request = async move { request(&vaccine, site, dates).await };
        self.answers.get((site, dates), request).await
    }
}

async fn request(
    vaccine: &Client,
    site: SiteId,
    [from, to]: [Date; 2],
) -> Result<FreeAtSite, NotKnown> {
    let path = format!("/availability?siteId={site}&from={from}&to={to}");
    let answer = async {
        let call = Call::get(&path)?;
        vaccine.call::<SiteAvailability>(call, StdInstant::now() + REQUEST_TIMEOUT).await
    };
    answer.await.map(FreeAtSite::from).map_err(|error| match error {
        CallError::Status(status) if status.as_u16() == 422 => NotKnown::TooManySlots,
        CallError::CircuitOpen { retry_after } | CallError::Shed { retry_after } => {
            NotKnown::Unavailable { retry_after }
        }
        CallError::Unreachable(_)
        | CallError::NoResponse(_)
        | CallError::TooLarge
        | CallError::Status(_) => {
            warn!(cause = error_chain(&error), "vaccine did not answer what is free");
            NotKnown::Unavailable { retry_after: RETRY_AFTER }
        }
    })
}

/// The answers that are kept, and the requests that are under way. Ages are by tokio's clock.
#[derive(Debug)]
pub struct Answers {
    kept: Mutex<Kept>,
    /// One for each request to `vaccine`.
    requests: Semaphore,
    waiting: Arc<Semaphore>,
    runtime: Runtime,
}

#[derive(Debug, Default)]
struct Kept {
    entries: BTreeMap<SiteDates, Entry>,
    counts: usize,
}

#[derive(Debug)]
struct Entry {
    /// The task that has it makes the request.
    turn: Arc<AsyncMutex<()>>,
    asked_at: Instant,
    answer: Option<(Instant, Arc<FreeAtSite>)>,
    failure: Option<(Instant, NotKnown)>,
}

type Answer = Result<Arc<FreeAtSite>, NotKnown>;

/// What comes of asking.
enum Asked {
    /// It is known since less than a second.
    Known(Answer),
    /// It is being requested, until this is free.
    UnderWay(Arc<AsyncMutex<()>>),
    /// It has to be requested.
    Turn(OwnedMutexGuard<()>),
}

impl Answers {
    /// None yet. Requests are tasks of this service.
    pub fn new(runtime: &Runtime) -> Self {
        Self {
            kept: Mutex::default(),
            requests: Semaphore::new(REQUESTS_MAX),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            runtime: runtime.clone(),
        }
    }

    /// The answer that is kept, or that of a request: this one, or one that is under way.
    pub async fn get<R>(self: &Arc<Self>, key: SiteDates, request: R) -> Answer
    where
        R: Future<Output = Result<FreeAtSite, NotKnown>> + Send + 'static,
    {
        let asked = self.kept.lock().ask(key);
        let turn = match asked {
            Asked::Known(answer) => return answer,
            Asked::UnderWay(turn) => turn,
            Asked::Turn(turn) => {
                let under_way = Arc::clone(OwnedMutexGuard::mutex(&turn));
                self.start(key, turn, request);
                under_way
            }
        };
        // The request has the turn until it ends.
        drop(timeout(ANSWER_TIMEOUT, turn.lock()).await);
        self.kept.lock().last(&key)
    }

    /// Makes the request in a task of its own, unless too many wait.
    fn start<R>(self: &Arc<Self>, key: SiteDates, turn: OwnedMutexGuard<()>, request: R)
    where
        R: Future<Output = Result<FreeAtSite, NotKnown>> + Send + 'static,
    {
        let unavailable = || Err(NotKnown::Unavailable { retry_after: RETRY_AFTER });
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return self.kept.lock().record(key, unavailable());
        };
        let answers = Arc::clone(self);
        self.runtime.spawn(async move {
            let answer = match timeout(ANSWER_TIMEOUT, answers.requests.acquire()).await {
                Ok(_permit) => request.await,
                Err(_elapsed) => unavailable(),
            };
            answers.kept.lock().record(key, answer);
            drop((turn, place));
        });
    }

    /// How many answers are kept, and how many counts they have.
    pub fn size(&self) -> (usize, usize) {
        let kept = self.kept.lock();
        (kept.entries.len(), kept.counts)
    }
}

impl Kept {
    fn ask(&mut self, key: SiteDates) -> Asked {
        let entry = self.entries.entry(key).or_insert_with(Entry::new);
        entry.asked_at = Instant::now();
        let asked = match (entry.fresh(), Arc::clone(&entry.turn).try_lock_owned()) {
            (Some(answer), _) => Asked::Known(answer),
            (None, Ok(turn)) => Asked::Turn(turn),
            (None, Err(_locked)) => Asked::UnderWay(Arc::clone(&entry.turn)),
        };
        self.evict();
        asked
    }

    /// The last answer, if it is not too old.
    fn last(&self, key: &SiteDates) -> Answer {
        let entry = self.entries.get(key);
        entry.map_or(Err(NotKnown::Unavailable { retry_after: RETRY_AFTER }), Entry::last)
    }

    fn record(&mut self, key: SiteDates, answer: Result<FreeAtSite, NotKnown>) {
        let entry = self.entries.entry(key).or_insert_with(Entry::new);
        let now = Instant::now();
        match answer {
            Ok(answer) => {
                self.counts = self.counts.saturating_sub(entry.counts()) + answer.len();
                (entry.answer, entry.failure) = (Some((now, Arc::new(answer))), None);
            }
            Err(reason) => entry.failure = Some((now, reason)),
        }
        self.evict();
    }

    /// Forgets those that were asked for the longest ago, until there is room.
    fn evict(&mut self) {
        while self.entries.len() > ANSWERS_MAX || self.counts > KEPT_COUNTS_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.asked_at);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { return };
            let removed = self.entries.remove(&oldest);
            let counts = removed.as_ref().map_or(0, Entry::counts);
            self.counts = self.counts.saturating_sub(counts);
        }
    }
}

impl Entry {
    fn new() -> Self {
        Self { turn: Arc::default(), asked_at: Instant::now(), answer: None, failure: None }
    }

    fn counts(&self) -> usize {
        self.answer.as_ref().map_or(0, |(_, answer)| answer.len())
    }

    /// What is known since less than a second.
    fn fresh(&self) -> Option<Answer> {
        let is_fresh = |at: Instant| at.elapsed() < KEPT_FOR;
        let is_answered = self.answer.as_ref().is_some_and(|(at, _)| is_fresh(*at));
        let has_failed = self.failure.is_some_and(|(at, _)| is_fresh(at));
        (is_answered || has_failed).then(|| self.last())
    }

    /// The last answer, if it is not too old; otherwise why there is none.
    fn last(&self) -> Answer {
        match &self.answer {
            Some((at, answer)) if at.elapsed() < STALE_MAX => Ok(Arc::clone(answer)),
            Some(_) | None => {
                let unavailable = NotKnown::Unavailable { retry_after: RETRY_AFTER };
                Err(self.failure.map_or(unavailable, |(_, reason)| reason))
            }
        }
    }
}
