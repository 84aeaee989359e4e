//! Settling holds that nobody said anything about: their process died between hold and booking.
//!
//! The holder asks `vaccine` for its own old holds, and for each writes down for good what became
//! of the attempt; the event tells `vaccine`. No clock decides who owns a dose: age only decides
//! when to ask, and a booking that comes after all is refused by what was written.

use std::{sync::Arc, time::Duration};

use chassis::{client::Client, process::Process, telemetry::causes};
use contracts::vaccine::UnsettledHolds;
use tracing::{info, warn};

use crate::bookings::Bookings;

/// Pause between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(5);

/// Attempts in one commit: bookings that come meanwhile wait no longer than for each other.
const SETTLED_MAX: usize = 1_000;

/// Age from which a hold is asked about; no attempt takes that long.
const HELD_FOR_MS: u32 = 10_000;

/// How long `vaccine` may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Goes round until the process stops.
pub fn start(bookings: &Arc<Bookings>, vaccine: &Client, process: &Process) {
    let (bookings, vaccine) = (Arc::clone(bookings), vaccine.clone());
    process.every(ROUND_EVERY, move || round(Arc::clone(&bookings), vaccine.clone()));
}

/// Settles the oldest, as many as vaccine names at once. What is left comes in the next round, and
/// so does what is not settled when the process ends, after its next start.
async fn round(bookings: Arc<Bookings>, vaccine: Client) {
    let path = format!("/holds?holder={}&heldForMs={HELD_FOR_MS}", bookings.holder);
    let UnsettledHolds { reservation_ids } = match vaccine.get(&path, ASK_WITHIN).await {
        Ok(unsettled) => unsettled,
        Err(error) => return warn!(cause = %causes(&error), "cannot ask vaccine for old holds"),
    };
    if !reservation_ids.is_empty() {
        info!(holds = reservation_ids.len(), "settling old holds");
    }
    for some in reservation_ids.chunks(SETTLED_MAX) {
        bookings.settle(some).await;
    }
}
