//! Bodies of `mypage`: bookings as citizens see them, built from events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    booking::BookingStatus,
    ids::{BookingId, UserId, VaccineId},
};

/// A booking as its citizen sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mypage {
    /// The booking.
    pub book_id: BookingId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// Its name.
    #[schema(example = "FIZER")]
    pub vc_name: String,
    /// The citizen.
    pub user_id: UserId,
    /// Its status.
    pub status: BookingStatus,
    /// Since when it has this status; later events may not have arrived here yet.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
}
