//! The bodies of `booking`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{BookingId, SiteId, SlotId, TicketId, UserId, VaccineId},
    number::{self, NaturalNumber, PositiveNumber, Whole},
};

/// A booking as its citizen may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// Its number, given by `booking`.
    pub booking_id: BookingId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// The name of the vaccine, as registered.
    #[schema(example = "FIZER")]
    pub vc_name: String,
    /// The slot; none, where a dose of the central stock is booked without a time.
    #[serde(flatten)]
    #[schema(value_type = SlotFields, inline)]
    pub slot: Option<BookedSlot>,
    /// Which dose of a series it is; none, for a booking of one dose.
    #[serde(flatten)]
    #[schema(value_type = SeriesFields, inline)]
    pub series: Option<BookedSeries>,
    /// The citizen.
    pub user_id: UserId,
    /// Its status.
    pub status: BookingStatus,
}

/// How OpenAPI describes the slot of a booking: all of these fields, or none.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes fields")]
pub(crate) struct SlotFields {
    /// The slot; none, where a dose of the central stock is booked without a time.
    #[schema(nullable = false)]
    slot_id: Option<SlotId>,
    /// Where it is.
    #[schema(nullable = false)]
    site_id: Option<SiteId>,
    /// When it starts.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    starts_at: Option<Timestamp>,
}

/// The slot of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookedSlot {
    /// The slot.
    pub slot_id: SlotId,
    /// Where it is.
    pub site_id: SiteId,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
}

/// How OpenAPI describes the series of a booking: all of these fields, or none.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes fields")]
pub(crate) struct SeriesFields {
    /// Which dose of a series of two it is.
    #[schema(nullable = false, minimum = 1, maximum = 2)]
    dose_number: Option<u8>,
    /// The booking of the other dose.
    #[schema(nullable = false)]
    other_dose_booking_id: Option<BookingId>,
}

/// A dose of a series of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookedSeries {
    /// Which one it is, 1 or 2.
    pub dose_number: u8,
    /// The booking of the other dose.
    pub other_dose_booking_id: BookingId,
}

/// The status of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BookingStatus {
    /// A dose is reserved for the citizen.
    Booked,
    /// The dose was released.
    BookingCancelled,
    /// The dose was used.
    InjectionCompleted,
}

/// A request in the queue, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Its id, the same for as long as the `Idempotency-Key` is the same.
    pub ticket_id: TicketId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// The slot, if the request names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub slot_id: Option<SlotId>,
    /// The slot of the second dose, if the request is of a series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_slot_id: Option<SlotId>,
    /// Its status.
    pub status: TicketStatus,
    /// While it waits: its position in the queue, from 1; never less than the number of tickets ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub position: Option<i64>,
    /// Once it is booked: the booking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub booking_id: Option<BookingId>,
}

/// The status of a ticket. All but the first are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TicketStatus {
    /// `vaccine` has not answered for it yet.
    Waiting,
    /// It has become a booking.
    Booked,
    /// Every dose was taken when it was served.
    SoldOut,
    /// There is no such vaccine.
    NoSuchVaccine,
    /// Every place of the slot was taken when it was served.
    SlotFull,
    /// There is no such slot for the vaccine.
    NoSuchSlot,
    /// The slot could not be booked when it was served.
    NotOpen,
    /// Every place or dose at the time of the second dose was taken when it was served.
    NextSlotFull,
    /// The second slot is too early or too late after the first.
    OutsideInterval,
    /// The vaccine has no second dose.
    SingleDose,
    /// The citizen had as many bookings of this campaign as a person can have.
    AlreadyBooked,
    /// Another request with the same `Idempotency-Key` was booked first.
    KeyReused,
}

/// The body of `POST` on bookings; other fields are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookingBody {
    /// The vaccine; a number or a numeric string.
    #[schema(value_type = PositiveNumber, required = true)]
    pub vaccine_id: Option<Whole>,
    /// The slot, for a place at a time; a number or a numeric string.
    #[serde(default, deserialize_with = "number::present")]
    #[schema(value_type = PositiveNumber)]
    pub slot_id: Option<Whole>,
    /// `series` books two doses, both or neither: the second one at `nextSlotId`, or, without it, at the first time that is
    /// free at the same site when it is due.
    #[serde(default, deserialize_with = "number::present")]
    #[schema(value_type = BookingPlan)]
    pub plan: Option<String>,
    /// The slot of the second dose; a number or a numeric string.
    #[serde(default, deserialize_with = "number::present")]
    #[schema(value_type = PositiveNumber)]
    pub next_slot_id: Option<Whole>,
    /// Accepted for clients of the reference. The booking has the registered name.
    #[schema(example = "FIZER")]
    pub vc_name: Option<String>,
    /// The citizen; a number or a numeric string.
    #[schema(value_type = NaturalNumber, required = true)]
    pub user_id: Option<Whole>,
    /// Ignored.
    #[schema(example = "BOOKED")]
    pub status: Option<String>,
}

/// How OpenAPI describes the plan in a [`BookingBody`].
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes text")]
enum BookingPlan {
    Series,
}

/// The body of `PUT` and `PATCH` on bookings; other fields are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookingChange {
    /// May be sent back as it was read; cannot be changed.
    #[schema(value_type = Option<PositiveNumber>)]
    pub vaccine_id: Option<Whole>,
    /// Ignored.
    #[schema(example = "FIZER")]
    pub vc_name: Option<String>,
    /// May be sent back as it was read; cannot be changed.
    #[schema(value_type = Option<NaturalNumber>)]
    pub user_id: Option<Whole>,
    /// The slot that the booking is moved to; a number or a numeric string.
    #[serde(default, deserialize_with = "number::present")]
    #[schema(value_type = PositiveNumber)]
    pub slot_id: Option<Whole>,
    /// With `slotId`, of the first dose of a series: the slot that the second dose is moved to; a number or a numeric
    /// string.
    #[serde(default, deserialize_with = "number::present")]
    #[schema(value_type = PositiveNumber)]
    pub next_slot_id: Option<Whole>,
    /// `BOOKING_CANCELLED` cancels. `BOOKED`, which the reference spells `BOOCKED`, changes nothing. May be left out
    /// where a slot is given.
    #[schema(value_type = RequestedStatus)]
    pub status: Option<String>,
}

/// How OpenAPI describes the status in a [`BookingChange`].
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(dead_code, reason = "describes text")]
enum RequestedStatus {
    Booked,
    Boocked,
    BookingCancelled,
}
