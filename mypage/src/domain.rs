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
//! in the same view. Only its places in the lists are those of the order in which views were first
//! heard of: a list grows at its end, and a page that was full stays as it is.

use std::collections::BTreeMap;

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

/// A view and where it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its place among all views, counted from 1 without gaps.
    pub number: i64,
    /// Its place among those of its citizen, likewise.
    pub of_user: i64,
    /// The view.
    pub view: View,
}

/// The views that a batch is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// Those that are known.
    pub listed: Rows<ReservationId, Listed>,
    /// How many there are in all.
    pub last: i64,
    /// How many there are of each citizen whose views the batch may add to; 0 where it is not here.
    pub last_of_user: BTreeMap<UserId, i64>,
}

impl Views {
    /// The view of a booking.
    pub fn get(&self, reservation: &ReservationId) -> Option<&View> {
        self.listed.get(reservation).map(|listed| &listed.view)
    }

    fn add(&mut self, reservation: ReservationId, view: View) {
        self.last += 1;
        let of_user = self.last_of_user.entry(view.user).or_default();
        *of_user += 1;
        let listed = Listed { number: self.last, of_user: *of_user, view };
        self.listed.put(reservation, listed);
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
    let (status, since) = (rank(folded.status), folded.as_of);
    if rank(view.status) > status || (rank(view.status) == status && view.as_of < since) {
        (folded.status, folded.as_of) = (view.status, view.as_of);
    }
    if folded != *known
        && let Some(known) = views.listed.get_mut(reservation)
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
