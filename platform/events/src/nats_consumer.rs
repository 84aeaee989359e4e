//! Consuming from NATS JetStream.
//!
//! Each consuming store has one durable consumer per publishing service, with one message in flight,
//! however many processes share the store.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::Stream,
};
use contracts::{
    event::{CloudEvent, SnapshotPart},
    ids::StoreId,
};
use futures_util::StreamExt;
use platform_store::Offset;
use platform_telemetry::error_chain;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::{
    consumer::Consumer,
    nats_transport::{NatsTransport, nats},
    transport::PublishError,
};

/// How long a message may be processed before it is delivered again.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a pull request stands. The server sometimes never answers one, not even when it expires; the
/// client then sends another 5 s later. With the client's default of 30 s a consumer received nothing for 35 s.
const PULL_EXPIRES: Duration = Duration::from_secs(2);

/// The delay of a redelivery.
const REDELIVERY_DELAY: Duration = Duration::from_millis(200);

/// Pause after NATS could not be reached, and between two restarts from the beginning.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause while even the beginning of the stream comes after a gap.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The result of one message.
enum Delivery {
    Consumed,
    /// Not all of it: deliver it again.
    Failed,
    /// Events before it are missing here: the consuming store has lost its data, or part of it.
    Gap,
}

impl NatsTransport {
    /// Consumes the events of all stores of another service on behalf of a store, until dropped.
    pub async fn consume(self, publisher: &'static str, store: StoreId, consumer: Consumer) {
        let (mut restarts, mut pause) = (0, PAUSE);
        loop {
            let service = self.service;
            match self.consume_once(publisher, store, &consumer, &mut restarts).await {
                Ok(()) if restarts < 2 => {
                    info!("{service} consumes {publisher} from the beginning");
                    pause = PAUSE;
                }
                Ok(()) => {
                    error!("{service} cannot consume {publisher}: NATS has lost its first events");
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(error) => {
                    warn!(cause = error_chain(&error), "{service} cannot consume {publisher}");
                    pause = PAUSE;
                }
            }
            sleep(pause).await;
        }
    }

    /// Returns when it has to restart: from the beginning, or after an error.
    async fn consume_once(
        &self,
        publisher: &'static str,
        store: StoreId,
        consumer: &Consumer,
        restarts: &mut u32,
    ) -> Result<(), PublishError> {
        let stream = self.stream().await?;
        let name = format!("{}-{store}-{publisher}", self.service);
        let durable = self.durable_consumer(&stream, &name, publisher).await?;
        if self.has_lost_events(&stream, &durable, publisher, consumer).await? {
            *restarts = 1;
            stream.delete_consumer(&name).await.map_err(nats)?;
            return Ok(());
        }
        let messages = durable.stream().max_messages_per_batch(1).expires(PULL_EXPIRES).messages();
        let mut messages = messages.await.map_err(nats)?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(nats)?;
            match deliver(consumer, &message.subject, &message.payload).await {
                Delivery::Consumed => {
                    *restarts = 0;
                    message.ack().await.map_err(PublishError::Nats)?;
                }
                Delivery::Failed => {
                    let redeliver = AckKind::Nak(Some(REDELIVERY_DELAY));
                    message.ack_with(redeliver).await.map_err(PublishError::Nats)?;
                }
                Delivery::Gap => {
                    *restarts += 1;
                    stream.delete_consumer(&name).await.map_err(nats)?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the store lacks events that it has acknowledged. The next message would show it, but may
    /// not come for hours: so the last acknowledged message of each source is delivered again.
    async fn has_lost_events(
        &self,
        stream: &Stream,
        durable: &PullConsumer,
        publisher: &str,
        consumer: &Consumer,
    ) -> Result<bool, PublishError> {
        let acknowledged = durable.cached_info().ack_floor.stream_sequence;
        if acknowledged == 0 {
            return Ok(false);
        }
        let sources = stream.info_with_subjects(format!("{}.{publisher}.>", self.stream)).await;
        let mut sources = sources.map_err(nats)?;
        while let Some(source) = sources.next().await {
            let (subject, _) = source.map_err(nats)?;
            let last = stream.get_last_raw_message_by_subject(&subject).await.map_err(nats)?;
            if last.sequence > acknowledged {
                continue; // Still to be delivered.
            }
            match deliver(consumer, &subject, &last.payload).await {
                Delivery::Consumed => {}
                Delivery::Failed => {
                    return Err(nats("the last message cannot be consumed now"));
                }
                Delivery::Gap => return Ok(true),
            }
        }
        Ok(false)
    }

    async fn durable_consumer(
        &self,
        stream: &Stream,
        name: &str,
        publisher: &str,
    ) -> Result<PullConsumer, PublishError> {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_TIMEOUT,
            max_ack_pending: 1,
            filter_subject: format!("{}.{publisher}.>", self.stream),
            ..pull::Config::default()
        };
        stream.get_or_create_consumer(name, config).await.map_err(nats)
    }
}

async fn deliver(consumer: &Consumer, subject: &str, payload: &[u8]) -> Delivery {
    let batch: Vec<CloudEvent> = match serde_json::from_slice(payload) {
        Ok(batch) => batch,
        Err(cause) => {
            error!(%cause, subject, "message skipped: it is not a batch of events");
            return Delivery::Consumed;
        }
    };
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
        return Delivery::Consumed;
    };
    if batch.iter().any(|event| event.source != first.source) {
        error!(subject, "message skipped: it has events of several sources");
        return Delivery::Consumed;
    }
    match consumer.consume(&batch).await {
        Ok(offset) if has(offset, last) => Delivery::Consumed,
        Ok(offset) if can_go_on_with(offset, first) => Delivery::Failed,
        Ok(_) => Delivery::Gap,
        Err(error) => {
            warn!("{error}; the message is delivered again");
            Delivery::Failed
        }
    }
}

/// Whether a store at this offset has an event.
fn has(offset: Offset, event: &CloudEvent) -> bool {
    let is_row = matches!(event.snapshot, Some(SnapshotPart::Row { key, .. }) if has_row(offset, event.sequence, key));
    is_row || offset.sequence >= event.sequence
}

/// Whether nothing is missing between a store at this offset and an event.
fn can_go_on_with(offset: Offset, event: &CloudEvent) -> bool {
    match event.snapshot {
        None => offset.sequence + 1 >= event.sequence,
        Some(SnapshotPart::Row { after, .. } | SnapshotPart::End { after }) => {
            after.is_none_or(|key| has_row(offset, event.sequence, key))
        }
    }
}

/// Whether a store at this offset has a row of a snapshot that is not complete.
fn has_row(offset: Offset, up_to: u64, key: i64) -> bool {
    offset.snapshot.is_some_and(|snapshot| snapshot.up_to == up_to && snapshot.key >= key)
}
