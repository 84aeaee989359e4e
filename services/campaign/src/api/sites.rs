//! Sites, and the dates on which they have other hours.

use axum::{extract::State, http::StatusCode, response::Response};
use contracts::{
    campaign::{HoursException, HoursExceptionBody, Site, SiteDetails},
    ids::SiteId,
};
use jiff::civil::Date;
use platform_rest::{
    etag::{self, IfMatch},
    hal::Origin,
    json::{Id, Json},
    openapi::{
        BodyProblems, Changed, Condition, ConditionProblem, Created, Found, PageOf, PathProblem,
        Unavailable,
    },
    pagination::{PageParams, PageRequest},
    problem::Problem,
};
use platform_telemetry::clock;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{
    office::{CampaignOffice, SITES},
    problems::{InvalidParameter, NoSuchSite, SiteConflict, invalid, problem},
};
use crate::{
    domain::{
        ChangeException, ChangeSite, CheckedException, CheckedSite, CreateSite, Refusal,
        RemoveSite, SiteRecord, check_date,
    },
    events::site,
};

/// Lists sites in the order of their numbers
#[utoipa::path(
    get, path = "/sites", tag = "sites", params(PageParams),
    responses(PageOf<Site>, Unavailable)
)]
pub(super) async fn list(
    State(office): State<CampaignOffice>,
    origin: Origin,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = office.queries.sites(page.range).await?;
    Ok(SITES.page(&origin, &page, list, |id, _| id))
}

/// Creates a site
#[utoipa::path(
    post, path = "/sites", tag = "sites", request_body = SiteDetails,
    responses(Created<Site>, SiteConflict, BodyProblems, Unavailable)
)]
pub(super) async fn create(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Json(body): Json<SiteDetails>,
) -> Result<Response, Problem> {
    let created = office.submit(CreateSite { site: parse(body)?, at: clock::now() }).await?;
    Ok(SITES.created(&origin, created.id, site(created.id, &created.record)))
}

/// Shows a site
#[utoipa::path(
    get, path = "/sites/{id}", tag = "sites",
    params(("id" = i64, Path, description = "The number of the site", minimum = 1, example = 1)),
    responses(Found<Site>, NoSuchSite, Unavailable)
)]
pub(super) async fn show(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    Ok(shown(&origin, SiteId(id), &office.site(SiteId(id)).await?))
}

/// Replaces a site; slots are planned again afterwards
#[utoipa::path(
    put, path = "/sites/{id}", tag = "sites",
    params(
        ("id" = i64, Path, description = "The number of the site", minimum = 1, example = 1),
        Condition,
    ),
    request_body = SiteDetails,
    responses(Changed<Site>, NoSuchSite, SiteConflict, ConditionProblem, BodyProblems, Unavailable)
)]
pub(super) async fn replace(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Id(id): Id<i64>,
    if_match: IfMatch,
    Json(body): Json<SiteDetails>,
) -> Result<Response, Problem> {
    let (id, site) = (SiteId(id), parse(body)?);
    let expected = office.expected_site(id, &if_match).await?;
    let changed = office.submit(ChangeSite { id, site, expected, at: clock::now() }).await?;
    Ok(shown(&origin, id, &changed.record))
}

/// Deletes a site that is in no campaign
#[utoipa::path(
    delete, path = "/sites/{id}", tag = "sites",
    params(
        ("id" = i64, Path, description = "The number of the site", minimum = 1, example = 1),
        Condition,
    ),
    responses(
        (status = 204, description = "Deleted"),
        NoSuchSite, SiteConflict, ConditionProblem, Unavailable,
    )
)]
pub(super) async fn remove(
    State(office): State<CampaignOffice>,
    Id(id): Id<i64>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let id = SiteId(id);
    let expected = office.expected_site(id, &if_match).await?;
    office.submit(RemoveSite { id, expected }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ExceptionPath {
    /// The number of the site
    #[param(minimum = 1, example = 1)]
    id: i64,
    /// The date at the site, from 2000 to 2999
    #[param(value_type = String, format = Date, pattern = "^2[0-9]{3}-", example = "2026-12-25")]
    date: Date,
}

/// Sets the hours of one date; without any, the site is closed
///
/// The slots of that date change in the same commit.
#[utoipa::path(
    put, path = "/sites/{id}/exceptions/{date}", tag = "sites", params(ExceptionPath, Condition),
    request_body = HoursExceptionBody,
    responses(Changed<Site>, NoSuchSite, ConditionProblem, BodyProblems, Unavailable)
)]
pub(super) async fn set_exception(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Id(path): Id<ExceptionPath>,
    if_match: IfMatch,
    Json(body): Json<HoursExceptionBody>,
) -> Result<Response, Problem> {
    let HoursExceptionBody { hours, note } = body;
    let exception = HoursException { date: path.date, hours, note };
    let exception = CheckedException::parse(exception).map_err(|field| invalid(&field))?;
    office.change_exception(&origin, &path, Some(exception), &if_match).await
}

/// Removes the hours of one date: it has those of the week again
#[utoipa::path(
    delete, path = "/sites/{id}/exceptions/{date}", tag = "sites", params(ExceptionPath, Condition),
    responses(
        Changed<Site>, PathProblem, NoSuchSite, ConditionProblem, InvalidParameter, Unavailable,
    )
)]
pub(super) async fn remove_exception(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Id(path): Id<ExceptionPath>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    check_date("date", path.date).map_err(|field| invalid(&field))?;
    office.change_exception(&origin, &path, None, &if_match).await
}

impl CampaignOffice {
    async fn site(&self, id: SiteId) -> Result<SiteRecord, Problem> {
        let known = self.queries.site(id).await?;
        known.ok_or_else(|| problem(&Refusal::NoSuchSite))
    }

    /// The revision that a change is meant for; the commit of the change checks it again.
    async fn expected_site(&self, id: SiteId, if_match: &IfMatch) -> Result<Option<i64>, Problem> {
        let tag = |known: &SiteRecord| etag::of(&tagged(id, known));
        let expected = if_match.expected(self.site(id), tag).await?;
        Ok(expected.map(|known| known.revision))
    }

    async fn change_exception(
        &self,
        origin: &Origin,
        path: &ExceptionPath,
        exception: Option<CheckedException>,
        if_match: &IfMatch,
    ) -> Result<Response, Problem> {
        let (id, date) = (SiteId(path.id), path.date);
        let expected = self.expected_site(id, if_match).await?;
        let change = ChangeException { id, date, exception, expected, at: clock::now() };
        let changed = self.submit(change).await?;
        Ok(shown(origin, id, &changed.record))
    }
}

fn parse(details: SiteDetails) -> Result<CheckedSite, Problem> {
    CheckedSite::parse(details).map_err(|field| invalid(&field))
}

fn shown(origin: &Origin, id: SiteId, record: &SiteRecord) -> Response {
    SITES.ok_tagged(origin, id, &site(id, record), &tagged(id, record))
}

/// What the `ETag` is of.
fn tagged(id: SiteId, record: &SiteRecord) -> impl Serialize {
    (id, record.revision)
}
