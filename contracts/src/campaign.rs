//! Bodies of `campaign`: places, opening hours, campaigns and their slots.

use std::fmt;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{CampaignId, SiteId, SlotId, VaccineId},
    number,
};

pub mod availability;
mod import;
mod place;
mod schemas;
mod values;

pub use import::{ImportResult, ImportedRow, SiteImport};
pub use place::{Address, GeoPosition, LocalizedName, SitePlace};
use schemas::{Fields, OptionalText, Text100, Text200, Text500};
pub use values::{Ignored, Microdegrees, MinuteOfDay};

/// Live bookings of each dose that a person can have in a campaign, at most.
pub const BOOKINGS_PER_PERSON_MAX: u8 = 10;

/// What another system calls a site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalIdentifier {
    /// The system, 1 to 100 characters.
    #[schema(value_type = Text100)]
    pub system: String,
    /// The identifier in that system, 1 to 100 characters.
    #[schema(value_type = Text100)]
    pub value: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "their names say it")]
pub enum DayOfWeek {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// When a site is open, each week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpeningHours {
    /// The day.
    pub day: DayOfWeek,
    /// When it opens.
    pub from: MinuteOfDay,
    /// When it closes; after `from`.
    pub to: MinuteOfDay,
}

/// A time of a day in which a site is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenInterval {
    /// When it opens.
    pub from: MinuteOfDay,
    /// When it closes; after `from`.
    pub to: MinuteOfDay,
}

/// A date on which a site has other hours than each week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursException {
    /// The date, from 2000 to 2999.
    #[schema(value_type = String, format = Date, pattern = "^2[0-9]{3}-")]
    pub date: Date,
    /// The hours of that date, of which no two overlap; none: it is closed.
    #[schema(max_items = 8)]
    pub hours: Vec<OpenInterval>,
    /// Why, 1 to 200 characters.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Text200)]
    pub note: Option<String>,
}

/// The body of `PUT /sites/{id}/exceptions/{date}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursExceptionBody {
    /// The hours of that date, of which no two overlap; none: it is closed.
    #[schema(max_items = 8)]
    pub hours: Vec<OpenInterval>,
    /// Why, 1 to 200 characters.
    #[serde(default, deserialize_with = "number::present")]
    #[schema(value_type = Text200)]
    pub note: Option<String>,
}

/// The body of `POST` and `PUT` on sites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SiteDetails {
    /// May be sent back; ignored.
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    pub site_id: Ignored,
    /// May be sent back; ignored.
    #[serde(default, rename = "_links", skip_serializing)]
    #[schema(ignore)]
    pub links: Ignored,
    /// Its name.
    pub name: LocalizedName,
    /// Where it is.
    pub address: Address,
    /// 3 to 32 characters: digits, spaces, and `-()`, perhaps after a `+`.
    #[schema(
        example = "+82 2 123 4567",
        min_length = 3,
        max_length = 32,
        pattern = r"^\+?[ ()-]*[0-9][0-9 ()-]*$"
    )]
    pub phone: String,
    /// The name of an IANA time zone; its hours are in this zone.
    #[schema(example = "Asia/Seoul", pattern = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$")]
    pub time_zone: String,
    /// Where it is on the map.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub position: Option<GeoPosition>,
    /// What people with disabilities have to know, up to 500 characters.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = OptionalText)]
    pub accessibility: Option<String>,
    /// What other systems call it; no two sites have the same identifier.
    #[serde(default)]
    #[schema(value_type = BTreeSet<ExternalIdentifier>, max_items = 8)]
    pub identifiers: Vec<ExternalIdentifier>,
    /// When it is open each week; no two of them overlap.
    #[serde(default)]
    #[schema(max_items = 21)]
    pub opening_hours: Vec<OpeningHours>,
    /// Dates with other hours, each date once.
    #[serde(default)]
    #[schema(max_items = 400)]
    pub exceptions: Vec<HoursException>,
}

type SiteFields = Fields<SiteDetails>;

/// A place where people are vaccinated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    /// Its number, given by `campaign`.
    pub site_id: SiteId,
    /// What it is.
    #[serde(flatten)]
    #[schema(value_type = SiteFields, inline)]
    pub details: SiteDetails,
}

/// A site of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CampaignSite {
    /// The site.
    #[serde(deserialize_with = "values::site_id")]
    pub site_id: SiteId,
    /// People in each slot, 1 to 10,000, if they are others than at the other sites.
    #[serde(
        default,
        deserialize_with = "number::present_count",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, minimum = 1, maximum = 10_000)]
    pub capacity: Option<u32>,
}

/// The body of `POST` and `PUT` on campaigns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CampaignDetails {
    /// May be sent back; ignored.
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    pub campaign_id: Ignored,
    /// May be sent back; ignored.
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    pub status: Ignored,
    /// May be sent back; ignored.
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    pub changes: Ignored,
    /// May be sent back; ignored.
    #[serde(default, rename = "_links", skip_serializing)]
    #[schema(ignore)]
    pub links: Ignored,
    /// Its name.
    pub name: LocalizedName,
    /// The vaccines, each once.
    #[serde(deserialize_with = "values::vaccine_ids")]
    #[schema(value_type = BTreeSet<VaccineId>, min_items = 1, max_items = 16)]
    pub vaccine_ids: Vec<VaccineId>,
    /// The first day, from 2000 to 2999.
    #[schema(value_type = String, format = Date, pattern = "^2[0-9]{3}-")]
    pub from: Date,
    /// The last day, not before the first; a campaign has 92 days at most.
    #[schema(value_type = String, format = Date, pattern = "^2[0-9]{3}-")]
    pub to: Date,
    /// How long a slot is.
    #[serde(deserialize_with = "number::count")]
    #[schema(minimum = 5, maximum = 240)]
    pub slot_minutes: u16,
    /// People in each slot.
    #[serde(deserialize_with = "number::count")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub capacity: u32,
    /// Where its doses come from.
    #[serde(default)]
    pub doses: DoseSource,
    /// Where, each site once.
    #[serde(default)]
    #[schema(max_items = 2_000)]
    pub sites: Vec<CampaignSite>,
    /// The share of each slot that is kept for walk-ins and phone, rounded up.
    #[serde(default, deserialize_with = "number::count")]
    #[schema(maximum = 90)]
    pub held_back_percent: u8,
    /// From when people can book, 2000 to 2999 in UTC.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    pub book_from: Option<Timestamp>,
    /// Until when people can book, 2000 to 2999 in UTC; after `bookFrom`.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    pub book_until: Option<Timestamp>,
    /// Live bookings of each dose that a person can have.
    #[serde(default = "one", deserialize_with = "number::count")]
    #[schema(minimum = 1, maximum = 10)]
    pub bookings_per_person: u8,
}

fn one() -> u8 {
    1
}

/// Where the doses of a campaign come from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DoseSource {
    /// The central stock of each vaccine.
    #[default]
    Central,
    /// The lots of each site: a booking needs a dose there that is valid on its date.
    SiteLots,
}

/// `DRAFT → SCHEDULED → OPEN ⇄ PAUSED`; from any of the last three to `CLOSED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CampaignStatus {
    /// It has no slots yet.
    Draft,
    /// It has slots; nobody can book yet.
    Scheduled,
    /// People can book.
    Open,
    /// Nobody can book for a time.
    Paused,
    /// It is over.
    Closed,
}

impl CampaignStatus {
    /// Every status, in the order of the life of a campaign.
    pub const ALL: [Self; 5] =
        [Self::Draft, Self::Scheduled, Self::Open, Self::Paused, Self::Closed];

    /// Whether it has slots that are kept up to date.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Scheduled | Self::Open | Self::Paused)
    }
}

impl fmt::Display for CampaignStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draft => "DRAFT",
            Self::Scheduled => "SCHEDULED",
            Self::Open => "OPEN",
            Self::Paused => "PAUSED",
            Self::Closed => "CLOSED",
        })
    }
}

/// The body of `POST /campaigns/{id}/status`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignStatusBody {
    /// The new status.
    pub status: CampaignStatus,
    /// Why, 1 to 500 characters.
    #[schema(value_type = Text500)]
    pub reason: String,
    /// Who, 1 to 100 characters.
    #[schema(value_type = Text100)]
    pub actor: String,
}

/// That a campaign got another status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CampaignStatusChange {
    /// The new status.
    pub status: CampaignStatus,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
}

type CampaignFields = Fields<CampaignDetails>;

/// A campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    /// Its number, given by `campaign`.
    pub campaign_id: CampaignId,
    /// What it is.
    #[serde(flatten)]
    #[schema(value_type = CampaignFields, inline)]
    pub details: CampaignDetails,
    /// Its status.
    pub status: CampaignStatus,
    /// Its last changes of status, oldest first; not in events and lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<CampaignStatusChange>,
}

/// A time at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
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
}

/// The slots of a campaign at a site on a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotDay {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The site.
    pub site_id: SiteId,
    /// The date at the site.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// The time zone of the site.
    pub time_zone: String,
    /// Its slots, by time; also those that do not take place any more.
    pub slots: Vec<Slot>,
}

/// Days whose slots were planned, or planned differently: each with all its slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotDays {
    /// The days.
    pub days: Vec<SlotDay>,
}

/// What a campaign would have at a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SitePreview {
    /// The site.
    pub site_id: SiteId,
    /// Days with slots.
    pub days: u32,
    /// Slots; 0 if the site is never open.
    pub slots: u32,
    /// People who can book.
    pub places: u64,
    /// Places for walk-ins and phone.
    pub held_back: u64,
    /// When the first slot starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    pub first_start: Option<Timestamp>,
    /// When the last slot starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    pub last_start: Option<Timestamp>,
}
