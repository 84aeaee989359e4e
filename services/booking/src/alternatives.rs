//! What is free instead, for a citizen whose slot is full: as `campaign` knows it.
//!
//! It is help, not a promise: a refusal never waits long for it, and is sent without it where `campaign` does not answer, or
//! is not known here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use contracts::{
    campaign::availability::SlotAlternatives,
    ids::{SlotId, VaccineId},
};
use parking_lot::Mutex;
use platform_resilience::breaker::BreakerConfig;
use platform_rest::client::Client;
use tokio::{sync::Semaphore, time::Instant};

use crate::under_way::UnderWay;

/// How long a refusal waits for it.
const TIMEOUT: Duration = Duration::from_millis(300);

/// How long an answer is given to others: as long as `campaign` lets its clients keep it.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// Answers that are kept; while there are as many, further ones are asked for each time.
const KEPT_MAX: usize = 1_024;

/// Requests at once; refusals of further slots are sent without.
const REQUESTS_MAX: usize = 8;

/// The vaccine, and the slot that is full.
type Wanted = (VaccineId, SlotId);

/// Asks for alternatives. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Alternatives(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    campaign: Client,
    kept: Mutex<BTreeMap<Wanted, Answer>>,
    under_way: UnderWay<Wanted, Option<SlotAlternatives>>,
    requests: Semaphore,
}

/// What was answered, which may be nothing.
#[derive(Clone, Debug)]
struct Answer {
    asked_at: Instant,
    alternatives: Option<SlotAlternatives>,
}

impl Answer {
    fn counts(&self) -> bool {
        self.asked_at.elapsed() < KEPT_FOR
    }
}

impl Alternatives {
    /// Asks this service.
    pub fn new(campaign: Client) -> Self {
        Self(Some(Arc::new(Shared {
            campaign,
            kept: Mutex::default(),
            under_way: UnderWay::default(),
            requests: Semaphore::new(REQUESTS_MAX),
        })))
    }

    /// What can be booked instead of a slot; none, if that is not known now.
    pub async fn to(&self, vaccine: VaccineId, slot: SlotId) -> Option<SlotAlternatives> {
        let shared = self.0.as_deref()?;
        let wanted = (vaccine, slot);
        if let Some(kept) = shared.kept(wanted) {
            return kept.alternatives;
        }
        shared.under_way.share(wanted, shared.request(wanted)).await
    }
}

impl Shared {
    /// The answer of the last second.
    fn kept(&self, wanted: Wanted) -> Option<Answer> {
        self.kept.lock().get(&wanted).filter(|answer| answer.counts()).cloned()
    }

    async fn request(&self, (vaccine, slot): Wanted) -> Option<SlotAlternatives> {
        let _permit = self.requests.try_acquire().ok()?;
        let asked_at = Instant::now();
        let path = format!("/slots/{slot}/alternatives?vaccineId={vaccine}");
        // The breaker logs that it does not answer.
        let alternatives = self.campaign.get::<SlotAlternatives>(&path, TIMEOUT).await.ok();
        let answer = Answer { asked_at, alternatives: alternatives.clone() };
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, answer| answer.counts());
        }
        if kept.len() < KEPT_MAX {
            kept.insert((vaccine, slot), answer);
        }
        alternatives
    }
}

/// The circuit breaker for `campaign`: nobody waits for a service that is slow, and its answers are not needed.
pub fn campaign_breaker() -> BreakerConfig {
    BreakerConfig {
        slow_after: Duration::from_millis(200),
        open_for: Duration::from_secs(1),
        open_max: Duration::from_secs(10),
        half_open_calls: 1,
        ..BreakerConfig::default()
    }
}
