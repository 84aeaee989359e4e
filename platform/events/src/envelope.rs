//! A stored event in its envelope, and what it says.

use contracts::{
    event::{CloudEvent, DomainEvent, SNAPSHOT_END, SnapshotPart, full_type},
    ids::StoreId,
};
use jiff::Timestamp;
use platform_store::Event;
use serde_json::Map;

/// A row of an outbox, or a dead letter, in its envelope; `None` if it is not one that this program writes.
pub(crate) fn envelope(source: StoreId, sequence: u64, event: Event) -> Option<CloudEvent> {
    Some(CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{source}/{sequence}"),
        source,
        sequence,
        r#type: full_type(&event.r#type),
        time: Timestamp::from_millisecond(event.at_ms).ok()?,
        data: event.data.into(),
        snapshot: None,
    })
}

/// A row of a snapshot in its envelope, after the row of another key.
pub(crate) fn snapshot_row(
    source: StoreId,
    up_to: u64,
    after: Option<i64>,
    (key, event): (i64, Event),
) -> Option<CloudEvent> {
    let id = format!("{source}/{up_to}/{key}");
    let snapshot = Some(SnapshotPart::Row { after, key });
    Some(CloudEvent { id, snapshot, ..envelope(source, up_to, event)? })
}

/// The end of a snapshot, after the last row; it stands for all events until one that happened then.
pub(crate) fn snapshot_end(
    source: StoreId,
    up_to: u64,
    after: Option<i64>,
    at_ms: i64,
) -> Option<CloudEvent> {
    let event = Event::of(SNAPSHOT_END, at_ms, &Map::new()).ok()?;
    let snapshot = Some(SnapshotPart::End { after });
    Some(CloudEvent { snapshot, ..envelope(source, up_to, event)? })
}

/// What happened; `None` if its event type is unknown here. The error is one line, as operators list it.
pub(crate) fn decode(event: &CloudEvent) -> Result<Option<DomainEvent>, String> {
    DomainEvent::decode(event).map_err(|cause| cause.to_string().replace(char::is_control, " "))
}
