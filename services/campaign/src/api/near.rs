//! Sites near a citizen where something is free.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use contracts::{
    campaign::{
        GeoPosition, Microdegrees,
        availability::{NearSite, NearSites},
    },
    ids::{SiteId, VaccineId},
};
use platform_rest::{
    etag,
    json::{self, Query},
    openapi::Unavailable,
    problem::Problem,
};
use platform_telemetry::clock;
use serde::Deserialize;
use tokio::task::JoinSet;
use utoipa::IntoParams;

use super::{
    availability::{NotModified, Unless, dates, reply},
    office::CampaignOffice,
    problems::InvalidParameter,
};
use crate::{
    availability::NotKnown,
    domain::{FreeAtSite, Wanted, distance_metres},
};

/// Sites in an answer.
const SITES_MAX: usize = 20;

/// Sites that are looked at, the nearest ones.
const LOOKED_AT_MAX: usize = 50;

/// Sites that are looked at together: no more are, once enough of them have something free.
const TOGETHER_MAX: usize = 25;

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
/// without a position are left out.
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
    let open = office.queries.open_sites(wanted.vaccine).await?;
    let mut sites: Vec<_> = open
        .into_iter()
        .map(|(id, position)| Candidate { id, position, metres: distance_metres(near, position) })
        .collect();
    sites.sort_unstable_by_key(|site| (site.metres, site.id));
    sites.truncate(LOOKED_AT_MAX);
    let mut found = NearSites { as_of: None, sites: Vec::new() };
    for together in sites.chunks(TOGETHER_MAX) {
        let free = office.free_at(together, wanted).await?;
        for (site, free) in together.iter().zip(free) {
            let oldest = found.as_of.map_or(free.as_of, |as_of| as_of.min(free.as_of));
            found.as_of = Some(oldest);
            found.sites.extend(office.near_site(*site, &free, &wanted).await?);
            if found.sites.len() == SITES_MAX {
                return Ok(reply(&headers, &etag::of(&found.sites), &found));
            }
        }
    }
    Ok(reply(&headers, &etag::of(&found.sites), &found))
}

/// A site that is looked at.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: SiteId,
    position: GeoPosition,
    metres: u32,
}

impl CampaignOffice {
    /// What is free at each of these sites, in their order.
    async fn free_at(
        &self,
        sites: &[Candidate],
        wanted: Wanted,
    ) -> Result<Vec<Arc<FreeAtSite>>, NotKnown> {
        let mut asking = JoinSet::new();
        for (index, Candidate { id, .. }) in sites.iter().copied().enumerate() {
            let availability = self.availability.clone();
            asking.spawn(async move { (index, availability.at(id, wanted.dates).await) });
        }
        let mut answers = asking.join_all().await;
        answers.sort_unstable_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, free)| free).collect()
    }

    /// The site, if anything is free there.
    async fn near_site(
        &self,
        Candidate { id, position, metres }: Candidate,
        free: &FreeAtSite,
        wanted: &Wanted,
    ) -> Result<Option<NearSite>, Problem> {
        if free.is_empty() {
            return Ok(None);
        }
        let offers = self.queries.offers(wanted.vaccine, id, wanted.dates).await?;
        let Some(first_slot) = free.first(&offers, wanted) else { return Ok(None) };
        let site = self.queries.site(id).await?;
        Ok(site.map(|known| NearSite {
            site_id: id,
            name: known.site.details().name.clone(),
            position,
            distance_metres: metres,
            free: free.total(&offers, wanted),
            first_slot,
        }))
    }
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
