//! The OpenAPI document of the ledger. What stands below only describes; nobody calls it.

use chassis::problem::Problem;
use utoipa::OpenApi;

mod bodies;
mod problems;
mod reservations;
mod vaccines;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "anticorona vaccine",
        description = "The stock ledger: how many doses there are, and who has taken one."
    ),
    tags(
        (name = "vaccines", description = "What can be booked, for everybody"),
        (name = "internal", description = "What the parts of anticorona say to each other")
    ),
    paths(
        vaccines::list,
        vaccines::register,
        vaccines::show,
        vaccines::replace,
        vaccines::change,
        vaccines::remove,
        vaccines::check_and_book_stock,
        reservations::hold,
        reservations::release,
        reservations::reservation,
        reservations::hold_many,
        reservations::unsettled,
        reservations::hear,
        reservations::heard,
        reservations::parked
    ),
    components(
        // What only the responses below name is not found by utoipa.
        schemas(Problem),
        responses(
            problems::Malformed,
            problems::NoSuchVaccine,
            problems::NoSuchReservation,
            problems::NotHeld,
            problems::StockBelowBookings,
            problems::InUse,
            problems::TooLarge,
            problems::NotJson,
            problems::WrongField,
            problems::ComeBack
        )
    )
)]
struct Doc;

/// The document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}
