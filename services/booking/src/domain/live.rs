//! How many live bookings a person has in a campaign.
//!
//! Each live booking of a slot has a number of its own among those of its person, campaign and dose; there are as many
//! numbers as bookings that a person can have. The table of these is also the last line of defence.

use contracts::ids::UserId;

use super::records::{Bookings, CampaignDose, HeldSlot, Record};

/// The person has as many live bookings as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AlreadyBooked;

impl Bookings {
    /// What a new booking of a slot counts as, as this dose; nothing without a slot.
    pub(super) fn campaign_dose(
        &self,
        user: UserId,
        slot: Option<HeldSlot>,
        dose: u8,
    ) -> Result<Option<CampaignDose>, AlreadyBooked> {
        let Some(slot) = slot else { return Ok(None) };
        let is_free = |counts_as: &CampaignDose| self.live.get(&(user, *counts_as)).is_none();
        candidates(slot, dose).find(is_free).map(Some).ok_or(AlreadyBooked)
    }

    /// What a booking counts as after it was moved to a slot.
    pub(super) fn campaign_dose_at(
        &self,
        record: &Record,
        slot: Option<HeldSlot>,
    ) -> Result<Option<CampaignDose>, AlreadyBooked> {
        let before = record.campaign_dose;
        if slot.is_none_or(|slot| Some(slot.campaign) == before.map(|it| it.campaign)) {
            return Ok(before);
        }
        self.campaign_dose(record.booking.user_id, slot, record.dose_number())
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

    /// The booking, counted as this instead.
    pub(super) fn count_as(
        &mut self,
        mut record: Record,
        counts_as: Option<CampaignDose>,
    ) -> Record {
        if record.campaign_dose != counts_as {
            self.uncount(&record);
            record.campaign_dose = counts_as;
            self.count(&record);
        }
        record
    }
}

/// What a booking of a slot may count as.
pub(crate) fn candidates(slot: HeldSlot, dose: u8) -> impl Iterator<Item = CampaignDose> {
    let HeldSlot { campaign, bookings_per_person, .. } = slot;
    (0..bookings_per_person).map(move |nth| CampaignDose { campaign, dose, nth })
}

fn key(record: &Record) -> Option<(UserId, CampaignDose)> {
    Some((record.booking.user_id, record.campaign_dose?))
}
