//! Lots: where the doses of a site come from, and until when they can be used.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use crate::{
    campaign::Ignored,
    ids::{LotId, SiteId, VaccineId},
    number::{self, PositiveNumber, Whole},
};

/// Lots that a site can have of a vaccine.
pub const LOTS_MAX: usize = 256;

/// The largest number of doses in one change of a lot.
pub const LOT_DOSES_MAX: i64 = 1_000_000;

/// The body of `POST /lots`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LotBody {
    /// The site; a number or a numeric string.
    #[serde(deserialize_with = "number::positive")]
    #[schema(value_type = PositiveNumber)]
    pub site_id: i64,
    /// The vaccine; a number or a numeric string.
    #[serde(deserialize_with = "number::positive")]
    #[schema(value_type = PositiveNumber)]
    pub vaccine_id: i64,
    /// As printed on the box, 1 to 32 letters, digits and `.-_/ `; a site has each number of a vaccine once.
    #[schema(
        example = "FA-2207",
        pattern = "^[A-Za-z0-9._/-]([A-Za-z0-9 ._/-]{0,30}[A-Za-z0-9._/-])?$"
    )]
    pub number: String,
    /// The last date on which its doses can be used, from 2000 to 2999.
    #[schema(value_type = String, format = Date, pattern = "^2[0-9]{3}-")]
    pub expires_on: Date,
    /// Doses that were received, 0 to 1,000,000; a number or a numeric string.
    #[schema(value_type = LotDosesNumber)]
    pub doses: Whole,
    /// Why, 1 to 500 characters.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub reason: String,
    /// Who, 1 to 100 characters.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub actor: String,
}

/// The body of `POST /lots/{id}/changes`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LotChangeBody {
    /// What happened.
    pub kind: LotChangeKind,
    /// How many doses; of a count, how many there are. 0 to 1,000,000; a number or a numeric string.
    #[schema(value_type = LotDosesNumber)]
    pub doses: Whole,
    /// Of a transfer: the site that has them now; a number or a numeric string.
    #[serde(default, deserialize_with = "site_id")]
    #[schema(value_type = PositiveNumber)]
    pub to_site_id: Option<i64>,
    /// Whether it happens although bookings would have no dose: they have to move.
    #[serde(default)]
    pub overcommit: bool,
    /// Why, 1 to 500 characters.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub reason: String,
    /// Who, 1 to 100 characters.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub actor: String,
    /// May be sent back; ignored.
    #[serde(default, rename = "_links")]
    #[schema(ignore)]
    pub links: Ignored,
}

fn site_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    number::positive(deserializer).map(Some)
}

/// How OpenAPI describes the doses of a change: 0 to [`LOT_DOSES_MAX`].
#[derive(Clone, Copy, Debug)]
struct LotDosesNumber;

impl PartialSchema for LotDosesNumber {
    fn schema() -> RefOr<Schema> {
        number::schema(0, LOT_DOSES_MAX, "-?0+|0*[1-9][0-9]{0,5}|0*1000000")
    }
}

impl ToSchema for LotDosesNumber {}

/// What happened to doses of a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LotChangeKind {
    /// More of them arrived.
    Received,
    /// They cannot be used any more.
    Wasted,
    /// Another site has them now.
    Transferred,
    /// They were counted: so many there are.
    Counted,
}

/// A lot of a vaccine at a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lot {
    /// Its number, given by `vaccine`.
    pub lot_id: LotId,
    /// The site.
    pub site_id: SiteId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// As printed on the box.
    pub number: String,
    /// The last date on which its doses can be used.
    #[schema(value_type = String, format = Date)]
    pub expires_on: Date,
    /// Doses that are there.
    pub doses: i64,
    /// Doses that were received, also from other sites.
    pub received: i64,
    /// Doses that were injected.
    pub used: i64,
    /// Doses that were wasted.
    pub wasted: i64,
    /// Doses that other sites got.
    pub transferred: i64,
    /// How often it was changed, without injections.
    pub change_count: i64,
    /// What happened to it last, oldest first; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<LotChange>,
}

/// What happened to a lot, without its injections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LotChange {
    /// What.
    pub kind: LotChangeKind,
    /// How many doses; of a count, how many there were.
    pub doses: i64,
    /// The other site of a transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub site_id: Option<SiteId>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// The doses of a vaccine at a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteStockCount {
    /// The site.
    pub site_id: SiteId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// Bookings without a dose that is valid on their date: so many have to move.
    pub overcommitted: i64,
    /// The nested pools: all doses, and for each expiry date those that can be used after it.
    pub pools: Vec<ExpiryPool>,
    /// Reservations by date, held or booked.
    pub dates: Vec<DateCount>,
}

/// The doses of a site that can be used after a date, and the reservations after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpiryPool {
    /// The date; none: all doses and all reservations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false)]
    pub after: Option<Date>,
    /// Doses.
    pub doses: i64,
    /// Reservations, held or booked.
    pub taken: i64,
}

/// The reservations of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DateCount {
    /// The date at the site.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// Reservations, held or booked.
    pub taken: i64,
}
