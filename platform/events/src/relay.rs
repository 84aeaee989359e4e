//! The relay: publishes the outbox, in order, until every event was consumed.
//!
//! The consumer keeps its offset. So the relay has no state to lose, and a consumer that was restored from
//! a backup receives again what it lost; where that was pruned, a snapshot of the store.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use contracts::{
    event::{CloudEvent, DomainEvent, EVENTS_MAX},
    ids::StoreId,
};
use jiff::Timestamp;
use platform_store::{Event, Fence, OutboxEntry, ReadPool, SqlError, Subscription, Tx, outbox};
use platform_telemetry::error_chain;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::{
    envelope::{envelope, snapshot_end, snapshot_row},
    transport::{Position, PublishError, Reached, Transport},
};

/// Pause between two batches. Each ends in a commit of the consumer, which delays its other commits; no
/// request waits for the events, so fewer and larger batches cost less. Measured with 100 clients on two
/// cores: a pause of 10 ms cost one booking in fifteen.
const BATCH_PAUSE: Duration = Duration::from_millis(25);

/// How many times as long as its work a background relay pauses under load. Measured with 200 clients on
/// two cores: a third of the time for each consumer cost a fifth of the bookings.
const BACKGROUND_PAUSE_FACTOR: u32 = 9;

/// The first pause after a failure; doubles up to [`RelayPriority::failure_pause_max`].
const FAILURE_PAUSE_MIN: Duration = Duration::from_millis(100);

/// How often the outbox is read without a notification: another process may have written to it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How often an idle relay asks the consumer for its offset: it may have lost its data.
const OFFSET_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The largest payload of a batch, in bytes, below the limit of its destination.
const BATCH_BYTES_MAX: usize = 768 * 1024;

/// What an envelope adds to its payload, at most, in bytes.
const ENVELOPE_BYTES_MAX: usize = 512;

/// A domain event as a row of the outbox.
pub fn outbox_event(event: &DomainEvent, at: Timestamp) -> serde_json::Result<Event> {
    Event::of(event.name(), at.as_millisecond(), event)
}

/// How much of the time a relay may work while it has events to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayPriority {
    /// All of it: requests depend on these events.
    Foreground,
    /// A tenth under load: while new events are written, it pauses after each batch nine times as long as
    /// that took. It falls behind rather than slow down requests, and catches up afterwards.
    Background,
}

impl RelayPriority {
    /// The longest pause after failures. Requests may wait for foreground events.
    fn failure_pause_max(self) -> Duration {
        match self {
            Self::Foreground => Duration::from_secs(1),
            Self::Background => Duration::from_secs(5),
        }
    }
}

/// Reads a snapshot: [`platform_store::Aggregate::snapshot`] of the store.
pub type ReadSnapshot = fn(&Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Event)>, SqlError>;

/// How far a destination has the events, as far as its relay knows. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Published(Arc<AtomicU64>);

impl Published {
    /// The sequence number of the last event that the destination is known to have; 0 before it was asked.
    pub fn up_to(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Publishes one outbox to one destination.
pub struct Relay<T> {
    /// Publishes to the destination.
    pub transport: T,
    /// The store of the outbox.
    pub source: StoreId,
    /// Reads the outbox.
    pub outbox: ReadPool,
    /// Notified of new events.
    pub new_events: Subscription,
    /// How much of the time it may work.
    pub priority: RelayPriority,
    /// Keeps the store from being written to while the destination has other events than the outbox.
    pub fence: Fence,
    /// What the store holds, for a destination of which events were pruned.
    pub snapshot: ReadSnapshot,
    /// How far the destination is.
    pub published: Published,
}

impl<T: fmt::Debug> fmt::Debug for Relay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl<T: Transport> Relay<T> {
    /// Publishes until it is dropped. What is not published by then is published after the next start.
    pub async fn run(mut self) {
        let mut position = None;
        let mut pause = FAILURE_PAUSE_MIN;
        loop {
            let start = Instant::now();
            self.new_events.mark_seen();
            match self.publish_batch(&mut position).await {
                Ok(published) => {
                    if pause > FAILURE_PAUSE_MIN {
                        info!("delivery to {} succeeds again", self.transport.destination());
                    }
                    pause = FAILURE_PAUSE_MIN;
                    match published {
                        0 => self.wait(&mut position).await,
                        published => self.pause(start.elapsed(), published == EVENTS_MAX).await,
                    }
                }
                Err(error) => {
                    let (cause, pause_ms) = (error_chain(&error), pause.as_millis());
                    let destination = self.transport.destination();
                    if matches!(error, PublishError::Restored { .. }) {
                        error!(cause, "{destination} is newer than this store");
                    } else {
                        self.fence.open_if_unknown();
                        warn!(cause, pause_ms, "delivery to {destination} failed, retrying");
                    }
                    position = None;
                    sleep(pause).await;
                    pause = (pause * 2).min(self.priority.failure_pause_max());
                }
            }
        }
    }

    /// Pauses after a batch: longer in the background while there are writes, which need the same machine;
    /// not at all after a full batch in the foreground, since the next one cannot be larger.
    async fn pause(&self, worked: Duration, was_full: bool) {
        if self.priority == RelayPriority::Background && self.new_events.has_changed() {
            sleep((worked * BACKGROUND_PAUSE_FACTOR).max(BATCH_PAUSE)).await;
        } else if !was_full {
            sleep(BATCH_PAUSE).await;
        }
    }

    /// Waits for new events. After [`OFFSET_CHECK_INTERVAL`] the consumer is asked for its offset again.
    async fn wait(&mut self, position: &mut Option<Position>) {
        let polls = OFFSET_CHECK_INTERVAL.as_secs() / POLL_INTERVAL.as_secs();
        for _ in 0..polls {
            if timeout(POLL_INTERVAL, self.new_events.changed()).await.is_ok() {
                return;
            }
            let head = self.outbox.read(outbox::head).await;
            if head.is_ok_and(|head| position.is_none_or(|it| it.offset != head)) {
                return;
            }
        }
        *position = None;
    }

    /// Publishes the next events; returns how many.
    async fn publish_batch(
        &mut self,
        position: &mut Option<Position>,
    ) -> Result<usize, PublishError> {
        let before = if let Some(position) = *position {
            position
        } else {
            let reached = self.transport.position(self.source).await?;
            self.check(reached).await?;
            reached.position
        };
        let limit = u32::try_from(EVENTS_MAX).unwrap_or(u32::MAX);
        let entries = self.outbox.read(move |tx| outbox::after(tx, before.offset, limit)).await?;
        *position = Some(before);
        self.published.0.store(before.offset, Ordering::Relaxed);
        let Some(first) = entries.first() else { return Ok(0) };
        let events = if first.sequence > before.offset + 1 {
            self.snapshot_batch(before, first.sequence).await?
        } else {
            self.batch(entries)?
        };
        let after = self.transport.publish(before, &events).await?;
        *position = Some(after);
        if after == before {
            return Err(PublishError::Stuck { offset: before.offset });
        }
        Ok(events.len())
    }

    /// The next rows of a snapshot, which stands for events that were pruned; or its end.
    ///
    /// A snapshot stands for the events until the one that was the last when it began. Later ones follow it, and
    /// may repeat what a row has published.
    async fn snapshot_batch(
        &self,
        before: Position,
        first: u64,
    ) -> Result<Vec<CloudEvent>, PublishError> {
        let (destination, offset) = (self.transport.destination(), before.offset);
        let begun = before.snapshot.filter(|begun| begun.up_to > offset);
        if begun.is_none() {
            warn!(
                offset,
                first, "{destination} lacks events that were pruned, and gets a snapshot"
            );
        }
        let (limit, snapshot) = (u32::try_from(EVENTS_MAX).unwrap_or(u32::MAX), self.snapshot);
        let read = self.outbox.read(move |tx| {
            let up_to = begun.map_or_else(|| outbox::head(tx), |begun| Ok(begun.up_to))?;
            let rows = snapshot(tx, begun.map_or(i64::MIN, |begun| begun.key), limit)?;
            Ok((up_to, outbox::at_ms(tx, up_to)?.unwrap_or(0), rows))
        });
        let (up_to, at_ms, rows) = read.await?;
        let fits = fitting(&rows, |(_, event)| event.data.len());
        let mut after = begun.map(|begun| begun.key);
        let mut events = Vec::with_capacity(fits);
        for row in rows.into_iter().take(fits) {
            let key = row.0;
            events.push(snapshot_row(self.source, up_to, after, row));
            after = Some(key);
        }
        if events.is_empty() {
            info!(up_to, "the snapshot for {destination} is complete");
            events.push(snapshot_end(self.source, up_to, after, at_ms));
        }
        let corrupt = PublishError::CorruptEntry { sequence: up_to };
        events.into_iter().collect::<Option<_>>().ok_or(corrupt)
    }

    /// Whether the last event of the destination is in the outbox. If not, this store was restored from an
    /// older backup: what it writes now would have numbers of events that were consumed before.
    async fn check(&mut self, reached: Reached) -> Result<(), PublishError> {
        let offset = reached.position.offset;
        let (head, own) =
            self.outbox.read(move |tx| Ok((outbox::head(tx)?, outbox::at_ms(tx, offset)?))).await?;
        let is_other = own.zip(reached.at_ms).is_some_and(|(own, other)| own != other);
        let is_restored = offset > head || is_other;
        self.fence.set(is_restored);
        if is_restored { Err(PublishError::Restored { offset, head }) } else { Ok(()) }
    }

    /// As many events as fit into one batch, at least one.
    fn batch(&self, entries: Vec<OutboxEntry>) -> Result<Vec<CloudEvent>, PublishError> {
        let fits = fitting(&entries, |entry| entry.event.data.len());
        let in_envelope = |OutboxEntry { sequence, event }| {
            envelope(self.source, sequence, event).ok_or(PublishError::CorruptEntry { sequence })
        };
        entries.into_iter().take(fits).map(in_envelope).collect()
    }
}

/// How many events fit into one batch, at least one; `bytes` is the size of a payload.
fn fitting<E>(events: &[E], bytes: impl Fn(&E) -> usize) -> usize {
    let mut total = 0;
    let fits = |event: &&E| {
        let is_first = total == 0;
        total += bytes(event) + ENVELOPE_BYTES_MAX;
        is_first || total <= BATCH_BYTES_MAX
    };
    events.iter().take_while(fits).count()
}
