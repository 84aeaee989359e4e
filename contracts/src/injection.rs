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
    /// The record of the injection, if one was given.
    #[serde(flatten)]
    #[schema(value_type = RecordFields, inline)]
    pub record: Option<InjectionRecord>,
}

/// What was injected, where, by whom and when; what is not known is omitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InjectionRecord {
    /// The lot, as printed on the vial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot_number: Option<String>,
    /// Where on the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_site: Option<BodySite>,
    /// Which dose of the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dose_number: Option<i64>,
    /// Who injected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performer: Option<String>,
    /// When.
    pub occurred_at: Timestamp,
}

/// How OpenAPI describes an [`InjectionRecord`]: none of these fields, or `occurredAt` and those that were given.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes fields")]
struct RecordFields {
    /// The lot, as printed on the vial.
    #[schema(nullable = false, example = "EW0150")]
    lot_number: Option<String>,
    /// Where on the body.
    #[schema(nullable = false)]
    body_site: Option<BodySite>,
    /// Which dose of the series.
    #[schema(nullable = false, minimum = 1, maximum = 9)]
    dose_number: Option<i64>,
    /// Who injected.
    #[schema(nullable = false)]
    performer: Option<String>,
    /// When it was.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    occurred_at: Option<Timestamp>,
}

/// Where on the body an injection was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BodySite {
    /// The left upper arm.
    LeftDeltoid,
    /// The right upper arm.
    RightDeltoid,
    /// The left thigh.
    LeftThigh,
    /// The right thigh.
    RightThigh,
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
    /// The lot, as printed on the vial. This field and those that follow: only with `INJECTION_COMPLETED`.
    #[schema(
        example = "EW0150",
        min_length = 1,
        max_length = 32,
        pattern = r"^[ -~]*[!-~][ -~]*$"
    )]
    pub lot_number: Option<String>,
    /// Where on the body.
    pub body_site: Option<BodySite>,
    /// Which dose of the series; a number or a numeric string.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 9)]
    pub dose_number: Option<Whole>,
    /// Who injected.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub performer: Option<String>,
    /// When it was, at most seven days ago; now, if it is not given.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub occurred_at: Option<Timestamp>,
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

/// What became of an uploaded sheet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SheetUpload {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One result per row, in their order.
    pub rows: Vec<SheetRow>,
}

/// What became of a row of a sheet, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SheetRow {
    /// The line of the file on which it begins.
    pub line: u64,
    /// The result.
    pub result: SheetResult,
    /// The appointment that it names, if its number can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub injection_id: Option<InjectionId>,
    /// The column because of which it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub column: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

/// The result of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SheetResult {
    /// The injection was completed with this record.
    Recorded,
    /// It was completed with this record before.
    RecordedBefore,
    /// The row is wrong, or its appointment cannot be completed; the others are recorded.
    Refused,
    /// No column of the record is filled in.
    Unchanged,
}
