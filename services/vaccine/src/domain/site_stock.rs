//! The doses of a vaccine at a site, by expiry, and what claims them, by date.
//!
//! A dose can serve the dates up to its expiry. So reservations can all be served exactly when for every expiry date,
//! and for all of time, the reservations after it are no more than the doses that can be used after it: Hall's condition
//! for sets that are nested in each other (P. Hall, On Representatives of Subsets, 1935). Each of these is a pool, and a
//! reservation claims a unit of every one that ends before its date. Which lot it gets is decided at the injection.

use std::{collections::BTreeMap, iter};

use contracts::vaccine::lots::{DateCount, ExpiryPool};
use jiff::civil::Date;

/// The doses of a vaccine at a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteStock {
    /// Doses by the last date on which they can be used; none is 0.
    pub doses: BTreeMap<Date, i64>,
    /// Reservations by date, held or booked; none is 0.
    pub taken: BTreeMap<Date, i64>,
    /// Reservations without a dose. No hold adds to it.
    pub overcommitted: i64,
}

impl SiteStock {
    /// The nested pools: that of all time first, then by date.
    pub fn pools(&self) -> impl Iterator<Item = ExpiryPool> {
        let after = |counts: &BTreeMap<Date, i64>, date: Option<Date>| -> i64 {
            counts
                .iter()
                .filter(|(key, _)| date.is_none_or(|date| **key > date))
                .map(|(_, n)| n)
                .sum()
        };
        iter::once(None).chain(self.doses.keys().copied().map(Some)).map(move |date| ExpiryPool {
            after: date,
            doses: after(&self.doses, date),
            taken: after(&self.taken, date),
        })
    }

    /// Reservations by date.
    pub fn dates(&self) -> impl Iterator<Item = DateCount> {
        self.taken.iter().map(|(date, taken)| DateCount { date: *date, taken: *taken })
    }

    /// How many reservations there is room for that each claim a dose on all of these dates.
    pub(super) fn free(&self, dates: &[Date]) -> i64 {
        let free = self.pools().filter_map(|pool| {
            let units = dates.iter().filter(|date| pool.after.is_none_or(|after| **date > after));
            let units = i64::try_from(units.count()).unwrap_or(i64::MAX);
            (units > 0).then(|| (pool.doses - pool.taken).max(0) / units)
        });
        free.min().unwrap_or_default()
    }

    /// Doses left in the pool that has fewest; below zero, so many reservations have no dose.
    pub fn margin(&self) -> i64 {
        self.pools().map(|pool| pool.doses - pool.taken).min().unwrap_or_default()
    }

    pub(super) fn take(&mut self, date: Date, count: i64) {
        add(&mut self.taken, date, count);
    }

    pub(super) fn give_back(&mut self, date: Date) {
        add(&mut self.taken, date, -1);
        self.reduce_overcommitted();
    }

    /// What was taken, used or lost was so although there was no room for it.
    pub(super) fn overcommit(&mut self) {
        self.overcommitted = self.overcommitted.max(-self.margin());
    }

    /// After doses became free, they are those that were missing.
    pub(super) fn reduce_overcommitted(&mut self) {
        self.overcommitted = self.overcommitted.min(-self.margin()).max(0);
    }

    /// Changes the doses of an expiry.
    pub(super) fn add_doses(&mut self, expires_on: Date, count: i64) {
        add(&mut self.doses, expires_on, count);
    }
}

fn add(counts: &mut BTreeMap<Date, i64>, date: Date, count: i64) {
    let counted = counts.entry(date).or_default();
    *counted = (*counted + count).max(0);
    if *counted == 0 {
        counts.remove(&date);
    }
}
