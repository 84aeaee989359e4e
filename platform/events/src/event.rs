//! Between the outbox and the envelope.

use contracts::{
    event::{CloudEvent, DomainEvent, full_type},
    ids::StoreId,
};
use jiff::Timestamp;
use platform_store::{Event, OutboxEntry};
use serde_json::value::RawValue;

use crate::transport::PublishError;

/// A domain event as a row of the outbox.
pub fn outbox_event(event: &DomainEvent, at: Timestamp) -> serde_json::Result<Event> {
    Event::of(event.name(), at.as_millisecond(), event)
}

/// A row of the outbox in its envelope.
pub(crate) fn envelope(source: StoreId, entry: OutboxEntry) -> Result<CloudEvent, PublishError> {
    let OutboxEntry { sequence, event } = entry;
    let corrupt = || PublishError::CorruptEntry { sequence };
    Ok(CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{source}/{sequence}"),
        source,
        sequence,
        r#type: full_type(&event.r#type),
        time: Timestamp::from_millisecond(event.at_ms).map_err(|_| corrupt())?,
        data: RawValue::from_string(event.data).map_err(|_| corrupt())?,
    })
}
