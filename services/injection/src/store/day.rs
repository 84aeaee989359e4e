//! The appointments of a site in the order of their start, then of their number.
//!
//! A key of this list has both, relative to the beginning of the requested time, so that a cursor of the platform can
//! carry it: milliseconds above, the number below.

use std::time::Duration;

use contracts::{ids::SiteId, injection::Injection, injection::InjectionStatus};
use jiff::Timestamp;
use platform_rest::hal::List;
use platform_store::{PageRange, PageRows, PageStart, Row, SqlError, Tx, Value};

use super::rows::{self, code_of};
use crate::{domain::Appointment, events};

/// The longest time of one request: a day and a night, in any time zone. A key has room for 37 hours.
pub const DAY_MAX: Duration = Duration::from_hours(36);

/// Bits of a key that are the number: 68 billion appointments.
const NUMBER_BITS: u32 = 36;

/// The statement for the appointments of the site `?1` between two positions. Their bounds are the only conditions on
/// the index, so that a page begins where its cursor is; on SQLite, with the first of the same start.
macro_rules! between {
    ($status:literal, $order:literal) => {
        concat!(
            "SELECT id, reservation, booking, vaccine, user_id, slot, site, starts_at_ms, status,
                    checked_in_at_ms, completed_at_ms, lot_number, body_site, dose_number, performer,
                    occurred_at_ms, dose, moves
               FROM injections
              WHERE site = ?1
                AND (starts_at_ms, id) > (?4, ?5)
                AND (starts_at_ms, id) < (?6, ?7)",
            $status,
            " ORDER BY ",
            $order,
            " LIMIT ?2 OFFSET ?3"
        )
    };
}

const ASCENDING: &str = between!("", "starts_at_ms, id");

const DESCENDING: &str = between!("", "starts_at_ms DESC, id DESC");

/// Those of one status; others of the same site and time are read and skipped.
const ASCENDING_OF_STATUS: &str = between!(" AND status = ?8", "starts_at_ms, id");

const DESCENDING_OF_STATUS: &str = between!(" AND status = ?8", "starts_at_ms DESC, id DESC");

/// Which appointments of a site are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteDay {
    /// The site.
    pub site: SiteId,
    /// Slots that start then or later.
    pub from: Timestamp,
    /// Slots that start before, at most [`DAY_MAX`] after `from`.
    pub to: Timestamp,
    /// Only those with this status.
    pub status: Option<InjectionStatus>,
}

/// A start in milliseconds since 1970, and a number.
type Position = [i64; 2];

impl SiteDay {
    /// Behind which position the day begins, and before which it ends: numbers begin with 1.
    fn bounds(&self) -> [Position; 2] {
        [[self.from.as_millisecond(), 0], [self.to.as_millisecond(), 0]]
    }

    fn key(&self, [starts_at_ms, id]: Position) -> i64 {
        ((starts_at_ms - self.from.as_millisecond()) << NUMBER_BITS) | id
    }

    fn position(&self, key: i64) -> Position {
        [self.from.as_millisecond() + (key >> NUMBER_BITS), key & ((1 << NUMBER_BITS) - 1)]
    }
}

/// A page of the appointments of a site, as others see them.
pub fn of_site(tx: &Tx<'_>, day: &SiteDay, range: PageRange) -> Result<List<Injection>, SqlError> {
    let PageRows { items, has_previous, has_next } = appointments_of_site(tx, day, range)?;
    let items = items.into_iter().map(|(key, known)| (key, events::injection(&known))).collect();
    Ok(List { rows: PageRows { items, has_previous, has_next }, total: None })
}

/// A page of the appointments of a site.
pub fn appointments_of_site(
    tx: &Tx<'_>,
    day: &SiteDay,
    range: PageRange,
) -> Result<PageRows<Appointment>, SqlError> {
    let [mut after, mut before] = day.bounds();
    let skip = match range.start {
        PageStart::Offset(skip) | PageStart::OffsetFromEnd(skip) => skip,
        PageStart::After(key) => {
            after = after.max(day.position(key));
            0
        }
        PageStart::Before(key) => {
            before = before.min(day.position(key));
            0
        }
    };
    let is_ascending = matches!(range.start, PageStart::Offset(_) | PageStart::After(_));
    // One row more than fits shows whether the list goes on.
    let mut params: Vec<Value<'_>> =
        vec![day.site.0.into(), (i64::from(range.size) + 1).into(), skip.cast_signed().into()];
    params.extend(after.into_iter().chain(before).map(Value::Int));
    params.extend(day.status.map(|status| Value::Int(code_of(status))));
    let sql = match (is_ascending, day.status) {
        (true, None) => ASCENDING,
        (false, None) => DESCENDING,
        (true, Some(_)) => ASCENDING_OF_STATUS,
        (false, Some(_)) => DESCENDING_OF_STATUS,
    };
    let items = tx.all(sql, &params, |row| keyed(day, row))?;
    Ok(PageRows::of(range, items))
}

fn keyed(day: &SiteDay, row: &Row<'_>) -> Result<(i64, Appointment), SqlError> {
    let known = rows::appointment(row)?;
    let starts_at = known.booked.slot.map(|slot| slot.starts_at).unwrap_or_default();
    Ok((day.key([starts_at.as_millisecond(), known.id.0]), known))
}
