//! Sites near a citizen where something is free.

use axum::{extract::State, http::HeaderMap, response::Response};
use contracts::{
    campaign::{
        GeoPosition, Microdegrees,
        availability::{NearSite, NearSites},
    },
    ids::VaccineId,
};
use platform_rest::{
    etag,
    json::{self, Query},
    openapi::Unavailable,
    problem::Problem,
};
use platform_telemetry::clock;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    availability::{NotModified, Unless, dates, reply},
    nearest::search,
    office::CampaignOffice,
    problems::InvalidParameter,
};
use crate::domain::{FreeAtSite, LocatedSite, NearOffers, Surroundings, Wanted};

/// Sites in an answer.
const SITES_MAX: usize = 20;

/// Sites that are looked at, the nearest ones.
const LOOKED_AT_MAX: usize = 50;

/// Digits after the point of a degree.
const FRACTION_DIGITS_MAX: usize = 9;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct NearQuery {
    /// Where the citizen is: latitude and longitude in degrees
    #[param(
        value_type = String, required = true, nullable = false, example = "37.4979,127.0276",
        pattern = "^-?([0-8]?[0-9](\\.[0-9]{1,9})?|90(\\.0{1,9})?),-?((1[0-7]|0?[0-9])?[0-9](\\.[0-9]{1,9})?|180(\\.0{1,9})?)$"
    )]
    near: Option<String>,
    /// The number of a vaccine
    #[param(
        value_type = i64, required = true, nullable = false, example = 1, minimum = 0,
        maximum = 9_223_372_036_854_775_807_i64
    )]
    vaccine_id: Option<String>,
    /// The first date at the site
    #[param(value_type = String, format = Date, required = true, nullable = false)]
    from: Option<String>,
    /// The last date at the site; at most 31 days
    #[param(value_type = String, format = Date, required = true, nullable = false)]
    to: Option<String>,
}

/// Finds the sites nearest to a position where somebody can still book
///
/// Of the 50 nearest sites with an open campaign that offers the vaccine, those with something free, at most 20. Sites
/// without a position are left out. If it is not known of some of them what is free, they are left out, too, and
/// `incomplete` is true; if it is known of none, the status is 503.
#[utoipa::path(
    get, path = "/sites/search/findNear", tag = "sites", params(NearQuery, Unless),
    responses(
        (
            status = 200, description = "Sites", body = NearSites,
            headers(
                ("ETag" = String, description = "The tag of what is free"),
                ("Cache-Control" = String, description = "`public, max-age=1`"),
            )
        ),
        NotModified, InvalidParameter, Unavailable
    )
)]
pub(super) async fn find_near(
    State(office): State<CampaignOffice>,
    Query(query): Query<NearQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let near = position(query.near.as_deref())?;
    let vaccine = json::number("vaccineId", query.vaccine_id.as_deref(), "vaccine")?;
    let dates = dates(query.from.as_deref(), query.to.as_deref())?;
    let wanted = Wanted { vaccine: VaccineId(vaccine), dates, at: clock::now() };
    let surroundings = Surroundings {
        centre: near,
        metres_max: u32::MAX,
        sites_max: LOOKED_AT_MAX,
        without: None,
    };
    let sites = office.queries.near_offers(wanted, surroundings).await?;
    let item = |near: &NearOffers, free: &FreeAtSite| near_site(near, free, &wanted);
    let found = search(&office.availability, sites, &wanted, SITES_MAX, item).await;
    if let (None, Some(reason)) = (found.as_of, found.left_out) {
        return Err(reason.into());
    }
    let incomplete = found.left_out.is_some();
    let tag = etag::of(&(incomplete, &found.items));
    let body = NearSites { as_of: found.as_of, incomplete, sites: found.items };
    Ok(reply(&headers, &tag, &body))
}

/// The site, if anything is free there.
fn near_site(near: &NearOffers, free: &FreeAtSite, wanted: &Wanted) -> Option<NearSite> {
    let first_slot = free.first(&near.offers, wanted)?;
    let LocatedSite { id, position, metres } = near.site;
    Some(NearSite {
        site_id: id,
        name: near.name.clone(),
        position,
        distance_metres: metres,
        free: free.total(&near.offers, wanted),
        first_slot,
    })
}

fn position(text: Option<&str>) -> Result<GeoPosition, Problem> {
    let parse = |text: &str| {
        let (latitude, longitude) = text.split_once(',')?;
        Some(GeoPosition {
            latitude: degrees(latitude, 2, 90)?,
            longitude: degrees(longitude, 3, 180)?,
        })
    };
    let reason = "must be a latitude and a longitude in degrees, as 37.4979,127.0276";
    text.and_then(parse).ok_or_else(|| Problem::invalid("near", reason))
}

/// Degrees with so many digits before the point, up to a maximum.
fn degrees(text: &str, digits: usize, max: u16) -> Option<Microdegrees> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_number = |text: &str, max: usize| {
        (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_valid = is_number(whole, digits) && is_number(fraction, FRACTION_DIGITS_MAX);
    let degrees = text.parse::<f64>().ok().filter(|degrees| degrees.abs() <= f64::from(max));
    degrees.filter(|_| is_valid).and_then(Microdegrees::from_degrees)
}
