//! The status of each error, and what a citizen who gets no place can do.

use std::time::Duration;

use axum::http::StatusCode;
use platform_rest::problem::Problem;

use crate::{
    domain::{Choice, NotGranted},
    protocol::{BookingError, BookingProtocol},
};

/// When to retry after no booking could be taken.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The problem of a request for a slot: where it is full, with what is free instead.
pub(super) async fn problem(
    protocol: &BookingProtocol,
    error: BookingError,
    choice: Choice,
) -> Problem {
    let full = match error {
        BookingError::NotGranted(NotGranted::SoldOut | NotGranted::SlotFull) => choice.slot,
        BookingError::NotGranted(NotGranted::NextSlotFull) => choice.next,
        _ => None,
    };
    let Some(slot) = full else { return error.into() };
    match protocol.alternatives.to(choice.vaccine, slot).await {
        Some(alternatives) => Problem::from(error).member("alternatives", &alternatives),
        None => error.into(),
    }
}

fn not_granted(reason: NotGranted) -> (StatusCode, &'static str, &'static str) {
    match reason {
        NotGranted::SoldOut => (StatusCode::CONFLICT, "urn:anticorona:sold-out", "Sold out"),
        NotGranted::SlotFull => {
            (StatusCode::CONFLICT, "urn:anticorona:slot-full", "The slot is full")
        }
        NotGranted::NotOpen => {
            (StatusCode::CONFLICT, "urn:anticorona:slot-not-open", "The slot cannot be booked now")
        }
        NotGranted::NextSlotFull => (
            StatusCode::CONFLICT,
            "urn:anticorona:next-slot-full",
            "The slot of the second dose is full",
        ),
        NotGranted::OutsideInterval => (
            StatusCode::CONFLICT,
            "urn:anticorona:outside-interval",
            "The second dose would be too early or too late",
        ),
        NotGranted::SingleDose => (
            StatusCode::CONFLICT,
            "urn:anticorona:single-dose",
            "One dose of this vaccine is enough",
        ),
        NotGranted::AlreadyBooked => (
            StatusCode::CONFLICT,
            "urn:anticorona:already-booked",
            "This person has a booking of this campaign",
        ),
        NotGranted::NoSuchVaccine => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-vaccine", "There is no such vaccine")
        }
        NotGranted::NoSuchSlot => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-slot", "There is no such slot")
        }
    }
}

/// The status of an error.
impl From<BookingError> for Problem {
    fn from(error: BookingError) -> Self {
        let (status, r#type, title) = match error {
            BookingError::NotGranted(reason) => not_granted(reason),
            BookingError::NoSuchBooking => (
                StatusCode::NOT_FOUND,
                "urn:anticorona:no-such-booking",
                "There is no such booking",
            ),
            BookingError::NoSuchTicket => {
                (StatusCode::NOT_FOUND, "urn:anticorona:no-such-ticket", "There is no such ticket")
            }
            BookingError::Completed => (
                StatusCode::CONFLICT,
                "urn:anticorona:injection-completed",
                "The injection is completed",
            ),
            BookingError::Cancelled => (
                StatusCode::CONFLICT,
                "urn:anticorona:booking-cancelled",
                "The booking is cancelled",
            ),
            BookingError::MovedMeanwhile => (
                StatusCode::CONFLICT,
                "urn:anticorona:booking-moved",
                "The booking was moved meanwhile",
            ),
            BookingError::MovedTooOften => (
                StatusCode::CONFLICT,
                "urn:anticorona:moved-too-often",
                "The booking cannot be moved any more",
            ),
            BookingError::TooManyTickets => {
                return Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "urn:anticorona:too-many-tickets",
                    "Too many tickets of this user are waiting",
                )
                .retry_after(RETRY_AFTER)
                .detail(error.to_string());
            }
            BookingError::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "urn:anticorona:idempotency-key-reused",
                "The Idempotency-Key belongs to another request",
            ),
            BookingError::CircuitOpen { retry_after } => {
                return Self::retry_later(retry_after, error.to_string());
            }
            BookingError::RetryLater | BookingError::QueueFull | BookingError::Unknown => {
                return Self::retry_later(RETRY_AFTER, error.to_string());
            }
        };
        Self::new(status, r#type, title).detail(error.to_string())
    }
}
