//! A series whose second dose is at the first free time.
//!
//! `campaign` knows which slots are free when the second dose is due; the ledger decides, as for any series. Where a slot is
//! full by then, the next one is tried.

use std::sync::Arc;

use platform_rest::headers::Attempt;

use super::{Accepted, BookingError, BookingProtocol, BookingRequest, attempt_id};
use crate::{
    alternatives::NoNextSlot,
    domain::{Abortable, AttemptId, Choice, NotGranted},
};

/// Slots that are tried, each with a request to the ledger.
const TRIES_MAX: usize = 4;

impl From<NoNextSlot> for BookingError {
    fn from(reason: NoNextSlot) -> Self {
        match reason {
            NoNextSlot::SingleDose => NotGranted::SingleDose.into(),
            NoNextSlot::NoSuchSlot => NotGranted::NoSuchSlot.into(),
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
        let repeated = request.attempt.filter(|given| given.is_repeated && request.key.is_none());
        let repeated = repeated.map(|given| AttemptId(given.id));
        if let Some(id) = repeated
            && let Some(booking) = self.known_attempt(id, &request.attempt(Some(id))).await?
        {
            return Ok(Accepted::Booking(booking));
        }
        // Each try is one of the same attempt, which is aborted once, if none was booked.
        let attempt = request.attempt.map(|given| Attempt { is_repeated: false, ..given });
        let booked = self.try_slots(BookingRequest { attempt, ..request }).await;
        if let (Some(id), Err(_)) = (repeated, &booked) {
            self.aborts.abort(Abortable::Attempt(id));
        }
        booked
    }

    /// What came of earlier requests with the same key.
    async fn known_request(
        &self,
        request: &BookingRequest,
    ) -> Result<Option<Accepted>, BookingError> {
        let Some(key) = &request.key else { return Ok(None) };
        self.known(attempt_id(self.owner, request.user, &key.key), key).await
    }

    async fn try_slots(
        self: &Arc<Self>,
        request: BookingRequest,
    ) -> Result<Accepted, BookingError> {
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
