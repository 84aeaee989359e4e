//! Bodies of `injection`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{BookingId, InjectionId, UserId, VaccineId},
    number::Whole,
};

/// An appointment at the injection desk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Injection {
    /// Its number, given by `injection`.
    pub injection_id: InjectionId,
    /// The booking.
    pub booking_id: BookingId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// The citizen.
    pub user_id: UserId,
    /// Its status.
    pub status: InjectionStatus,
}

/// The status of an appointment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InjectionStatus {
    /// The citizen is expected.
    InjectionReady,
    /// The citizen was vaccinated.
    InjectionCompleted,
    /// The booking was cancelled before.
    InjectionCancelled,
}

/// The body of `PUT` and `PATCH` on injections; other fields are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InjectionBody {
    /// May be sent back as it was read; cannot be changed.
    #[schema(example = 1)]
    pub booking_id: Option<Whole>,
    /// May be sent back as it was read; cannot be changed.
    #[schema(example = 1)]
    pub vaccine_id: Option<Whole>,
    /// May be sent back as it was read; cannot be changed.
    #[schema(example = 5)]
    pub user_id: Option<Whole>,
    /// `INJECTION_COMPLETED` completes it.
    #[schema(example = "INJECTION_COMPLETED")]
    pub status: Option<String>,
}

/// An appointment that will not take place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    /// The booking that was cancelled.
    pub booking_id: BookingId,
    /// The vaccine that was booked.
    pub vaccine_id: VaccineId,
    /// The citizen.
    pub user_id: UserId,
}
