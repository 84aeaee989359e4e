//! What `booking` says and hears.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{BookingId, TicketId, UserId, VaccineId},
    number::Whole,
};

/// A booking as its citizen may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// Its number, given by `booking`.
    pub booking_id: BookingId,
    /// The vaccine booked.
    pub vaccine_id: VaccineId,
    /// The vaccine's name, as `vaccine` has it.
    #[schema(example = "FIZER")]
    pub vc_name: String,
    /// Whose booking it is.
    pub user_id: UserId,
    /// Where it stands.
    pub status: BookingStatus,
}

/// Where a booking stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BookingStatus {
    /// A dose is kept for this citizen.
    Booked,
    /// The dose was given back.
    BookingCancelled,
    /// The dose was used.
    InjectionCompleted,
}

/// A place in the line, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Its id, the same for as long as the `Idempotency-Key` is the same.
    pub ticket_id: TicketId,
    /// The vaccine wanted.
    pub vaccine_id: VaccineId,
    /// Where it stands.
    pub status: TicketStatus,
    /// While it waits: its place in the line, counted from 1; never less than the tickets ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub position: Option<i64>,
    /// The booking that it turned into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub booking_id: Option<BookingId>,
}

/// Where a ticket stands. All but the first are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TicketStatus {
    /// Nobody could be asked yet.
    Waiting,
    /// It turned into a booking.
    Booked,
    /// Every dose was taken when its turn came.
    SoldOut,
    /// There is no such vaccine.
    NoSuchVaccine,
    /// Another request with the same `Idempotency-Key` came at the same time and was faster.
    KeyReused,
    /// Its dose was taken back again and again; ask again with a new `Idempotency-Key`.
    GivenUp,
}

/// The body of `POST`, `PUT` and `PATCH` on bookings; other fields are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookingBody {
    /// The vaccine wanted; a number or a numeric string.
    #[schema(example = 1)]
    pub vaccine_id: Option<Whole>,
    /// Accepted for old clients. The booking shows the name that `vaccine` has.
    #[schema(example = "FIZER")]
    pub vc_name: Option<String>,
    /// Who books; a number or a numeric string.
    #[schema(example = 5)]
    pub user_id: Option<Whole>,
    /// Ignored on `POST`. On `PUT` and `PATCH`: `BOOKING_CANCELLED` cancels.
    #[schema(example = "BOOKED")]
    pub status: Option<String>,
}
