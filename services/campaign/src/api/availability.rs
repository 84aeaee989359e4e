//! What citizens can book: slots, and what is free of them; days; and sites near them.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contracts::{
    campaign::{
        SlotDay,
        availability::{CalendarDays, ListedDay, ListedSlots},
    },
    ids::{CampaignId, SiteId, VaccineId},
    vaccine::availability::AVAILABLE_DAYS_MAX,
};
use jiff::civil::Date;
use platform_rest::{
    etag,
    json::{self, Json, Query},
    openapi::Unavailable,
    problem::Problem,
};
use platform_telemetry::clock;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses};

use super::{office::CampaignOffice, problems::InvalidParameter};
use crate::domain::{Wanted, day_count, listed_day, listed_slot};

/// For what is free: a proxy may answer all who ask within a second.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=1");

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct SiteDatesQuery {
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

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct SlotsQuery {
    /// The number of a campaign; with a vaccine it may be missing: then all open campaigns that offer it
    #[param(
        value_type = i64, nullable = false, example = 1, minimum = 0,
        maximum = 9_223_372_036_854_775_807_i64
    )]
    campaign_id: Option<String>,
    /// The number of a vaccine: each slot then says how many people can still book it
    #[param(
        value_type = i64, nullable = false, example = 1, minimum = 0,
        maximum = 9_223_372_036_854_775_807_i64
    )]
    vaccine_id: Option<String>,
    /// Whether only slots with something free are wanted; with a vaccine
    #[serde(default)]
    #[param(required = false)]
    free: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct VaccineQuery {
    /// The number of a vaccine
    #[param(
        value_type = i64, required = true, nullable = false, example = 1, minimum = 0,
        maximum = 9_223_372_036_854_775_807_i64
    )]
    vaccine_id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header")]
pub(super) struct Unless {
    /// The `ETag` of an answer that the client has
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}

/// The response to a client that has the answer already.
#[derive(IntoResponses)]
#[response(
    status = 304, description = "The same is free as in the answer with this `ETag`",
    headers(("ETag" = String, description = "The tag of what is free"))
)]
pub(super) struct NotModified;

/// The slots of a site, by date
///
/// Without a vaccine: times and places as planned, whether or not they are booked; a slot with capacity 0 does not take
/// place any more. With a vaccine: also how many people can still book each slot, and since when that is true. It may be
/// a minute old while the ledger does not answer.
#[utoipa::path(
    get, path = "/slots", tag = "slots", params(SlotsQuery, SiteDatesQuery, Unless),
    responses(
        (
            status = 200, description = "Slots", body = ListedSlots,
            headers(
                ("ETag" = String, description = "The tag of what is free; only with a vaccine"),
                ("Cache-Control" = String, description = "`public, max-age=1`, with a vaccine"),
            )
        ),
        NotModified, InvalidParameter, Unavailable
    )
)]
pub(super) async fn slots(
    State(office): State<CampaignOffice>,
    Query(query): Query<SlotsQuery>,
    Query(at_site): Query<SiteDatesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let campaign = number("campaignId", query.campaign_id.as_deref(), "campaign")?;
    let vaccine = number("vaccineId", query.vaccine_id.as_deref(), "vaccine")?.map(VaccineId);
    if query.free && vaccine.is_none() {
        return Err(Problem::invalid("vaccineId", "must be given to know what is free"));
    }
    let campaign = match (campaign, vaccine) {
        (None, None) => {
            return Err(Problem::invalid("campaignId", "must be the number of a campaign"));
        }
        (campaign, _) => campaign.map(CampaignId),
    };
    let (site, dates) = at_site.parse()?;
    let Some(vaccine) = vaccine else {
        let days = office.queries.slots(campaign.unwrap_or(CampaignId(0)), site, dates).await?;
        return Ok(Json(planned(&days)).into_response());
    };
    let wanted = Wanted { vaccine, dates, at: clock::now() };
    let offers = match campaign {
        Some(campaign) => office.queries.offer(campaign, site, dates).await?,
        None => office.queries.offers(vaccine, site, dates).await?,
    };
    let free = office.availability.at(site, dates).await?;
    let mut days: Vec<_> = offers.iter().flat_map(|offer| free.listed(offer, &wanted)).collect();
    if query.free {
        keep_free(&mut days);
    }
    days.sort_by_key(|day| (day.date, day.campaign_id));
    let tag = etag::of(&days);
    Ok(reply(&headers, &tag, &ListedSlots { as_of: Some(free.as_of), days }))
}

/// The calendar of a site: each date, and whether anything is free
///
/// Of all open campaigns that offer the vaccine.
#[utoipa::path(
    get, path = "/days", tag = "slots", params(VaccineQuery, SiteDatesQuery, Unless),
    responses(
        (
            status = 200, description = "Days", body = CalendarDays,
            headers(
                ("ETag" = String, description = "The tag of what is free"),
                ("Cache-Control" = String, description = "`public, max-age=1`"),
            )
        ),
        NotModified, InvalidParameter, Unavailable
    )
)]
pub(super) async fn days(
    State(office): State<CampaignOffice>,
    Query(query): Query<VaccineQuery>,
    Query(at_site): Query<SiteDatesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let vaccine = query.parse()?;
    let (site, dates) = at_site.parse()?;
    let wanted = Wanted { vaccine, dates, at: clock::now() };
    let offers = office.queries.offers(wanted.vaccine, site, dates).await?;
    let free = office.availability.at(site, dates).await?;
    let days = free.calendar(&offers, &wanted);
    Ok(reply(&headers, &etag::of(&days), &CalendarDays { as_of: free.as_of, days }))
}

impl VaccineQuery {
    pub(super) fn parse(&self) -> Result<VaccineId, Problem> {
        json::number("vaccineId", self.vaccine_id.as_deref(), "vaccine").map(VaccineId)
    }
}

impl SiteDatesQuery {
    fn parse(&self) -> Result<(SiteId, [Date; 2]), Problem> {
        let site = json::number("siteId", self.site_id.as_deref(), "site")?;
        Ok((SiteId(site), dates(self.from.as_deref(), self.to.as_deref())?))
    }
}

pub(super) fn dates(from: Option<&str>, to: Option<&str>) -> Result<[Date; 2], Problem> {
    let [from, to] = [date("from", from)?, date("to", to)?];
    if !(1..=AVAILABLE_DAYS_MAX).contains(&day_count(from, to)) {
        let reason = format!("must be a date from `from`, at most {AVAILABLE_DAYS_MAX} days");
        return Err(Problem::invalid("to", reason));
    }
    Ok([from, to])
}

fn date(field: &'static str, text: Option<&str>) -> Result<Date, Problem> {
    let date = text.unwrap_or_default().parse().ok();
    date.ok_or_else(|| Problem::invalid(field, "must be a date, as 2026-12-01"))
}

/// A number that may be missing.
fn number(field: &'static str, text: Option<&str>, of: &str) -> Result<Option<i64>, Problem> {
    text.map(|text| json::number(field, Some(text), of)).transpose()
}

/// As planned, whether or not they are booked.
fn planned(days: &[SlotDay]) -> ListedSlots {
    let day = |day: &SlotDay| {
        listed_day(day, day.slots.iter().map(|slot| listed_slot(slot, None)).collect())
    };
    ListedSlots { as_of: None, days: days.iter().map(day).collect() }
}

fn keep_free(days: &mut Vec<ListedDay>) {
    for day in days.iter_mut() {
        day.slots.retain(|slot| slot.free > Some(0));
    }
    days.retain(|day| !day.slots.is_empty());
}

/// 200, or 304 if the client has it already. The tag is a weak one: it is of what is free, not of the time.
pub(super) fn reply<T: Serialize>(headers: &HeaderMap, tag: &str, body: &T) -> Response {
    let tag = format!("W/{tag}");
    let mut known = headers.get_all(header::IF_NONE_MATCH).iter();
    let is_known = known.any(|tags| is_among(&tag, tags.to_str().unwrap_or_default()));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json::reply(StatusCode::OK, "application/json", body)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Whether a tag is among these (RFC 9110, section 13.1.2).
fn is_among(tag: &str, tags: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.split(',').any(|it| it.trim() == "*" || opaque(it) == opaque(tag))
}
