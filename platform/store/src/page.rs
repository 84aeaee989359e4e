//! Pages of a list by keyset: a page begins after or before a key, at the same cost anywhere.

use crate::{
    error::SqlError,
    outbox::Event,
    sql::Tx,
    value::{Row, Value},
};

/// Where a page of a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStart {
    /// After so many items. They are skipped one by one, so the caller limits them.
    Offset(u64),
    /// The page ends before so many items at the end of the list. They are skipped likewise.
    OffsetFromEnd(u64),
    /// Behind the item of this key.
    After(i64),
    /// The page ends before the item of this key.
    Before(i64),
}

/// Which items of a list are a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// Where the page begins.
    pub start: PageStart,
    /// How many items it has at most.
    pub size: u32,
}

/// One page of a list, and whether there are items around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRows<T> {
    /// Keys and items, in the order of the keys.
    pub items: Vec<(i64, T)>,
    /// Whether items come before this page.
    pub has_previous: bool,
    /// Whether items come after this page.
    pub has_next: bool,
}

/// The statements that read a list in the order of its key. Parameters: `?1` the key, `?2` how many rows,
/// `?3` how many to skip, from `?4` those of the list. The first column is the key.
#[derive(Clone, Copy, Debug)]
pub struct Keyset {
    /// Rows with a key above `?1`, ascending.
    pub after: &'static str,
    /// Rows with a key below `?1`, descending.
    pub before: &'static str,
}

impl Keyset {
    /// The rows of a list after a key as events, for [`Aggregate::snapshot`](crate::Aggregate::snapshot).
    pub fn snapshot(
        &self,
        tx: &Tx<'_>,
        after: i64,
        limit: u32,
        event: impl Fn(&Row<'_>) -> Result<Event, SqlError>,
    ) -> Result<Vec<(i64, Event)>, SqlError> {
        let range = PageRange { start: PageStart::After(after), size: limit };
        Ok(self.page(tx, &[], range, event)?.items)
    }

    /// Reads one page of the list that the parameters from `?4` select.
    pub fn page<T>(
        &self,
        tx: &Tx<'_>,
        list: &[Value<'_>],
        PageRange { start, size }: PageRange,
        read: impl Fn(&Row<'_>) -> Result<T, SqlError>,
    ) -> Result<PageRows<T>, SqlError> {
        let (sql, key, skip) = match start {
            PageStart::Offset(skip) => (self.after, i64::MIN, skip),
            PageStart::OffsetFromEnd(skip) => (self.before, i64::MAX, skip),
            PageStart::After(key) => (self.after, key, 0),
            PageStart::Before(key) => (self.before, key, 0),
        };
        // One row more than fits shows whether the list goes on.
        let rows = i64::from(size) + 1;
        let mut params: Vec<Value<'_>> = vec![key.into(), rows.into(), skip.cast_signed().into()];
        params.extend(list);
        let items = tx.all(sql, &params, |row| Ok((row.int(0)?, read(row)?)))?;
        Ok(PageRows::of(PageRange { start, size }, items))
    }
}

impl<T> PageRows<T> {
    /// The page of a range. The items are in the order in which they were read, which is descending for a page that
    /// ends before something; one more than fits shows that the list goes on.
    pub fn of(PageRange { start, size }: PageRange, mut items: Vec<(i64, T)>) -> Self {
        let goes_on = items.len() > usize::try_from(size).unwrap_or(usize::MAX);
        if goes_on {
            items.pop();
        }
        let (has_previous, has_next) = match start {
            PageStart::Offset(skip) => (skip > 0, goes_on),
            // The item of the key itself is on the other side.
            PageStart::After(_) => (true, goes_on),
            PageStart::Before(_) => (goes_on, true),
            PageStart::OffsetFromEnd(skip) => (goes_on, skip > 0),
        };
        if matches!(start, PageStart::Before(_) | PageStart::OffsetFromEnd(_)) {
            items.reverse();
        }
        Self { items, has_previous, has_next }
    }
}
