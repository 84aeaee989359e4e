//! Consuming events: each becomes a command and is applied once.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use contracts::event::{CloudEvent, SnapshotPart, short_name};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;
use platform_store::{
    Advance, Aggregate, CommandError, Commands, DeadLetter, DeadLetterId, Dismissal, Disposition,
    Event, Input, Offset, Output, WriteError,
};
use platform_telemetry::clock;
use thiserror::Error;
use tracing::{error, warn};
use uuid::Uuid;

use crate::{
    dead_letters::{self, DeadLetterError},
    envelope::decode,
    handler::{EventHandler, ReceivedEvent},
};

/// How long a batch, or a dead letter, may wait for its commit.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a gap in the events of a source is normal: the publisher learns of it by the response, and fills it.
pub const GAP_TOLERATED: Duration = Duration::from_secs(10);

/// How often an event that the store rejects is delivered before it is dead-lettered.
pub const DELIVERIES_MAX: u32 = 5;

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
pub struct Consumer {
    aggregate: Arc<dyn AnyConsumer>,
    handled: Arc<HandledDeadLetters>,
}

trait AnyConsumer: Send + Sync {
    fn consume<'a>(
        &'a self,
        batch: &'a [CloudEvent],
    ) -> BoxFuture<'a, Result<Offset, ConsumeError>>;

    fn stalled_sources(&self, missing_for: Duration) -> usize;

    fn retry(&self, letter: DeadLetter) -> BoxFuture<'_, Result<(), DeadLetterError>>;

    fn dismiss(
        &self,
        id: DeadLetterId,
        dismissal: Dismissal,
    ) -> BoxFuture<'_, Result<(), DeadLetterError>>;
}

/// Dead letters that operators handled, since the process started.
#[derive(Debug, Default)]
struct HandledDeadLetters {
    retried: AtomicU64,
    dismissed: AtomicU64,
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
        let aggregate =
            AggregateConsumer { commands, rejections: Mutex::default(), gaps: Mutex::default() };
        Self { aggregate: Arc::new(aggregate), handled: Arc::default() }
    }

    /// Consumes events of one source, in order; returns the consumer offset afterwards.
    ///
    /// An event that the store rejects is dead-lettered after [`DELIVERIES_MAX`] deliveries; one that
    /// cannot be decoded, at once.
    pub async fn consume(&self, batch: &[CloudEvent]) -> Result<Offset, ConsumeError> {
        self.aggregate.consume(batch).await
    }

    /// Sources of which nothing can be consumed, since events have been missing for so long.
    pub fn stalled_sources(&self, missing_for: Duration) -> usize {
        self.aggregate.stalled_sources(missing_for)
    }

    /// Applies the event of an open dead letter, and deletes it in the same commit. If the event can still not
    /// be applied, the dead letter stays, with the new reason.
    pub async fn retry(&self, letter: DeadLetter) -> Result<(), DeadLetterError> {
        self.aggregate.retry(letter).await?;
        self.handled.retried.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Marks an open dead letter as dismissed: its event will not be applied.
    pub async fn dismiss(
        &self,
        id: DeadLetterId,
        dismissal: Dismissal,
    ) -> Result<(), DeadLetterError> {
        self.aggregate.dismiss(id, dismissal).await?;
        self.handled.dismissed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How many dead letters were retried with success since the process started.
    pub fn retried(&self) -> u64 {
        self.handled.retried.load(Ordering::Relaxed)
    }

    /// How many dead letters were dismissed since the process started.
    pub fn dismissed(&self) -> u64 {
        self.handled.dismissed.load(Ordering::Relaxed)
    }
}

impl<A: EventHandler> AnyConsumer for AggregateConsumer<A> {
    fn consume<'a>(
        &'a self,
        batch: &'a [CloudEvent],
    ) -> BoxFuture<'a, Result<Offset, ConsumeError>> {
        Box::pin(self.consume_batch(batch))
    }

    fn stalled_sources(&self, missing_for: Duration) -> usize {
        self.gaps.lock().values().filter(|since| since.elapsed() >= missing_for).count()
    }

    fn retry(&self, letter: DeadLetter) -> BoxFuture<'_, Result<(), DeadLetterError>> {
        Box::pin(dead_letters::retry(&self.commands, letter, Instant::now() + WRITE_TIMEOUT))
    }

    fn dismiss(
        &self,
        id: DeadLetterId,
        dismissal: Dismissal,
    ) -> BoxFuture<'_, Result<(), DeadLetterError>> {
        let deadline = Instant::now() + WRITE_TIMEOUT;
        Box::pin(dead_letters::dismiss(&self.commands, id, dismissal, deadline))
    }
}

impl<A: EventHandler> AggregateConsumer<A> {
    async fn consume_batch(&self, batch: &[CloudEvent]) -> Result<Offset, ConsumeError> {
        let received_at = clock::now();
        let inputs = batch.iter().map(|event| self.input(event, received_at));
        let inputs = inputs.collect::<Result<_, _>>()?;
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
                Ok(Output::Reply(_) | Output::DeadLetter { .. } | Output::Pruned(_))
                | Err(CommandError::Unavailable) => {}
                Err(CommandError::Rejected) if event.snapshot.is_some() => {
                    error!(event = %event.id, r#type = event.r#type, "a row of a snapshot was rejected");
                }
                Err(CommandError::Rejected) => {
                    self.count_rejection(event);
                    consumed = consumed.or(event.sequence.checked_sub(1).map(Offset::from));
                }
            }
        }
        let consumed = consumed.ok_or(ConsumeError::NotCommitted)?;
        if let Some(first) = batch.first() {
            self.note_gap(first, consumed.sequence);
        }
        Ok(consumed)
    }

    fn note_gap(&self, first: &CloudEvent, consumed: u64) {
        let (source, mut gaps) = (first.source, self.gaps.lock());
        if first.sequence <= consumed + 1 || first.snapshot.is_some() {
            gaps.remove(&source.0);
            return;
        }
        if gaps.entry(source.0).or_insert_with(Instant::now).elapsed() >= GAP_TOLERATED {
            error!(%source, consumed, next = first.sequence, "events are missing, and nothing fills the gap");
        }
    }

    /// A row of a snapshot that cannot be decoded is no dead letter: nothing but its place in that snapshot
    /// tells it from the other rows, and the publisher sends it again.
    fn input(
        &self,
        event: &CloudEvent,
        received_at: Timestamp,
    ) -> Result<Input<A::Command>, ConsumeError> {
        let (source, at) = (event.source, event.time);
        let advance = match event.snapshot {
            None => Advance::Next,
            Some(SnapshotPart::Row { after, key }) => Advance::Row { after, key },
            Some(SnapshotPart::End { after }) => Advance::End { after },
        };
        let decoded = if advance == Advance::Next && self.was_rejected_too_often(event) {
            Err(format!("the store rejected it {DELIVERIES_MAX} times"))
        } else {
            decode(event)
        };
        let disposition = match decoded {
            Ok(decoded) => decoded
                .and_then(|event| A::command(ReceivedEvent { source, at, event }))
                .map_or(Disposition::Skip, Disposition::Apply),
            Err(reason) if event.snapshot.is_some() => {
                error!(event = %event.id, r#type = event.r#type, "a row of a snapshot cannot be decoded: {reason}");
                return Err(ConsumeError::NotCommitted);
            }
            Err(reason) => Disposition::DeadLetter(dead_letter(event, received_at, reason)),
        };
        let (sequence, at_ms) = (event.sequence, at.as_millisecond());
        Ok(Input::Event { source: source.0, sequence, at_ms, advance, disposition })
    }

    fn was_rejected_too_often(&self, event: &CloudEvent) -> bool {
        let rejections = self.rejections.lock();
        rejections.get(&event.source.0).is_some_and(|rejection| {
            rejection.sequence == event.sequence && rejection.deliveries >= DELIVERIES_MAX
        })
    }

    fn count_rejection(&self, event: &CloudEvent) {
        let mut rejections = self.rejections.lock();
        let rejection = rejections.entry(event.source.0).or_default();
        if rejection.sequence != event.sequence {
            *rejection = Rejection { sequence: event.sequence, deliveries: 0 };
        }
        rejection.deliveries += 1;
    }
}

fn dead_letter(event: &CloudEvent, at: Timestamp, reason: String) -> DeadLetter {
    error!(event = %event.id, r#type = event.r#type, "event dead-lettered: {reason}");
    DeadLetter {
        id: DeadLetterId { source: event.source.0, sequence: event.sequence },
        event: Event {
            r#type: short_name(&event.r#type).unwrap_or(&event.r#type).to_owned(),
            at_ms: event.time.as_millisecond(),
            data: event.data.clone().into(),
        },
        reason,
        dead_lettered_at_ms: at.as_millisecond(),
        dismissal: None,
    }
}
