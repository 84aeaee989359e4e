//! Lots of sites: what arrived, was wasted, transferred and counted.

use axum::{extract::State, response::Response};
use contracts::{
    ids::{LotId, SiteId, VaccineId},
    number::Whole,
    vaccine::lots::{LOT_DOSES_MAX, Lot, LotBody, LotChangeBody, LotChangeKind, SiteStockCount},
};
use platform_rest::{
    etag::{self, IfMatch},
    hal::{Collection, Origin, Search},
    json::{self, Id, Json, Query},
    openapi::{
        BodyProblems, Changed, Condition, ConditionProblem, Created, Found, Linked, NotAcceptable,
        PageOf, Unavailable,
    },
    pagination::{PageParams, PageRequest},
    problem::Problem,
};
use platform_telemetry::clock;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    problems::{LotRefused, NoSuchLot, NoSuchSiteStock, NoSuchVaccine, problem},
    stock::Stock,
};
use crate::{
    domain::{Accountability, ChangeLot, LotNumber, ReceiveLot, Refusal, SiteStockId},
    events::lot,
};

/// Years in which a lot can expire: others are typing errors.
const YEAR_MIN: i16 = 2000;
const YEAR_MAX: i16 = 2999;

/// The longest reason, in characters.
const REASON_MAX: usize = 500;

/// The longest name of an actor, in characters.
const ACTOR_MAX: usize = 100;

pub(super) const LOTS: Collection = Collection {
    plural: "lots",
    singular: "lot",
    is_personal: false,
    searches: &[Search { name: "findBySiteId", parameter: "siteId" }],
};

/// Lists lots in the order of their numbers
#[utoipa::path(
    get, path = "/lots", tag = "lots", params(PageParams),
    responses(PageOf<Lot>, Unavailable)
)]
pub(super) async fn list(
    State(stock): State<Stock>,
    origin: Origin,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = stock.queries.lots(page.range).await?;
    Ok(LOTS.page(&origin, &page, list, |id, _| id))
}

/// Links to the searches
#[utoipa::path(
    get,
    path = "/lots/search",
    tag = "lots",
    responses(Linked, NotAcceptable, Unavailable)
)]
pub(super) async fn searches(origin: Origin) -> Response {
    LOTS.searches(&origin)
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct SiteQuery {
    /// The number of a site
    #[param(value_type = i64, required = true, nullable = false, example = 1, minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    site_id: Option<String>,
}

/// Finds the lots of a site
#[utoipa::path(
    get, path = "/lots/search/findBySiteId", tag = "lots", params(SiteQuery, PageParams),
    responses(PageOf<Lot>, Unavailable)
)]
pub(super) async fn find_by_site_id(
    State(stock): State<Stock>,
    origin: Origin,
    Query(query): Query<SiteQuery>,
    page: PageRequest,
) -> Result<Response, Problem> {
    let site = json::number("siteId", query.site_id.as_deref(), "site")?;
    let list = stock.queries.lots_of(SiteId(site), page.range).await?;
    Ok(LOTS.page(&origin, &page, list, |id, _| id))
}

/// Receives doses of a lot that the site has not yet
#[utoipa::path(
    post, path = "/lots", tag = "lots",
    request_body(
        content = LotBody,
        example = json!({
            "siteId": 1, "vaccineId": 1, "number": "FA-2207", "expiresOn": "2027-03-31",
            "doses": 120, "reason": "delivery 4711", "actor": "pharmacy"
        })
    ),
    responses(Created<Lot>, NoSuchVaccine, LotRefused, BodyProblems, Unavailable)
)]
pub(super) async fn receive(
    State(stock): State<Stock>,
    origin: Origin,
    Json(body): Json<LotBody>,
) -> Result<Response, Problem> {
    let number = LotNumber::parse(&body.number)
        .ok_or_else(|| Problem::invalid("number", "must be 1 to 32 letters, digits and `.-_/ `"))?;
    if !(YEAR_MIN..=YEAR_MAX).contains(&body.expires_on.year()) {
        let reason = format!("must be a date from {YEAR_MIN} to {YEAR_MAX}");
        return Err(Problem::invalid("expiresOn", reason));
    }
    let (site, vaccine) = (SiteId(body.site_id), VaccineId(body.vaccine_id));
    let receive = ReceiveLot {
        stock: SiteStockId { site, vaccine },
        number,
        expires_on: body.expires_on,
        doses: doses(body.doses)?,
        by: accountability(body.reason, body.actor)?,
        at: clock::now(),
    };
    let (id, received) = stock.submit(receive).await?.map_err(problem)?;
    stock.refusals_expire().await;
    Ok(LOTS.created(&origin, id, lot(id, &received)))
}

/// Shows a lot, with its last 100 changes
#[utoipa::path(
    get, path = "/lots/{id}", tag = "lots",
    params(("id" = i64, Path, description = "The number of the lot", minimum = 1, example = 1)),
    responses(Found<Lot>, NoSuchLot, Unavailable)
)]
pub(super) async fn show(
    State(stock): State<Stock>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    Ok(LOTS.ok(&origin, id, find(&stock, LotId(id)).await?))
}

/// Changes the doses of a lot: more arrived, some were wasted or transferred, or all were counted
///
/// What bookings need is refused, unless `overcommit` says that they will be moved. With `If-Match`, a repeated request
/// changes nothing.
#[utoipa::path(
    post, path = "/lots/{id}/changes", tag = "lots",
    params(
        ("id" = i64, Path, description = "The number of the lot", minimum = 1, example = 1),
        Condition,
    ),
    request_body(
        content = LotChangeBody,
        example = json!({"kind": "WASTED", "doses": 6, "reason": "the fridge failed", "actor": "nurse Kim"})
    ),
    responses(Changed<Lot>, NoSuchLot, LotRefused, ConditionProblem, BodyProblems, Unavailable)
)]
pub(super) async fn change(
    State(stock): State<Stock>,
    origin: Origin,
    Id(id): Id<i64>,
    if_match: IfMatch,
    Json(body): Json<LotChangeBody>,
) -> Result<Response, Problem> {
    let mut change = ChangeLot {
        lot: LotId(id),
        kind: body.kind,
        doses: doses(body.doses)?,
        to: target(&body)?,
        overcommit: body.overcommit,
        expected: None,
        by: accountability(body.reason, body.actor)?,
        at: clock::now(),
    };
    let expected = if_match.expected(find(&stock, LotId(id)), etag::of).await?;
    change.expected = expected.map(|known| known.change_count);
    stock.submit(change).await?.map_err(problem)?;
    stock.refusals_expire().await;
    Ok(LOTS.ok(&origin, id, find(&stock, LotId(id)).await?))
}

/// The doses of a vaccine at a site, and the bookings that need them
#[utoipa::path(
    get, path = "/stocks/{siteId}/{vaccineId}", tag = "lots", params(StockPath),
    responses(
        (status = 200, description = "Found", body = SiteStockCount),
        NoSuchSiteStock, Unavailable,
    )
)]
pub(super) async fn site_stock(
    State(stock): State<Stock>,
    Id(path): Id<StockPath>,
) -> Result<Json<SiteStockCount>, Problem> {
    let id = SiteStockId { site: SiteId(path.site_id), vaccine: VaccineId(path.vaccine_id) };
    let known = stock.queries.site_stock(id).await?;
    known
        .map(Json)
        .ok_or_else(|| Problem::not_found("there are no lots of this vaccine at this site"))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
pub(super) struct StockPath {
    /// The number of the site
    #[param(minimum = 1, example = 1)]
    site_id: i64,
    /// The number of the vaccine
    #[param(minimum = 1, example = 1)]
    vaccine_id: i64,
}

async fn find(stock: &Stock, id: LotId) -> Result<Lot, Problem> {
    let known = stock.queries.lot(id).await?;
    known.ok_or_else(|| problem(Refusal::NoSuchLot))
}

fn target(body: &LotChangeBody) -> Result<Option<SiteId>, Problem> {
    match (body.kind, body.to_site_id) {
        (LotChangeKind::Transferred, Some(site)) => Ok(Some(SiteId(site))),
        (LotChangeKind::Transferred, None) => {
            Err(Problem::invalid("toSiteId", "must be given for a transfer"))
        }
        (LotChangeKind::Received | LotChangeKind::Wasted | LotChangeKind::Counted, Some(_)) => {
            Err(Problem::invalid("toSiteId", "only a transfer has another site"))
        }
        (LotChangeKind::Received | LotChangeKind::Wasted | LotChangeKind::Counted, None) => {
            Ok(None)
        }
    }
}

fn doses(Whole(doses): Whole) -> Result<i64, Problem> {
    let is_valid = (0..=LOT_DOSES_MAX).contains(&doses);
    let reason = || Problem::invalid("doses", format!("must be from 0 to {LOT_DOSES_MAX}"));
    is_valid.then_some(doses).ok_or_else(reason)
}

fn accountability(reason: String, actor: String) -> Result<Accountability, Problem> {
    check_text("reason", &reason, REASON_MAX)?;
    check_text("actor", &actor, ACTOR_MAX)?;
    Ok(Accountability { reason, actor })
}

fn check_text(field: &'static str, text: &str, max: usize) -> Result<(), Problem> {
    let fits = !text.trim().is_empty() && text.chars().count() <= max;
    if fits && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let reason = format!("must be 1 to {max} characters, none of them control characters");
    Err(Problem::invalid(field, reason))
}
