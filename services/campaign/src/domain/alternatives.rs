//! Which free slots can be booked instead of one that is wanted.

use contracts::{
    campaign::availability::{AlternativeSlot, ListedSlot},
    ids::{SiteId, SlotId},
    vaccine::{availability::AVAILABLE_DAYS_MAX, product::DoseInterval},
};
use jiff::{Timestamp, ToSpan, civil::Date};

use super::{
    free::{FreeAtSite, Offer, Wanted},
    near::NearOffers,
};

/// Slots at the same site, and other sites, in an answer.
pub const ALTERNATIVES_MAX: usize = 3;

/// Other sites that are looked at, the nearest ones.
pub const OTHER_SITES_MAX: usize = 20;

/// How far another site may be.
pub const OTHER_SITE_METRES_MAX: u32 = 20_000;

/// The slot that somebody wants to book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedSlot {
    /// Its number.
    pub id: SlotId,
    /// Its site.
    pub site: SiteId,
    /// When it starts.
    pub starts_at: Timestamp,
    /// The vaccine, the time of the request, and the dates that are looked at.
    pub wanted: Wanted,
}

/// What can be booked instead of a slot, if it is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternativeOffers {
    /// The slot.
    pub slot: WantedSlot,
    /// What its campaign has at its site.
    pub offers: Vec<Offer>,
    /// Other sites, the nearest first.
    pub others: Vec<NearOffers>,
}

/// The dates that are looked at for a slot of a date: as many as one request may have, with the date in the middle, or
/// from today on.
pub fn dates_around(date: Date, today: Date) -> [Date; 2] {
    let first = date.saturating_sub((AVAILABLE_DAYS_MAX / 2).days()).max(today);
    [first, first.saturating_add((AVAILABLE_DAYS_MAX - 1).days())]
}

/// Slots in an answer for the next dose.
const NEXT_MAX: usize = 8;

/// What can be booked some days after a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextOffers {
    /// The site.
    pub site: SiteId,
    /// The vaccine, the time of the request, and the dates.
    pub wanted: Wanted,
    /// What the open campaigns have there.
    pub offers: Vec<Offer>,
}

impl NextOffers {
    /// The first free slots.
    pub fn slots(&self, free: &FreeAtSite) -> Vec<AlternativeSlot> {
        let slots = free.earliest(&self.offers, &self.wanted).into_iter();
        slots.take(NEXT_MAX).map(|slot| alternative(self.site, None, slot)).collect()
    }
}

/// The first dates on which the dose after one of a date is due, as many as one request may have; none is before today.
pub fn dates_after(date: Date, interval: DoseInterval, today: Date) -> [Date; 2] {
    let [first, last] = [interval.min_days, interval.max_days];
    let first = date.saturating_add(i64::from(first).days()).max(today);
    let last = date.saturating_add(i64::from(last).days());
    [first, last.min(first.saturating_add((AVAILABLE_DAYS_MAX - 1).days())).max(first)]
}

impl WantedSlot {
    /// Free slots at the same site, those first that start nearest to the wanted one.
    pub fn at_same_site(&self, offers: &[Offer], free: &FreeAtSite) -> Vec<AlternativeSlot> {
        let slots = free.nearest(offers, &self.wanted, self.starts_at).into_iter();
        let others = slots.filter(|slot| slot.slot_id != self.id);
        let alternative = |slot| alternative(self.site, None, slot);
        others.take(ALTERNATIVES_MAX).map(alternative).collect()
    }

    /// The free slot at another site that starts nearest to the wanted one.
    pub fn at_other_site(&self, near: &NearOffers, free: &FreeAtSite) -> Option<AlternativeSlot> {
        let slots = free.nearest(&near.offers, &self.wanted, self.starts_at).into_iter();
        let alternative = |slot| alternative(near.site.id, Some(near.site.metres), slot);
        slots.take(1).map(alternative).next()
    }
}

fn alternative(
    site_id: SiteId,
    distance_metres: Option<u32>,
    ListedSlot { slot_id, starts_at, free, .. }: ListedSlot,
) -> AlternativeSlot {
    let free = free.unwrap_or_default();
    AlternativeSlot { slot_id, site_id, starts_at, free, distance_metres }
}
