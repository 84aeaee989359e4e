//! A series whose second dose is at the first free time.
//!
//! `campaign` knows which slots are free when the second dose is due; the ledger decides, as for any series. Where a slot is
//! full by then, the next one is tried.

use std::sync::Arc;

use super::{Accepted, BookingError, BookingProtocol, BookingRequest};
use crate::{
    alternatives::NoNextSlot,
    domain::{Choice, NotGranted},
};

/// Slots that are tried, each with a request to the ledger.
const TRIES_MAX: usize = 4;

impl From<NoNextSlot> for BookingError {
    fn from(reason: NoNextSlot) -> Self {
        match reason {
            NoNextSlot::SingleDose => NotGranted::SingleDose.into(),
            NoNextSlot::NoneFree => NotGranted::NextSlotFull.into(),
            NoNextSlot::Unknown => Self::RetryLater,
        }
    }
}

impl BookingProtocol {
    /// Serves a request for a series without a second slot. A repeated one gets the series that it got.
    pub async fn book_series(
        self: &Arc<Self>,
        request: BookingRequest,
    ) -> Result<Accepted, BookingError> {
        if let Some(accepted) = self.known_request(&request).await? {
            return Ok(accepted);
        }
        let Choice { vaccine, slot, .. } = request.choice;
        let slot = slot.ok_or(NotGranted::NoSuchSlot)?;
        let slots = self.alternatives.next(vaccine, slot).await?;
        for next in slots.iter().take(TRIES_MAX) {
            let choice = Choice { next: Some(*next), ..request.choice };
            match self.book(BookingRequest { choice, ..request.clone() }).await {
                Err(BookingError::NotGranted(NotGranted::NextSlotFull)) => {}
                booked => return booked,
            }
        }
        Err(NotGranted::NextSlotFull.into())
    }
}
