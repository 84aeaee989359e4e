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

use contracts::{booking::BookingStatus, ids::ReservationId, mypage::Mypage};
use platform_store::ChangeSet;

/// Every command: what one event says about a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The reservation that the booking was made with: what it is recognised by.
    pub reservation: ReservationId,
    /// The booking as far as that event describes it; an injection does not name the vaccine.
    pub view: Mypage,
}

/// A view under the number that orders lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedView {
    /// Its number, in the order in which views were created.
    pub number: i64,
    /// The view.
    pub view: Mypage,
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
    pub fn get(&self, reservation: &ReservationId) -> Option<&Mypage> {
        self.views.get(reservation).map(|numbered| &numbered.view)
    }

    fn add(&mut self, reservation: ReservationId, view: Mypage) {
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
    if folded.vc_name.is_empty() {
        folded.vc_name.clone_from(&view.vc_name);
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

fn rank(status: BookingStatus) -> u8 {
    match status {
        BookingStatus::Booked => 0,
        BookingStatus::BookingCancelled => 1,
        BookingStatus::InjectionCompleted => 2,
    }
}
