//! Bodies of `injection`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    booking::{BookedSlot, SlotFields},
    ids::{BookingId, InjectionId, UserId, VaccineId},
    number::{NaturalNumber, PositiveNumber, Whole},
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
    /// The slot of the booking; none, where it has no time.
    #[serde(flatten)]
    #[schema(value_type = SlotFields, inline)]
    pub slot: Option<BookedSlot>,
    /// The citizen.
    pub user_id: UserId,
    /// Its status.
    pub status: InjectionStatus,
    /// When the citizen was checked in; omitted where they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    pub checked_in_at: Option<Timestamp>,
}

/// The status of an appointment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InjectionStatus {
    /// The citizen is expected.
    InjectionReady,
    /// The citizen is there.
    CheckedIn,
    /// The slot has begun, and the citizen was not there.
    NoShow,
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
    #[schema(value_type = Option<PositiveNumber>)]
    pub booking_id: Option<Whole>,
    /// May be sent back as it was read; cannot be changed.
    #[schema(value_type = Option<PositiveNumber>)]
    pub vaccine_id: Option<Whole>,
    /// May be sent back as it was read; cannot be changed.
    #[schema(value_type = Option<NaturalNumber>)]
    pub user_id: Option<Whole>,
    /// `CHECKED_IN`: the citizen is there. `NO_SHOW`: the slot has begun, and they are not. `INJECTION_READY` takes
    /// either back. `INJECTION_COMPLETED` completes it.
    #[schema(value_type = RequestedStatus, required = true)]
    pub status: Option<String>,
}

/// How OpenAPI describes the status in an [`InjectionBody`].
#[derive(ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(dead_code, reason = "describes text")]
enum RequestedStatus {
    InjectionReady,
    CheckedIn,
    NoShow,
    InjectionCompleted,
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
