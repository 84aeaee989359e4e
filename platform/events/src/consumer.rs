//! Consuming events: each becomes a command and is applied once.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use contracts::{
    event::{CloudEvent, DomainEvent, short_name},
    ids::StoreId,
};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use platform_store::{
    Aggregate, CommandError, Commands, DeadLetter, Disposition, Input, Output, WriteError,
};
use platform_telemetry::clock;
use thiserror::Error;
use tracing::{error, warn};
use uuid::Uuid;

/// How long a batch may wait for its commit.
const WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);

/// How long a gap in the events of a source is normal: the publisher learns of it by the response, and fills it.
pub const GAP_TOLERATED: Duration = Duration::from_secs(10);

/// How often an event that the store rejects is delivered before it is dead-lettered.
pub const DELIVERIES_MAX: u32 = 5;

/// An event of another store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// The store that published it.
    pub source: StoreId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: DomainEvent,
}

/// An aggregate that consumes events of other services.
pub trait EventHandler: Aggregate {
    /// The command that an event means here; `None` if it does not concern this service.
    fn command(received: ReceivedEvent) -> Option<Self::Command>;

    /// Why the command of an event changed nothing, where that is worth a line in the log.
    fn ineffective(reply: &Self::Reply) -> Option<String>;
}

/// Why a batch was not consumed. The batch may be delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConsumeError {
    /// The store cannot commit now.
    #[error("the events could not be committed")]
    NotCommitted,
    /// The writer accepts nothing now.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Consumes events for one store. Cheap to clone. Its aggregate is behind a pointer, so that the code that
/// delivers events is compiled once, not with each service.
#[derive(Clone)]
pub struct Consumer(Arc<dyn ConsumeBatch>);

trait ConsumeBatch: Send + Sync {
    fn consume<'a>(&'a self, batch: &'a [CloudEvent]) -> BoxFuture<'a, Result<u64, ConsumeError>>;

    fn stalled_sources(&self, missing_for: Duration) -> usize;
}

/// The consumer of one aggregate.
struct AggregateConsumer<A: Aggregate> {
    commands: Commands<A>,
    rejections: Mutex<BTreeMap<Uuid, Rejection>>,
    /// Sources whose events came after a gap, since when.
    gaps: Mutex<BTreeMap<Uuid, Instant>>,
}

/// The event of a source that the store rejected last, and how often.
#[derive(Debug, Default)]
struct Rejection {
    sequence: u64,
    deliveries: u32,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

impl Consumer {
    /// Consumes through the writer of a store.
    pub fn new<A: EventHandler>(commands: Commands<A>) -> Self {
        Self(Arc::new(AggregateConsumer {
            commands,
            rejections: Mutex::default(),
            gaps: Mutex::default(),
        }))
    }

    /// Consumes events of one source, in order; returns the consumer offset afterwards.
    ///
    /// An event that the store rejects is dead-lettered after [`DELIVERIES_MAX`] deliveries; one that
    /// cannot be decoded, at once.
    pub async fn consume(&self, batch: &[CloudEvent]) -> Result<u64, ConsumeError> {
        self.0.consume(batch).await
    }

    /// Sources of which nothing can be consumed, since events have been missing for so long.
    pub fn stalled_sources(&self, missing_for: Duration) -> usize {
        self.0.stalled_sources(missing_for)
    }
}

impl<A: EventHandler> ConsumeBatch for AggregateConsumer<A> {
    fn consume<'a>(&'a self, batch: &'a [CloudEvent]) -> BoxFuture<'a, Result<u64, ConsumeError>> {
        Box::pin(self.consume_batch(batch))
    }

    fn stalled_sources(&self, missing_for: Duration) -> usize {
        lock(&self.gaps).values().filter(|since| since.elapsed() >= missing_for).count()
    }
}

impl<A: EventHandler> AggregateConsumer<A> {
    async fn consume_batch(&self, batch: &[CloudEvent]) -> Result<u64, ConsumeError> {
        let received_at = clock::now();
        let inputs = batch.iter().map(|event| self.input(event, received_at)).collect();
        let outputs = self.commands.consume(inputs, Instant::now() + WRITE_TIMEOUT).await?;
        let mut consumed = None;
        for (event, output) in batch.iter().zip(outputs) {
            match output {
                Ok(Output::Consumed { offset, reply }) => {
                    consumed = Some(offset);
                    if let Some(reason) = reply.as_ref().and_then(A::ineffective) {
                        warn!(event = %event.id, r#type = event.r#type, "event had no effect: {reason}");
                    }
                }
                Ok(Output::Reply(_)) | Err(CommandError::Unavailable) => {}
                Err(CommandError::Rejected) => {
                    self.count_rejection(event);
                    consumed = consumed.or(event.sequence.checked_sub(1));
                }
            }
        }
        let consumed = consumed.ok_or(ConsumeError::NotCommitted)?;
        if let Some(first) = batch.first() {
            self.note_gap(first, consumed);
        }
        Ok(consumed)
    }

    fn note_gap(&self, first: &CloudEvent, consumed: u64) {
        let (source, mut gaps) = (first.source, lock(&self.gaps));
        if first.sequence <= consumed + 1 {
            gaps.remove(&source.0);
            return;
        }
        if gaps.entry(source.0).or_insert_with(Instant::now).elapsed() >= GAP_TOLERATED {
            error!(%source, consumed, next = first.sequence, "events are missing, and nothing fills the gap");
        }
    }

    fn input(&self, event: &CloudEvent, received_at: Timestamp) -> Input<A::Command> {
        let (source, at) = (event.source, event.time);
        let decoded = if self.was_rejected_too_often(event) {
            Err(format!("the store rejected it {DELIVERIES_MAX} times"))
        } else {
            DomainEvent::decode(event).map_err(|cause| cause.to_string())
        };
        let disposition = match decoded {
            Ok(decoded) => decoded
                .and_then(|event| A::command(ReceivedEvent { source, at, event }))
                .map_or(Disposition::Skip, Disposition::Apply),
            Err(reason) => Disposition::DeadLetter(dead_letter(event, received_at, reason)),
        };
        let (sequence, at_ms) = (event.sequence, at.as_millisecond());
        Input::Event { source: source.0, sequence, at_ms, disposition }
    }

    fn was_rejected_too_often(&self, event: &CloudEvent) -> bool {
        let rejections = lock(&self.rejections);
        rejections.get(&event.source.0).is_some_and(|rejection| {
            rejection.sequence == event.sequence && rejection.deliveries >= DELIVERIES_MAX
        })
    }

    fn count_rejection(&self, event: &CloudEvent) {
        let mut rejections = lock(&self.rejections);
        let rejection = rejections.entry(event.source.0).or_default();
        if rejection.sequence != event.sequence {
            *rejection = Rejection { sequence: event.sequence, deliveries: 0 };
        }
        rejection.deliveries += 1;
    }
}

/// Nothing panics while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dead_letter(event: &CloudEvent, at: Timestamp, reason: String) -> DeadLetter {
    error!(event = %event.id, r#type = event.r#type, "event dead-lettered: {reason}");
    DeadLetter {
        source: event.source.0,
        sequence: event.sequence,
        r#type: short_name(&event.r#type).unwrap_or(&event.r#type).to_owned(),
        data: event.data.get().to_owned(),
        reason,
        at_ms: at.as_millisecond(),
    }
}
