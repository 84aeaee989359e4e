//! A series of two doses: both are booked in one decision, or neither.
//!
//! Each dose is a booking of its own, with a reservation of its own: it is moved, used and completed by itself. Who cancels
//! the first has cancelled the second too; the second can be cancelled alone.

use contracts::{
    booking::{BookedSeries, BookedSlot, BookingStatus},
    ids::BookingId,
};
use jiff::Timestamp;

use super::records::{
    BookingAttempt, Bookings, CampaignDose, FIRST_DOSE, HeldDose, NextDose, Record, SECOND_DOSE,
};

/// Seconds of a day, and of half of one.
const DAY: (i64, i64) = (86_400, 43_200);

impl Bookings {
    /// The bookings of both doses, of which the first was just made.
    pub(super) fn add_second(
        &mut self,
        mut first: Record,
        next: &NextDose,
        counts_as: Option<CampaignDose>,
    ) -> Box<[Record; 2]> {
        let dose = HeldDose {
            reservation: next.reservation,
            vaccine_name: first.booking.vc_name.clone(),
            slot: Some(next.slot),
            next: None,
        };
        // It has no attempt of its own: a repeated request finds the first.
        let (choice, user) = (first.booking.vaccine_id.into(), first.booking.user_id);
        let attempt = BookingAttempt { id: None, choice, user, fingerprint: None };
        let mut second = self.add(attempt, &dose, counts_as, first.booked_at);
        let of = |dose_number, other_dose_booking_id| {
            Some(BookedSeries { dose_number, other_dose_booking_id })
        };
        let ids = [&first, &second].map(|record| record.booking.booking_id);
        first.booking.series = of(FIRST_DOSE, ids[1]);
        second.booking.series = of(SECOND_DOSE, ids[0]);
        for record in [&mut first, &mut second] {
            record.interval = Some(next.interval);
            self.bookings.insert(record.booking.booking_id, record.clone());
        }
        Box::new([first, second])
    }

    /// A booking that stands.
    pub(super) fn booked(&self, id: Option<BookingId>) -> Option<&Record> {
        let record = self.bookings.get(&id?)?;
        (record.booking.status == BookingStatus::Booked).then_some(record)
    }

    /// The booking of the other dose of a series, if it stands.
    pub(super) fn other_booked(&self, record: &Record) -> Option<&Record> {
        self.booked(record.booking.series.map(|series| series.other_dose_booking_id))
    }

    pub(super) fn set_both_cancelled(
        &mut self,
        both: [Record; 2],
        at: Timestamp,
    ) -> Box<[Record; 2]> {
        Box::new(both.map(|record| self.set_cancelled(record, at)))
    }

    /// Whether a dose of a series may be at this slot, while the other one stays where it is. Days are counted from time to
    /// time and rounded, which is the difference of the dates where the times of day are less than twelve hours apart.
    pub(super) fn is_within_interval(&self, record: &Record, slot: Option<BookedSlot>) -> bool {
        let Some((series, interval)) = record.booking.series.zip(record.interval) else {
            return true;
        };
        let other = self.bookings.get(&series.other_dose_booking_id);
        let other = other.filter(|it| it.booking.status != BookingStatus::BookingCancelled);
        let Some((other, slot)) = other.and_then(|it| it.booking.slot).zip(slot) else {
            return true;
        };
        let seconds = slot.starts_at.as_second() - other.starts_at.as_second();
        let after_first = if series.dose_number == FIRST_DOSE { -seconds } else { seconds };
        interval.contains((after_first + DAY.1).div_euclid(DAY.0))
    }
}
