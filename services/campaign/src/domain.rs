//! The decisions about sites, campaigns and slots. No async, no I/O, no clock, no randomness.
//!
//! ```text
//! draft ──► scheduled ──► open ◄──► paused
//!   │           └───────────┴──────────┴──► closed
//!   └► deleted
//! ```
//!
//! A campaign has slots from `scheduled` on. They are planned for one site of one campaign at a time, and again after
//! each change of the site or of the campaign; the same plan again changes nothing. A change of one date of a site is
//! planned in the same commit, since a site that must close today cannot wait.

mod aggregate;
mod alternatives;
mod campaigns;
mod distance;
mod free;
mod near;
mod plan;
mod records;
mod sites;
mod slots;
mod values;

pub use aggregate::{Campaigns, LastNumbers, SLOTS_PLANNED_MAX};
pub use alternatives::{
    ALTERNATIVES_MAX, AlternativeOffers, NextOffers, OTHER_SITE_METRES_MAX, OTHER_SITES_MAX,
    WantedSlot, dates_after, dates_around,
};
pub use distance::distance_metres;
pub use free::{FreeAtSite, Offer, Wanted, listed_day, listed_slot};
pub use near::{LocatedSite, NearOffers, Surroundings};
pub use plan::{NumberedSlot, PlannedSlot, plan, preview, renumber, start_of};
pub use records::*;
pub use values::*;

/// Decides one command; a refusal changes nothing.
pub fn decide(campaigns: &mut Campaigns, command: &Command) -> Reply {
    match command {
        Command::CreateSite(create) => Reply::SiteCreated(campaigns.create_site(create)),
        Command::ChangeSite(change) => Reply::SiteChanged(campaigns.change_site(change)),
        Command::ChangeException(change) => {
            Reply::ExceptionChanged(campaigns.change_exception(change))
        }
        Command::RemoveSite(remove) => Reply::SiteRemoved(campaigns.remove_site(*remove)),
        Command::ImportSite(import) => Reply::SiteImported(campaigns.import_site(import)),
        Command::CreateCampaign(CreateCampaign(campaign)) => {
            Reply::CampaignCreated(campaigns.create_campaign(campaign))
        }
        Command::ChangeCampaign(change) => {
            Reply::CampaignChanged(campaigns.change_campaign(change))
        }
        Command::ChangeStatus(change) => Reply::StatusChanged(campaigns.change_status(change)),
        Command::RemoveCampaign(remove) => {
            Reply::CampaignRemoved(campaigns.remove_campaign(*remove))
        }
        Command::PlanSite(plan) => Reply::SitePlanned(campaigns.plan_site(*plan)),
    }
}
