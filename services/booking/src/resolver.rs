//! Resolves orphaned holds: those whose process died between the hold and the booking.
//!
//! The owner of the holds queries `vaccine` for its own old holds, and records for each what became of it; the
//! event of that ends the hold. Age only selects the holds, it does not decide: a booking that is created later
//! after all is refused by what was recorded.
//! In the same response it finds doses that were aborted at the ledger while the own store could not write, and
//! records them.
//! Where that was recorded before, its event is already on the way.
//!
//! Doses in hand that nobody wanted are aborted before they would be found here.

use std::{sync::Arc, time::Duration};

use contracts::{ids::ReservationId, vaccine::OrphanedHolds};
use platform_rest::client::Client;
use platform_telemetry::error_chain;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{domain::Abortable, protocol::BookingProtocol};

/// Pause between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(5);

/// Age from which a hold is queried; no dose is in hand, and no attempt takes, that long.
pub const ORPHANED_AFTER_MS: u32 = 10_000;

/// How often doses in hand are looked at.
const EXPIRE_INTERVAL: Duration = Duration::from_millis(500);

/// Pause between two rounds that publish the ends of very old holds again.
const REPEAT_INTERVAL: Duration = Duration::from_mins(10);

/// Age from which the event that ends a hold counts as lost. Before, `vaccine` is more likely to lag behind,
/// and more events would increase its lag.
const LOST_AFTER_MS: u32 = 600_000;

/// How long `vaccine` may take to answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs rounds until the service stops.
pub fn start(protocol: &Arc<BookingProtocol>, vaccine: &Client) {
    let round = (Arc::clone(protocol), vaccine.clone());
    protocol.runtime.every(ROUND_INTERVAL, move || {
        let (protocol, vaccine) = round.clone();
        async move { resolve_orphaned(&protocol, &vaccine).await }
    });
    let round = (Arc::clone(protocol), vaccine.clone());
    protocol.runtime.every(REPEAT_INTERVAL, move || {
        let (protocol, vaccine) = round.clone();
        async move { repeat_lost(&protocol, &vaccine).await }
    });
    protocol.runtime.spawn(give_back(Arc::clone(protocol)));
}

/// Gives back the doses in hand that nobody has wanted; all of them when the service stops.
async fn give_back(protocol: Arc<BookingProtocol>) {
    while protocol.runtime.stop.run_until_cancelled(sleep(EXPIRE_INTERVAL)).await.is_some() {
        let expired = protocol.holds.expire();
        if protocol.commands.health().can_write() {
            protocol.resolve(&expired).await; // Should that fail, a later round finds them.
        } else {
            protocol.aborts.abort_now(expired.into_iter().map(Abortable::Dose).collect()).await;
        }
    }
    protocol
        .aborts
        .abort_now(protocol.holds.empty().into_iter().map(Abortable::Dose).collect())
        .await;
}

/// Resolves old holds of which nothing is recorded, as many as one response of `vaccine` names. The next
/// round continues.
async fn resolve_orphaned(protocol: &BookingProtocol, vaccine: &Client) {
    let OrphanedHolds { reservation_ids: old, aborted } =
        old_holds(protocol, vaccine, ORPHANED_AFTER_MS).await;
    record_aborted(protocol, aborted).await;
    if old.is_empty() {
        return;
    }
    let Ok(orphaned) = protocol.queries.orphaned(old).await else {
        return warn!("cannot read what became of old holds; the next round will");
    };
    resolve(protocol, &orphaned, "resolving orphaned holds").await;
}

/// Records what was aborted at the ledger, as soon as the own store can write. The events of those that are
/// recorded are on their way.
async fn record_aborted(protocol: &BookingProtocol, aborted: Vec<ReservationId>) {
    if aborted.is_empty() || !protocol.commands.health().can_write() || !protocol.aborts.is_idle() {
        return;
    }
    let Ok(unrecorded) = protocol.queries.not_aborted(aborted).await else {
        return warn!("cannot read which doses were aborted; the next round will");
    };
    if !unrecorded.is_empty() {
        info!(doses = unrecorded.len(), "recording doses that were aborted at the ledger");
    }
    for reservation in unrecorded {
        protocol.aborts.abort(Abortable::Dose(reservation));
    }
}

/// Publishes again what became of holds whose events count as lost.
async fn repeat_lost(protocol: &BookingProtocol, vaccine: &Client) {
    let mut lost = old_holds(protocol, vaccine, LOST_AFTER_MS).await;
    lost.reservation_ids.append(&mut lost.aborted);
    resolve(protocol, &lost.reservation_ids, "publishing the ends of very old holds again").await;
}

async fn resolve(protocol: &BookingProtocol, reservations: &[ReservationId], what: &str) {
    if !reservations.is_empty() {
        info!(holds = reservations.len(), "{what}");
    }
    protocol.resolve(reservations).await;
}

async fn old_holds(protocol: &BookingProtocol, vaccine: &Client, min_age_ms: u32) -> OrphanedHolds {
    let path = format!("/holds?owner={}&heldForMs={min_age_ms}", protocol.owner);
    match vaccine.get(&path, QUERY_TIMEOUT).await {
        Ok(holds) => holds,
        Err(error) => {
            warn!(cause = error_chain(&error), "cannot query vaccine for old holds");
            OrphanedHolds::default()
        }
    }
}
