//! Who is expected at a site, and when.

use axum::{extract::State, response::Response};
use contracts::{
    ids::SiteId,
    injection::{Injection, InjectionStatus},
};
use jiff::Timestamp;
use platform_rest::{
    hal::Origin,
    json::{self, Query},
    openapi::{PageOf, Unavailable},
    pagination::{PageParams, PageRequest},
    problem::Problem,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::desk::{INJECTIONS, InjectionDesk};
use crate::store::{DAY_MAX, SiteDay};

/// A site and a time.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct DayQuery {
    /// The number of a site
    #[param(value_type = i64, required = true, nullable = false, example = 1, minimum = 0)]
    site_id: Option<String>,
    /// Slots that start then or later
    #[param(
        value_type = String, format = DateTime, required = true, nullable = false,
        example = "2026-12-01T00:00:00Z"
    )]
    from: Option<String>,
    /// Slots that start before; at most 36 hours later
    #[param(
        value_type = String, format = DateTime, required = true, nullable = false,
        example = "2026-12-02T00:00:00Z"
    )]
    to: Option<String>,
}

impl DayQuery {
    pub(super) fn parse(&self) -> Result<SiteDay, Problem> {
        let site = json::number("siteId", self.site_id.as_deref(), "site")?;
        let from = instant("from", self.from.as_deref())?;
        let to = instant("to", self.to.as_deref())?;
        if to <= from || to.duration_since(from).unsigned_abs() > DAY_MAX {
            let hours = DAY_MAX.as_secs() / 3_600;
            return Err(Problem::invalid(
                "to",
                format!("must be at most {hours} hours after from"),
            ));
        }
        Ok(SiteDay { site: SiteId(site), from, to, status: None })
    }
}

fn instant(field: &'static str, text: Option<&str>) -> Result<Timestamp, Problem> {
    let instant = text.unwrap_or_default().parse().ok();
    instant.ok_or_else(|| Problem::invalid(field, "must be a time, as 2026-12-01T00:00:00Z"))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StatusQuery {
    /// Only those with this status
    #[param(nullable = false)]
    status: Option<InjectionStatus>,
}

/// Finds the appointments of a site in the order of their start
#[utoipa::path(
    get, path = "/injections/search/findBySite", tag = "injections",
    params(DayQuery, StatusQuery, PageParams),
    responses(PageOf<Injection>, Unavailable)
)]
pub(super) async fn find_by_site(
    State(desk): State<InjectionDesk>,
    origin: Origin,
    Query(day): Query<DayQuery>,
    Query(StatusQuery { status }): Query<StatusQuery>,
    page: PageRequest,
) -> Result<Response, Problem> {
    let day = SiteDay { status, ..day.parse()? };
    let list = desk.queries.of_site(day, page.range).await?;
    Ok(INJECTIONS.page(&origin, &page, list, |_, injection| injection.injection_id))
}
