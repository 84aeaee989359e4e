//! The HTTP face of bookings: routes, handlers, and what each refusal means as a status.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::{HeaderValue, StatusCode, request::Parts},
    response::Response,
    routing::get,
};
use chassis::{
    hal::{Collection, Origin, Page},
    json::{Id, Json},
    listen::Due,
    problem::Problem,
};
use contracts::{
    booking::{Booking, BookingBody, BookingStatus},
    ids::{BookingId, UserId, VaccineId},
    number::{WHOLE_MAX, Whole},
};
use storage::database::Unreadable;

use crate::{
    bookings::{Bookings, Key, NotBooked, Request},
    domain::Fingerprint,
};

mod doc;
mod tickets;

pub use doc::openapi;

/// When to come back after no booking could be taken.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);

/// The longest `Idempotency-Key`, in characters.
const KEY_MAX: usize = 255;

const BOOKINGS: Collection = Collection { plural: "bookings", singular: "booking" };

type Shared = State<Arc<Bookings>>;

/// Every route of bookings.
pub fn router(bookings: Arc<Bookings>) -> Router {
    Router::new()
        .route("/bookings", get(list).post(book))
        .route("/bookings/{id}", get(show).put(replace).patch(change).delete(cancel))
        .route("/tickets/{id}", get(tickets::show))
        .with_state(bookings)
}

async fn book(
    State(bookings): Shared,
    origin: Origin,
    Wishes { key, by_ticket }: Wishes,
    Due(due): Due,
    Json(body): Json<BookingBody>,
) -> Result<Response, Problem> {
    let request = Request {
        vaccine: VaccineId(number("vaccineId", body.vaccine_id, 1)?),
        user: UserId(number("userId", body.user_id, 0)?),
        key: key.map(|key| Key { key, asked: fingerprint(&body) }),
        due,
    };
    if let (true, Some(key)) = (by_ticket, &request.key) {
        return tickets::queue(&bookings, &origin, &request, key).await;
    }
    let booking = bookings.book(request).await.map_err(problem)?;
    Ok(BOOKINGS.created(&origin, booking.booking_id, booking))
}

async fn list(State(bookings): Shared, origin: Origin, page: Page) -> Result<Response, Problem> {
    let (some, total) =
        bookings.reads.bookings(page.offset(), page.size).await.map_err(unreadable)?;
    let items = some.into_iter().map(|one| BOOKINGS.item(&origin, one.booking_id, one)).collect();
    Ok(BOOKINGS.page(&origin, page, total, items))
}

async fn show(
    State(bookings): Shared,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let booking = find(&bookings, id).await?;
    Ok(BOOKINGS.found(&origin, id, booking))
}

/// The whole booking as it should be: only its status can differ.
async fn replace(
    State(bookings): Shared,
    origin: Origin,
    Id(id): Id<i64>,
    Json(body): Json<BookingBody>,
) -> Result<Response, Problem> {
    update(&bookings, &origin, id, &body).await
}

/// What should be different: only the status can be.
async fn change(
    State(bookings): Shared,
    origin: Origin,
    Id(id): Id<i64>,
    Json(body): Json<BookingBody>,
) -> Result<Response, Problem> {
    update(&bookings, &origin, id, &body).await
}

async fn cancel(State(bookings): Shared, Id(id): Id<i64>) -> Result<StatusCode, Problem> {
    bookings.cancel(BookingId(id)).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn update(
    bookings: &Bookings,
    origin: &Origin,
    id: i64,
    body: &BookingBody,
) -> Result<Response, Problem> {
    let booking = find(bookings, id).await?;
    unchanged("vaccineId", body.vaccine_id, booking.vaccine_id.0)?;
    unchanged("userId", body.user_id, booking.user_id.0)?;
    let booking = match (wanted(body)?, booking.status) {
        (BookingStatus::BookingCancelled, _) => {
            bookings.cancel(booking.booking_id).await.map_err(problem)?
        }
        (BookingStatus::Booked, BookingStatus::Booked) => booking,
        (BookingStatus::Booked, BookingStatus::BookingCancelled) => return Err(stays_cancelled()),
        (BookingStatus::Booked | BookingStatus::InjectionCompleted, _) => {
            return Err(problem(NotBooked::Completed));
        }
    };
    Ok(BOOKINGS.found(origin, id, booking))
}

async fn find(bookings: &Bookings, id: i64) -> Result<Booking, Problem> {
    let booking = bookings.reads.booking(BookingId(id)).await.map_err(unreadable)?;
    booking.ok_or_else(|| problem(NotBooked::NoSuchBooking))
}

fn number(field: &'static str, value: Option<Whole>, min: i64) -> Result<i64, Problem> {
    match value {
        None => Err(Problem::invalid(field, "must be given")),
        Some(Whole(value)) if value < min => {
            Err(Problem::invalid(field, format!("must be from {min} to {WHOLE_MAX}")))
        }
        Some(Whole(value)) => Ok(value),
    }
}

fn unchanged(field: &'static str, value: Option<Whole>, current: i64) -> Result<(), Problem> {
    match value {
        Some(Whole(value)) if value != current => {
            Err(Problem::invalid(field, "cannot be changed; cancel and book again"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The status that the body asks for. `BOOCKED` is how the first clients spell it.
fn wanted(body: &BookingBody) -> Result<BookingStatus, Problem> {
    match body.status.as_deref() {
        Some("BOOKING_CANCELLED") => Ok(BookingStatus::BookingCancelled),
        Some("BOOKED" | "BOOCKED") => Ok(BookingStatus::Booked),
        Some(_) => Err(Problem::invalid("status", "must be BOOKED or BOOKING_CANCELLED")),
        None => Err(Problem::invalid("status", "must be given; it is all that can be changed")),
    }
}

fn fingerprint(body: &BookingBody) -> Fingerprint {
    let parts =
        (body.vaccine_id.map(|id| id.0), body.user_id.map(|id| id.0), &body.vc_name, &body.status);
    Fingerprint::of(format!("{parts:?}").as_bytes())
}

/// What the headers of a new booking say.
struct Wishes {
    /// The `Idempotency-Key`, if there is one.
    key: Option<String>,
    /// Whether a ticket is wanted. Then there is a key: nobody else could ask again for the answer.
    by_ticket: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Wishes {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let wrong = |detail| Problem::malformed(detail).field("Idempotency-Key");
        let by_ticket = tickets::is_wanted(&parts.headers);
        let key = match parts.headers.get("idempotency-key").map(HeaderValue::to_str) {
            None if by_ticket => {
                return Err(wrong(
                    "with Prefer: respond-async there must be an Idempotency-Key".into(),
                ));
            }
            None => None,
            Some(Ok(key)) if (1..=KEY_MAX).contains(&key.len()) => Some(key.to_owned()),
            Some(Ok(_) | Err(_)) => {
                return Err(wrong(format!(
                    "the Idempotency-Key must be 1 to {KEY_MAX} visible ASCII characters"
                )));
            }
        };
        Ok(Self { key, by_ticket })
    }
}

fn unreadable(_: Unreadable) -> Problem {
    Problem::come_back(COME_BACK_AFTER, "the bookings could not be read")
}

fn stays_cancelled() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "urn:anticorona:booking-cancelled",
        "The booking is cancelled",
    )
    .detail("its dose may be somebody else's by now; book again")
}

/// What a refusal means in HTTP.
fn problem(why: NotBooked) -> Problem {
    let (status, r#type, title) = match why {
        NotBooked::SoldOut => (StatusCode::CONFLICT, "urn:anticorona:sold-out", "Sold out"),
        NotBooked::NoSuchVaccine => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-vaccine", "There is no such vaccine")
        }
        NotBooked::NoSuchBooking => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-booking", "There is no such booking")
        }
        NotBooked::NoSuchTicket => {
            (StatusCode::NOT_FOUND, "urn:anticorona:no-such-ticket", "There is no such ticket")
        }
        NotBooked::Completed => {
            let title = "The injection is completed";
            (StatusCode::CONFLICT, "urn:anticorona:injection-completed", title)
        }
        NotBooked::KeyReused => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "urn:anticorona:idempotency-key-reused",
            "The Idempotency-Key belongs to another request",
        ),
        NotBooked::Isolated { after } => return Problem::come_back(after, why.to_string()),
        NotBooked::ComeBack | NotBooked::LineFull | NotBooked::Unknown => {
            return Problem::come_back(COME_BACK_AFTER, why.to_string());
        }
    };
    Problem::new(status, r#type, title).detail(why.to_string())
}
