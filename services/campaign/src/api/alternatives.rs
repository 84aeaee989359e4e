//! Slots that can be booked instead of one that is wanted.

use axum::{extract::State, http::HeaderMap, response::Response};
use contracts::{campaign::availability::SlotAlternatives, ids::SlotId};
use platform_rest::{
    etag,
    json::{Id, Query},
    openapi::Unavailable,
    problem::Problem,
};
use platform_telemetry::clock;

use super::{
    availability::{NotModified, Unless, VaccineQuery, reply},
    nearest::search,
    office::CampaignOffice,
    problems::{InvalidParameter, NoSuchSlot, no_such_slot},
};
use crate::{
    availability::NotKnown,
    domain::{ALTERNATIVES_MAX, AlternativeOffers, FreeAtSite, NearOffers},
};

/// Free slots that can be booked instead of a slot
///
/// At its site those of its campaign that start nearest to it, before or after; and of the sites that are nearest to its
/// site, at most 20 km away, the free slot that starts nearest to it. On 31 days, with its date in the middle, or from
/// today on. If it is not known of another site what is free, it is left out, and `incomplete` is true.
#[utoipa::path(
    get, path = "/slots/{id}/alternatives", tag = "slots",
    params(
        ("id" = i64, Path, description = "The number of the slot", minimum = 1, example = 1),
        VaccineQuery, Unless,
    ),
    responses(
        (
            status = 200, description = "Slots", body = SlotAlternatives,
            headers(
                ("ETag" = String, description = "The tag of what is free"),
                ("Cache-Control" = String, description = "`public, max-age=1`"),
            )
        ),
        NotModified, NoSuchSlot, InvalidParameter, Unavailable
    )
)]
pub(super) async fn alternatives(
    State(office): State<CampaignOffice>,
    Id(id): Id<i64>,
    Query(query): Query<VaccineQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, vaccine) = (SlotId(id), query.parse()?);
    let known = office.queries.alternatives(id, vaccine, clock::now()).await?;
    let AlternativeOffers { slot, offers, others } = known.ok_or_else(no_such_slot)?;
    let free = match office.availability.at(slot.site, slot.wanted.dates).await {
        Ok(free) => Some(free),
        // Other sites may have fewer slots.
        Err(NotKnown::TooManySlots) => None,
        Err(reason) => return Err(reason.into()),
    };
    let item = |near: &NearOffers, free: &FreeAtSite| slot.at_other_site(near, free);
    let found = search(&office.availability, others, &slot.wanted, ALTERNATIVES_MAX, item).await;
    let same_site = free.as_ref().map(|free| slot.at_same_site(&offers, free));
    let body = SlotAlternatives {
        as_of: free.map(|free| free.as_of).into_iter().chain(found.as_of).min(),
        incomplete: same_site.is_none() || found.left_out.is_some(),
        same_site: same_site.unwrap_or_default(),
        other_sites: found.items,
    };
    let tag = etag::of(&(body.incomplete, &body.same_site, &body.other_sites));
    Ok(reply(&headers, &tag, &body))
}
