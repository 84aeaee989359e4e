//! The path of a reservation.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use platform_rest::problem::Problem;
use uuid::Uuid;

/// `/vaccines/{id}/reservations/{reservation}`.
pub(super) struct ReservationPath {
    /// The number of the vaccine.
    pub(super) vaccine: i64,
    /// The id of the reservation.
    pub(super) reservation: Uuid,
}

impl<S: Send + Sync> FromRequestParts<S> for ReservationPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<(i64, Uuid)>::from_request_parts(parts, state).await {
            Ok(Path((vaccine, reservation))) => Ok(Self { vaccine, reservation }),
            Err(_) => Err(Problem::not_found(format!("nothing at {}", parts.uri.path()))),
        }
    }
}
