//! Bodies of `vaccine`: stock, and holds of it.

use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{AllOfBuilder, AnyOfBuilder, ObjectBuilder, Schema, Type},
    },
};

use crate::{
    ids::{ReservationId, StoreId, VaccineId},
    number::{self, PositiveNumber, Whole},
};

/// The largest number of holds in one [`HoldBatch`]; more is refused whole.
pub const HOLDS_MAX: usize = 512;

/// A vaccine. Free doses: `stock - book_qty`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vaccine {
    /// Its number, given by `vaccine`.
    pub vaccine_id: VaccineId,
    /// Its name, 1 to 100 characters.
    #[schema(example = "FIZER")]
    pub vc_name: String,
    /// Doses that exist.
    pub stock: i64,
    /// Doses held or booked; never more than `stock`, and what is overcommitted.
    pub book_qty: i64,
    /// Doses that were used, or booked, although every dose was taken; given if there are any. So many of its
    /// newest bookings have no dose.
    #[serde(default, skip_serializing_if = "is_none")]
    pub overcommitted: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(doses: &i64) -> bool {
    *doses == 0
}

/// The body of `POST` and `PUT` on vaccines; that of `PATCH`, [`VaccineChange`], has one of the fields or
/// both.
///
/// Fields that only `vaccine` sets may be sent back as they were read; they are ignored.
/// Any other field is refused: a misspelt `stok` must not be ignored.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaccineBody {
    /// The name, 1 to 100 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        value_type = String, required = true, example = "FIZER", min_length = 1, max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub vc_name: Option<String>,
    /// Doses that exist, 0 to 1,000,000,000; a number or a numeric string.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = StockNumber, required = true)]
    pub stock: Option<Whole>,
    #[serde(default, rename = "vaccineId")]
    #[schema(ignore)]
    _vaccine_id: IgnoredAny,
    #[serde(default, rename = "bookQty")]
    #[schema(ignore)]
    _book_qty: IgnoredAny,
    #[serde(default, rename = "overcommitted")]
    #[schema(ignore)]
    _overcommitted: IgnoredAny,
    #[serde(default, rename = "_links")]
    #[schema(ignore)]
    _links: IgnoredAny,
}

/// A field may be missing, and is not `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// How OpenAPI describes the body of `PATCH` on vaccines: a [`VaccineBody`] with one of its fields or both.
#[derive(Clone, Copy, Debug)]
pub struct VaccineChange;

impl PartialSchema for VaccineChange {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut body)) = VaccineBody::schema() else {
            return VaccineBody::schema();
        };
        let has =
            |field: &String| ObjectBuilder::new().schema_type(Type::Object).required(field).build();
        let one = body.required.iter().map(has).fold(AnyOfBuilder::new(), AnyOfBuilder::item);
        body.required.clear();
        RefOr::T(AllOfBuilder::new().item(body).item(one).into())
    }
}

impl ToSchema for VaccineChange {}

/// How OpenAPI describes a stock: 0 to 1,000,000,000.
#[derive(Clone, Copy, Debug)]
struct StockNumber;

impl PartialSchema for StockNumber {
    fn schema() -> RefOr<Schema> {
        number::schema(0, 1_000_000_000, "-?0+|0*[1-9][0-9]{0,8}|0*1000000000")
    }
}

impl ToSchema for StockNumber {}

/// Many holds in one request; each is decided for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldBatch {
    /// The store that holds the doses and will resolve them.
    pub owner: StoreId,
    /// At most [`HOLDS_MAX`].
    #[schema(max_items = 512)]
    pub holds: Vec<Hold>,
}

/// A request for one dose of a vaccine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The attempt; a repeated hold has the same outcome.
    pub reservation_id: ReservationId,
    /// The vaccine.
    #[serde(deserialize_with = "vaccine_id")]
    #[schema(value_type = PositiveNumber)]
    pub vaccine_id: VaccineId,
}

fn vaccine_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VaccineId, D::Error> {
    number::positive(deserializer).map(VaccineId)
}

/// The outcomes of a [`HoldBatch`], in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldReply {
    /// One outcome per hold.
    pub outcomes: Vec<HoldOutcome>,
}

/// The outcome of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case", from = "FlatOutcome")]
pub enum HoldOutcome {
    /// A dose is held for this reservation.
    #[serde(rename_all = "camelCase")]
    Held {
        /// The vaccine's registered name.
        vc_name: String,
    },
    /// Every dose is held or booked.
    SoldOut,
    /// There is no such vaccine.
    NoSuchVaccine,
    /// This reservation was released before; its id cannot be used again.
    Released,
    /// This reservation exists, for another vaccine or another owner.
    Conflict,
    /// The ledger failed; it is unknown whether a dose is held.
    Failed,
}

/// A [`HoldOutcome`] as it is deserialised: field by field, which is several times faster than serde's
/// internally tagged enum.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlatOutcome {
    outcome: OutcomeTag,
    #[serde(default)]
    vc_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OutcomeTag {
    Held,
    SoldOut,
    NoSuchVaccine,
    Released,
    Conflict,
    Failed,
}

impl From<FlatOutcome> for HoldOutcome {
    fn from(FlatOutcome { outcome, vc_name }: FlatOutcome) -> Self {
        match outcome {
            OutcomeTag::Held => Self::Held { vc_name },
            OutcomeTag::SoldOut => Self::SoldOut,
            OutcomeTag::NoSuchVaccine => Self::NoSuchVaccine,
            OutcomeTag::Released => Self::Released,
            OutcomeTag::Conflict => Self::Conflict,
            OutcomeTag::Failed => Self::Failed,
        }
    }
}

/// Attempts that end without a booking, although their store cannot write that now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbortBatch {
    /// The store whose attempts these are.
    pub owner: StoreId,
    /// At most [`HOLDS_MAX`].
    #[schema(max_items = 512)]
    pub reservation_ids: Vec<ReservationId>,
}

/// What came of an [`AbortBatch`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbortBatchReply {
    /// Those of another owner, and those that are booked, which their owner has to cancel; none of the
    /// others takes a dose.
    pub refused: Vec<ReservationId>,
}

/// Holds that their owner has not resolved, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanedHolds {
    /// Their reservations.
    pub reservation_ids: Vec<ReservationId>,
    /// Reservations that were aborted ([`AbortBatch`]), and that their owner has not recorded yet.
    #[serde(default)]
    pub aborted: Vec<ReservationId>,
}

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The attempt.
    pub reservation_id: ReservationId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// Its state.
    pub state: ReservationState,
}

/// `held → booked → administered`, or `released`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReservationState {
    /// A dose is held; its owner has not resolved it yet.
    Held,
    /// There is a booking.
    Booked,
    /// The dose was released; the id cannot be used again.
    Released,
    /// The same; its owner has still to record that there is no booking.
    Aborted,
    /// The dose was used.
    Administered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_read_as_it_is_written() {
        use HoldOutcome::{Conflict, Failed, Held, NoSuchVaccine, Released, SoldOut};
        let held = Held { vc_name: "FIZER".to_owned() };
        for outcome in [held, SoldOut, NoSuchVaccine, Released, Conflict, Failed] {
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<HoldOutcome>(&json).unwrap(), outcome, "{json}");
        }
    }
}
