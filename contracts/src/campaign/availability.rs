//! What citizens can book: slots with free places, days, and sites near them.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{GeoPosition, LocalizedName, MinuteOfDay};
use crate::ids::{CampaignId, SiteId, SlotId};

/// Slots, by date; with what is free, if a vaccine is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedSlots {
    /// Since when it is true what is free; only with a vaccine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub as_of: Option<Timestamp>,
    /// The days.
    pub days: Vec<ListedDay>,
}

/// The slots of a campaign at a site on a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedDay {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The site.
    pub site_id: SiteId,
    /// The date at the site.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// The time zone of the site.
    pub time_zone: String,
    /// Its slots, by time.
    pub slots: Vec<ListedSlot>,
}

/// A time at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedSlot {
    /// Its number, given by `campaign`; it never changes.
    pub slot_id: SlotId,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// The same in the time zone of the site.
    pub from: MinuteOfDay,
    /// How long it is.
    pub minutes: u16,
    /// People who can book it; 0 if it does not take place.
    pub capacity: u32,
    /// Places for walk-ins and phone.
    pub held_back: u32,
    /// How many people can still book it, as far as there are doses of the vaccine on that date; 0 also if the
    /// campaign is not open, or the slot has begun. Only with a vaccine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub free: Option<i64>,
}

/// A calendar: every date of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarDays {
    /// Since when it is true.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// The dates.
    pub days: Vec<CalendarDay>,
}

/// What is free at a site on a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarDay {
    /// The date at the site.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// Whether anything is free.
    pub status: DayStatus,
    /// How many people can still book a slot of that date.
    #[schema(minimum = 0)]
    pub free: i64,
}

/// Whether anything is free on a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DayStatus {
    /// More than a tenth of the places of slots that have not begun.
    Free,
    /// At most a tenth of them.
    Few,
    /// Nothing, or there are no slots.
    None,
}

/// Free slots that can be booked instead of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotAlternatives {
    /// Since when it is true: the oldest answer for any of the sites that were looked at; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub as_of: Option<Timestamp>,
    /// Whether sites were left out because it was not known what is free there.
    pub incomplete: bool,
    /// At most 3 slots of the same campaign at the same site, those first that start nearest to it.
    #[schema(max_items = 3)]
    pub same_site: Vec<AlternativeSlot>,
    /// A slot at each of at most 3 other sites, the nearest site first.
    #[schema(max_items = 3)]
    pub other_sites: Vec<AlternativeSlot>,
}

/// Free slots for the dose after one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextSlots {
    /// Since when it is true.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// At most 8 slots at the same site, the first ones.
    #[schema(max_items = 8)]
    pub slots: Vec<AlternativeSlot>,
}

/// A free slot that can be booked instead of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlternativeSlot {
    /// Its number.
    pub slot_id: SlotId,
    /// Its site.
    pub site_id: SiteId,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// How many people can still book it.
    #[schema(minimum = 1)]
    pub free: i64,
    /// How far its site is from that of the other slot; none of the same site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub distance_metres: Option<u32>,
}

/// Sites with something free, by distance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NearSites {
    /// Since when it is true: the oldest answer for any of the sites that were looked at; none if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub as_of: Option<Timestamp>,
    /// Whether sites were left out because it was not known what is free there.
    pub incomplete: bool,
    /// At most 20 sites, the nearest first.
    #[schema(max_items = 20)]
    pub sites: Vec<NearSite>,
}

/// A site with something free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NearSite {
    /// Its number.
    pub site_id: SiteId,
    /// Its name.
    pub name: LocalizedName,
    /// Where it is on the map.
    pub position: GeoPosition,
    /// How far it is on the shortest line over the surface of the earth.
    pub distance_metres: u32,
    /// How many people can still book a slot in the range of dates.
    #[schema(minimum = 1)]
    pub free: i64,
    /// The first slot that is free.
    pub first_slot: ListedSlot,
}
