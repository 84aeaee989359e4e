//! Changes of an appointment.

use std::time::{Duration, Instant};

use axum::{extract::State, response::Response};
use contracts::{
    ids::InjectionId,
    injection::{Injection, InjectionBody},
    number::Whole,
};
use jiff::Timestamp;
use platform_rest::{
    etag::IfMatch,
    hal::Origin,
    json::{Id, Json},
    openapi::{BodyProblems, Changed, Condition, ConditionProblem, Unavailable},
    problem::Problem,
};
use platform_store::CommandOf;
use platform_telemetry::clock;

use super::{
    INJECTIONS, InjectionDesk, find,
    problems::{Conflict, NotFound, problem},
};
use crate::{
    domain::{
        Appointment, Appointments, CheckIn, CompleteInjection, MarkNoShow, Refusal, ReturnToReady,
    },
    events::injection,
};

/// How long a write may wait for its commit.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);

/// Checks a citizen in, completes an injection, or marks a no-show: only the status can change
#[utoipa::path(
    put, path = "/injections/{id}", tag = "injections",
    params(
        ("id" = i64, Path, description = "The number of the injection", minimum = 1, example = 1),
        Condition,
    ),
    request_body(content = InjectionBody, example = json!({"status": "INJECTION_COMPLETED"})),
    responses(Changed<Injection>, NotFound, Conflict, ConditionProblem, BodyProblems, Unavailable)
)]
pub(super) async fn replace(
    desk: State<InjectionDesk>,
    origin: Origin,
    id: Id<i64>,
    if_match: IfMatch,
    body: Json<InjectionBody>,
) -> Result<Response, Problem> {
    update(desk, origin, id, if_match, body).await
}

/// Checks a citizen in, completes an injection, or marks a no-show: only the status can change
#[utoipa::path(
    patch, path = "/injections/{id}", tag = "injections",
    params(
        ("id" = i64, Path, description = "The number of the injection", minimum = 1, example = 1),
        Condition,
    ),
    request_body(content = InjectionBody, example = json!({"status": "INJECTION_COMPLETED"})),
    responses(Changed<Injection>, NotFound, Conflict, ConditionProblem, BodyProblems, Unavailable)
)]
pub(super) async fn update(
    State(desk): State<InjectionDesk>,
    origin: Origin,
    Id(id): Id<i64>,
    if_match: IfMatch,
    Json(body): Json<InjectionBody>,
) -> Result<Response, Problem> {
    let current = find(&desk, id).await?;
    let requested = requested_status(&body)?;
    for (field, sent, is) in [
        ("bookingId", body.booking_id, current.booking_id.0),
        ("vaccineId", body.vaccine_id, current.vaccine_id.0),
        ("userId", body.user_id, current.user_id.0),
    ] {
        if sent.is_some_and(|Whole(sent)| sent != is) {
            return Err(Problem::unchangeable(field, "it is that of the booking"));
        }
    }
    if_match.check(&current)?;
    let (injection_id, at) = (InjectionId(id), now());
    let changed = match requested {
        Requested::Ready => desk.submit(ReturnToReady { injection: injection_id }).await?,
        Requested::CheckedIn => desk.submit(CheckIn { injection: injection_id, at }).await?,
        Requested::NoShow => desk.submit(MarkNoShow { injection: injection_id, at }).await?,
        Requested::Completed => {
            desk.submit(CompleteInjection { injection: injection_id, at }).await?
        }
    };
    Ok(INJECTIONS.ok(&origin, id, injection(&changed)))
}

/// The time now, in whole milliseconds: as it is stored, so that it is shown the same now and later.
pub(super) fn now() -> Timestamp {
    let now = clock::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// The statuses that a change may have.
#[derive(Clone, Copy)]
enum Requested {
    Ready,
    CheckedIn,
    NoShow,
    Completed,
}

fn requested_status(body: &InjectionBody) -> Result<Requested, Problem> {
    let wrong = |detail| Err(Problem::invalid("status", detail));
    match body.status.as_deref() {
        Some("INJECTION_READY") => Ok(Requested::Ready),
        Some("CHECKED_IN") => Ok(Requested::CheckedIn),
        Some("NO_SHOW") => Ok(Requested::NoShow),
        Some("INJECTION_COMPLETED") => Ok(Requested::Completed),
        Some("INJECTION_CANCELLED") => wrong("cannot be changed to this; cancel the booking"),
        Some(_) => wrong("must be INJECTION_READY, CHECKED_IN, NO_SHOW or INJECTION_COMPLETED"),
        None => wrong("must be given; it is all that can be changed"),
    }
}

impl InjectionDesk {
    async fn submit<C>(&self, command: C) -> Result<Appointment, Problem>
    where
        C: CommandOf<Appointments, Reply = Result<Appointment, Refusal>>,
    {
        let reply = self.commands.submit(command, Instant::now() + WRITE_TIMEOUT).await?;
        reply.map_err(problem)
    }
}
