//! Where sites, campaigns and slots are kept: load and save. All SQL is here.

use contracts::{
    campaign::{Campaign, CampaignSite, CampaignStatusChange, Site, SitePreview, SlotDay},
    ids::{CampaignId, SiteId, SlotId, VaccineId},
    vaccine::product::DoseInterval,
};
use jiff::{Timestamp, civil::Date};
use platform_rest::hal::List;
use platform_store::{
    Aggregate, Event, Keyset, Migration, PageRange, PageRows, PageStart, ReadError, ReadPool,
    SqlError, Tx, keyset,
};

use crate::{
    domain::{
        AlternativeOffers, CampaignRecord, Campaigns, Command, NearOffers, NextOffers, Offer,
        Reply, SiteRecord, Surroundings, Wanted, decide, preview,
    },
    events,
};

mod alternatives;
mod load;
mod offers;
mod rows;
mod save;

pub use alternatives::{after, alternatives};
pub use offers::{near_offers, offer, offers, slots};

/// The schema.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_campaigns.sql",
    sqlite: include_str!("../migrations/sqlite/0001_campaigns.sql"),
    postgres: include_str!("../migrations/postgres/0001_campaigns.sql"),
}];

/// Sites of one page of a preview: each is planned for up to 92 days.
const PREVIEWS_PAGE_MAX: u32 = 10;

/// Campaigns of one page: each has up to 2,000 sites.
const CAMPAIGNS_PAGE_MAX: u32 = 20;

/// Changes of status of one campaign that are shown, the last ones.
const CHANGES_SHOWN_MAX: i64 = 100;

/// What is added to the number of a site for its key in a snapshot: sites come first.
const SITE_KEYS: i64 = i64::MIN;

/// What is added to the number of a campaign for its key in a snapshot: campaigns come before the slots of days, whose
/// keys are their numbers.
const CAMPAIGN_KEYS: i64 = i64::MIN / 2;

/// All sites, by number.
const SITES: Keyset =
    keyset!(SELECT "id, revision, place_since_ms, details" FROM "sites" ORDER BY "id");

/// All campaigns, by number.
const CAMPAIGNS: Keyset =
    keyset!(SELECT "id, status, revision, changes, details" FROM "campaigns" ORDER BY "id");

/// Campaigns that are no drafts, by number.
const PUBLISHED: Keyset = keyset!(
    SELECT "id, status, revision, changes, details" FROM "campaigns" WHERE "status > 0" ORDER BY "id"
);

/// The sites of a campaign, by number.
const MEMBERS: Keyset = keyset!(
    SELECT "site, capacity" FROM "campaign_sites" WHERE "campaign = ?4 AND is_removed = 0" ORDER BY "site"
);

/// The slots of all days, by number.
const SLOT_DAYS: Keyset = keyset!(
    SELECT "id, campaign, site, date, time_zone, slots" FROM "slot_days" ORDER BY "id"
);

const SITES_OF: &str = "
    SELECT site, capacity
      FROM campaign_sites
     WHERE campaign = ?1
       AND is_removed = 0
  ORDER BY site";

const LAST_CHANGES: &str = "
    SELECT status, at_ms, reason, actor
      FROM status_changes
     WHERE campaign = ?1
  ORDER BY number DESC
     LIMIT ?2";

/// Sites of campaigns whose slots are not those of the last revisions.
const NOT_PLANNED: &str = "
    SELECT m.campaign, m.site
      FROM campaigns c
      JOIN campaign_sites m ON m.campaign = c.id
      JOIN sites s ON s.id = m.site
     WHERE c.status BETWEEN 1 AND 3
       AND (   coalesce(m.planned_site, 0) <> s.revision
            OR coalesce(m.planned_campaign, 0) <> c.revision)
     LIMIT ?1";

impl Aggregate for Campaigns {
    type Command = Command;
    type Reply = Reply;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Self, SqlError> {
        load::load(tx, commands)
    }

    fn decide(&mut self, command: &Command) -> Reply {
        decide(self, command)
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        save::save(tx, self)
    }

    fn events(
        command: &Command,
        reply: &Reply,
    ) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        events::event(command, reply)
    }

    /// Every site, every campaign that is no draft, and the slots of every day.
    fn snapshot(tx: &Tx<'_>, after: i64, limit: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        let mut rows = Vec::new();
        for events in [site_events, campaign_events, slot_events] {
            let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            if left > 0 {
                rows.extend(events(tx, after, left)?);
            }
        }
        Ok(rows)
    }
}

type SnapshotRows = Vec<(i64, Event)>;

fn site_events(tx: &Tx<'_>, after: i64, limit: u32) -> Result<SnapshotRows, SqlError> {
    if after >= CAMPAIGN_KEYS {
        return Ok(Vec::new());
    }
    let rows = SITES.snapshot(tx, after - SITE_KEYS, limit, |row| {
        Ok(events::site_event(SiteId(row.int(0)?), &rows::site(row)?)?)
    })?;
    Ok(rows.into_iter().map(|(id, event)| (SITE_KEYS + id, event)).collect())
}

fn campaign_events(tx: &Tx<'_>, after: i64, limit: u32) -> Result<SnapshotRows, SqlError> {
    if after >= 0 {
        return Ok(Vec::new());
    }
    let start = PageStart::After(after.saturating_sub(CAMPAIGN_KEYS).max(0));
    let range = PageRange { start, size: limit };
    let records = PUBLISHED.page(tx, &[], range, rows::campaign)?.items;
    let campaigns = with_sites(tx, records)?.into_iter();
    let row = |(id, campaign)| Ok((CAMPAIGN_KEYS + id, events::campaign_event(&campaign)?));
    campaigns.map(row).collect()
}

fn slot_events(tx: &Tx<'_>, after: i64, limit: u32) -> Result<SnapshotRows, SqlError> {
    SLOT_DAYS.snapshot(tx, after.max(0), limit, |row| {
        let (key, day) = rows::slot_day(row)?;
        Ok(events::slots_event([&events::slot_day(&key, &day)])?)
    })
}

/// Reads sites, campaigns and slots.
#[derive(Clone, Debug)]
pub struct Queries(pub ReadPool);

impl Queries {
    /// One site.
    pub async fn site(&self, id: SiteId) -> Result<Option<SiteRecord>, ReadError> {
        self.0.read(move |tx| load::site(tx, id)).await
    }

    /// A page of the sites. How many there are is not known without counting: numbers have gaps.
    pub async fn sites(&self, range: PageRange) -> Result<List<Site>, ReadError> {
        self.0.read(move |tx| sites(tx, range)).await
    }

    /// One campaign, with its sites.
    pub async fn campaign(
        &self,
        id: CampaignId,
    ) -> Result<Option<(CampaignRecord, Vec<CampaignSite>)>, ReadError> {
        let read = self.0.read(move |tx| {
            let Some(record) = load::campaign(tx, id)? else { return Ok(None) };
            Ok(Some((record, tx.all(SITES_OF, &[id.0.into()], rows::campaign_site)?)))
        });
        read.await
    }

    /// The last changes of the status of a campaign, oldest first.
    pub async fn changes(&self, id: CampaignId) -> Result<Vec<CampaignStatusChange>, ReadError> {
        let read = self.0.read(move |tx| {
            let params = [id.0.into(), CHANGES_SHOWN_MAX.into()];
            let mut changes = tx.all(LAST_CHANGES, &params, rows::status_change)?;
            changes.reverse();
            Ok(changes)
        });
        read.await
    }

    /// A page of the campaigns.
    pub async fn campaigns(&self, range: PageRange) -> Result<List<Campaign>, ReadError> {
        self.0.read(move |tx| campaigns(tx, range)).await
    }

    /// The slots of a campaign at a site on these dates, by date.
    pub async fn slots(
        &self,
        campaign: CampaignId,
        site: SiteId,
        dates: [Date; 2],
    ) -> Result<Vec<SlotDay>, ReadError> {
        self.0.read(move |tx| slots(tx, campaign, site, dates)).await
    }

    /// What a campaign has at a site on these dates; nothing if there is no such campaign.
    pub async fn offer(
        &self,
        campaign: CampaignId,
        site: SiteId,
        dates: [Date; 2],
    ) -> Result<Vec<Offer>, ReadError> {
        self.0.read(move |tx| offer(tx, campaign, site, dates)).await
    }

    /// What the open campaigns of a vaccine have at a site on these dates.
    pub async fn offers(
        &self,
        vaccine: VaccineId,
        site: SiteId,
        dates: [Date; 2],
    ) -> Result<Vec<Offer>, ReadError> {
        self.0.read(move |tx| offers(tx, vaccine, site, dates)).await
    }

    /// What the open campaigns of a vaccine have at the nearest sites that are on the map, the nearest first.
    pub async fn near_offers(
        &self,
        wanted: Wanted,
        surroundings: Surroundings,
    ) -> Result<Vec<NearOffers>, ReadError> {
        self.0.read(move |tx| near_offers(tx, &wanted, &surroundings)).await
    }

    /// What can be booked of a vaccine instead of a slot; none if there is no such slot.
    pub async fn alternatives(
        &self,
        id: SlotId,
        vaccine: VaccineId,
        at: Timestamp,
    ) -> Result<Option<AlternativeOffers>, ReadError> {
        self.0.read(move |tx| alternatives(tx, id, vaccine, at)).await
    }

    /// What can be booked of a vaccine so many days after a slot, at the same site; none if there is no such slot.
    pub async fn after(
        &self,
        id: SlotId,
        wanted: (VaccineId, DoseInterval),
        at: Timestamp,
    ) -> Result<Option<NextOffers>, ReadError> {
        self.0.read(move |tx| after(tx, id, wanted, at)).await
    }

    /// A page of what a campaign would have at its sites; none if there is no such campaign.
    pub async fn preview(
        &self,
        id: CampaignId,
        range: PageRange,
    ) -> Result<Option<List<SitePreview>>, ReadError> {
        self.0.read(move |tx| previews(tx, id, range)).await
    }

    /// Sites of campaigns whose slots have to be planned, at most so many.
    pub async fn not_planned(&self, limit: u32) -> Result<Vec<(CampaignId, SiteId)>, ReadError> {
        self.0.read(move |tx| not_planned(tx, limit)).await
    }

    /// What commands would do, one after the other: nothing is changed.
    pub async fn decide(&self, commands: Vec<Command>) -> Result<Vec<Reply>, ReadError> {
        self.0.read(move |tx| Campaigns::dry_run(tx, &commands)).await
    }
}

/// The read of [`Queries::sites`].
pub fn sites(tx: &Tx<'_>, range: PageRange) -> Result<List<Site>, SqlError> {
    let rows = SITES
        .page(tx, &[], range, |row| Ok(events::site(SiteId(row.int(0)?), &rows::site(row)?)))?;
    Ok(List { rows, total: None })
}

/// The read of [`Queries::campaigns`].
pub fn campaigns(tx: &Tx<'_>, range: PageRange) -> Result<List<Campaign>, SqlError> {
    let range = PageRange { size: range.size.min(CAMPAIGNS_PAGE_MAX), ..range };
    let PageRows { items, has_previous, has_next } =
        CAMPAIGNS.page(tx, &[], range, rows::campaign)?;
    let items = with_sites(tx, items)?;
    Ok(List { rows: PageRows { items, has_previous, has_next }, total: None })
}

/// The read of [`Queries::preview`].
pub fn previews(
    tx: &Tx<'_>,
    id: CampaignId,
    range: PageRange,
) -> Result<Option<List<SitePreview>>, SqlError> {
    let Some(CampaignRecord { details, .. }) = load::campaign(tx, id)? else { return Ok(None) };
    let range = PageRange { size: range.size.min(PREVIEWS_PAGE_MAX), ..range };
    let PageRows { items, has_previous, has_next } =
        MEMBERS.page(tx, &[id.0.into()], range, |row| rows::capacity(row, 1))?;
    let sites = load::sites(tx, items.iter().map(|(site, _)| SiteId(*site)))?;
    let previews = items.into_iter().zip(sites).filter_map(|((key, capacity), site)| {
        let capacity = capacity.unwrap_or(details.capacity);
        Some((key, preview(SiteId(key), &site?.site, &details, capacity)))
    });
    let items = previews.collect();
    Ok(Some(List { rows: PageRows { items, has_previous, has_next }, total: None }))
}

/// The read of [`Queries::not_planned`].
pub fn not_planned(tx: &Tx<'_>, limit: u32) -> Result<Vec<(CampaignId, SiteId)>, SqlError> {
    let pair = |row: &platform_store::Row<'_>| Ok((CampaignId(row.int(0)?), SiteId(row.int(1)?)));
    tx.all(NOT_PLANNED, &[i64::from(limit).into()], pair)
}

/// Campaigns with their sites.
fn with_sites(
    tx: &Tx<'_>,
    records: Vec<(i64, CampaignRecord)>,
) -> Result<Vec<(i64, Campaign)>, SqlError> {
    let keys: Vec<_> = records.iter().map(|(id, _)| [(*id).into()]).collect();
    let sites = tx.all_each(SITES_OF, &keys, rows::campaign_site)?;
    let campaign = |((id, record), sites): ((i64, CampaignRecord), Vec<CampaignSite>)| {
        (id, events::campaign(CampaignId(id), &record, sites))
    };
    Ok(records.into_iter().zip(sites).map(campaign).collect())
}
