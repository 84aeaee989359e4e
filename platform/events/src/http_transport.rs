//! Events over HTTP, directly to one consumer: no broker is needed, and everything survives a restart,
//! since the outbox and the consumer offset are in the databases of the two services.

use std::time::Duration;

use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent, ConsumerOffset},
    ids::StoreId,
};
use platform_rest::client::Client;

use crate::transport::{PublishError, Transport};

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

    async fn offset(&self, source: StoreId) -> Result<u64, PublishError> {
        let path = format!("/events/offset?source={source}");
        let ConsumerOffset { sequence } = self.client.get(&path, REQUEST_TIMEOUT).await?;
        Ok(sequence)
    }

    async fn publish(&self, events: &[CloudEvent]) -> Result<u64, PublishError> {
        let ConsumerOffset { sequence } =
            self.client.post("/events", BATCH_MEDIA_TYPE, &events, REQUEST_TIMEOUT).await?;
        Ok(sequence)
    }
}
