//! Bodies of `mypage`: bookings as citizens see them, built from events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    booking::{BookedSlot, BookingStatus},
    campaign::SitePlace,
    ids::{BookingId, SiteId, SlotId, UserId, VaccineId},
};

/// A booking as its citizen sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mypage {
    /// The booking.
    pub book_id: BookingId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// Its name.
    #[schema(example = "FIZER")]
    pub vc_name: String,
    /// The citizen.
    pub user_id: UserId,
    /// Its status.
    pub status: BookingStatus,
    /// Since when it has this status; later events may not have arrived here yet.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// When and where; none, where a dose of the central stock is booked without a time.
    #[serde(flatten)]
    #[schema(value_type = VisitFields, inline)]
    pub visit: Option<Visit>,
    /// The dose that was given; none before, or where it was not recorded.
    #[serde(flatten)]
    #[schema(value_type = GivenDoseFields, inline)]
    pub dose: Option<GivenDose>,
}

/// When and where a citizen is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Visit {
    /// The slot.
    #[serde(flatten)]
    pub slot: BookedSlot,
    /// When it starts, by the clock at the site, with its offset and time zone; none before the site is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_time: Option<String>,
    /// Where it is; none before the site is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SitePlace>,
}

/// The dose that a citizen was given; what is not known is omitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenDose {
    /// The lot, as printed on the vial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot_number: Option<String>,
    /// Which dose of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dose_number: Option<i64>,
    /// When it was given.
    pub occurred_at: Timestamp,
}

/// How OpenAPI describes a [`Visit`], which a view may have or not.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes fields")]
struct VisitFields {
    /// The slot; none, where a dose of the central stock is booked without a time.
    #[schema(nullable = false)]
    slot_id: Option<SlotId>,
    /// Its site; given with the slot.
    #[schema(nullable = false)]
    site_id: Option<SiteId>,
    /// When it starts; given with the slot.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    starts_at: Option<Timestamp>,
    /// When it starts, by the clock at the site, with its offset and time zone (RFC 9557); none before the site is
    /// known.
    #[schema(nullable = false, example = "2026-12-01T09:30+09:00[Asia/Seoul]")]
    local_time: Option<String>,
    /// Where it is; none before the site is known.
    #[schema(nullable = false)]
    site: Option<SitePlace>,
}

/// How OpenAPI describes a [`GivenDose`]: none of these fields, or `occurredAt` and those that were recorded.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes fields")]
struct GivenDoseFields {
    /// The lot, as printed on the vial.
    #[schema(nullable = false, example = "EW0150")]
    lot_number: Option<String>,
    /// Which dose of the series.
    #[schema(nullable = false, minimum = 1, maximum = 9)]
    dose_number: Option<i64>,
    /// When it was given; omitted before.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    occurred_at: Option<Timestamp>,
}
