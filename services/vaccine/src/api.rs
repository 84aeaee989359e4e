//! The HTTP side of the stock ledger: routes, handlers, and the status of each refusal.

#![expect(unused_qualifications, reason = "utoipa qualifies the types of `params`")]

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use contracts::{
    ids::{ReservationId, VaccineId},
    vaccine::{Reservation, Vaccine, VaccineBody, VaccineChange, lots::Lot},
};
use platform_rest::{
    etag::{self, IfMatch},
    hal::{Collection, HalItem, HalPage, Origin},
    index::{self, ServiceCollections},
    json::{self, Id, Json, Query},
    openapi::{
        BodyProblems, Changed, Condition, ConditionProblem, Created, Found, PageOf, Unavailable,
    },
    pagination::{PageParams, PageRequest},
    problem::Problem,
};
use platform_telemetry::clock;
use scopeguard::{ScopeGuard, guard};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::{
        ChangeVaccine, ConfirmHold, Doses, HoldDose, HoldDoses, NAME_MAX, Name, Pool, Refusal,
        RegisterVaccine, ReleaseReservation, RemoveVaccine, STOCK_MAX,
    },
    events::vaccine,
};

mod availability;
mod batches;
mod lots;
mod problems;
mod product;
mod slots;
mod stock;

use self::problems::{
    InUse, InvalidQuery, NoSuchReservation, NoSuchVaccine, NotHeld, NotReleased, problem,
};
pub use self::{batches::count_items, stock::Stock};

/// When `checkAndBookStock` was deprecated: with the first release, 2026-11-23 (RFC 9745).
const DEPRECATED_SINCE: HeaderValue = HeaderValue::from_static("@1795392000");

const VACCINES: Collection =
    Collection { plural: "vaccines", singular: "vaccine", is_personal: false, searches: &[] };

pub(crate) const COLLECTIONS: ServiceCollections =
    ServiceCollections { service: "vaccine", collections: &[VACCINES, lots::LOTS] };

#[derive(OpenApi)]
#[openapi(
    info(
        title = "anticorona vaccine",
        description = "The stock ledger: how many doses there are, and how many are taken."
    ),
    components(schemas(
        Problem, Vaccine, HalItem<Vaccine>, HalPage<Vaccine>, Lot, HalItem<Lot>, HalPage<Lot>
    ))
)]
struct Document;

#[expect(deprecated, reason = "it is still served")]
fn routes() -> OpenApiRouter<Stock> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(index::routes(&[COLLECTIONS], None))
        .routes(routes!(list, register))
        .routes(routes!(check_and_book_stock))
        .routes(routes!(show, replace, change, remove))
        .routes(routes!(product::show, product::set, product::remove))
        .routes(routes!(hold, release, reservation))
        .routes(routes!(batches::hold_many, batches::orphaned))
        .routes(routes!(batches::abort_many))
        .routes(routes!(slots::slot))
        .routes(routes!(availability::availability))
        .routes(routes!(lots::list, lots::receive))
        .routes(routes!(lots::searches))
        .routes(routes!(lots::find_by_site_id))
        .routes(routes!(lots::show))
        .routes(routes!(lots::change))
        .routes(routes!(lots::site_stock))
}

/// The routes of the stock ledger.
pub fn router(stock: Stock) -> Router {
    index::with_document(COLLECTIONS.service, routes().with_state(stock))
}

/// Their OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// Lists vaccines in the order of their numbers
#[utoipa::path(
    get, path = "/vaccines", tag = "vaccines", params(PageParams),
    responses(PageOf<Vaccine>, Unavailable)
)]
async fn list(
    State(stock): State<Stock>,
    origin: Origin,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = stock.queries.vaccines(page.range).await?;
    Ok(VACCINES.page(&origin, &page, list, |_, vaccine| vaccine.vaccine_id))
}

/// Registers a vaccine; `vcName` and `stock` are required
#[utoipa::path(
    post, path = "/vaccines", tag = "vaccines",
    request_body(
        content = VaccineBody,
        examples(
            ("number" = (value = json!({"vcName": "FIZER", "stock": 1000}))),
            ("text" = (summary = "Numbers may be strings", value = json!({"vcName": "FIZER", "stock": "1000"})))
        )
    ),
    responses(Created<Vaccine>, BodyProblems, Unavailable)
)]
async fn register(
    State(stock): State<Stock>,
    origin: Origin,
    Json(body): Json<VaccineBody>,
) -> Result<Response, Problem> {
    let register = RegisterVaccine {
        name: required("vcName", name(&body)?)?,
        stock: required("stock", doses(&body)?)?,
        at: clock::now(),
    };
    let (id, pool) = stock.submit(register).await?;
    Ok(VACCINES.created(&origin, id.0, vaccine(id, &pool)))
}

/// Shows a vaccine; free doses: `stock - bookQty`
#[utoipa::path(
    get, path = "/vaccines/{id}", tag = "vaccines",
    params(("id" = i64, Path, description = "The number of the vaccine", minimum = 1, example = 1)),
    responses(Found<Vaccine>, NoSuchVaccine, Unavailable)
)]
async fn show(
    State(stock): State<Stock>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let known = stock.queries.vaccine(VaccineId(id)).await?;
    Ok(shown(&origin, &known.ok_or_else(|| problem(Refusal::NoSuchPool))?))
}

/// Replaces a vaccine; `vcName` and `stock` are required, and the stock never falls below `bookQty`
#[utoipa::path(
    put, path = "/vaccines/{id}", tag = "vaccines",
    params(
        ("id" = i64, Path, description = "The number of the vaccine", minimum = 1, example = 1),
        Condition,
    ),
    request_body(content = VaccineBody, example = json!({"vcName": "FIZER", "stock": 1500})),
    responses(Changed<Vaccine>, NoSuchVaccine, InUse, ConditionProblem, BodyProblems, Unavailable)
)]
async fn replace(
    State(stock): State<Stock>,
    origin: Origin,
    Id(id): Id<i64>,
    if_match: IfMatch,
    Json(body): Json<VaccineBody>,
) -> Result<Response, Problem> {
    let name = required("vcName", name(&body)?)?;
    let doses = required("stock", doses(&body)?)?;
    stock.change(&origin, id, (Some(name), Some(doses)), &if_match).await
}

/// Changes the name, the stock, or both; the stock never falls below `bookQty`
#[utoipa::path(
    patch, path = "/vaccines/{id}", tag = "vaccines",
    params(
        ("id" = i64, Path, description = "The number of the vaccine", minimum = 1, example = 1),
        Condition,
    ),
    request_body(content = VaccineChange, example = json!({"stock": 1500})),
    responses(Changed<Vaccine>, NoSuchVaccine, InUse, ConditionProblem, BodyProblems, Unavailable)
)]
async fn change(
    State(stock): State<Stock>,
    origin: Origin,
    Id(id): Id<i64>,
    if_match: IfMatch,
    Json(body): Json<VaccineBody>,
) -> Result<Response, Problem> {
    let fields = (name(&body)?, doses(&body)?);
    if fields == (None, None) {
        return Err(Problem::invalid("stock", "nothing to change: give vcName, stock or both"));
    }
    stock.change(&origin, id, fields, &if_match).await
}

/// Removes a vaccine; only while `bookQty` is 0
#[utoipa::path(
    delete, path = "/vaccines/{id}", tag = "vaccines",
    params(
        ("id" = i64, Path, description = "The number of the vaccine", minimum = 1, example = 1),
        Condition,
    ),
    responses(
        (status = 204, description = "Removed"),
        NoSuchVaccine, InUse, ConditionProblem, Unavailable,
    )
)]
async fn remove(
    State(stock): State<Stock>,
    Id(id): Id<i64>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let vaccine = VaccineId(id);
    let expected = stock.expected(vaccine, &if_match).await?;
    stock.submit(RemoveVaccine { vaccine, expected }).await?.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ReservationPath {
    /// The number of the vaccine
    #[param(minimum = 1, example = 1)]
    id: i64,
    /// The id of the reservation, chosen by the client
    reservation: Uuid,
}

/// Holds a dose until it is released; a repeated request has the same response
#[utoipa::path(
    put, path = "/vaccines/{id}/reservations/{reservation}", tag = "internal",
    params(ReservationPath),
    responses((status = 204, description = "A dose is held"), NoSuchVaccine, NotHeld, Unavailable)
)]
async fn hold(
    State(stock): State<Stock>,
    Id(path): Id<ReservationPath>,
) -> Result<StatusCode, Problem> {
    let hold = HoldDoses::from(without_owner(path.id, path.reservation));
    stock.take(hold).await?.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Releases a dose, once, even if repeated; a hold that arrives later is refused
#[utoipa::path(
    delete, path = "/vaccines/{id}/reservations/{reservation}", tag = "internal",
    params(ReservationPath),
    responses(
        (status = 204, description = "This reservation takes no dose"),
        NoSuchReservation, NotReleased, Unavailable,
    )
)]
async fn release(
    State(stock): State<Stock>,
    Id(path): Id<ReservationPath>,
) -> Result<StatusCode, Problem> {
    let release = ReleaseReservation {
        reservation: ReservationId(path.reservation),
        of: Some(VaccineId(path.id).into()),
        at: clock::now(),
    };
    stock.submit(release).await?.map_err(problem)?;
    stock.refusals_expire().await;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows a reservation
#[utoipa::path(
    get, path = "/vaccines/{id}/reservations/{reservation}", tag = "internal",
    params(ReservationPath),
    responses(
        (status = 200, description = "Found", body = Reservation),
        NoSuchReservation, Unavailable,
    )
)]
async fn reservation(
    State(stock): State<Stock>,
    Id(path): Id<ReservationPath>,
) -> Result<Response, Problem> {
    let known = stock.queries.reservation(ReservationId(path.reservation)).await?;
    let known = known.filter(|known| known.vaccine_id == VaccineId(path.id));
    Ok(Json(known.ok_or_else(|| problem(Refusal::NoSuchReservation))?).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct VaccineQuery {
    /// The number of a vaccine
    #[param(value_type = i64, example = 1, minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    vaccine_id: Option<String>,
}

/// Takes a dose; deprecated
///
/// Every GET takes a dose, until it is released at the URL in `Link`. Use `POST /bookings` instead.
#[utoipa::path(
    get, path = "/vaccines/checkAndBookStock", tag = "vaccines", params(VaccineQuery),
    responses(
        (
            status = 200, description = "Whether a dose was taken", body = bool,
            content_type = "application/json",
            headers(
                ("Link" = String, description = "Where to release the dose"),
                ("Deprecation" = String, description = "Since when this is deprecated (RFC 9745)"),
                ("Cache-Control" = String, description = "`no-store`"),
            )
        ),
        NoSuchVaccine, InvalidQuery, Unavailable,
    )
)]
#[deprecated = "a GET that changes something is repeated by caches and clients"]
async fn check_and_book_stock(
    State(stock): State<Stock>,
    method: Method,
    Query(query): Query<VaccineQuery>,
) -> Result<Response, Problem> {
    if method != Method::GET {
        // HEAD is served by GET handlers. It must not take a dose.
        let problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "urn:anticorona:method-not-allowed",
            "GET takes a dose",
        );
        return Ok(([(header::ALLOW, "GET")], problem).into_response());
    }
    let id = json::number("vaccineId", query.vaccine_id.as_deref(), "vaccine")?;
    let reservation = Uuid::now_v7();
    // A client that is gone before the response could never release the dose.
    let cancelled = guard(&stock, |stock| {
        stock.runtime.spawn(stock.clone().release_cancelled(ReservationId(reservation)));
    });
    let reply = stock.take(ConfirmHold(without_owner(id, reservation))).await;
    ScopeGuard::into_inner(cancelled);
    let taken = match reply? {
        Ok(()) => true,
        Err(Refusal::SoldOut) => false,
        Err(refusal) => return Err(problem(refusal)),
    };
    let mut response = Json(taken).into_response();
    let headers = response.headers_mut();
    headers.insert("deprecation", DEPRECATED_SINCE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let link = format!("</vaccines/{id}/reservations/{reservation}>; rel=\"item\"");
    if let (true, Ok(link)) = (taken, HeaderValue::try_from(link)) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// A hold that stands until it is released.
fn without_owner(vaccine: i64, reservation: Uuid) -> HoldDose {
    HoldDose {
        reservation: ReservationId(reservation),
        owner: None,
        claims: vec![VaccineId(vaccine).into()],
        at: clock::now(),
    }
}

impl Stock {
    async fn change(
        &self,
        origin: &Origin,
        id: i64,
        (name, stock): (Option<Name>, Option<Doses>),
        if_match: &IfMatch,
    ) -> Result<Response, Problem> {
        let vaccine_id = VaccineId(id);
        let expected = self.expected(vaccine_id, if_match).await?;
        let change = ChangeVaccine { vaccine: vaccine_id, name, stock, expected, at: clock::now() };
        let changed = self.submit(change).await?.map_err(problem)?;
        if stock.is_some() {
            self.refusals_expire().await;
        }
        Ok(shown(origin, &vaccine(changed.id, &changed.pool)))
    }

    /// The state that a change is meant for; the commit of the change checks it again.
    async fn expected(&self, id: VaccineId, if_match: &IfMatch) -> Result<Option<Pool>, Problem> {
        let find = async {
            let known = self.queries.pool(id).await?;
            known.ok_or_else(|| problem(Refusal::NoSuchPool))
        };
        if_match.expected(find, |known| etag::of(&tagged(&vaccine(id, known)))).await
    }
}

fn shown(origin: &Origin, vaccine: &Vaccine) -> Response {
    VACCINES.ok_tagged(origin, vaccine.vaccine_id, vaccine, &tagged(vaccine))
}

/// What the `ETag` is of: what can be changed. If it were of the doses taken too, nothing could be changed under the
/// condition of a tag while bookings are made.
fn tagged(Vaccine { vaccine_id, vc_name, stock, .. }: &Vaccine) -> impl Serialize {
    (vaccine_id, vc_name, stock)
}

fn name(body: &VaccineBody) -> Result<Option<Name>, Problem> {
    let Some(text) = &body.vc_name else { return Ok(None) };
    let reason = || {
        let reason = format!("must be 1 to {NAME_MAX} characters, none of them control characters");
        Problem::invalid("vcName", reason)
    };
    Name::parse(text).map(Some).ok_or_else(reason)
}

fn doses(body: &VaccineBody) -> Result<Option<Doses>, Problem> {
    let Some(doses) = body.stock else { return Ok(None) };
    let reason = || Problem::invalid("stock", format!("must be from 0 to {STOCK_MAX}"));
    Doses::parse(doses.0).map(Some).ok_or_else(reason)
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::invalid(field, "must be given"))
}
