//! What `booking` says and hears.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{BookingId, UserId, VaccineId},
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
