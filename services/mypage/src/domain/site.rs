//! What is known of a site.

use contracts::campaign::SitePlace;
use jiff::Timestamp;

/// A site that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSite {
    /// What its visitors have to know.
    pub place: SitePlace,
    /// Since when.
    pub since: Timestamp,
}
