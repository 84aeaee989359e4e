//! What the handlers share.

use std::time::{Duration, Instant};

use platform_rest::{hal::Collection, problem::Problem};
use platform_store::{CommandOf, Commands};

use super::problems::problem;
use crate::{
    availability::Availability,
    domain::{Campaigns, Refusal},
    store::Queries,
};

/// How long a write may wait for its commit.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);

pub(super) const SITES: Collection =
    Collection { plural: "sites", singular: "site", is_personal: false, searches: &[] };

pub(super) const CAMPAIGNS: Collection =
    Collection { plural: "campaigns", singular: "campaign", is_personal: false, searches: &[] };

/// What the handlers work with.
#[derive(Clone, Debug)]
pub struct CampaignOffice {
    /// Submits commands.
    pub commands: Commands<Campaigns>,
    /// Reads the last commit.
    pub queries: Queries,
    /// Asks what is free.
    pub availability: Availability,
}

impl CampaignOffice {
    pub(super) async fn submit<T, C: CommandOf<Campaigns, Reply = Result<T, Refusal>>>(
        &self,
        command: C,
    ) -> Result<T, Problem> {
        let reply = self.commands.submit(command, Instant::now() + WRITE_TIMEOUT).await?;
        reply.map_err(|refusal| problem(&refusal))
    }
}
