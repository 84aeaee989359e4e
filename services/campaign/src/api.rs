//! The HTTP side of sites and campaigns: routes, and what the handlers share.

#![expect(unused_qualifications, reason = "utoipa qualifies the types of `params`")]

use axum::Router;
use contracts::campaign::{Campaign, Site, SitePreview};
use platform_rest::{
    hal::{HalItem, HalPage},
    index::{self, ServiceCollections},
    problem::Problem,
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

mod alternatives;
mod availability;
mod campaigns;
mod csv;
mod near;
mod nearest;
mod next;
mod office;
mod problems;
mod sites;

pub use self::office::CampaignOffice;
use self::office::{CAMPAIGNS, SITES};

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
        .routes(routes!(near::find_near))
        .routes(routes!(sites::show, sites::replace, sites::remove))
        .routes(routes!(sites::set_exception, sites::remove_exception))
        .routes(routes!(campaigns::list, campaigns::create))
        .routes(routes!(campaigns::show, campaigns::replace, campaigns::remove))
        .routes(routes!(campaigns::set_status))
        .routes(routes!(campaigns::preview))
        .routes(routes!(availability::slots))
        .routes(routes!(alternatives::alternatives))
        .routes(routes!(next::next))
        .routes(routes!(availability::days))
}

/// The routes of sites and campaigns.
pub fn router(office: CampaignOffice) -> Router {
    index::with_document(COLLECTIONS.service, routes().with_state(office))
}

/// Their OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}
