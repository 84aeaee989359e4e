//! The slots of a day, from opening hours, exceptions, slot length and capacity; and what becomes of those that were
//! planned before.

use contracts::{
    campaign::{CampaignDetails, MinuteOfDay, OpenInterval, SitePreview},
    ids::{SiteId, SlotId},
};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

use super::values::CheckedSite;

/// A slot of a plan, which has no number yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSlot {
    /// When it starts, at the site.
    pub from: MinuteOfDay,
    /// The same for everybody.
    pub starts_at: Timestamp,
    /// How long it is.
    pub minutes: u16,
    /// People who can book it.
    pub capacity: u32,
    /// Places for walk-ins and phone.
    pub held_back: u32,
}

/// A slot with its number, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberedSlot {
    /// Its number.
    pub id: SlotId,
    /// When it starts, at the site.
    pub from: MinuteOfDay,
    /// How long it is.
    pub minutes: u16,
    /// People who can book it; 0 if it is not planned any more.
    pub capacity: u32,
    /// Places for walk-ins and phone.
    pub held_back: u32,
}

/// The slots of a campaign at a site on a date, in order; `capacity` is what the site has in each slot.
pub fn plan(
    site: &CheckedSite,
    campaign: &CampaignDetails,
    capacity: u32,
    date: Date,
) -> Vec<PlannedSlot> {
    let minutes = campaign.slot_minutes;
    let held_back = (capacity * u32::from(campaign.held_back_percent)).div_ceil(100);
    let slot = |from| {
        let starts_at = starts_at(site.zone(), date, from, minutes)?;
        Some(PlannedSlot { from, starts_at, minutes, capacity: capacity - held_back, held_back })
    };
    let open = site.open_on(date).into_iter();
    open.flat_map(|interval| starts(interval, minutes)).filter_map(slot).collect()
}

/// What a campaign would have at a site.
pub fn preview(
    id: SiteId,
    site: &CheckedSite,
    campaign: &CampaignDetails,
    capacity: u32,
) -> SitePreview {
    let (mut days, mut slots) = (0, Vec::new());
    for date in campaign.from.series(1.day()).take_while(|date| *date <= campaign.to) {
        let planned = plan(site, campaign, capacity, date);
        days += u32::from(!planned.is_empty());
        slots.extend(planned);
    }
    SitePreview {
        site_id: id,
        days,
        slots: u32::try_from(slots.len()).unwrap_or(u32::MAX),
        places: slots.iter().map(|slot| u64::from(slot.capacity)).sum(),
        held_back: slots.iter().map(|slot| u64::from(slot.held_back)).sum(),
        first_start: slots.first().map(|slot| slot.starts_at),
        last_start: slots.last().map(|slot| slot.starts_at),
    }
}

/// When a slot that was planned starts.
pub fn start_of(zone: &TimeZone, date: Date, from: MinuteOfDay) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local(date, from)?);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => None,
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
            ambiguous.earlier().ok()
        }
    }
}

/// The slots of a day after a new plan; none if it is the plan of before. A slot keeps its number; one that is not
/// planned any more stays without places, since a booking may name it.
pub fn renumber(
    known: &[NumberedSlot],
    planned: &[PlannedSlot],
    last_slot: &mut i64,
) -> Option<Vec<NumberedSlot>> {
    let of_start = |from: MinuteOfDay| known.iter().find(|slot| slot.from == from);
    let planned_slots = planned.iter().map(|slot| {
        let id = of_start(slot.from).map_or_else(
            || {
                *last_slot += 1;
                SlotId(*last_slot)
            },
            |known| known.id,
        );
        let PlannedSlot { from, starts_at: _, minutes, capacity, held_back } = *slot;
        NumberedSlot { id, from, minutes, capacity, held_back }
    });
    let mut slots: Vec<_> = planned_slots.collect();
    let dropped = known.iter().filter(|known| planned.iter().all(|slot| slot.from != known.from));
    slots.extend(dropped.map(|slot| NumberedSlot { capacity: 0, held_back: 0, ..*slot }));
    slots.sort_unstable_by_key(|slot| slot.from);
    (slots != known).then_some(slots)
}

/// The starts of all slots that end within an interval.
fn starts(
    OpenInterval { from, to }: OpenInterval,
    minutes: u16,
) -> impl Iterator<Item = MinuteOfDay> {
    let last = to.minutes().checked_sub(minutes);
    let starts = last.into_iter().flat_map(move |last| from.minutes()..=last);
    starts.step_by(minutes.max(1).into()).filter_map(MinuteOfDay::new)
}

/// When a slot starts: never within the hour that a clock change skips, nor so that it would still last then. Within
/// the hour that is repeated, the first time.
fn starts_at(zone: &TimeZone, date: Date, from: MinuteOfDay, minutes: u16) -> Option<Timestamp> {
    let starts_at = start_of(zone, date, from)?;
    // A slot that ends where the skipped hour begins is whole.
    let until_last_minute = (i64::from(minutes) - 1).minutes();
    let last_minute = zone.to_datetime(starts_at.checked_add(until_last_minute).ok()?);
    let is_past_gap = last_minute > local(date, from)?.checked_add(until_last_minute).ok()?;
    (!is_past_gap).then_some(starts_at)
}

fn local(date: Date, from: MinuteOfDay) -> Option<DateTime> {
    date.at(0, 0, 0, 0).checked_add(i64::from(from.minutes()).minutes()).ok()
}
