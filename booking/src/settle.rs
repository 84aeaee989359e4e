//! Settling holds that nobody said anything about: their process died between hold and booking.
//!
//! The holder asks `vaccine` for its own old holds, and for each writes down for good what became
//! of the attempt; the event tells `vaccine`. No clock decides who owns a dose: age only decides
//! when to ask, and a booking that comes after all is refused by what was written.
//! Where something was said already, vaccine will hear it in its time.

use std::{sync::Arc, time::Duration};

use chassis::{client::Client, process::Process, telemetry::causes};
use contracts::{ids::ReservationId, vaccine::UnsettledHolds};
use tracing::{info, warn};

use crate::bookings::Bookings;

/// Pause between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(5);

/// Attempts in one commit: bookings that come meanwhile wait no longer than for each other.
const SETTLED_MAX: usize = 1_000;

/// Age from which a hold is asked about; no attempt takes that long.
const HELD_FOR_MS: u32 = 10_000;

/// Pause between two rounds that tell again what was told long ago.
const AGAIN_EVERY: Duration = Duration::from_mins(10);

/// Age from which a hold counts as one that missed what was told of it. Sooner it is more likely
/// that vaccine is behind in hearing, and telling it more would put it further behind.
const MISSED_FOR_MS: u32 = 600_000;

/// How long `vaccine` may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Goes round until the process stops.
pub fn start(bookings: &Arc<Bookings>, vaccine: &Client, process: &Process) {
    let of_round = (Arc::clone(bookings), vaccine.clone());
    process.every(ROUND_EVERY, move || {
        let (bookings, vaccine) = of_round.clone();
        async move { settle_unknown(&bookings, &vaccine).await }
    });
    let of_round = (Arc::clone(bookings), vaccine.clone());
    process.every(AGAIN_EVERY, move || {
        let (bookings, vaccine) = of_round.clone();
        async move { tell_again(&bookings, &vaccine).await }
    });
}

/// Settles old holds that nothing was said of, as many as vaccine names at once. What is left comes
/// in the next round, and so does what is not settled when the process ends, after its next start.
async fn settle_unknown(bookings: &Bookings, vaccine: &Client) {
    let old = old_holds(bookings, vaccine, HELD_FOR_MS).await;
    if old.is_empty() {
        return;
    }
    let Ok(unknown) = bookings.reads.unknown(old).await else {
        return warn!("cannot look what became of old holds; the next round will");
    };
    settle(bookings, &unknown, "settling old holds").await;
}

/// What was said of these holds is on its way, or it got lost: says it again.
async fn tell_again(bookings: &Bookings, vaccine: &Client) {
    let missed = old_holds(bookings, vaccine, MISSED_FOR_MS).await;
    settle(bookings, &missed, "telling vaccine again of very old holds").await;
}

async fn settle(bookings: &Bookings, reservations: &[ReservationId], what: &str) {
    if !reservations.is_empty() {
        info!(holds = reservations.len(), "{what}");
    }
    for some in reservations.chunks(SETTLED_MAX) {
        bookings.settle(some).await;
    }
}

async fn old_holds(bookings: &Bookings, vaccine: &Client, for_ms: u32) -> Vec<ReservationId> {
    let path = format!("/holds?holder={}&heldForMs={for_ms}", bookings.holder);
    match vaccine.get(&path, ASK_WITHIN).await {
        Ok(UnsettledHolds { reservation_ids }) => reservation_ids,
        Err(error) => {
            warn!(cause = %causes(&error), "cannot ask vaccine for old holds");
            Vec::new()
        }
    }
}
