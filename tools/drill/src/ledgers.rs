//! Reads the ledgers of running services, and waits until events have been consumed.

use std::{collections::BTreeSet, time::Duration};

use hyper::Uri;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    audit::{Acknowledged, Audit, BookingState, Doses, Entry, Snapshot},
    error::DrillError,
    http::send,
    request::Request,
    target::Target,
};

/// How long the ledgers may take to converge: twice as long as the holds of a crashed process need.
pub const CONVERGE_WITHIN: Duration = Duration::from_mins(1);

/// A difference that has not changed for so long, without unresolved holds, is final.
const STABLE_FOR: Duration = Duration::from_secs(4);

/// Likewise with unresolved holds: booking resolves holds that are ten seconds old, every five seconds.
const STABLE_WITH_HOLDS_FOR: Duration = Duration::from_secs(20);

const POLL_EVERY: Duration = Duration::from_millis(200);

/// Items in a page, and pages in a list: ten million items.
const PAGE_SIZE: usize = 1_000;
const PAGES_MAX: usize = 10_000;

/// Services that follow bookings by their events: name, collection, and the booking's id in an item.
const FOLLOWERS: [(&str, &str, &str); 2] =
    [("injection", "injections", "bookingId"), ("mypage", "mypages", "bookId")];

/// Where the ledgers are.
#[derive(Clone, Debug)]
pub struct Ledgers {
    vaccine: Target,
    /// One for each database.
    bookings: Vec<Target>,
    /// In the order of [`FOLLOWERS`]; compared only with one database of bookings.
    followers: Vec<Target>,
    only: Option<i64>,
}

impl Ledgers {
    /// Of every service, at the addresses that `locate` returns for their names.
    pub fn of_services(
        locate: impl Fn(&'static str) -> Result<Target, DrillError>,
    ) -> Result<Self, DrillError> {
        let followers = FOLLOWERS.map(|(name, ..)| locate(name));
        Ok(Self {
            vaccine: locate("vaccine")?,
            bookings: vec![locate("booking")?],
            followers: followers.into_iter().collect::<Result<_, _>>()?,
            only: None,
        })
    }

    /// Of one vaccine, without the services that follow by events.
    pub fn of_vaccine(vaccine: &Target, bookings: &[Target], only: i64) -> Self {
        let (vaccine, bookings) = (vaccine.clone(), bookings.to_vec());
        Self { vaccine, bookings, followers: Vec::new(), only: Some(only) }
    }

    /// Compares repeatedly, until everything agrees, or nothing changes any more, or `within` has
    /// passed.
    pub async fn audit(
        &self,
        acknowledged: &Acknowledged,
        within: Duration,
    ) -> Result<Audit, DrillError> {
        let start = Instant::now();
        let mut last = (Audit::default(), start);
        loop {
            let unresolved = self.unresolved_holds().await?;
            let audit = Audit::compare(&self.read().await?, acknowledged);
            let is_converged = unresolved == 0 && audit.is_clean();
            if last.0 != audit {
                last = (audit, Instant::now());
            }
            let stable_for = if unresolved == 0 { STABLE_FOR } else { STABLE_WITH_HOLDS_FOR };
            if is_converged || start.elapsed() > within || last.1.elapsed() > stable_for {
                return Ok(last.0);
            }
            sleep(POLL_EVERY).await;
        }
    }

    async fn read(&self) -> Result<Snapshot, DrillError> {
        let mut snapshot = Snapshot::default();
        for item in list(&self.vaccine, "vaccines").await? {
            let doses = Doses {
                stock: whole(&item, "stock")?,
                taken: whole(&item, "bookQty")?,
                overcommitted: item["overcommitted"].as_i64().unwrap_or(0),
            };
            snapshot.vaccines.insert(whole(&item, "vaccineId")?, doses);
        }
        for (site, vaccine) in self.site_stocks().await? {
            let doses = self.doses_of(site, vaccine).await?;
            *snapshot.vaccines.entry(vaccine).or_default() += doses;
        }
        for target in &self.bookings {
            snapshot.bookings.push(entries(target, "bookings", "bookingId").await?);
        }
        for ((name, collection, id), target) in FOLLOWERS.into_iter().zip(&self.followers) {
            snapshot.followers.push((name, entries(target, collection, id).await?));
        }
        if let Some(only) = self.only {
            snapshot.vaccines.retain(|id, _| *id == only);
            let lists = snapshot.followers.iter_mut().map(|(_, entries)| entries);
            for entries in lists.chain(&mut snapshot.bookings) {
                entries.retain(|entry| entry.vaccine == only);
            }
        }
        Ok(snapshot)
    }

    /// The sites that have lots, and of which vaccines.
    async fn site_stocks(&self) -> Result<BTreeSet<(i64, i64)>, DrillError> {
        if send(&self.vaccine, &Request::get("/lots?size=1")).await?.status == 404 {
            return Ok(BTreeSet::new()); // It has no lots at all.
        }
        let lots = list(&self.vaccine, "lots").await?;
        lots.iter().map(|lot| Ok((whole(lot, "siteId")?, whole(lot, "vaccineId")?))).collect()
    }

    /// All doses of the lots of a site, and what claims them on any date.
    async fn doses_of(&self, site: i64, vaccine: i64) -> Result<Doses, DrillError> {
        let path = format!("/stocks/{site}/{vaccine}");
        let response = send(&self.vaccine, &Request::get(&path)).await?;
        if response.status != 200 {
            return Err(format!("GET {}{path} returned {}", self.vaccine, response.status).into());
        }
        let counted = response.json()?;
        let all = &counted["pools"][0];
        Ok(Doses {
            stock: whole(all, "doses")?,
            taken: whole(all, "taken")?,
            overcommitted: whole(&counted, "overcommitted")?,
        })
    }

    /// Holds that were neither confirmed nor released. A gateway does not expose them.
    async fn unresolved_holds(&self) -> Result<usize, DrillError> {
        let response = send(&self.vaccine, &Request::get("/holds?heldForMs=0")).await?;
        match response.status {
            200 => Ok(response.json()?["reservationIds"].as_array().map_or(0, Vec::len)),
            404 | 405 => Ok(0),
            status => Err(format!("GET {}/holds returned {status}", self.vaccine).into()),
        }
    }
}

async fn entries(target: &Target, name: &str, id: &str) -> Result<Vec<Entry>, DrillError> {
    list(target, name).await?.iter().map(|item| entry(item, id)).collect()
}

fn entry(item: &Value, id: &str) -> Result<Entry, DrillError> {
    let state = match item["status"].as_str() {
        Some("BOOKED" | "INJECTION_READY" | "CHECKED_IN" | "NO_SHOW") => BookingState::Booked,
        Some("BOOKING_CANCELLED" | "INJECTION_CANCELLED") => BookingState::Cancelled,
        Some("INJECTION_COMPLETED") => BookingState::Completed,
        Some(_) | None => return Err(format!("unknown status: {item}").into()),
    };
    Ok(Entry { booking: whole(item, id)?, vaccine: whole(item, "vaccineId")?, state })
}

/// Every item of a collection, along the links from page to page.
async fn list(target: &Target, name: &str) -> Result<Vec<Value>, DrillError> {
    let mut path = format!("/{name}?size={PAGE_SIZE}");
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let response = send(target, &Request::get(&path)).await?;
        if response.status != 200 {
            return Err(format!("GET {target}{path} returned {}", response.status).into());
        }
        let mut body = response.json()?;
        let Some(items) = body["_embedded"][name].as_array_mut() else {
            return Err(format!("GET {target}{path} is not a page of {name}").into());
        };
        all.append(items);
        let Some(next) = body["_links"]["next"]["href"].as_str() else { return Ok(all) };
        let next: Uri = next.parse()?;
        path = next.path_and_query().ok_or("a link without a path")?.to_string();
    }
    Err(format!("{target} has more than {PAGES_MAX} pages of {name}").into())
}

fn whole(item: &Value, field: &str) -> Result<i64, DrillError> {
    item[field].as_i64().ok_or_else(|| format!("{field} is not an integer in {item}").into())
}
