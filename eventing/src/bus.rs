//! The two ways from a teller to its listeners.

use chassis::client::CallError;
use contracts::{event::CloudEvent, ids::HolderId};
use storage::database::Unreadable;
use thiserror::Error;

mod direct;
mod nats;

pub use direct::Direct;
pub use nats::{Nats, NatsUrl, NotANatsUrl};

/// A way to a listener, or to many.
pub trait Bus: Send + Sync + 'static {
    /// Whom it leads to, for the log.
    fn to(&self) -> &str;

    /// How far the source has been heard over there; 0 before the first.
    fn heard(&self, source: HolderId) -> impl Future<Output = Result<u64, NotTold>> + Send;

    /// Tells events of one source, in its order; answers how far it has been heard now.
    fn tell(&self, events: &[CloudEvent]) -> impl Future<Output = Result<u64, NotTold>> + Send;
}

/// Why telling failed. It is tried again.
#[derive(Debug, Error)]
pub enum NotTold {
    /// The listener did not hear.
    #[error("does not hear")]
    Call(#[from] CallError),
    /// NATS did not take it.
    #[error("NATS does not take it")]
    Nats(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Our own outbox cannot be read.
    #[error(transparent)]
    Outbox(#[from] Unreadable),
    /// An entry of it is not what this program writes.
    #[error("outbox entry {sequence} is unreadable")]
    Entry {
        /// Its place.
        sequence: u64,
    },
    /// It has heard what we never said, and would take what we say next for old news.
    #[error("has heard {heard} events, but there are only {last}: is our store an older copy?")]
    Ahead {
        /// As far as it has heard.
        heard: u64,
        /// As far as we have told.
        last: u64,
    },
    /// It was told, but not kept.
    #[error("keeps nothing after {sequence}")]
    Stuck {
        /// As far as it has heard.
        sequence: u64,
    },
}
