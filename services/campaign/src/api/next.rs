//! Slots for the dose after one.

use axum::{extract::State, http::HeaderMap, response::Response};
use contracts::{
    campaign::availability::NextSlots,
    ids::{SlotId, VaccineId},
    vaccine::product::{DOSE_INTERVAL_MAX, DoseInterval},
};
use platform_rest::{
    etag,
    json::{self, Id, Query},
    openapi::Unavailable,
    problem::Problem,
};
use platform_telemetry::clock;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    availability::{NotModified, Unless, reply},
    office::CampaignOffice,
    problems::{InvalidParameter, NoSuchSlot, no_such_slot},
};

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct NextQuery {
    /// The number of a vaccine
    #[param(
        value_type = i64, required = true, nullable = false, example = 1, minimum = 0,
        maximum = 9_223_372_036_854_775_807_i64
    )]
    vaccine_id: Option<String>,
    /// How many days later it is at least, by the dates at the site
    #[param(value_type = i64, required = true, nullable = false, example = 21, minimum = 1, maximum = 365)]
    min_days: Option<String>,
    /// How many days later it is at most
    #[param(value_type = i64, required = true, nullable = false, example = 42, minimum = 1, maximum = 365)]
    max_days: Option<String>,
}

/// Free slots for the dose after one: at the same site, so many days later
///
/// Of the first 31 of these days, and none before today.
#[utoipa::path(
    get, path = "/slots/{id}/next", tag = "slots",
    params(
        ("id" = i64, Path, description = "The number of the slot", minimum = 1, example = 1),
        NextQuery, Unless,
    ),
    responses(
        (
            status = 200, description = "Slots, by time", body = NextSlots,
            headers(
                ("ETag" = String, description = "The tag of what is free"),
                ("Cache-Control" = String, description = "`public, max-age=1`"),
            )
        ),
        NotModified, NoSuchSlot, InvalidParameter, Unavailable
    )
)]
pub(super) async fn next(
    State(office): State<CampaignOffice>,
    Id(id): Id<i64>,
    Query(query): Query<NextQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let vaccine = json::number("vaccineId", query.vaccine_id.as_deref(), "vaccine")?;
    let wanted = (VaccineId(vaccine), query.interval()?);
    let known = office.queries.after(SlotId(id), wanted, clock::now()).await?;
    let next = known.ok_or_else(no_such_slot)?;
    let free = office.availability.at(next.site, next.wanted.dates).await?;
    let body = NextSlots { as_of: free.as_of, slots: next.slots(&free) };
    Ok(reply(&headers, &etag::of(&body.slots), &body))
}

impl NextQuery {
    fn interval(&self) -> Result<DoseInterval, Problem> {
        let min_days = days("minDays", self.min_days.as_deref())?;
        let max_days = days("maxDays", self.max_days.as_deref())?;
        if max_days < min_days {
            return Err(Problem::invalid("maxDays", "must not be less than minDays"));
        }
        Ok(DoseInterval { min_days, max_days })
    }
}

fn days(field: &'static str, text: Option<&str>) -> Result<u16, Problem> {
    let days = text.and_then(|text| text.parse().ok());
    let days = days.filter(|days| (1..=DOSE_INTERVAL_MAX).contains(days));
    days.ok_or_else(|| {
        Problem::invalid(field, format!("must be a number from 1 to {DOSE_INTERVAL_MAX}"))
    })
}
