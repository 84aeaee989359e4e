//! Events over HTTP, directly to one consumer: no broker is needed, and everything survives a restart,
//! since the outbox and the consumer offset are in the databases of the two services.

use std::time::Duration;

use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent, ConsumerOffset},
    ids::StoreId,
};
use platform_rest::client::Client;

use crate::transport::{Position, PublishError, Transport};

/// The time-out of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// One consumer.
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

    async fn position(&self, source: StoreId) -> Result<Position, PublishError> {
        let path = format!("/events/offset?source={source}");
        let offset: ConsumerOffset = self.client.get(&path, REQUEST_TIMEOUT).await?;
        Ok(offset.into())
    }

    /// The consumer itself skips what it has, and refuses a gap.
    async fn publish(&self, _: Position, events: &[CloudEvent]) -> Result<Position, PublishError> {
        let offset: ConsumerOffset =
            self.client.post("/events", BATCH_MEDIA_TYPE, &events, REQUEST_TIMEOUT).await?;
        Ok(offset.into())
    }
}

impl From<ConsumerOffset> for Position {
    fn from(ConsumerOffset { sequence }: ConsumerOffset) -> Self {
        Self { offset: sequence, revision: 0 }
    }
}
