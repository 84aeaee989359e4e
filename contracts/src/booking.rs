//! The bodies of `booking`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{BookingId, TicketId, UserId, VaccineId},
    number::{NaturalNumber, PositiveNumber, Whole},
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
    /// The citizen.
    pub user_id: UserId,
    /// Its status.
    pub status: BookingStatus,
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
    /// `BOOKING_CANCELLED` cancels. `BOOKED`, which the reference spells `BOOCKED`, changes nothing.
    #[schema(value_type = RequestedStatus, required = true)]
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
