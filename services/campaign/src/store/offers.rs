//! Reads what can be booked: the slots of open campaigns, at a site and at the sites near a position.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    campaign::SlotDay,
    ids::{CampaignId, SiteId, VaccineId},
};
use jiff::civil::Date;
use platform_store::{Row, SqlError, Tx, Value};

use super::{load, rows};
use crate::{
    domain::{CampaignRecord, NearOffers, Offer, Surroundings, Wanted},
    events,
};

/// Open campaigns in which a vaccine is looked for, the first ones.
const OPEN_CAMPAIGNS_MAX: i64 = 256;

const SLOTS_OF: &str = "
    SELECT id, campaign, site, date, time_zone, slots
      FROM slot_days
     WHERE campaign = ?1
       AND site = ?2
       AND date BETWEEN ?3 AND ?4
  ORDER BY date";

/// The open campaigns of a site.
const OPEN_AT_SITE: &str = "
    SELECT c.id, c.status, c.revision, c.changes, c.details
      FROM campaign_sites m
      JOIN campaigns c ON c.id = m.campaign
     WHERE m.site = ?1
       AND m.is_removed = 0
       AND c.status = 2
  ORDER BY c.id";

/// Open campaigns, by number.
const OPEN_CAMPAIGNS: &str = "
    SELECT id, status, revision, changes, details
      FROM campaigns
     WHERE status = 2
  ORDER BY id
     LIMIT ?1";

/// The sites of a campaign that are on the map.
const POSITIONS: &str = "
    SELECT s.id, s.latitude, s.longitude
      FROM campaign_sites m
      JOIN sites s ON s.id = m.site
     WHERE m.campaign = ?1
       AND m.is_removed = 0
       AND s.latitude IS NOT NULL";

/// The slots of a campaign at a site on these dates, by date.
pub fn slots(
    tx: &Tx<'_>,
    campaign: CampaignId,
    site: SiteId,
    dates: [Date; 2],
) -> Result<Vec<SlotDay>, SqlError> {
    tx.all(SLOTS_OF, &slots_key(campaign, site, dates), slot_day)
}

/// What a campaign has at a site on these dates; nothing if there is no such campaign.
pub fn offer(
    tx: &Tx<'_>,
    campaign: CampaignId,
    site: SiteId,
    dates: [Date; 2],
) -> Result<Vec<Offer>, SqlError> {
    let Some(record) = load::campaign(tx, campaign)? else { return Ok(Vec::new()) };
    Ok(vec![Offer { campaign: record, days: slots(tx, campaign, site, dates)? }])
}

/// What the open campaigns of a vaccine have at a site on these dates.
pub fn offers(
    tx: &Tx<'_>,
    vaccine: VaccineId,
    site: SiteId,
    dates: [Date; 2],
) -> Result<Vec<Offer>, SqlError> {
    let open = tx.all(OPEN_AT_SITE, &[site.0.into()], campaign)?;
    let open = offering(open, vaccine).into_iter();
    let offer = |(id, campaign)| Ok(Offer { campaign, days: slots(tx, id, site, dates)? });
    open.map(offer).collect()
}

/// What the open campaigns of a vaccine have at the nearest sites that are on the map, the nearest first. One query finds
/// the sites, and one their slots, however many sites there are.
pub fn near_offers(
    tx: &Tx<'_>,
    wanted: &Wanted,
    surroundings: &Surroundings,
) -> Result<Vec<NearOffers>, SqlError> {
    let open = tx.all(OPEN_CAMPAIGNS, &[OPEN_CAMPAIGNS_MAX.into()], campaign)?;
    let open = offering(open, wanted.vaccine);
    let keys: Vec<_> = open.iter().map(|(id, _)| [id.0.into()]).collect();
    let positions = tx.all_each(POSITIONS, &keys, rows::position)?;
    let sites = surroundings.nearest(&positions.iter().flatten().copied().collect());
    let ids: BTreeSet<_> = sites.iter().map(|site| site.id).collect();
    let pairs = open.iter().zip(&positions).flat_map(|(campaign, at)| {
        let near = at.iter().map(|(site, _)| *site).filter(|site| ids.contains(site));
        near.map(move |site| (site, campaign))
    });
    let pairs: Vec<_> = pairs.collect();
    let keys: Vec<_> =
        pairs.iter().map(|(site, (id, _))| slots_key(*id, *site, wanted.dates)).collect();
    let days = tx.all_each(SLOTS_OF, &keys, slot_day)?;
    let mut offers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for ((site, (_, campaign)), days) in pairs.into_iter().zip(days) {
        offers.entry(site).or_default().push(Offer { campaign: campaign.clone(), days });
    }
    let records = load::sites(tx, sites.iter().map(|site| site.id))?;
    let near = sites.into_iter().zip(records).filter_map(|(site, record)| {
        let offers = offers.remove(&site.id).unwrap_or_default();
        Some(NearOffers { site, name: record?.site.details().name.clone(), offers })
    });
    Ok(near.collect())
}

fn offering(
    mut open: Vec<(CampaignId, CampaignRecord)>,
    vaccine: VaccineId,
) -> Vec<(CampaignId, CampaignRecord)> {
    open.retain(|(_, campaign)| campaign.details.vaccine_ids.contains(&vaccine));
    open
}

fn slots_key<'a>(campaign: CampaignId, site: SiteId, [from, to]: [Date; 2]) -> [Value<'a>; 4] {
    let [from, to] = [from, to].map(|date| rows::date_number(date).into());
    [campaign.0.into(), site.0.into(), from, to]
}

fn slot_day(row: &Row<'_>) -> Result<SlotDay, SqlError> {
    let (key, day) = rows::slot_day(row)?;
    Ok(events::slot_day(&key, &day))
}

fn campaign(row: &Row<'_>) -> Result<(CampaignId, CampaignRecord), SqlError> {
    Ok((CampaignId(row.int(0)?), rows::campaign(row)?))
}
