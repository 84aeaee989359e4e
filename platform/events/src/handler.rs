//! What an aggregate does with events of other services.

use contracts::{event::DomainEvent, ids::StoreId};
use jiff::Timestamp;
use platform_store::Aggregate;

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
///
/// Its decisions tolerate every event repeated, late, or in another order: two sources publish
/// independently, and a dead letter is retried after later events of its source were applied.
pub trait EventHandler: Aggregate {
    /// The command that an event means here; `None` if it does not concern this service.
    fn command(received: ReceivedEvent) -> Option<Self::Command>;

    /// Why the command of an event changed nothing, where that is worth a line in the log.
    fn ineffective(reply: &Self::Reply) -> Option<String>;
}
