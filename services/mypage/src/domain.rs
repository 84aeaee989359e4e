//! How events become what a citizen sees. No async, no I/O, no clock, no randomness.
//!
//! Booking and injection publish independently, so their events arrive in any order. A status only moves
//! forward, and counts from the first event with it:
//!
//! ```text
//! booked ──► cancelled ──► completed
//! ```
//!
//! (A used dose is used, whatever was published before.) So any order and any repetition of the events
//! results in the same view.

use contracts::{
    ids::{BookingId, ReservationId, UserId, VaccineId},
    mypage::MypageStatus,
};
use jiff::Timestamp;
use platform_store::ChangeSet;

/// Every command: what one event says about a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The reserved dose.
    pub reservation: ReservationId,
    /// The booking as far as that event describes it.
    pub view: View,
}

/// A booking as its citizen sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The booking.
    pub booking: BookingId,
    /// The vaccine.
    pub vaccine: VaccineId,
    /// The name of the vaccine; empty until an event of booking has arrived.
    pub vaccine_name: String,
    /// The citizen.
    pub user: UserId,
    /// Its status.
    pub status: MypageStatus,
    /// Since when it has this status.
    pub as_of: Timestamp,
}

/// A view under the number that orders lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedView {
    /// Its number, in the order in which views were created.
    pub number: i64,
    /// The view.
    pub view: View,
}

/// The views that a batch of events names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// Known views.
    pub views: ChangeSet<ReservationId, NumberedView>,
    /// The highest number ever given.
    pub last_number: i64,
}

impl Views {
    /// The view of a booking.
    pub fn get(&self, reservation: &ReservationId) -> Option<&View> {
        self.views.get(reservation).map(|numbered| &numbered.view)
    }

    fn add(&mut self, reservation: ReservationId, view: View) {
        self.last_number += 1;
        self.views.insert(reservation, NumberedView { number: self.last_number, view });
    }
}

/// Folds one event into its view.
pub fn fold(views: &mut Views, Command { reservation, view }: &Command) {
    let Some(known) = views.get(reservation) else {
        return views.add(*reservation, view.clone());
    };
    let mut folded = known.clone();
    if folded.vaccine_name.is_empty() {
        folded.vaccine_name.clone_from(&view.vaccine_name);
    }
    let (rank_before, as_of) = (rank(folded.status), folded.as_of);
    let is_earlier = rank(view.status) == rank_before && view.as_of < as_of;
    if rank(view.status) > rank_before || is_earlier {
        (folded.status, folded.as_of) = (view.status, view.as_of);
    }
    if folded != *known
        && let Some(known) = views.views.get_mut(reservation)
    {
        known.view = folded;
    }
}

fn rank(status: MypageStatus) -> u8 {
    match status {
        MypageStatus::Booked => 0,
        MypageStatus::BookingCancelled => 1,
        MypageStatus::InjectionCompleted => 2,
    }
}
