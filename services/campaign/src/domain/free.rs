//! What can be booked: free places and free doses, as `vaccine` counts them, of slots that can be booked now.

use std::collections::BTreeMap;

use contracts::{
    campaign::{
        DoseSource, Slot, SlotDay,
        availability::{CalendarDay, DayStatus, ListedDay, ListedSlot},
    },
    ids::{SlotId, VaccineId},
    vaccine::availability::SiteAvailability,
};
use jiff::{Timestamp, ToSpan, civil::Date};

use super::records::CampaignRecord;

/// A day has few free places if they are at most this part of all.
const FEW_PART: i64 = 10;

/// What is free at a site on some dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeAtSite {
    /// Since when this is true.
    pub as_of: Timestamp,
    /// By slot; of those without a free place, none.
    places: Vec<(SlotId, i64)>,
    /// Without a date, those of the central stock.
    doses: BTreeMap<(VaccineId, Option<Date>), i64>,
}

impl From<SiteAvailability> for FreeAtSite {
    fn from(SiteAvailability { as_of, slots, doses }: SiteAvailability) -> Self {
        let places = slots.iter().filter(|slot| slot.free > 0);
        let mut places: Vec<_> = places.map(|slot| (slot.slot_id, slot.free)).collect();
        places.sort_unstable();
        let doses = doses.iter().map(|it| ((it.vaccine_id, it.date), it.free)).collect();
        Self { as_of, places, doses }
    }
}

/// What a campaign has at a site on some dates, by date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The campaign.
    pub campaign: CampaignRecord,
    /// Its slots.
    pub days: Vec<SlotDay>,
}

/// What a citizen asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The vaccine.
    pub vaccine: VaccineId,
    /// The first and the last date at the site.
    pub dates: [Date; 2],
    /// The time of the request.
    pub at: Timestamp,
}

impl FreeAtSite {
    /// Counts that are kept, as a measure of memory.
    pub fn len(&self) -> usize {
        self.places.len() + self.doses.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots of an offer, each with what is free.
    pub fn listed(&self, offer: &Offer, wanted: &Wanted) -> Vec<ListedDay> {
        let day = |day: &SlotDay| {
            let doses = self.doses(&offer.campaign, wanted.vaccine, day.date);
            let slots = day.slots.iter().map(|slot| {
                let free = self.places(&offer.campaign, slot, wanted).min(doses);
                listed_slot(slot, Some(free))
            });
            listed_day(day, slots.collect())
        };
        offer.days.iter().map(day).collect()
    }

    /// Each date, with what is free of all offers.
    pub fn calendar(&self, offers: &[Offer], wanted: &Wanted) -> Vec<CalendarDay> {
        let [from, to] = wanted.dates;
        let day = |date| {
            let counts = self.by_source(offers, wanted, date);
            let free = counts.map(|it| it.places.min(it.doses)).iter().sum();
            let capacity: i64 = counts.iter().map(|it| it.capacity).sum();
            CalendarDay { date, status: status(free, capacity), free }
        };
        from.series(1.day()).take_while(|date| *date <= to).map(day).collect()
    }

    /// How many people can book in the whole range. Doses that are free on a date are free on the dates before, and are
    /// counted once: those who can book from a date on are no more than its doses.
    pub fn total(&self, offers: &[Offer], wanted: &Wanted) -> i64 {
        let [from, to] = wanted.dates;
        let dates: Vec<_> = from.series(1.day()).take_while(|date| *date <= to).collect();
        let mut totals = [0; 2];
        for date in dates.into_iter().rev() {
            for (total, it) in totals.iter_mut().zip(self.by_source(offers, wanted, date)) {
                // Where there is no slot, no doses are counted.
                if it.places > 0 {
                    *total = (*total + it.places).min(it.doses);
                }
            }
        }
        totals.iter().sum()
    }

    /// The first slot with a free place and a dose.
    pub fn first(&self, offers: &[Offer], wanted: &Wanted) -> Option<ListedSlot> {
        self.slots(offers, wanted).min_by_key(|slot| (slot.starts_at, slot.slot_id))
    }

    /// Slots with a free place and a dose, by time.
    pub fn earliest(&self, offers: &[Offer], wanted: &Wanted) -> Vec<ListedSlot> {
        let mut slots: Vec<_> = self.slots(offers, wanted).collect();
        slots.sort_unstable_by_key(|slot| (slot.starts_at, slot.slot_id));
        slots
    }

    /// Slots with a free place and a dose, those first that start nearest to a time.
    pub fn nearest(&self, offers: &[Offer], wanted: &Wanted, time: Timestamp) -> Vec<ListedSlot> {
        let mut slots: Vec<_> = self.slots(offers, wanted).collect();
        let distance = |slot: &ListedSlot| slot.starts_at.duration_since(time).abs();
        slots.sort_unstable_by_key(|slot| (distance(slot), slot.starts_at, slot.slot_id));
        slots
    }

    /// Slots with a free place and a dose.
    fn slots(&self, offers: &[Offer], wanted: &Wanted) -> impl Iterator<Item = ListedSlot> {
        let days = offers.iter().flat_map(|offer| self.listed(offer, wanted));
        days.flat_map(|day| day.slots).filter(|slot| slot.free > Some(0))
    }

    /// What is free on a date, by the stock that the doses come from.
    fn by_source(&self, offers: &[Offer], wanted: &Wanted, date: Date) -> [FreeOnDate; 2] {
        [DoseSource::Central, DoseSource::SiteLots].map(|source| {
            let mut counts = FreeOnDate::default();
            for offer in offers.iter().filter(|offer| offer.campaign.details.doses == source) {
                counts.doses = counts.doses.max(self.doses(&offer.campaign, wanted.vaccine, date));
                let days = offer.days.iter().filter(|day| day.date == date);
                for slot in days.flat_map(|day| &day.slots) {
                    counts.places += self.places(&offer.campaign, slot, wanted);
                    if is_bookable(&offer.campaign, slot, wanted) {
                        counts.capacity += i64::from(slot.capacity);
                    }
                }
            }
            counts
        })
    }

    /// Free places of a slot, if it can be booked. A slot that was withdrawn just now may still be free in the ledger.
    fn places(&self, campaign: &CampaignRecord, slot: &Slot, wanted: &Wanted) -> i64 {
        if !is_bookable(campaign, slot, wanted) {
            return 0;
        }
        let index = self.places.binary_search_by_key(&slot.slot_id, |(id, _)| *id);
        let free = index.ok().and_then(|index| self.places.get(index)).map_or(0, |(_, free)| *free);
        free.min(i64::from(slot.capacity))
    }

    fn doses(&self, campaign: &CampaignRecord, vaccine: VaccineId, date: Date) -> i64 {
        let date = match campaign.details.doses {
            DoseSource::Central => None,
            DoseSource::SiteLots => Some(date),
        };
        self.doses.get(&(vaccine, date)).copied().unwrap_or_default()
    }
}

/// What is free on a date of one stock.
#[derive(Clone, Copy, Debug, Default)]
struct FreeOnDate {
    places: i64,
    doses: i64,
    /// Places of slots that can be booked, free or not.
    capacity: i64,
}

fn is_bookable(campaign: &CampaignRecord, slot: &Slot, wanted: &Wanted) -> bool {
    campaign.is_open(wanted.at)
        && campaign.details.vaccine_ids.contains(&wanted.vaccine)
        && slot.starts_at > wanted.at
}

fn status(free: i64, capacity: i64) -> DayStatus {
    if free <= 0 {
        DayStatus::None
    } else if free.saturating_mul(FEW_PART) <= capacity {
        DayStatus::Few
    } else {
        DayStatus::Free
    }
}

/// A day as it is listed, with these slots.
pub fn listed_day(day: &SlotDay, slots: Vec<ListedSlot>) -> ListedDay {
    let SlotDay { campaign_id, site_id, date, ref time_zone, slots: _ } = *day;
    ListedDay { campaign_id, site_id, date, time_zone: time_zone.clone(), slots }
}

/// A slot as it is listed.
pub fn listed_slot(slot: &Slot, free: Option<i64>) -> ListedSlot {
    let Slot { slot_id, starts_at, from, minutes, capacity, held_back } = *slot;
    ListedSlot { slot_id, starts_at, from, minutes, capacity, held_back, free }
}
