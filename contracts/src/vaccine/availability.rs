//! What is free at a site: places of slots, and doses.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{CampaignId, SlotId, VaccineId};

/// Days of one request for what is free.
pub const AVAILABLE_DAYS_MAX: i32 = 31;

/// Slots in one answer, so that it is no larger than a response may be; a day has fewer.
pub const AVAILABLE_SLOTS_MAX: u32 = 5_000;

/// What is free at a site on some dates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteAvailability {
    /// Since when this is true: what was committed before is counted.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Slots, by date.
    pub slots: Vec<SlotAvailability>,
    /// Doses that these slots offer.
    pub doses: Vec<DoseAvailability>,
}

/// The places of a slot that are neither held nor booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotAvailability {
    /// The slot.
    pub slot_id: SlotId,
    /// Its campaign.
    pub campaign_id: CampaignId,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// The date at the site.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// Free places; 0 also where it is overcommitted.
    #[schema(minimum = 0)]
    pub free: i64,
}

/// The doses of a vaccine that are neither held nor booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoseAvailability {
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// Of the lots of the site: the date on which they are valid; none: of the central stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false)]
    pub date: Option<Date>,
    /// Free doses; 0 also where they are overcommitted.
    #[schema(minimum = 0)]
    pub free: i64,
}
