//! Bodies of `vaccine`: stock, and holds of it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{AllOfBuilder, AnyOfBuilder, ObjectBuilder, Schema, Type},
    },
};

use crate::{
    ids::{CampaignId, ReservationId, SiteId, SlotId, StoreId, VaccineId},
    number::{self, PositiveNumber, Whole},
};

pub mod availability;
pub mod lots;
pub mod product;

use product::DoseInterval;

/// Doses that one [`HoldBlock`] may want now, and blocks in a [`HoldBatch`]; more is refused whole.
pub const HOLDS_MAX: usize = 512;

/// Doses of a vaccine that a store may hold ahead of demand.
pub const AHEAD_MAX: u32 = 1_024;

/// The share of the free doses that a store may hold ahead of demand (1/64): one that fails takes no more from others
/// until its doses are released.
pub const AHEAD_SHARE: i64 = 64;

/// Reservations in one [`OrphanedHolds`], at most: more than one store can leave behind.
pub const ORPHANED_MAX: u32 = 10_000;

/// How long a store may repeat the answer that a vaccine is sold out, from its request. Who adds doses, or releases
/// one, gets the answer of `vaccine` that much later, so that after that nobody is refused without a request for a
/// dose.
pub const SOLD_OUT_FOR: Duration = Duration::from_millis(20);

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
    #[serde(default, deserialize_with = "number::present")]
    #[schema(
        value_type = String, required = true, example = "FIZER", min_length = 1, max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub vc_name: Option<String>,
    /// Doses that exist, 0 to 1,000,000,000; a number or a numeric string.
    #[serde(default, deserialize_with = "number::present")]
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

/// Holds in one request; each block is decided for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldBatch {
    /// The store that holds the doses and will resolve them.
    pub owner: StoreId,
    /// At most [`HOLDS_MAX`].
    #[schema(max_items = 512)]
    pub blocks: Vec<HoldBlock>,
}

/// A request for doses of one vaccine. Their reservations are numbered: the last 16 bits of the first one, and those
/// of each further one are one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldBlock {
    /// The first reservation; a repeated block has the same outcome.
    pub first: ReservationId,
    /// The vaccine.
    #[serde(deserialize_with = "vaccine_id")]
    #[schema(value_type = PositiveNumber)]
    pub vaccine_id: VaccineId,
    /// The slot whose places they take too; none, for doses of the central stock alone.
    #[serde(default, deserialize_with = "slot_id", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PositiveNumber>, nullable = false)]
    pub slot_id: Option<SlotId>,
    /// The slot of a second dose for each of them: both doses or neither. The reservations of the second doses are
    /// numbered after `count` of the first ones, and none is held ahead of demand.
    #[serde(default, deserialize_with = "slot_id", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PositiveNumber>, nullable = false)]
    pub next_slot_id: Option<SlotId>,
    /// Doses that are wanted now, as many of them as are free; 0 to 512.
    #[serde(deserialize_with = "number::count")]
    #[schema(maximum = 512)]
    pub count: u32,
    /// Further doses, which will be wanted soon: so many, as long as the store has no more than a
    /// [`AHEAD_SHARE`]th of what is free ahead of demand; 0 to 1,024.
    #[serde(default, deserialize_with = "number::count")]
    #[schema(maximum = 1_024)]
    pub ahead: u32,
    /// Doses that the store has ahead of demand already.
    #[serde(default, deserialize_with = "number::count")]
    #[schema(maximum = 1_024)]
    pub in_hand: u32,
}

impl HoldBlock {
    /// How many reservations it has, at most.
    pub fn reservations(&self) -> u32 {
        let second = if self.next_slot_id.is_some() { self.count } else { 0 };
        self.count.saturating_add(second).saturating_add(self.ahead)
    }
}

fn vaccine_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VaccineId, D::Error> {
    number::positive(deserializer).map(VaccineId)
}

fn slot_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SlotId>, D::Error> {
    number::positive(deserializer).map(SlotId).map(Some)
}

/// The outcomes of a [`HoldBatch`], in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldReply {
    /// One outcome per block.
    pub outcomes: Vec<HoldOutcome>,
}

/// Where and when the slot of a hold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldPlace {
    /// The site.
    pub site_id: SiteId,
    /// When the slot starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// Its campaign.
    pub campaign_id: CampaignId,
    /// Live bookings of each dose that a person can have in this campaign.
    pub bookings_per_person: u8,
}

/// The second dose of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldNext {
    /// Where and when its slot is.
    pub place: HeldPlace,
    /// How many days after the first it may be.
    pub interval: DoseInterval,
}

/// A slot as the ledger counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotCount {
    /// The slot.
    pub slot_id: SlotId,
    /// The site.
    pub site_id: SiteId,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// Places that there are.
    pub capacity: i64,
    /// Places held, booked or used.
    pub taken: i64,
    /// Bookings that have no place any more, and have to move.
    pub overcommitted: i64,
}

/// The outcome of a block of holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum HoldOutcome {
    /// Doses are held for the first reservations of the block. Fewer than are wanted now: every other dose is held or
    /// booked.
    #[serde(rename_all = "camelCase")]
    Held {
        /// The vaccine's registered name.
        vc_name: String,
        /// How many; 0 only where none is wanted now.
        count: u32,
        /// Of a slot: where and when it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        place: Option<HeldPlace>,
        /// Of a second dose: where and when it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        next: Option<HeldNext>,
    },
    /// Doses are wanted now, and every dose is held or booked.
    SoldOut,
    /// There is no such vaccine.
    NoSuchVaccine,
    /// Doses are wanted now, and every place of the slot is held or booked.
    SlotFull,
    /// There is no such slot for the vaccine.
    NoSuchSlot,
    /// The slot cannot be booked now: its campaign is not open, or it has begun.
    NotOpen,
    /// The first dose and its place could be held, and there is none of the second.
    NextSlotFull,
    /// The second slot is too early or too late after the first.
    OutsideInterval,
    /// The vaccine has no second dose.
    SingleDose,
    /// Some of these reservations were released before, or exist otherwise; their ids cannot be used again.
    Conflict,
    /// The ledger failed; it is unknown whether doses are held.
    Failed,
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

/// Holds that their owner has not resolved, oldest first; of each list at most [`ORPHANED_MAX`].
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
        use HoldOutcome::{
            Conflict, Failed, Held, NextSlotFull, NoSuchSlot, NoSuchVaccine, NotOpen,
            OutsideInterval, SingleDose, SlotFull, SoldOut,
        };
        let (site_id, starts_at) = (SiteId(3), Timestamp::UNIX_EPOCH);
        let campaign_id = CampaignId(1);
        let place = HeldPlace { site_id, starts_at, campaign_id, bookings_per_person: 1 };
        let interval = DoseInterval { min_days: 21, max_days: 42 };
        let held = |place, next| Held { vc_name: "FIZER".to_owned(), count: 3, place, next };
        let both = held(Some(place), Some(HeldNext { place, interval }));
        let refused = [SoldOut, SlotFull, NoSuchVaccine, NoSuchSlot, NotOpen, Conflict, Failed];
        let of_series = [NextSlotFull, OutsideInterval, SingleDose];
        let held = [held(None, None), held(Some(place), None), both];
        for outcome in held.into_iter().chain(refused).chain(of_series) {
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<HoldOutcome>(&json).unwrap(), outcome, "{json}");
        }
    }
}
