//! What a listener does with events: each becomes a command, and counts once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chassis::clock;
use contracts::event::CloudEvent;
use storage::{
    inbox::Parked,
    store::{Desk, Input, Meaning, Model, Output},
    writer::{Failed, WriteError},
};
use thiserror::Error;
use tracing::{error, warn};
use uuid::Uuid;

use crate::bell::Bell;

/// How long a batch may wait for its commit.
const WRITE_WITHIN: Duration = Duration::from_millis(2_500);

/// How often an event that the store refuses is tried before it is put aside.
pub const TRIES_MAX: u32 = 5;

/// A part that listens.
pub trait Hears: Model {
    /// What an event means here; `None` if it is about somebody else's matters.
    fn command(event: &CloudEvent) -> serde_json::Result<Option<Self::Command>>;

    /// Why a command that came from an event had no effect, where somebody should know.
    fn without_effect(outcome: &Self::Outcome) -> Option<String>;
}

/// Why a batch was not heard. All of these may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotHeard {
    /// The store cannot keep anything now.
    #[error("the events could not be kept")]
    NotKept,
    /// The writer takes nothing now.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Hears events on behalf of one store. Cheap to clone.
#[derive(Debug)]
pub struct Hearing<M: Model> {
    desk: Desk<M>,
    told: Bell,
    failures: Arc<Mutex<BTreeMap<Uuid, Failure>>>,
}

/// The event of a source that the store refused last, and how often.
#[derive(Clone, Copy, Debug)]
struct Failure {
    sequence: u64,
    times: u32,
}

impl<M: Model> Clone for Hearing<M> {
    fn clone(&self) -> Self {
        Self {
            desk: self.desk.clone(),
            told: self.told.clone(),
            failures: Arc::clone(&self.failures),
        }
    }
}

impl<M: Hears> Hearing<M> {
    /// Hears with a desk; `told` rings when that may have given us something to tell.
    pub fn new(desk: Desk<M>, told: Bell) -> Self {
        Self { desk, told, failures: Arc::default() }
    }

    /// Hears events of one source, in its order; answers how far the source has been heard.
    ///
    /// An event that the store refuses is tried [`TRIES_MAX`] times, once a call, and then put
    /// aside; one that cannot be read is put aside at once.
    pub async fn hear(&self, batch: &[CloudEvent]) -> Result<u64, NotHeard> {
        let inputs = batch.iter().map(|event| self.input(event)).collect();
        let outputs = self.desk.hear(inputs, Instant::now() + WRITE_WITHIN).await?;
        self.told.ring();
        let mut heard = None;
        for (event, output) in batch.iter().zip(outputs) {
            match output {
                Ok(Output::Heard { sequence, outcome }) => {
                    heard = Some(sequence);
                    if let Some(why) = outcome.as_ref().and_then(M::without_effect) {
                        warn!(event = %event.id, r#type = event.r#type.name(), "no effect: {why}");
                    }
                }
                Ok(Output::Answer(_)) | Err(Failed::Unavailable) => {}
                Err(Failed::Refused) => {
                    self.count(event);
                    heard = heard.or(event.sequence.checked_sub(1));
                }
            }
        }
        heard.ok_or(NotHeard::NotKept)
    }

    fn input(&self, event: &CloudEvent) -> Input<M::Command> {
        let meaning = if self.is_given_up(event) {
            Meaning::Park(park(event, "the store refused it again and again".to_owned()))
        } else {
            match M::command(event) {
                Ok(Some(command)) => Meaning::Command(command),
                Ok(None) => Meaning::Nothing,
                Err(cause) => Meaning::Park(park(event, cause.to_string())),
            }
        };
        Input::Heard { source: event.source.0, sequence: event.sequence, meaning }
    }

    fn is_given_up(&self, event: &CloudEvent) -> bool {
        let Ok(failures) = self.failures.lock() else { return false };
        failures
            .get(&event.source.0)
            .is_some_and(|failure| failure.sequence == event.sequence && failure.times >= TRIES_MAX)
    }

    fn count(&self, event: &CloudEvent) {
        let Ok(mut failures) = self.failures.lock() else { return };
        let (sequence, new) = (event.sequence, Failure { sequence: event.sequence, times: 0 });
        let failure = failures.entry(event.source.0).or_insert(new);
        if failure.sequence != sequence {
            *failure = new;
        }
        failure.times += 1;
    }
}

fn park(event: &CloudEvent, why: String) -> Parked {
    error!(event = %event.id, r#type = event.r#type.name(), "put aside: {why}");
    Parked {
        source: event.source.0,
        sequence: event.sequence,
        r#type: event.r#type.name().to_owned(),
        data: event.data.get().to_owned(),
        why,
        at_ms: clock::now().as_millisecond(),
    }
}
