//! The status of each refusal, and how OpenAPI describes it.

use axum::http::StatusCode;
use platform_rest::problem::Problem;
use utoipa::IntoResponses;

use crate::domain::Refusal;

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the responses of `problem`")]
pub(super) enum NoSuchVaccine {
    /// There is no such vaccine
    #[response(status = 404, content_type = "application/problem+json")]
    NoSuchVaccine(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the responses of `problem`")]
pub(super) enum InUse {
    /// More doses are held or booked than the change would leave
    #[response(status = 409, content_type = "application/problem+json")]
    InUse(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the responses of `problem`")]
pub(super) enum NoSuchReservation {
    /// There is no such reservation of this vaccine
    #[response(status = 404, content_type = "application/problem+json")]
    NoSuchReservation(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the responses of `problem`")]
pub(super) enum NotHeld {
    /// Sold out; or the id was used before
    #[response(status = 409, content_type = "application/problem+json")]
    NotHeld(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the responses of `problem`")]
pub(super) enum NotReleased {
    /// The dose was administered; or there is a booking, which has to be cancelled instead
    #[response(status = 409, content_type = "application/problem+json")]
    NotReleased(Problem),
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the response of `Query`")]
pub(super) enum InvalidQuery {
    /// A parameter is wrong; `field` names it
    #[response(status = 422, content_type = "application/problem+json")]
    InvalidQuery(Problem),
}

/// The status of a refusal.
pub(super) fn problem(refusal: Refusal) -> Problem {
    let (status, r#type, title) = match refusal {
        Refusal::NoSuchPool => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-vaccine", "There is no such vaccine")
        }
        Refusal::SoldOut => (StatusCode::CONFLICT, "urn:anticorona:sold-out", "Sold out"),
        Refusal::Released => (
            StatusCode::CONFLICT,
            "urn:anticorona:reservation-released",
            "The reservation was released before",
        ),
        Refusal::Administered => {
            (StatusCode::CONFLICT, "urn:anticorona:dose-administered", "The dose was administered")
        }
        Refusal::Conflict => (
            StatusCode::CONFLICT,
            "urn:anticorona:reservation-conflict",
            "The reservation id is taken",
        ),
        Refusal::NoSuchReservation => (
            StatusCode::NOT_FOUND,
            "urn:anticorona:no-such-reservation",
            "There is no such reservation",
        ),
        Refusal::StockBelowTaken { .. } => (
            StatusCode::CONFLICT,
            "urn:anticorona:stock-below-bookings",
            "The stock would be less than what is booked",
        ),
        Refusal::InUse { .. } => {
            (StatusCode::CONFLICT, "urn:anticorona:vaccine-in-use", "The vaccine is booked")
        }
    };
    Problem::new(status, r#type, title).detail(refusal.to_string())
}
