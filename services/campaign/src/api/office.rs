//! What the handlers share.

use std::time::{Duration, Instant};

use platform_rest::hal::Collection;
use platform_store::{CommandOf, Commands, WriteError};

use crate::{domain::Campaigns, store::Queries};

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
}

impl CampaignOffice {
    pub(super) async fn submit<C: CommandOf<Campaigns>>(
        &self,
        command: C,
    ) -> Result<C::Reply, WriteError> {
        self.commands.submit(command, Instant::now() + WRITE_TIMEOUT).await
    }
}
