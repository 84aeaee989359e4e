//! The rows of a day sheet.

use contracts::ids::ReservationId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::appointment::BookedDose;

/// What keeps these ids apart from others that are derived from a reservation.
const PURPOSE: &[u8] = b"anticorona row of a day sheet";

/// Identifies a row of a day sheet. It follows from the reservation, so that each sheet has the same; the reservation does
/// not follow from it, since a client that knows a reservation can release it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SheetRowId(pub Uuid);

impl SheetRowId {
    /// The row of an appointment.
    pub fn of(BookedDose { reservation: ReservationId(id), .. }: &BookedDose) -> Self {
        let digest = Sha256::new().chain_update(PURPOSE).chain_update(id.as_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(Uuid::new_v8(bytes))
    }
}
