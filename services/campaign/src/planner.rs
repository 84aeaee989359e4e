//! Plans the slots of what was changed: a campaign may have thousands of sites, too many for one commit.
//!
//! What has to be planned is read from the store, so that nothing is forgotten in a restart. A plan that another process
//! has made meanwhile changes nothing.

use std::time::{Duration, Instant};

use platform_rest::runtime::Runtime;
use platform_telemetry::clock;
use tracing::warn;

use crate::{api::CampaignOffice, domain::PlanSite};

/// Pause between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_millis(500);

/// Commits of one round.
const COMMITS_MAX: usize = 16;

/// Sites of campaigns that are planned in one commit.
const PLANNED_MAX: u32 = 8;

/// How long a commit may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs rounds until the service stops.
pub(crate) fn start(office: &CampaignOffice, runtime: &Runtime) {
    let office = office.clone();
    runtime.every(ROUND_INTERVAL, move || {
        let office = office.clone();
        async move { run_round(&office).await }
    });
}

/// Whatever is left is planned in the next round.
async fn run_round(office: &CampaignOffice) {
    for _ in 0..COMMITS_MAX {
        if !office.commands.health().can_write() {
            return;
        }
        let Ok(sites) = office.queries.not_planned(PLANNED_MAX).await else { return };
        if sites.is_empty() {
            return;
        }
        let at = clock::now();
        let plans = sites.into_iter().map(|(campaign, site)| PlanSite { campaign, site, at });
        let deadline = Instant::now() + WRITE_TIMEOUT;
        if let Err(error) = office.commands.submit_all(plans.collect(), deadline).await {
            return warn!(cause = %error, "cannot plan slots; the next round will");
        }
    }
}
