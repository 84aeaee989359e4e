//! The HTTP face of the desk: routes, handlers, and what each refusal means as a status.

use std::time::{Duration, Instant};

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use chassis::{
    clock,
    hal::{Collection, Origin, Page},
    json::{Id, Json, Query},
    problem::Problem,
};
use contracts::{
    ids::{BookingId, InjectionId},
    injection::{Injection, InjectionBody, InjectionStatus},
    number::Whole,
};
use eventing::Bell;
use serde::Deserialize;
use storage::{
    database::Unreadable,
    store::Desk,
    writer::{Failed, WriteError},
};

use crate::{
    domain::{Command, Done, Refusal},
    events::injection,
    store::{Book, Reads},
};

mod doc;

pub use doc::openapi;

/// How long a write may wait for its commit.
const WRITE_WITHIN: Duration = Duration::from_millis(2_500);

/// When to come back after the desk could not answer.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);

const INJECTIONS: Collection = Collection { plural: "injections", singular: "injection" };

const CANCELLATIONS: Collection = Collection { plural: "cancellations", singular: "cancellation" };

/// What the handlers work with.
#[derive(Clone, Debug)]
pub struct Injections {
    /// Takes commands.
    pub desk: Desk<Book>,
    /// Shows the last commit.
    pub reads: Reads,
    /// Rings when there is something new to tell.
    pub told: Bell,
}

/// Every route of the desk.
pub fn router(injections: Injections) -> Router {
    Router::new()
        .route("/injections", get(list))
        .route("/injections/search/findByBookingId", get(find_by_booking))
        .route("/injections/{id}", get(show).put(update).patch(update))
        .route("/cancellations", get(list_cancelled))
        .route("/cancellations/{id}", get(show_cancelled))
        .with_state(injections)
}

async fn list(
    State(injections): State<Injections>,
    origin: Origin,
    page: Page,
) -> Result<Response, Problem> {
    let (some, total) =
        injections.reads.injections(page.offset(), page.size).await.map_err(unreadable)?;
    let items = some.into_iter().map(|one| INJECTIONS.item(&origin, one.injection_id, one));
    Ok(INJECTIONS.page(&origin, page, total, items.collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfBooking {
    booking_id: Option<String>,
}

async fn find_by_booking(
    State(injections): State<Injections>,
    origin: Origin,
    Query(query): Query<OfBooking>,
) -> Result<Response, Problem> {
    let id = query.booking_id.as_deref().unwrap_or_default().trim().parse();
    let id = id.map_err(|_| Problem::invalid("bookingId", "must be the number of a booking"))?;
    let some = injections.reads.of_booking(BookingId(id)).await.map_err(unreadable)?;
    let (page, total) = (Page::all(some.len()), u64::try_from(some.len()).unwrap_or(u64::MAX));
    let items = some.into_iter().map(|one| INJECTIONS.item(&origin, one.injection_id, one));
    let search = format!("search/findByBookingId?bookingId={id}");
    Ok(INJECTIONS.found_page(&origin, &search, page, (items.collect(), total)))
}

async fn show(
    State(injections): State<Injections>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let injection = find(&injections, id).await?;
    Ok(INJECTIONS.found(&origin, id, injection))
}

/// The injection as it should be: only its status can differ.
async fn update(
    State(injections): State<Injections>,
    origin: Origin,
    Id(id): Id<i64>,
    Json(body): Json<InjectionBody>,
) -> Result<Response, Problem> {
    let now = find(&injections, id).await?;
    for (field, sent, is) in [
        ("bookingId", body.booking_id, now.booking_id.0),
        ("vaccineId", body.vaccine_id, now.vaccine_id.0),
        ("userId", body.user_id, now.user_id.0),
    ] {
        if sent.is_some_and(|Whole(sent)| sent != is) {
            return Err(Problem::invalid(field, "cannot be changed"));
        }
    }
    let injection = match body.status.as_deref() {
        Some("INJECTION_COMPLETED") => injections.complete(InjectionId(id)).await?,
        Some("INJECTION_READY") if now.status == InjectionStatus::InjectionReady => now,
        Some("INJECTION_READY" | "INJECTION_CANCELLED") => {
            return Err(Problem::invalid(
                "status",
                "cannot be changed to this; cancel the booking",
            ));
        }
        Some(_) => return Err(Problem::invalid("status", "must be INJECTION_COMPLETED")),
        None => {
            return Err(Problem::invalid("status", "must be given; it is all that can be changed"));
        }
    };
    Ok(INJECTIONS.found(&origin, id, injection))
}

async fn list_cancelled(
    State(injections): State<Injections>,
    origin: Origin,
    page: Page,
) -> Result<Response, Problem> {
    let (some, total) =
        injections.reads.cancellations(page.offset(), page.size).await.map_err(unreadable)?;
    let items = some.into_iter().map(|(id, one)| CANCELLATIONS.item(&origin, id, one));
    Ok(CANCELLATIONS.page(&origin, page, total, items.collect()))
}

async fn show_cancelled(
    State(injections): State<Injections>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let known = injections.reads.cancellation(InjectionId(id)).await.map_err(unreadable)?;
    let known = known.ok_or_else(|| Problem::not_found("there is no such cancellation"))?;
    Ok(CANCELLATIONS.found(&origin, id, known))
}

async fn find(injections: &Injections, id: i64) -> Result<Injection, Problem> {
    let known = injections.reads.injection(InjectionId(id)).await.map_err(unreadable)?;
    known.ok_or_else(|| problem(Refusal::NoSuchInjection))
}

impl Injections {
    async fn complete(&self, injection_id: InjectionId) -> Result<Injection, Problem> {
        let complete = Command::Complete { injection: injection_id, at: clock::now() };
        let decided = self.desk.ask(complete, Instant::now() + WRITE_WITHIN).await;
        match decided.map_err(not_now)?.map_err(not_kept)?.map_err(problem)? {
            Done::Completed(done) | Done::Noted(done) => {
                self.told.ring();
                Ok(injection(&done))
            }
        }
    }
}

fn unreadable(_: Unreadable) -> Problem {
    Problem::come_back(COME_BACK_AFTER, "the injections could not be read")
}

fn not_now(why: WriteError) -> Problem {
    Problem::come_back(COME_BACK_AFTER, why.to_string())
}

fn not_kept(why: Failed) -> Problem {
    Problem::come_back(COME_BACK_AFTER, why.to_string())
}

/// What a refusal means in HTTP.
fn problem(refusal: Refusal) -> Problem {
    let (status, r#type, title) = match refusal {
        Refusal::NoSuchInjection => (
            StatusCode::NOT_FOUND,
            "urn:anticorona:no-such-injection",
            "There is no such injection",
        ),
        Refusal::CompletedBefore => (
            StatusCode::CONFLICT,
            "urn:anticorona:injection-completed",
            "The injection is completed",
        ),
        Refusal::Cancelled => {
            (StatusCode::CONFLICT, "urn:anticorona:booking-cancelled", "The booking is cancelled")
        }
    };
    Problem::new(status, r#type, title).detail(refusal.to_string())
}
