//! Changes of an appointment.

use std::time::Instant;

use axum::{extract::State, response::Response};
use contracts::{
    ids::InjectionId,
    injection::{Injection, InjectionBody},
    number::Whole,
};
use platform_rest::{
    etag::IfMatch,
    hal::Origin,
    json::{Id, Json},
    openapi::{BodyProblems, Changed, Condition, ConditionProblem, Unavailable},
    problem::Problem,
};
use platform_store::CommandOf;

use super::{
    desk::{INJECTIONS, InjectionDesk, WRITE_TIMEOUT, find, now},
    problems::{Conflict, NotFound, invalid, problem},
};
use crate::{
    domain::{
        Appointment, Appointments, CheckIn, CheckedRecord, CompleteInjection, Completion,
        GivenRecord, MarkNoShow, Refusal, ReturnToReady,
    },
    events::injection,
};

/// Checks a citizen in, completes an injection, or marks a no-show
///
/// Only the status can change, and with a completion the record. To send a record again changes nothing.
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

/// Checks a citizen in, completes an injection, or marks a no-show
///
/// Only the status can change, and with a completion the record. To send a record again changes nothing.
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
    let requested = requested(&body)?;
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
    let changed = desk.change(InjectionId(id), requested).await?;
    Ok(INJECTIONS.ok(&origin, id, injection(&changed)))
}

/// What a change may ask for.
enum Requested {
    Ready,
    CheckedIn,
    NoShow,
    Completed(Option<CheckedRecord>),
}

fn requested(body: &InjectionBody) -> Result<Requested, Problem> {
    let wrong = |detail| Err(Problem::invalid("status", detail));
    let without_record = |requested| match first_of_record(body) {
        Some(field) => Err(Problem::invalid(field, "can be given with INJECTION_COMPLETED only")),
        None => Ok(requested),
    };
    match body.status.as_deref() {
        Some("INJECTION_READY") => without_record(Requested::Ready),
        Some("CHECKED_IN") => without_record(Requested::CheckedIn),
        Some("NO_SHOW") => without_record(Requested::NoShow),
        Some("INJECTION_COMPLETED") => {
            let record = CheckedRecord::parse(given_record(body)).map_err(invalid)?;
            Ok(Requested::Completed(record))
        }
        Some("INJECTION_CANCELLED") => wrong("cannot be changed to this; cancel the booking"),
        Some(_) => wrong("must be INJECTION_READY, CHECKED_IN, NO_SHOW or INJECTION_COMPLETED"),
        None => wrong("must be given; it is all that can be changed"),
    }
}

fn given_record(body: &InjectionBody) -> GivenRecord {
    GivenRecord {
        lot_number: body.lot_number.clone(),
        body_site: body.body_site,
        dose_number: body.dose_number.map(|Whole(number)| number),
        performer: body.performer.clone(),
        occurred_at: body.occurred_at,
    }
}

/// The first field of a record that is given.
fn first_of_record(body: &InjectionBody) -> Option<&'static str> {
    let fields = [
        ("lotNumber", body.lot_number.is_some()),
        ("bodySite", body.body_site.is_some()),
        ("doseNumber", body.dose_number.is_some()),
        ("performer", body.performer.is_some()),
        ("occurredAt", body.occurred_at.is_some()),
    ];
    fields.into_iter().find(|(_, is_given)| *is_given).map(|(field, _)| field)
}

impl InjectionDesk {
    async fn change(&self, injection: InjectionId, to: Requested) -> Result<Appointment, Problem> {
        let at = now();
        match to {
            Requested::Ready => self.submit(ReturnToReady { injection }).await,
            Requested::CheckedIn => self.submit(CheckIn { injection, at }).await,
            Requested::NoShow => self.submit(MarkNoShow { injection, at }).await,
            Requested::Completed(record) => {
                match self.submit(CompleteInjection { injection, record, at }).await? {
                    Completion::New(completed) | Completion::Repeated(completed) => Ok(completed),
                }
            }
        }
    }

    async fn submit<T, C>(&self, command: C) -> Result<T, Problem>
    where
        C: CommandOf<Appointments, Reply = Result<T, Refusal>>,
    {
        let reply = self.commands.submit(command, Instant::now() + WRITE_TIMEOUT).await?;
        reply.map_err(problem)
    }
}
