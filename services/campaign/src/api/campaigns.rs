//! Campaigns, their status, and what one would publish.

use axum::{extract::State, http::StatusCode, response::Response};
use contracts::{
    campaign::{
        Campaign, CampaignDetails, CampaignSite, CampaignStatusBody, CampaignStatusChange,
        SitePreview,
    },
    ids::CampaignId,
};
use platform_rest::{
    etag::{self, IfMatch},
    hal::Origin,
    json::{Id, Json},
    openapi::{
        BodyProblems, Changed, Condition, ConditionProblem, Created, Found, PageOf, Unavailable,
    },
    pagination::{PageParams, PageRequest},
    problem::Problem,
};
use platform_telemetry::clock;
use serde::Serialize;

use super::{
    office::{CAMPAIGNS, CampaignOffice, SITES},
    problems::{CampaignConflict, NoSuchCampaign, invalid, problem},
};
use crate::{
    domain::{
        CampaignRecord, CampaignVersion, ChangeCampaign, ChangeStatus, ChangedCampaign,
        CheckedCampaign, CreateCampaign, NAME_MAX, Refusal, RemoveCampaign, TEXT_MAX, check_text,
    },
    events::campaign,
};

/// Lists campaigns in the order of their numbers; their history is in each of them
#[utoipa::path(
    get, path = "/campaigns", tag = "campaigns", params(PageParams),
    responses(PageOf<Campaign>, Unavailable)
)]
pub(super) async fn list(
    State(office): State<CampaignOffice>,
    origin: Origin,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = office.queries.campaigns(page.range).await?;
    Ok(CAMPAIGNS.page(&origin, &page, list, |id, _| id))
}

/// Creates a draft
#[utoipa::path(
    post, path = "/campaigns", tag = "campaigns", request_body = CampaignDetails,
    responses(Created<Campaign>, BodyProblems, Unavailable)
)]
pub(super) async fn create(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Json(body): Json<CampaignDetails>,
) -> Result<Response, Problem> {
    let ChangedCampaign { id, record, sites } = office.submit(CreateCampaign(parse(body)?)).await?;
    Ok(CAMPAIGNS.created(&origin, id, campaign(id, &record, sites)))
}

/// Shows a campaign with the last 100 changes of its status
#[utoipa::path(
    get, path = "/campaigns/{id}", tag = "campaigns",
    params(("id" = i64, Path, description = "The number of the campaign", minimum = 1, example = 1)),
    responses(Found<Campaign>, NoSuchCampaign, Unavailable)
)]
pub(super) async fn show(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let id = CampaignId(id);
    let (record, sites) = office.campaign(id).await?;
    office.shown(&origin, ChangedCampaign { id, record, sites }).await
}

/// Replaces a campaign; vaccines, dates and slot length only of a draft
///
/// Slots are planned again afterwards.
#[utoipa::path(
    put, path = "/campaigns/{id}", tag = "campaigns",
    params(
        ("id" = i64, Path, description = "The number of the campaign", minimum = 1, example = 1),
        Condition,
    ),
    request_body = CampaignDetails,
    responses(
        Changed<Campaign>, NoSuchCampaign, CampaignConflict, ConditionProblem, BodyProblems,
        Unavailable,
    )
)]
pub(super) async fn replace(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Id(id): Id<i64>,
    if_match: IfMatch,
    Json(body): Json<CampaignDetails>,
) -> Result<Response, Problem> {
    let (id, campaign) = (CampaignId(id), parse(body)?);
    let expected = office.expected_campaign(id, &if_match).await?;
    let change = ChangeCampaign { id, campaign, expected, at: clock::now() };
    office.shown(&origin, office.submit(change).await?).await
}

/// Deletes a draft
#[utoipa::path(
    delete, path = "/campaigns/{id}", tag = "campaigns",
    params(
        ("id" = i64, Path, description = "The number of the campaign", minimum = 1, example = 1),
        Condition,
    ),
    responses(
        (status = 204, description = "Deleted"),
        NoSuchCampaign, CampaignConflict, ConditionProblem, Unavailable,
    )
)]
pub(super) async fn remove(
    State(office): State<CampaignOffice>,
    Id(id): Id<i64>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let id = CampaignId(id);
    let expected = office.expected_campaign(id, &if_match).await?;
    office.submit(RemoveCampaign { id, expected }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the status: scheduled, open, paused, open again, closed
#[utoipa::path(
    post, path = "/campaigns/{id}/status", tag = "campaigns",
    params(
        ("id" = i64, Path, description = "The number of the campaign", minimum = 1, example = 1),
        Condition,
    ),
    request_body = CampaignStatusBody,
    responses(
        Changed<Campaign>, NoSuchCampaign, CampaignConflict, ConditionProblem, BodyProblems,
        Unavailable,
    )
)]
pub(super) async fn set_status(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Id(id): Id<i64>,
    if_match: IfMatch,
    Json(body): Json<CampaignStatusBody>,
) -> Result<Response, Problem> {
    let CampaignStatusBody { status, reason, actor } = body;
    check_text("reason", &reason, [1, TEXT_MAX]).map_err(|field| invalid(&field))?;
    check_text("actor", &actor, [1, NAME_MAX]).map_err(|field| invalid(&field))?;
    let id = CampaignId(id);
    let expected = office.expected_campaign(id, &if_match).await?;
    let change = CampaignStatusChange { status, at: clock::now(), reason, actor };
    let changed = office.submit(ChangeStatus { id, change, expected }).await?;
    office.shown(&origin, changed).await
}

/// What a campaign would have at each of its sites, as everything is now
#[utoipa::path(
    get, path = "/campaigns/{id}/preview", tag = "campaigns",
    params(
        ("id" = i64, Path, description = "The number of the campaign", minimum = 1, example = 1),
        PageParams,
    ),
    responses(PageOf<SitePreview>, NoSuchCampaign, Unavailable)
)]
pub(super) async fn preview(
    State(office): State<CampaignOffice>,
    origin: Origin,
    Id(id): Id<i64>,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = office.queries.preview(CampaignId(id), page.range).await?;
    let list = list.ok_or_else(|| problem(&Refusal::NoSuchCampaign))?;
    Ok(SITES.page(&origin, &page, list, |id, _| id))
}

impl CampaignOffice {
    async fn campaign(
        &self,
        id: CampaignId,
    ) -> Result<(CampaignRecord, Vec<CampaignSite>), Problem> {
        let known = self.queries.campaign(id).await?;
        known.ok_or_else(|| problem(&Refusal::NoSuchCampaign))
    }

    /// The version that a change is meant for; the commit of the change checks it again.
    async fn expected_campaign(
        &self,
        id: CampaignId,
        if_match: &IfMatch,
    ) -> Result<Option<CampaignVersion>, Problem> {
        let tag = |(known, _): &(CampaignRecord, _)| etag::of(&tagged(id, known));
        let expected = if_match.expected(self.campaign(id), tag).await?;
        Ok(expected.map(|(known, _)| known.version()))
    }

    async fn shown(&self, origin: &Origin, shown: ChangedCampaign) -> Result<Response, Problem> {
        let ChangedCampaign { id, record, sites } = shown;
        let changes = self.queries.changes(id).await?;
        let item = Campaign { changes, ..campaign(id, &record, sites) };
        Ok(CAMPAIGNS.ok_tagged(origin, id, &item, &tagged(id, &record)))
    }
}

fn parse(details: CampaignDetails) -> Result<CheckedCampaign, Problem> {
    CheckedCampaign::parse(details).map_err(|field| invalid(&field))
}

/// What the `ETag` is of.
fn tagged(id: CampaignId, record: &CampaignRecord) -> impl Serialize {
    (id, record.revision, record.changes)
}
