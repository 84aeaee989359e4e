//! How events become what a citizen sees. No async, no I/O, no clock, no chance.
//!
//! Bookings and injections speak independently of each other, so their events come in any order.
//! A status only ever moves forward, and each counts from the first event that says so:
//!
//! ```text
//! booked ──► cancelled ──► completed
//! ```
//!
//! (A dose that was used is used, whatever was said before.) So any order, and any repetition, ends
//! in the same view.

use contracts::{
    ids::{BookingId, ReservationId, UserId, VaccineId},
    mypage::MypageStatus,
};
use jiff::Timestamp;
use storage::rows::Rows;

/// What was heard about a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The dose behind it.
    pub reservation: ReservationId,
    /// What is known by that event.
    pub view: View,
}

/// A booking as its citizen sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The booking.
    pub booking: BookingId,
    /// The vaccine booked.
    pub vaccine: VaccineId,
    /// Its name; empty until bookings have said it.
    pub vaccine_name: String,
    /// Whose booking it is.
    pub user: UserId,
    /// Where it stands.
    pub status: MypageStatus,
    /// Since when.
    pub as_of: Timestamp,
}

/// The views that a batch is about.
pub type Views = Rows<ReservationId, View>;

/// Folds one event into its view.
pub fn fold(views: &mut Views, Command { reservation, view }: &Command) {
    let Some(known) = views.get(reservation) else {
        return views.put(*reservation, view.clone());
    };
    let mut folded = known.clone();
    if folded.vaccine_name.is_empty() {
        folded.vaccine_name.clone_from(&view.vaccine_name);
    }
    let (status, since) = (rank(folded.status), folded.as_of);
    if rank(view.status) > status || (rank(view.status) == status && view.as_of < since) {
        (folded.status, folded.as_of) = (view.status, view.as_of);
    }
    if folded != *known
        && let Some(known) = views.get_mut(reservation)
    {
        *known = folded;
    }
}

fn rank(status: MypageStatus) -> u8 {
    match status {
        MypageStatus::Booked => 0,
        MypageStatus::BookingCancelled => 1,
        MypageStatus::InjectionCompleted => 2,
    }
}
