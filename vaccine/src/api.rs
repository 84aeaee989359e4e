//! The HTTP face of the ledger: routes, handlers, and what each refusal means as a status.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Path, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use chassis::{
    clock,
    hal::{Collection, Origin, Page},
    json::{Id, Json, Query},
    listen::Due,
    problem::Problem,
    process::Process,
};
use contracts::{
    ids::{HolderId, ReservationId, VaccineId},
    vaccine::{
        HOLDS_MAX, Hold as HoldRequest, HoldBatch, HoldOutcome, HoldReply, UnsettledHolds, Vaccine,
        VaccineBody,
    },
};
use eventing::Bell;
use scopeguard::{ScopeGuard, guard};
use serde::Deserialize;
use storage::{
    database::Unreadable,
    store::Desk,
    writer::{Failed, WriteError},
};
use tracing::warn;
use uuid::Uuid;

use crate::{
    domain::{Command, Done, Hold, NAME_MAX, Name, Outcome, PoolId, Refusal, STOCK_MAX, Stock},
    events::vaccine,
    holds::Holds,
    store::{Book, Reads},
};

mod doc;

pub use doc::openapi;

/// How long a write may wait for its commit.
const WRITE_WITHIN: Duration = Duration::from_millis(2_500);

/// When to come back after the ledger could not answer.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);

/// Reservations in one answer to `GET /holds`: more than one holder's process can leave behind.
const UNSETTLED_MAX: u32 = 10_000;

const VACCINES: Collection = Collection { plural: "vaccines", singular: "vaccine" };

/// What the handlers work with.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Takes commands.
    pub desk: Desk<Book>,
    /// Takes doses.
    pub holds: Holds,
    /// Shows the last commit.
    pub reads: Reads,
    /// Rings when there is something new to tell.
    pub told: Bell,
    /// Takes doses back though their caller is gone.
    pub process: Process,
}

/// Every route of the ledger.
pub fn router(ledger: Ledger) -> Router {
    Router::new()
        .route("/vaccines", get(list).post(register))
        .route("/vaccines/checkAndBookStock", get(check_and_book_stock))
        .route("/vaccines/{id}", get(show).put(replace).patch(change).delete(remove))
        .route(
            "/vaccines/{id}/reservations/{reservation}",
            put(hold).delete(release).get(reservation),
        )
        .route("/holds", post(hold_many).get(unsettled))
        .layer(DefaultBodyLimit::disable()) // chassis::json has its own, with an answer.
        .with_state(ledger)
}

async fn list(
    State(ledger): State<Ledger>,
    origin: Origin,
    page: Page,
) -> Result<Response, Problem> {
    let (vaccines, total) =
        ledger.reads.vaccines(page.offset(), page.size).await.map_err(unreadable)?;
    let items =
        vaccines.into_iter().map(|one| VACCINES.item(&origin, one.vaccine_id, one)).collect();
    Ok(VACCINES.page(&origin, page, total, items))
}

async fn register(
    State(ledger): State<Ledger>,
    origin: Origin,
    Json(body): Json<VaccineBody>,
) -> Result<Response, Problem> {
    let name = given("vcName", name(&body)?)?;
    let stock = given("stock", stock(&body)?)?;
    let vaccine = ledger.vaccine(Command::Register { name, stock }).await?;
    Ok(VACCINES.created(&origin, vaccine.vaccine_id, vaccine))
}

async fn show(
    State(ledger): State<Ledger>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let vaccine = ledger.reads.vaccine(VaccineId(id)).await.map_err(unreadable)?;
    let vaccine = vaccine.ok_or_else(|| problem(Refusal::NoSuchPool))?;
    Ok(VACCINES.found(&origin, id, vaccine))
}

async fn replace(
    State(ledger): State<Ledger>,
    origin: Origin,
    Id(id): Id<i64>,
    Json(body): Json<VaccineBody>,
) -> Result<Response, Problem> {
    let name = Some(given("vcName", name(&body)?)?);
    let stock = Some(given("stock", stock(&body)?)?);
    let vaccine = ledger.vaccine(Command::Change { pool: PoolId(id), name, stock }).await?;
    Ok(VACCINES.found(&origin, id, vaccine))
}

async fn change(
    State(ledger): State<Ledger>,
    origin: Origin,
    Id(id): Id<i64>,
    Json(body): Json<VaccineBody>,
) -> Result<Response, Problem> {
    let (name, stock) = (name(&body)?, stock(&body)?);
    if name.is_none() && stock.is_none() {
        return Err(Problem::invalid("stock", "nothing to change: give vcName, stock or both"));
    }
    let vaccine = ledger.vaccine(Command::Change { pool: PoolId(id), name, stock }).await?;
    Ok(VACCINES.found(&origin, id, vaccine))
}

async fn remove(State(ledger): State<Ledger>, Id(id): Id<i64>) -> Result<StatusCode, Problem> {
    ledger.decide(Command::Remove { pool: PoolId(id) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `/vaccines/{id}/reservations/{reservation}`.
struct ReservationPath {
    vaccine: i64,
    reservation: Uuid,
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

/// Takes a dose without a holder: it stands until it is released.
async fn hold(State(ledger): State<Ledger>, path: ReservationPath) -> Result<StatusCode, Problem> {
    ledger.take(anonymous(path.vaccine, path.reservation), Command::Hold).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn release(
    State(ledger): State<Ledger>,
    path: ReservationPath,
) -> Result<StatusCode, Problem> {
    let (reservation, of) = (ReservationId(path.reservation), Some(PoolId(path.vaccine)));
    ledger.decide(Command::Release { reservation, of, at: clock::now() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reservation(
    State(ledger): State<Ledger>,
    path: ReservationPath,
) -> Result<Response, Problem> {
    let known = ledger.reads.reservation(ReservationId(path.reservation)).await;
    let known = known.map_err(unreadable)?;
    let known = known.filter(|known| known.vaccine_id == VaccineId(path.vaccine));
    Ok(Json(known.ok_or_else(|| problem(Refusal::NoSuchReservation))?).into_response())
}

/// Many holds, one commit, one outcome each.
async fn hold_many(
    State(ledger): State<Ledger>,
    Due(due): Due,
    Json(batch): Json<HoldBatch>,
) -> Result<Json<HoldReply>, Problem> {
    at_most("holds", batch.holds.len(), HOLDS_MAX)?;
    let at = clock::now();
    let hold = |hold: HoldRequest| Hold {
        reservation: hold.reservation_id,
        holder: Some(batch.holder),
        claims: vec![hold.vaccine_id.into()],
        at,
    };
    let holds = batch.holds.into_iter().map(hold).collect();
    // Whoever asked has gone by then: what is not begun is not worth a commit any more.
    let outcomes = ledger.take_all(holds, Command::Hold, due).await?;
    Ok(Json(HoldReply { outcomes: outcomes.into_iter().map(hold_outcome).collect() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UnsettledQuery {
    holder: Option<Uuid>,
    held_for_ms: u32,
}

async fn unsettled(
    State(ledger): State<Ledger>,
    Query(query): Query<UnsettledQuery>,
) -> Result<Json<UnsettledHolds>, Problem> {
    let until = clock::now() - Duration::from_millis(query.held_for_ms.into());
    let unsettled = ledger.reads.unsettled(query.holder.map(HolderId), until, UNSETTLED_MAX).await;
    Ok(Json(UnsettledHolds { reservation_ids: unsettled.map_err(unreadable)? }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckQuery {
    vaccine_id: Option<String>,
}

/// The reference's way to take a dose, for old clients: each GET is one dose, `true` or `false`.
/// What it takes is a reservation like any other; `Link` says where to give it back.
async fn check_and_book_stock(
    State(ledger): State<Ledger>,
    method: Method,
    Query(query): Query<CheckQuery>,
) -> Result<Response, Problem> {
    if method != Method::GET {
        // HEAD is served by GET handlers. It must not take a dose.
        let problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "urn:anticorona:method-not-allowed",
            "This address takes a dose",
        );
        return Ok(([(header::ALLOW, "GET")], problem).into_response());
    }
    let id = query.vaccine_id.as_deref().unwrap_or_default().trim().parse();
    let id = id.map_err(|_| Problem::invalid("vaccineId", "must be the number of a vaccine"))?;
    let reservation = Uuid::now_v7();
    // A caller that is gone before the answer could never give the dose back.
    let unheard = guard(&ledger, |ledger| {
        ledger.process.spawn(ledger.clone().take_back(ReservationId(reservation)));
    });
    let decided = ledger.take(anonymous(id, reservation), Command::Confirm).await;
    ScopeGuard::into_inner(unheard);
    let taken = match decided {
        Ok(_) => true,
        Err(Answer::Refused(Refusal::SoldOut)) => false,
        Err(other) => return Err(other.into()),
    };
    let mut response = Json(taken).into_response();
    let headers = response.headers_mut();
    // RFC 9745: deprecated since the first release, 2026-11-23.
    headers.insert("deprecation", HeaderValue::from_static("@1795392000"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let link = format!("</vaccines/{id}/reservations/{reservation}>; rel=\"item\"");
    if let (true, Ok(link)) = (taken, HeaderValue::try_from(link)) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

fn anonymous(vaccine: i64, reservation: Uuid) -> Hold {
    Hold {
        reservation: ReservationId(reservation),
        holder: None,
        claims: vec![PoolId(vaccine)],
        at: clock::now(),
    }
}

impl Ledger {
    async fn take_all(
        &self,
        holds: Vec<Hold>,
        command: fn(Hold) -> Command,
        by: Instant,
    ) -> Result<Vec<Result<Outcome, Failed>>, Answer> {
        Ok(self.holds.take(holds, command, by).await?)
    }

    async fn take(&self, hold: Hold, command: fn(Hold) -> Command) -> Result<Done, Answer> {
        let by = Instant::now() + WRITE_WITHIN;
        let taken = self.take_all(vec![hold], command, by).await?.into_iter().next();
        taken.ok_or(Answer::NotKept)??.map_err(Answer::Refused)
    }

    async fn decide(&self, command: Command) -> Result<Done, Answer> {
        let decided = self.desk.ask(command, Instant::now() + WRITE_WITHIN).await?;
        decided?.map_err(Answer::Refused)
    }

    async fn take_back(self, reservation: ReservationId) {
        let release = Command::Release { reservation, of: None, at: clock::now() };
        if self.decide(release).await.is_err() {
            warn!(%reservation, "could not take back a dose that nobody heard of");
        }
    }

    async fn vaccine(&self, command: Command) -> Result<Vaccine, Problem> {
        let done = self.decide(command).await?;
        self.told.ring();
        match done {
            Done::Registered(id, pool) | Done::Changed { id, pool, before: _ } => {
                Ok(vaccine(id, &pool))
            }
            Done::Removed
            | Done::Held { .. }
            | Done::Confirmed
            | Done::Released
            | Done::Administered => Err(Answer::NotKept.into()),
        }
    }
}

fn hold_outcome(outcome: Result<Outcome, Failed>) -> HoldOutcome {
    match outcome {
        Ok(Ok(Done::Held { name })) => HoldOutcome::Held { vc_name: name.as_str().to_owned() },
        Ok(Err(Refusal::SoldOut)) => HoldOutcome::SoldOut,
        Ok(Err(Refusal::NoSuchPool)) => HoldOutcome::NoSuchVaccine,
        Ok(Err(Refusal::Released)) => HoldOutcome::Released,
        Ok(Err(Refusal::Conflict | Refusal::Administered)) => HoldOutcome::Conflict,
        Ok(Ok(_) | Err(_)) | Err(Failed::Refused | Failed::Unavailable) => HoldOutcome::Failed,
    }
}

fn name(body: &VaccineBody) -> Result<Option<Name>, Problem> {
    let Some(text) = &body.vc_name else { return Ok(None) };
    let reason = || {
        let reason = format!("must be 1 to {NAME_MAX} characters, none of them control characters");
        Problem::invalid("vcName", reason)
    };
    Name::parse(text).map(Some).ok_or_else(reason)
}

fn stock(body: &VaccineBody) -> Result<Option<Stock>, Problem> {
    let Some(doses) = body.stock else { return Ok(None) };
    let reason = || Problem::invalid("stock", format!("must be from 0 to {STOCK_MAX}"));
    Stock::parse(doses.0).map(Some).ok_or_else(reason)
}

fn given<T>(field: &'static str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::invalid(field, "must be given"))
}

fn at_most(field: &'static str, length: usize, max: usize) -> Result<(), Problem> {
    if length > max {
        return Err(Problem::invalid(field, format!("at most {max} in one request")));
    }
    Ok(())
}

/// Why the ledger did not do what it was asked.
enum Answer {
    Refused(Refusal),
    Write(WriteError),
    NotKept,
}

impl From<WriteError> for Answer {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<Failed> for Answer {
    fn from(_: Failed) -> Self {
        Self::NotKept
    }
}

impl From<Answer> for Problem {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Refused(refusal) => problem(refusal),
            Answer::Write(error) => Self::come_back(COME_BACK_AFTER, error.to_string()),
            Answer::NotKept => Self::come_back(COME_BACK_AFTER, "the ledger could not write"),
        }
    }
}

fn unreadable(_: Unreadable) -> Problem {
    Problem::come_back(COME_BACK_AFTER, "the ledger could not be read")
}

/// What a refusal means in HTTP.
fn problem(refusal: Refusal) -> Problem {
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
