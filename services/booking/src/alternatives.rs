//! What is free: instead of a slot that is full, and for a second dose; as `campaign` knows it.
//!
//! It is help, not a promise: a refusal never waits long for it, and is sent without it where `campaign` does not answer, or
//! is not known here.

use std::{sync::Arc, time::Duration};

use contracts::{
    campaign::availability::{NextSlots, SlotAlternatives},
    ids::{SlotId, VaccineId},
    vaccine::product::{DoseInterval, Product},
};
use platform_resilience::breaker::BreakerConfig;
use platform_rest::client::{CallError, Client};

use crate::kept::KeptAnswers;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_millis(300);

/// The vaccine, and a slot.
type Wanted = (VaccineId, SlotId);

/// Asks what is free. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Alternatives(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    campaign: Client,
    vaccine: Client,
    instead: KeptAnswers<Wanted, SlotAlternatives>,
    next: KeptAnswers<Wanted, NextAnswer>,
    intervals: KeptAnswers<VaccineId, IntervalAnswer>,
}

/// What `campaign` has answered for a second dose.
#[derive(Clone, Debug)]
enum NextAnswer {
    Slots(Arc<[SlotId]>),
    /// There is no such slot for the first one.
    NoSuchSlot,
}

/// Whether a vaccine has a second dose.
#[derive(Clone, Copy, Debug)]
enum IntervalAnswer {
    /// It is due so many days after the first.
    Due(DoseInterval),
    /// One dose is enough, or there is no such vaccine.
    SingleDose,
}

/// Why no slot for a second dose is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoNextSlot {
    /// One dose of the vaccine is enough, or there is no such vaccine.
    SingleDose,
    /// There is no such slot for the first dose.
    NoSuchSlot,
    /// None is free when it is due.
    NoneFree,
    /// It is not known now.
    Unknown,
}

impl Alternatives {
    /// Asks these services.
    pub fn new(campaign: Client, vaccine: Client) -> Self {
        Self(Some(Arc::new(Shared {
            campaign,
            vaccine,
            instead: KeptAnswers::default(),
            next: KeptAnswers::default(),
            intervals: KeptAnswers::default(),
        })))
    }

    /// What can be booked instead of a slot; none, if that is not known now.
    pub async fn to(&self, vaccine: VaccineId, slot: SlotId) -> Option<SlotAlternatives> {
        let shared = self.0.as_deref()?;
        let request = async {
            let path = format!("/slots/{slot}/alternatives?vaccineId={vaccine}");
            // The breaker logs that it does not answer.
            shared.campaign.get(&path, TIMEOUT).await.ok()
        };
        shared.instead.get((vaccine, slot), request).await
    }

    /// Slots for the second dose of a vaccine at the same site, the first ones that are free, if the first dose is at this
    /// slot.
    pub(crate) async fn next(
        &self,
        vaccine: VaccineId,
        slot: SlotId,
    ) -> Result<Arc<[SlotId]>, NoNextSlot> {
        let shared = self.0.as_deref().ok_or(NoNextSlot::Unknown)?;
        let interval = match shared.interval(vaccine).await {
            Some(IntervalAnswer::Due(interval)) => interval,
            Some(IntervalAnswer::SingleDose) => return Err(NoNextSlot::SingleDose),
            None => return Err(NoNextSlot::Unknown),
        };
        let request = async {
            let DoseInterval { min_days, max_days } = interval;
            let path = format!(
                "/slots/{slot}/next?vaccineId={vaccine}&minDays={min_days}&maxDays={max_days}"
            );
            match shared.campaign.get::<NextSlots>(&path, TIMEOUT).await {
                Ok(NextSlots { slots, as_of: _ }) => {
                    Some(NextAnswer::Slots(slots.iter().map(|slot| slot.slot_id).collect()))
                }
                Err(CallError::Status(status)) if status.as_u16() == 404 => {
                    Some(NextAnswer::NoSuchSlot)
                }
                Err(_) => None,
            }
        };
        match shared.next.get((vaccine, slot), request).await {
            None => Err(NoNextSlot::Unknown),
            Some(NextAnswer::NoSuchSlot) => Err(NoNextSlot::NoSuchSlot),
            Some(NextAnswer::Slots(slots)) if slots.is_empty() => Err(NoNextSlot::NoneFree),
            Some(NextAnswer::Slots(slots)) => Ok(slots),
        }
    }
}

impl Shared {
    async fn interval(&self, vaccine: VaccineId) -> Option<IntervalAnswer> {
        let request = async {
            let path = format!("/vaccines/{vaccine}/product");
            match self.vaccine.get::<Product>(&path, TIMEOUT).await {
                Ok(product) => {
                    Some(product.next_dose.map_or(IntervalAnswer::SingleDose, IntervalAnswer::Due))
                }
                Err(CallError::Status(status)) if status.as_u16() == 404 => {
                    Some(IntervalAnswer::SingleDose)
                }
                Err(_) => None,
            }
        };
        self.intervals.get(vaccine, request).await
    }
}

/// The circuit breaker for `campaign`: nobody waits for a service that is slow, and most of its answers are not needed.
pub fn campaign_breaker() -> BreakerConfig {
    BreakerConfig {
        slow_after: Duration::from_millis(200),
        open_for: Duration::from_secs(1),
        open_max: Duration::from_secs(10),
        half_open_calls: 1,
        ..BreakerConfig::default()
    }
}
