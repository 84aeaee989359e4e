//! The status of each refusal, and how OpenAPI describes it.

use axum::http::StatusCode;
use platform_rest::{etag, problem::Problem, problem_responses};

use crate::domain::Refusal;

problem_responses! {
    /// There is no such vaccine
    pub(super) NoSuchVaccine = 404;
    /// More doses are held or booked than the change would leave
    pub(super) InUse = 409;
    /// There is no such reservation of this vaccine
    pub(super) NoSuchReservation = 404;
    /// The ledger does not know such a slot
    pub(super) NoSuchSlot = 404;
    /// No product rules of such a vaccine are known
    pub(super) NoSuchProduct = 404;
    /// There is no such lot
    pub(super) NoSuchLot = 404;
    /// There are no lots of the vaccine at the site
    pub(super) NoSuchSiteStock = 404;
    /// The site has the lot already, or too many; the lot has fewer doses; bookings need them
    pub(super) LotRefused = 409;
    /// Sold out; or the id was used before
    pub(super) NotHeld = 409;
    /// The dose was administered; or there is a booking, which has to be cancelled instead
    pub(super) NotReleased = 409;
    /// A parameter is wrong; `field` names it
    pub(super) InvalidQuery = 422;
}

/// The status of a refusal.
pub(super) fn problem(refusal: Refusal) -> Problem {
    let (status, r#type, title) = match refusal {
        Refusal::NoSuchPool => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-vaccine", "There is no such vaccine")
        }
        Refusal::Stale => return etag::failed(),
        Refusal::SoldOut => (StatusCode::CONFLICT, "urn:anticorona:sold-out", "Sold out"),
        Refusal::SlotFull => (StatusCode::CONFLICT, "urn:anticorona:slot-full", "The slot is full"),
        Refusal::NoSuchSlot => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-slot", "There is no such slot")
        }
        Refusal::NotOpen => {
            (StatusCode::CONFLICT, "urn:anticorona:slot-not-open", "The slot cannot be booked now")
        }
        Refusal::NextSlotFull | Refusal::OutsideInterval(_) | Refusal::SingleDose => {
            let (r#type, title) = of_series(refusal);
            (StatusCode::CONFLICT, r#type, title)
        }
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
        Refusal::NoSuchLot => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-lot", "There is no such lot")
        }
        Refusal::LotExists(_) => {
            (StatusCode::CONFLICT, "urn:anticorona:lot-exists", "The site has this lot already")
        }
        Refusal::OtherExpiry { .. } => (
            StatusCode::CONFLICT,
            "urn:anticorona:other-expiry",
            "The same lot expires on another date at the other site",
        ),
        Refusal::NotEnoughDoses { .. } => {
            (StatusCode::CONFLICT, "urn:anticorona:not-enough-doses", "The lot has fewer doses")
        }
        Refusal::DosesClaimed { .. } => {
            (StatusCode::CONFLICT, "urn:anticorona:doses-claimed", "Bookings need these doses")
        }
        Refusal::TooManyLots => {
            (StatusCode::CONFLICT, "urn:anticorona:too-many-lots", "The site has too many lots")
        }
        Refusal::InUse { .. } => {
            (StatusCode::CONFLICT, "urn:anticorona:vaccine-in-use", "The vaccine is booked")
        }
    };
    Problem::new(status, r#type, title).detail(refusal.to_string())
}

/// Why a second dose cannot be held.
fn of_series(refusal: Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::OutsideInterval(_) => {
            ("urn:anticorona:outside-interval", "The second dose would be too early or too late")
        }
        Refusal::SingleDose => ("urn:anticorona:single-dose", "One dose of this vaccine is enough"),
        _ => ("urn:anticorona:next-slot-full", "The slot of the second dose is full"),
    }
}
