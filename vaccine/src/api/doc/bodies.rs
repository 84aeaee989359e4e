//! The shapes that have no type of their own in the contracts: HAL, and events as they travel.

#![expect(dead_code, reason = "read by utoipa's macros alone")]

use chassis::hal::{Link, PageInfo, PageLinks};
use contracts::{
    ids::{HolderId, ReservationId, VaccineId},
    vaccine::Vaccine,
};
use utoipa::ToSchema;

/// A vaccine with its links.
#[derive(ToSchema)]
pub(super) struct VaccineItem {
    #[schema(inline)]
    #[serde(flatten)]
    vaccine: Vaccine,
    _links: ItemLinks,
}

/// Where a vaccine is.
#[derive(ToSchema)]
struct ItemLinks {
    #[schema(rename = "self")]
    this: Link,
    vaccine: Link,
}

/// One page of vaccines.
#[derive(ToSchema)]
pub(super) struct VaccinePage {
    _embedded: Embedded,
    _links: PageLinks,
    page: PageInfo,
}

/// The vaccines of a page.
#[derive(ToSchema)]
struct Embedded {
    vaccines: Vec<VaccineItem>,
}

/// What is said of one reservation, as an event of CloudEvents 1.0.
#[derive(ToSchema)]
pub(super) struct CloudEvent {
    /// Always `1.0`.
    #[schema(example = "1.0")]
    specversion: String,
    /// `{source}/{sequence}`.
    id: String,
    /// Who says it.
    source: HolderId,
    /// Its place among everything that this source said, from 1, without gaps.
    #[schema(pattern = "^[0-9]+$", example = "1")]
    sequence: String,
    /// What happened.
    r#type: EventType,
    /// When.
    #[schema(format = "date-time", example = "2026-11-24T08:00:00Z")]
    time: String,
    /// About which dose.
    data: EventData,
}

/// What can happen.
#[derive(ToSchema)]
enum EventType {
    #[schema(rename = "anticorona.Booked.v1")]
    Booked,
    #[schema(rename = "anticorona.BookingCancelled.v1")]
    BookingCancelled,
    #[schema(rename = "anticorona.ReservationAbandoned.v1")]
    ReservationAbandoned,
    #[schema(rename = "anticorona.Completed.v1")]
    Completed,
}

/// The part of an event's data that the ledger reads.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct EventData {
    reservation_id: ReservationId,
    /// Needed by `anticorona.Booked.v1` and `anticorona.Completed.v1`.
    #[schema(nullable = false)]
    vaccine_id: Option<VaccineId>,
}
