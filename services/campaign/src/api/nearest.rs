//! Asks what is free at the sites near a position, the nearest first, until enough are found.

use std::{pin::pin, time::Duration};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::{
    availability::{Availability, NotKnown, REQUESTS_MAX},
    domain::{FreeAtSite, NearOffers, Wanted},
};

/// How long a search may take. A site whose answer has not come by then is left out.
const SEARCH_TIMEOUT: Duration = Duration::from_millis(1_500);

/// When to retry a search that found out nothing in its time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What was found at the sites that were looked at.
#[derive(Debug)]
pub(super) struct Found<T> {
    /// Since when it is true: the oldest answer for any of the sites.
    pub as_of: Option<Timestamp>,
    /// By distance.
    pub items: Vec<T>,
    /// Why a site was left out, the first one.
    pub left_out: Option<NotKnown>,
}

/// Looks at these sites, in their order, until so many items are found. As many are asked about at a time as there may be
/// requests to `vaccine`, so that few are requested in vain; those of which it is not known what is free are left out.
pub(super) async fn search<T>(
    availability: &Availability,
    sites: Vec<NearOffers>,
    wanted: &Wanted,
    items_max: usize,
    item: impl Fn(&NearOffers, &FreeAtSite) -> Option<T>,
) -> Found<T> {
    let (deadline, dates) = (Instant::now() + SEARCH_TIMEOUT, wanted.dates);
    let asked = stream::iter(sites).map(|near| {
        let availability = availability.clone();
        async move {
            let free = availability.at(near.site.id, dates).await;
            (near, free)
        }
    });
    let mut answers = pin!(asked.buffered(REQUESTS_MAX));
    let mut found = Found { as_of: None, items: Vec::new(), left_out: None };
    while found.items.len() < items_max {
        match timeout_at(deadline, answers.next()).await {
            Ok(Some((near, Ok(free)))) => {
                found.as_of = found.as_of.into_iter().chain([free.as_of]).min();
                found.items.extend(item(&near, &free));
            }
            Ok(Some((_, Err(reason)))) => {
                found.left_out.get_or_insert(reason);
            }
            Ok(None) => break,
            Err(_elapsed) => {
                found.left_out.get_or_insert(NotKnown::Unavailable { retry_after: RETRY_AFTER });
                break;
            }
        }
    }
    found
}
