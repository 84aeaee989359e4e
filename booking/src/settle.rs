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

/// Pages in one round. A page that vaccine has not heard of yet comes again and is told again.
const PAGES_MAX: usize = 4;

/// Age from which a hold is asked about; no attempt takes that long.
const HELD_FOR_MS: u32 = 10_000;

/// How long `vaccine` may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// Goes round until the process stops.
pub fn start(bookings: &Arc<Bookings>, vaccine: &Client, process: &Process) {
    let (bookings, vaccine) = (Arc::clone(bookings), vaccine.clone());
    process.every(ROUND_EVERY, move || round(Arc::clone(&bookings), vaccine.clone()));
}

async fn round(bookings: Arc<Bookings>, vaccine: Client) {
    // What is not settled when the process ends is settled after its next start.
    for _ in 0..PAGES_MAX {
        let settled = page(&bookings, &vaccine).await;
        if settled == 0 || !bookings.process.readiness().is_ready() {
            return;
        }
    }
}

/// Settles the oldest few; answers how many.
async fn page(bookings: &Bookings, vaccine: &Client) -> usize {
    let path = format!("/holds?holder={}&heldForMs={HELD_FOR_MS}", bookings.holder);
    let unsettled: UnsettledHolds = match vaccine.get(&path, ASK_WITHIN).await {
        Ok(unsettled) => unsettled,
        Err(error) => {
            warn!(cause = %causes(&error), "cannot ask vaccine for old holds");
            return 0;
        }
    };
    let holds = unsettled.reservation_ids.len();
    if holds > 0 {
        info!(holds, "settling old holds");
        bookings.settle(unsettled.reservation_ids).await;
    }
    holds
}
