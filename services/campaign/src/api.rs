//! The HTTP side of sites and campaigns: routes, and what the handlers share.

#![expect(unused_qualifications, reason = "utoipa qualifies the types of `params`")]

use axum::{Router, extract::State};
use contracts::{
    campaign::{Campaign, Site, SitePreview, SlotDays},
    ids::{CampaignId, SiteId},
};
use jiff::civil::Date;
use platform_rest::{
    hal::{HalItem, HalPage},
    index::{self, ServiceCollections},
    json::{self, Json, Query},
    openapi::Unavailable,
    problem::Problem,
};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

mod campaigns;
mod csv;
mod office;
mod problems;
mod sites;

pub use self::office::CampaignOffice;
use self::{
    office::{CAMPAIGNS, SITES},
    problems::InvalidParameter,
};
use crate::domain::day_count;

/// Days of one request for slots.
const SLOT_DAYS_MAX: i32 = 31;

pub(crate) const COLLECTIONS: ServiceCollections =
    ServiceCollections { service: "campaign", collections: &[SITES, CAMPAIGNS] };

#[derive(OpenApi)]
#[openapi(
    info(
        title = "anticorona campaign",
        description = "Sites and campaigns: where and when people can be vaccinated."
    ),
    components(schemas(
        Problem, Site, HalItem<Site>, HalPage<Site>, Campaign, HalItem<Campaign>, HalPage<Campaign>,
        HalPage<SitePreview>
    ))
)]
struct Document;

fn routes() -> OpenApiRouter<CampaignOffice> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(index::routes(&[COLLECTIONS], None))
        .routes(routes!(sites::list, sites::create))
        .routes(routes!(csv::import))
        .routes(routes!(csv::export))
        .routes(routes!(sites::show, sites::replace, sites::remove))
        .routes(routes!(sites::set_exception, sites::remove_exception))
        .routes(routes!(campaigns::list, campaigns::create))
        .routes(routes!(campaigns::show, campaigns::replace, campaigns::remove))
        .routes(routes!(campaigns::set_status))
        .routes(routes!(campaigns::preview))
        .routes(routes!(slots))
}

/// The routes of sites and campaigns.
pub fn router(office: CampaignOffice) -> Router {
    index::with_document(COLLECTIONS.service, routes().with_state(office))
}

/// Their OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct SlotsQuery {
    /// The number of a campaign
    #[param(
        value_type = i64, required = true, nullable = false, example = 1, minimum = 0,
        maximum = 9_223_372_036_854_775_807_i64
    )]
    campaign_id: Option<String>,
    /// The number of a site
    #[param(
        value_type = i64, required = true, nullable = false, example = 1, minimum = 0,
        maximum = 9_223_372_036_854_775_807_i64
    )]
    site_id: Option<String>,
    /// The first date at the site
    #[param(value_type = String, format = Date, required = true, nullable = false)]
    from: Option<String>,
    /// The last date at the site; at most 31 days
    #[param(value_type = String, format = Date, required = true, nullable = false)]
    to: Option<String>,
}

/// The slots of a campaign at a site, by date
///
/// Times and places as planned, whether or not they are booked. A slot with capacity 0 does not take place any more.
#[utoipa::path(
    get, path = "/slots", tag = "slots", params(SlotsQuery),
    responses((status = 200, description = "Slots", body = SlotDays), InvalidParameter, Unavailable)
)]
async fn slots(
    State(office): State<CampaignOffice>,
    Query(query): Query<SlotsQuery>,
) -> Result<Json<SlotDays>, Problem> {
    let campaign = json::number("campaignId", query.campaign_id.as_deref(), "campaign")?;
    let site = json::number("siteId", query.site_id.as_deref(), "site")?;
    let [from, to] = [date("from", query.from.as_deref())?, date("to", query.to.as_deref())?];
    if !(1..=SLOT_DAYS_MAX).contains(&day_count(from, to)) {
        let reason = format!("must be a date from `from`, at most {SLOT_DAYS_MAX} days");
        return Err(Problem::invalid("to", reason));
    }
    let days = office.queries.slots(CampaignId(campaign), SiteId(site), [from, to]).await?;
    Ok(Json(SlotDays { days }))
}

fn date(field: &'static str, text: Option<&str>) -> Result<Date, Problem> {
    let date = text.unwrap_or_default().parse().ok();
    date.ok_or_else(|| Problem::invalid(field, "must be a date, as 2026-12-01"))
}
