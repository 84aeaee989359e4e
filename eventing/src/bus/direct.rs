//! Each listener is told over HTTP: no further program, and everything survives a restart, since
//! the outbox and the listener's position are in their databases.

use std::time::Duration;

use chassis::client::Client;
use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent, Heard},
    ids::HolderId,
};

use super::{Bus, NotTold};

/// How long one request may take.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// One listener.
#[derive(Clone, Debug)]
pub struct Direct {
    /// Its name, for the log.
    pub name: &'static str,
    /// Where it listens.
    pub listener: Client,
}

impl Bus for Direct {
    fn to(&self) -> &str {
        self.name
    }

    async fn heard(&self, source: HolderId) -> Result<u64, NotTold> {
        let path = format!("/events/heard?source={source}");
        let Heard { sequence } = self.listener.get(&path, TELL_WITHIN).await?;
        Ok(sequence)
    }

    async fn tell(&self, events: &[CloudEvent]) -> Result<u64, NotTold> {
        let Heard { sequence } =
            self.listener.post("/events", BATCH_MEDIA_TYPE, &events, TELL_WITHIN).await?;
        Ok(sequence)
    }
}
