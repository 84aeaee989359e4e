//! How many live bookings a person has in a campaign.
//!
//! Each live booking of a slot has a number of its own among those of its person, campaign and dose; there are as many
//! numbers as bookings that a person can have. The table of these is also the last line of defence.

use contracts::ids::UserId;

use super::records::{Bookings, CampaignDose, HeldDose, Record};

/// Which dose of a campaign a booking without a series is.
const FIRST_DOSE: u8 = 1;

/// The person has as many live bookings as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AlreadyBooked;

impl Bookings {
    /// What a new booking with this dose counts as; nothing without a slot.
    pub(super) fn campaign_dose(
        &self,
        user: UserId,
        dose: &HeldDose,
    ) -> Result<Option<CampaignDose>, AlreadyBooked> {
        let mut free = candidates(dose).peekable();
        if free.peek().is_none() {
            return Ok(None);
        }
        let found = free.find(|counts_as| self.live.get(&(user, *counts_as)).is_none());
        found.map(Some).ok_or(AlreadyBooked)
    }

    /// From now on a booking is one of its person's.
    pub(super) fn count(&mut self, record: &Record) {
        let Some(key) = key(record) else { return };
        if self.live.get(&key).is_none() {
            self.live.insert(key, record.booking.booking_id);
        }
    }

    /// From now on it is not.
    pub(super) fn uncount(&mut self, record: &Record) {
        let Some(key) = key(record) else { return };
        if self.live.get(&key) == Some(&record.booking.booking_id) {
            self.live.remove(&key);
        }
    }

    /// The booking as one of the campaign of this dose, where it was none or one of another.
    pub(super) fn count_again(
        &mut self,
        mut record: Record,
        dose: &HeldDose,
    ) -> Result<Record, AlreadyBooked> {
        let before = record.campaign_dose.map(|counts_as| counts_as.campaign);
        if dose.slot.is_none_or(|slot| Some(slot.campaign) == before) {
            return Ok(record);
        }
        let counts_as = self.campaign_dose(record.booking.user_id, dose)?;
        self.uncount(&record);
        record.campaign_dose = counts_as;
        self.count(&record);
        Ok(record)
    }
}

/// What a booking with this dose may count as.
pub(crate) fn candidates(dose: &HeldDose) -> impl Iterator<Item = CampaignDose> + use<> {
    dose.slot.into_iter().flat_map(|slot| {
        let campaign = slot.campaign;
        (0..slot.bookings_per_person).map(move |nth| CampaignDose {
            campaign,
            dose: FIRST_DOSE,
            nth,
        })
    })
}

fn key(record: &Record) -> Option<(UserId, CampaignDose)> {
    Some((record.booking.user_id, record.campaign_dose?))
}
