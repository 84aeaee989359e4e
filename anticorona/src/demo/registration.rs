//! Registers what the demo offers, as a client of the public API.

use std::time::{Duration, Instant};

use contracts::{
    campaign::{CampaignStatus, SlotDays},
    ids::SlotId,
};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use platform_rest::client::{Call, Client};
use platform_telemetry::BoxError;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::city::{BOOSTER, CAMPAIGNS, LOTS, SITES, SampleCampaign, SampleVaccine, VACCINES};

/// How long a request may take, and until all slots are planned and known to `vaccine`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two checks whether the slots are planned.
const CHECK_PAUSE: Duration = Duration::from_millis(10);

/// Days from the first to the second dose of the example.
const NEXT_DOSE_DAYS: i32 = 28;

/// The site of the examples, whatever day it is.
const OPEN_EVERY_DAY: i64 = 1;

/// The site that is planned last.
const LAST_SITE: i64 = 12;

/// What can be booked right away.
pub(super) struct Examples {
    /// The first day of the campaigns.
    pub(super) from: Date,
    /// A slot of vaccine 1, and one for its second dose.
    pub(super) series: [SlotId; 2],
    /// A slot of vaccine 3.
    pub(super) single: SlotId,
}

/// The services that it registers with.
pub(super) struct Registration {
    vaccine: Client,
    campaign: Client,
    /// The first day of the campaigns.
    from: Date,
}

impl Registration {
    /// Campaigns begin on the day after that time in Korea.
    pub(super) fn new(vaccine: Client, campaign: Client, now: Timestamp) -> Result<Self, BoxError> {
        Ok(Self { vaccine, campaign, from: tomorrow(now)? })
    }

    /// Registers everything, and waits until it can be booked.
    pub(super) async fn run(&self) -> Result<Examples, BoxError> {
        for (id, vaccine) in (1..).zip(&VACCINES) {
            self.register_vaccine(id, vaccine).await?;
        }
        let import = Call::post_csv("/sites/import", SITES)?;
        self.campaign.call::<Value>(import, deadline()).await?;
        for site in BOOSTER.sites {
            self.receive_lots(*site).await?;
        }
        for (id, campaign) in (1..).zip(CAMPAIGNS) {
            self.open(id, campaign).await?;
        }
        self.examples().await
    }

    async fn register_vaccine(&self, id: i64, vaccine: &SampleVaccine) -> Result<(), BoxError> {
        let body = json!({"vcName": vaccine.name, "stock": vaccine.stock});
        post(&self.vaccine, "/vaccines", &body).await?;
        let mut product = json!({"cvx": vaccine.cvx, "minAgeMonths": vaccine.min_age_months});
        if let Some((min, max)) = vaccine.next_dose {
            product["nextDose"] = json!({"minDays": min, "maxDays": max});
        }
        let set = Call::put(&format!("/vaccines/{id}/product"), &product)?;
        self.vaccine.call::<Value>(set, deadline()).await?;
        Ok(())
    }

    async fn receive_lots(&self, site: i64) -> Result<(), BoxError> {
        for lot in &LOTS {
            let body = json!({
                "siteId": site, "vaccineId": BOOSTER.vaccines[0], "number": lot.number, "doses": lot.doses,
                "expiresOn": self.day(lot.expires_after_days)?, "reason": "first delivery", "actor": "demo"
            });
            post(&self.vaccine, "/lots", &body).await?;
        }
        Ok(())
    }

    async fn open(&self, id: i64, campaign: &SampleCampaign) -> Result<(), BoxError> {
        let sites = campaign.sites.iter().map(|site| json!({"siteId": site}));
        let body = json!({
            "name": {"ko": campaign.name_ko, "en": campaign.name_en},
            "vaccineIds": campaign.vaccines, "sites": sites.collect::<Vec<_>>(),
            "from": self.from, "to": self.day(campaign.days - 1)?,
            "slotMinutes": campaign.slot_minutes, "capacity": campaign.capacity, "doses": campaign.doses
        });
        post(&self.campaign, "/campaigns", &body).await?;
        for status in [CampaignStatus::Scheduled, CampaignStatus::Open] {
            let body = json!({"status": status, "reason": "a demo", "actor": "demo"});
            post(&self.campaign, &format!("/campaigns/{id}/status"), &body).await?;
        }
        Ok(())
    }

    async fn examples(&self) -> Result<Examples, BoxError> {
        let next = self.day(NEXT_DOSE_DAYS)?;
        let first = async |campaign, date| -> Result<SlotId, BoxError> {
            let [first, _] = self.slots(campaign, OPEN_EVERY_DAY, [date, date]).await?;
            Ok(first)
        };
        let series = [first(1, self.from).await?, first(1, next).await?];
        let single = first(2, self.from).await?;
        // Slots are planned site by site, in the order of the campaigns, and published in this order.
        let days = [self.from, self.day(BOOSTER.days - 1)?];
        let [_, last] = self.slots(2, LAST_SITE, days).await?;
        wait_for::<Value>(&self.vaccine, &format!("/slots/{last}"), |_| true).await?;
        Ok(Examples { from: self.from, series, single })
    }

    /// The first and the last slot of a campaign at a site on these days, once they are planned.
    async fn slots(
        &self,
        campaign: i64,
        site: i64,
        [from, to]: [Date; 2],
    ) -> Result<[SlotId; 2], BoxError> {
        let path = format!("/slots?campaignId={campaign}&siteId={site}&from={from}&to={to}");
        let is_planned = |found: &SlotDays| !found.days.is_empty();
        let found = wait_for(&self.campaign, &path, is_planned).await?;
        let ids: Vec<_> =
            found.days.iter().flat_map(|day| &day.slots).map(|it| it.slot_id).collect();
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
            return Err(format!("{path}: no slots").into());
        };
        Ok([*first, *last])
    }

    fn day(&self, days: i32) -> Result<Date, BoxError> {
        Ok(self.from.checked_add(days.days())?)
    }
}

/// The day after a time in Korea.
fn tomorrow(now: Timestamp) -> Result<Date, BoxError> {
    Ok(TimeZone::get("Asia/Seoul")?.to_datetime(now).date().tomorrow()?)
}

fn deadline() -> Instant {
    Instant::now() + REQUEST_TIMEOUT
}

async fn post(service: &Client, path: &str, body: &Value) -> Result<(), BoxError> {
    let _: Value = service.post(path, "application/json", body, REQUEST_TIMEOUT).await?;
    Ok(())
}

/// Reads until the response is as expected.
pub(super) async fn wait_for<R: DeserializeOwned>(
    service: &Client,
    path: &str,
    is_expected: impl Fn(&R) -> bool,
) -> Result<R, BoxError> {
    let start = Instant::now();
    loop {
        match service.get(path, REQUEST_TIMEOUT).await {
            Ok(found) if is_expected(&found) => return Ok(found),
            Err(error) if start.elapsed() > REQUEST_TIMEOUT => return Err(error.into()),
            Ok(_) if start.elapsed() > REQUEST_TIMEOUT => {
                return Err(format!("{path} is not as expected").into());
            }
            Ok(_) | Err(_) => sleep(CHECK_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_begin_on_the_next_day_in_korea() {
        let begins = |now: &str| tomorrow(now.parse().unwrap()).unwrap().to_string();
        assert_eq!(begins("2026-11-29T14:59:59Z"), "2026-11-30");
        assert_eq!(begins("2026-11-29T15:00:00Z"), "2026-12-01");
    }
}
