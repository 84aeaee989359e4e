//! Reads the books of running parts, and waits until what follows from events has followed.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Audit, Books, Entry, Pool, Promised, Stage};
use crate::{
    client::{Connection, request::Request, target::Target},
    system::Broken,
};

/// How long the dust may take to settle: twice as long as a dead process's holds take.
pub const SETTLE_WITHIN: Duration = Duration::from_mins(1);

/// What has not changed for so long, with nothing unsettled, will not change.
const STABLE_FOR: Duration = Duration::from_secs(4);

/// Nor will what has not changed for so long with something unsettled: booking looks after holds that
/// are ten seconds old, every five seconds.
const STUCK_FOR: Duration = Duration::from_secs(20);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Items in a page.
const PAGE: usize = 1_000;

/// No list has more pages: ten million items.
const PAGES_MAX: usize = 10_000;

/// Where the parts keep their books.
#[derive(Clone, Debug)]
pub struct Ledgers {
    /// The stock ledger.
    pub vaccine: Target,
    /// The bookings: one for each database.
    pub bookings: Vec<Target>,
    /// The desk, if it is to be looked at. Its numbers are those of one database of bookings.
    pub injection: Option<Target>,
    /// What citizens see, likewise.
    pub mypage: Option<Target>,
    /// Looks at this vaccine only.
    pub only: Option<i64>,
}

impl Ledgers {
    /// One vaccine, as these two see it.
    pub fn of_vaccine(vaccine: &Target, bookings: &[Target], only: i64) -> Self {
        let (vaccine, bookings) = (vaccine.clone(), bookings.to_vec());
        Self { vaccine, bookings, injection: None, mypage: None, only: Some(only) }
    }

    /// Compares, again and again until everything agrees, or nothing changes any more, or `within`
    /// is over.
    pub async fn audit(&self, promised: &Promised, within: Duration) -> Result<Audit, Broken> {
        let start = Instant::now();
        let mut last: Option<(Audit, Instant)> = None;
        loop {
            let books = self.read().await?;
            let audit = Audit::compare(&books, promised);
            let is_over = start.elapsed() > within;
            if is_over || (books.unsettled == 0 && audit.is_clean()) {
                return Ok(audit);
            }
            let since = match &last {
                Some((before, since)) if *before == audit => *since,
                Some(_) | None => Instant::now(),
            };
            let stays = if books.unsettled == 0 { STABLE_FOR } else { STUCK_FOR };
            if since.elapsed() > stays {
                return Ok(audit);
            }
            last = Some((audit, since));
            sleep(LOOK_EVERY).await;
        }
    }

    async fn read(&self) -> Result<Books, Broken> {
        let mut books = Books { unsettled: self.unsettled().await?, ..Books::default() };
        for item in list(&self.vaccine, "vaccines").await? {
            let pool = Pool { stock: whole(&item, "stock")?, taken: whole(&item, "bookQty")? };
            books.vaccines.insert(whole(&item, "vaccineId")?, pool);
        }
        for part in &self.bookings {
            books.bookings.push(entries(part, "bookings", "bookingId").await?);
        }
        if let Some(part) = &self.injection {
            books.injections = Some(entries(part, "injections", "bookingId").await?);
        }
        if let Some(part) = &self.mypage {
            books.mypages = Some(entries(part, "mypages", "bookId").await?);
        }
        if let Some(only) = self.only {
            books.vaccines.retain(|id, _| *id == only);
            let lists = [&mut books.injections, &mut books.mypages].into_iter().flatten();
            for entries in lists.chain(&mut books.bookings) {
                entries.retain(|entry| entry.vaccine == only);
            }
        }
        Ok(books)
    }

    /// Holds that nobody has confirmed or released. A gateway does not show them.
    async fn unsettled(&self) -> Result<usize, Broken> {
        let path = Request::get("/holds?heldForMs=0");
        let reply = Connection::new(&self.vaccine).send(&path).await?;
        match reply.status {
            200 => Ok(reply.json()?["reservationIds"].as_array().map_or(0, Vec::len)),
            404 | 405 => Ok(0),
            status => Err(format!("{} answers {status} to GET /holds", self.vaccine).into()),
        }
    }
}

async fn entries(part: &Target, name: &str, id: &str) -> Result<Vec<Entry>, Broken> {
    list(part, name).await?.iter().map(|item| entry(item, id)).collect()
}

fn entry(item: &Value, id: &str) -> Result<Entry, Broken> {
    let stage = match item["status"].as_str() {
        Some("BOOKED" | "INJECTION_READY") => Stage::Booked,
        Some("BOOKING_CANCELLED" | "INJECTION_CANCELLED") => Stage::Cancelled,
        Some("INJECTION_COMPLETED") => Stage::Completed,
        Some(_) | None => return Err(format!("a status that is not known: {item}").into()),
    };
    Ok(Entry { booking: whole(item, id)?, vaccine: whole(item, "vaccineId")?, stage })
}

/// Every item of a collection, page by page.
async fn list(part: &Target, name: &str) -> Result<Vec<Value>, Broken> {
    let mut connection = Connection::new(part);
    let mut all = Vec::new();
    for page in 0..PAGES_MAX {
        let path = format!("/{name}?size={PAGE}&page={page}");
        let reply = connection.send(&Request::get(&path)).await?;
        if reply.status != 200 {
            return Err(format!("{part} answers {} to GET {path}", reply.status).into());
        }
        let mut body = reply.json()?;
        let Some(items) = body["_embedded"][name].as_array_mut() else {
            return Err(format!("{part}: GET {path} is no page of {name}").into());
        };
        let is_last = items.len() < PAGE;
        all.append(items);
        if is_last {
            return Ok(all);
        }
    }
    Err(format!("{part} has more than {PAGES_MAX} pages of {name}").into())
}

fn whole(item: &Value, field: &str) -> Result<i64, Broken> {
    item[field].as_i64().ok_or_else(|| format!("{field} is no number in {item}").into())
}
