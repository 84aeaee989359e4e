//! Reads what can be booked instead of a slot.

use contracts::{
    ids::{SlotId, VaccineId},
    vaccine::product::DoseInterval,
};
use jiff::{
    Timestamp,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use platform_store::{SqlError, Tx};

use super::{load, offers, rows};
use crate::{
    domain::{
        AlternativeOffers, DayKey, NextOffers, OTHER_SITE_METRES_MAX, OTHER_SITES_MAX,
        Surroundings, Wanted, WantedSlot, dates_after, dates_around,
    },
    events,
};

/// The day that has a slot, if any has.
const DAY_OF_SLOT: &str = "
    SELECT d.id, d.campaign, d.site, d.date, d.time_zone, d.slots
      FROM slot_runs r
      JOIN slot_days d ON d.id = r.day
     WHERE r.first_slot = (SELECT max(first_slot)
                             FROM slot_runs
                            WHERE first_slot <= ?1)";

/// What can be booked of a vaccine instead of a slot; none if there is no such slot.
pub fn alternatives(
    tx: &Tx<'_>,
    id: SlotId,
    vaccine: VaccineId,
    at: Timestamp,
) -> Result<Option<AlternativeOffers>, SqlError> {
    let Some((key, starts_at, today)) = find(tx, id, at)? else { return Ok(None) };
    let dates = dates_around(key.date, today);
    let wanted = Wanted { vaccine, dates, at };
    let slot = WantedSlot { id, site: key.site, starts_at, wanted };
    let offers = offers::offer(tx, key.campaign, key.site, dates)?;
    let position = load::site(tx, key.site)?.and_then(|known| known.site.details().position);
    let others = match position {
        None => Vec::new(),
        Some(centre) => offers::near_offers(
            tx,
            &wanted,
            &Surroundings {
                centre,
                metres_max: OTHER_SITE_METRES_MAX,
                sites_max: OTHER_SITES_MAX,
                without: Some(key.site),
            },
        )?,
    };
    Ok(Some(AlternativeOffers { slot, offers, others }))
}

/// What can be booked of a vaccine so many days after a slot, at the same site; none if there is no such slot.
pub fn after(
    tx: &Tx<'_>,
    id: SlotId,
    (vaccine, interval): (VaccineId, DoseInterval),
    at: Timestamp,
) -> Result<Option<NextOffers>, SqlError> {
    let Some((key, _, today)) = find(tx, id, at)? else { return Ok(None) };
    let wanted = Wanted { vaccine, dates: dates_after(key.date, interval, today), at };
    let offers = offers(tx, vaccine, key.site, wanted.dates)?;
    Ok(Some(NextOffers { site: key.site, wanted, offers }))
}

/// The day that has a slot, when the slot starts, and today at its site.
fn find(
    tx: &Tx<'_>,
    id: SlotId,
    at: Timestamp,
) -> Result<Option<(DayKey, Timestamp, Date)>, SqlError> {
    let Some((key, day)) = tx.find(DAY_OF_SLOT, &[id.0.into()], rows::slot_day)? else {
        return Ok(None);
    };
    let slots = events::slot_day(&key, &day).slots;
    let Some(slot) = slots.iter().find(|slot| slot.slot_id == id) else { return Ok(None) };
    let zone = TimeZoneDatabase::bundled().get(&day.time_zone).unwrap_or(TimeZone::UTC);
    Ok(Some((key, slot.starts_at, zone.to_datetime(at).date())))
}
