//! What `mypage` says: a booking as its citizen sees it, put together from events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{BookingId, UserId, VaccineId};

/// A booking as its citizen sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mypage {
    /// The booking.
    pub book_id: BookingId,
    /// The vaccine booked.
    pub vaccine_id: VaccineId,
    /// Its name.
    #[schema(example = "FIZER")]
    pub vc_name: String,
    /// Whose booking it is.
    pub user_id: UserId,
    /// Where it stands.
    pub status: MypageStatus,
    /// Since when: what happened later is not known here yet.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
}

/// Where a booking stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MypageStatus {
    /// A dose is kept.
    Booked,
    /// The dose was given back.
    BookingCancelled,
    /// The citizen was vaccinated.
    InjectionCompleted,
}
