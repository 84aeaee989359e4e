//! The status of each refusal, and how OpenAPI describes it.

use axum::http::StatusCode;
use platform_rest::{problem::Problem, problem_responses};

use crate::domain::{InvalidRecord, Refusal};

problem_responses! {
    /// There is no such injection
    pub(super) NotFound = 404;
    /// The status cannot follow: it was completed before, its booking was cancelled, it was checked in or marked as a
    /// no-show, or its slot has not started; or the field cannot be changed
    pub(super) Conflict = 409;
    /// A parameter is wrong; `field` names it
    pub(super) InvalidQuery = 422;
}

/// The status of a refusal.
pub(super) fn problem(refusal: Refusal) -> Problem {
    let conflict = |r#type, title| (StatusCode::CONFLICT, r#type, title);
    let (status, r#type, title) = match refusal {
        Refusal::NoSuchInjection => (
            StatusCode::NOT_FOUND,
            "urn:anticorona:no-such-injection",
            "There is no such injection",
        ),
        Refusal::AlreadyCompleted => {
            conflict("urn:anticorona:injection-completed", "The injection is completed")
        }
        Refusal::Cancelled => {
            conflict("urn:anticorona:booking-cancelled", "The booking is cancelled")
        }
        Refusal::CheckedIn => conflict("urn:anticorona:checked-in", "The citizen is checked in"),
        Refusal::NoShow | Refusal::DayOver => {
            conflict("urn:anticorona:no-show", "The citizen did not come")
        }
        Refusal::NoSlot => conflict("urn:anticorona:no-slot", "The booking has no slot"),
        Refusal::OccurredLater | Refusal::OccurredTooEarly => {
            return Problem::invalid("occurredAt", refusal.to_string());
        }
        Refusal::NotStarted => {
            conflict("urn:anticorona:slot-not-started", "The slot has not started")
        }
    };
    Problem::new(status, r#type, title).detail(refusal.to_string())
}

/// 422: a field of a record is wrong.
pub(super) fn invalid(InvalidRecord { field, reason }: InvalidRecord) -> Problem {
    Problem::invalid(field, reason)
}
