//! The transport of events from a publisher to its consumers, and the one that needs no broker: HTTP.

use std::time::Duration;

use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent, ConsumerOffset, SnapshotProgress},
    ids::StoreId,
};
use jiff::Timestamp;
use platform_rest::client::{CallError, Client};
use platform_store::ReadError;
use platform_telemetry::BoxError;
use thiserror::Error;

/// The time-out of one HTTP request; longer than the consumer waits for its commit. After an outage of the consumer
/// requests may wait as long for the events: booking holds no dose before `vaccine` has those of all bookings.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a destination stands in the events of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The sequence number of its last event; 0 before the first.
    pub offset: u64,
    /// What a broker numbers the message of that event with: shows whether another relay has published
    /// since. 0 before the first, and where the destination itself refuses a gap.
    pub revision: u64,
    /// A snapshot of which the destination does not have all rows yet.
    pub snapshot: Option<SnapshotProgress>,
}

/// What a destination answers that is asked for its position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The position.
    pub position: Position,
    /// When its last event happened, in milliseconds since 1970, if the destination knows: another event of the
    /// outbox may have that number.
    pub at_ms: Option<i64>,
}

/// A connection to one consumer, or to a broker.
pub trait Transport: Send + Sync + 'static {
    /// The name of the destination, for the log.
    fn destination(&self) -> &str;

    /// The position of the destination in the events of a source.
    fn position(
        &self,
        source: StoreId,
    ) -> impl Future<Output = Result<Reached, PublishError>> + Send;

    /// Publishes events of one source, in order, that follow this position; returns the position of the
    /// destination afterwards. If that has changed in between, nothing is published, or only what follows.
    fn publish(
        &self,
        after: Position,
        events: &[CloudEvent],
    ) -> impl Future<Output = Result<Position, PublishError>> + Send;
}

/// Why events were not published. Publishing is retried.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The call to the consumer failed.
    #[error("the call failed")]
    Call(#[from] CallError),
    /// NATS did not store the events.
    #[error("NATS failed")]
    Nats(#[source] BoxError),
    /// The own outbox cannot be read.
    #[error(transparent)]
    Outbox(#[from] ReadError),
    /// A row of the outbox is not one that this program writes.
    #[error("outbox entry {sequence} is corrupt")]
    CorruptEntry {
        /// Its sequence number.
        sequence: u64,
    },
    /// The destination has events that the outbox does not have, and would skip new ones as repeats.
    #[error(
        "the destination has consumed {offset} events, and its last one is not in the outbox, whose head is \
         {head}: this store was restored from an older backup than the destination. Nothing is written until \
         all services are restored from one backup"
    )]
    Restored {
        /// The offset of the destination.
        offset: u64,
        /// The last sequence number of the outbox.
        head: u64,
    },
    /// The events arrived, but the consumer did not commit them.
    #[error("the consumer offset stays at {offset}")]
    Stuck {
        /// The offset of the consumer.
        offset: u64,
    },
}

/// Events over HTTP, directly to one consumer. Everything survives a restart, since the outbox and the
/// consumer offset are in the databases of the two services.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    /// The name of the consuming service, for the log.
    pub consumer: &'static str,
    /// Calls it.
    pub client: Client,
}

impl Transport for HttpTransport {
    fn destination(&self) -> &str {
        self.consumer
    }

    async fn position(&self, source: StoreId) -> Result<Reached, PublishError> {
        let path = format!("/events/offset?source={source}");
        let offset: ConsumerOffset = self.client.get(&path, REQUEST_TIMEOUT).await?;
        let at_ms = offset.last_event_at.map(Timestamp::as_millisecond);
        Ok(Reached { position: offset.into(), at_ms })
    }

    /// The consumer itself skips what it has, and refuses a gap.
    async fn publish(&self, _: Position, events: &[CloudEvent]) -> Result<Position, PublishError> {
        let offset: ConsumerOffset =
            self.client.post("/events", BATCH_MEDIA_TYPE, &events, REQUEST_TIMEOUT).await?;
        Ok(offset.into())
    }
}

impl From<ConsumerOffset> for Position {
    fn from(ConsumerOffset { sequence, last_event_at: _, snapshot }: ConsumerOffset) -> Self {
        Self { offset: sequence, revision: 0, snapshot }
    }
}
