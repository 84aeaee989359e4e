//! What is free at a site, exactly; `campaign` asks, and keeps the answer for a moment.

use axum::extract::State;
use contracts::{
    ids::SiteId,
    vaccine::availability::{AVAILABLE_DAYS_MAX, AVAILABLE_SLOTS_MAX, SiteAvailability},
};
use jiff::civil::Date;
use platform_rest::{
    json::{self, Json, Query},
    openapi::Unavailable,
    problem::Problem,
};
use platform_telemetry::clock;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{problems::InvalidQuery, stock::Stock};

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct AvailabilityQuery {
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

/// What is free at a site: places of its slots, and doses that these offer
///
/// Whether a slot can be booked now is not asked: its campaign may be closed, or it may have begun.
#[utoipa::path(
    get, path = "/availability", tag = "internal", params(AvailabilityQuery),
    responses(
        (status = 200, description = "What is free", body = SiteAvailability),
        InvalidQuery, Unavailable,
    )
)]
pub(super) async fn availability(
    State(stock): State<Stock>,
    Query(query): Query<AvailabilityQuery>,
) -> Result<Json<SiteAvailability>, Problem> {
    let site = SiteId(json::number("siteId", query.site_id.as_deref(), "site")?);
    let dates = [date("from", query.from.as_deref())?, date("to", query.to.as_deref())?];
    let days = (dates[1] - dates[0]).get_days() + 1;
    if !(1..=AVAILABLE_DAYS_MAX).contains(&days) {
        let reason = format!("must be a date from `from`, at most {AVAILABLE_DAYS_MAX} days");
        return Err(Problem::invalid("to", reason));
    }
    // Before the read: what was committed until then is in it.
    let as_of = clock::now();
    let free = stock.queries.availability(site, dates).await?;
    let (slots, doses) = free.ok_or_else(|| {
        let reason = format!("fewer days: there are more than {AVAILABLE_SLOTS_MAX} slots");
        Problem::invalid("to", reason)
    })?;
    Ok(Json(SiteAvailability { as_of, slots, doses }))
}

fn date(field: &'static str, text: Option<&str>) -> Result<Date, Problem> {
    let date = text.unwrap_or_default().parse().ok();
    date.ok_or_else(|| Problem::invalid(field, "must be a date, as 2026-12-01"))
}
