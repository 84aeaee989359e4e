//! What is known of a booking, and what its citizen sees of it.

use std::cmp::Reverse;

use contracts::{
    booking::{BookedSlot, BookingStatus},
    ids::{BookingId, UserId, VaccineId},
    mypage::{GivenDose, Mypage, Visit},
};
use jiff::{Timestamp, ZonedDateTime, tz::TimeZoneDatabase};

use super::site::KnownSite;

/// A time of the day at a site, with its offset and time zone.
const LOCAL_TIME: &str = "%Y-%m-%dT%H:%M%:z[%Q]";

/// What is known of a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The booking.
    pub book_id: BookingId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// Its name; empty as long as it is not known.
    pub vc_name: String,
    /// The citizen.
    pub user_id: UserId,
    /// Its status.
    pub status: BookingStatus,
    /// Since when it has this status.
    pub as_of: Timestamp,
    /// How often it was moved, as far as is known.
    pub moves: i64,
    /// Its slot; none, where a dose of the central stock is booked without a time.
    pub slot: Option<BookedSlot>,
    /// Since when it has this slot, or none.
    pub slot_as_of: Timestamp,
    /// The dose that was given, if that was recorded.
    pub dose: Option<GivenDose>,
}

impl View {
    /// How many changes of its slot and its status it shows at least; more after each of them.
    pub fn revision(&self) -> i64 {
        self.moves.saturating_add(rank(self.status).into())
    }

    /// This view after an event.
    pub(super) fn with(&self, event: &Self) -> Self {
        let mut folded = self.clone();
        if folded.vc_name.is_empty() {
            folded.vc_name.clone_from(&event.vc_name);
        }
        folded.moves = self.moves.max(event.moves);
        if event.status_precedence() > self.status_precedence() {
            (folded.status, folded.as_of) = (event.status, event.as_of);
        }
        if event.slot_precedence() > self.slot_precedence() {
            (folded.slot, folded.slot_as_of) = (event.slot, event.slot_as_of);
            folded.dose.clone_from(&event.dose);
        }
        folded
    }

    fn status_precedence(&self) -> (u8, Reverse<Timestamp>) {
        (rank(self.status), Reverse(self.as_of))
    }

    /// A dose that was used has the slot, whatever the booking was moved to.
    fn slot_precedence(&self) -> (bool, i64, Reverse<Timestamp>) {
        let is_used = self.status == BookingStatus::InjectionCompleted;
        (is_used, if is_used { 0 } else { self.moves }, Reverse(self.slot_as_of))
    }
}

fn rank(status: BookingStatus) -> u8 {
    match status {
        BookingStatus::Booked => 0,
        BookingStatus::BookingCancelled => 1,
        BookingStatus::InjectionCompleted => 2,
    }
}

/// A view, and the site of its slot if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedView {
    /// The view.
    pub view: View,
    /// The site.
    pub site: Option<KnownSite>,
}

impl PlacedView {
    /// The booking as its citizen sees it.
    pub fn mypage(&self) -> Mypage {
        let view = &self.view;
        Mypage {
            book_id: view.book_id,
            vaccine_id: view.vaccine_id,
            vc_name: view.vc_name.clone(),
            user_id: view.user_id,
            status: view.status,
            as_of: view.as_of,
            visit: view.slot.map(|slot| self.visit(slot)),
            dose: view.dose.clone(),
        }
    }

    fn visit(&self, slot: BookedSlot) -> Visit {
        Visit {
            slot,
            local_time: self.local_start().map(|at| at.strftime(LOCAL_TIME).to_string()),
            site: self.site.as_ref().map(|site| site.place.clone()),
        }
    }

    /// When the slot starts, by the clock at its site; none if the site is not known, or its time zone is not in the
    /// database within this program, which is the same on every machine.
    pub fn local_start(&self) -> Option<ZonedDateTime> {
        let (slot, site) = (self.view.slot?, self.site.as_ref()?);
        let zone = TimeZoneDatabase::bundled().get(&site.place.time_zone).ok()?;
        Some(slot.starts_at.to_zoned_datetime(zone))
    }
}
