//! What reservations claim, unit by unit.

use std::borrow::Cow;

use contracts::campaign::DoseSource;
use jiff::civil::Date;

use super::{
    Ledger,
    records::{HoldDoses, Refusal},
    slots::Slots,
    values::{LotNumber, Name, PoolId, SiteStockId, doses},
};

impl Ledger {
    /// The claims of a hold as they are counted: where a slot needs doses of its site, these instead of the central ones.
    pub(super) fn located<'a>(&self, hold: &'a HoldDoses) -> Cow<'a, HoldDoses> {
        let claims = self.located_claims(&hold.claims);
        let next = hold.next.as_ref().and_then(|next| self.located_claims(next));
        if claims.is_none() && next.is_none() {
            return Cow::Borrowed(hold);
        }
        let mut located = hold.clone();
        located.claims = claims.unwrap_or(located.claims);
        located.next = next.or(located.next);
        Cow::Owned(located)
    }

    /// None, where they stay as they are.
    fn located_claims(&self, claims: &[PoolId]) -> Option<Vec<PoolId>> {
        let place = claims.iter().find_map(|id| self.slots.places.get(id))?;
        let campaign = self.slots.campaigns.get(&place.campaign)?;
        if campaign.doses == DoseSource::Central {
            return None;
        }
        let located = |id: &PoolId| match *id {
            PoolId::Vaccine(vaccine) => {
                PoolId::SiteDoses(SiteStockId { site: place.site, vaccine }, place.date)
            }
            other @ (PoolId::SiteDoses(..) | PoolId::Slot(_)) => other,
        };
        Some(claims.iter().map(located).collect())
    }

    /// Of no pool there is nothing to take. A site without lots has a stock of none.
    pub(super) fn check_pools(&self, claims: &[PoolId]) -> Result<(), Refusal> {
        let exists = |id: &PoolId| self.pools.get(&id.requested()).is_some();
        match claims.iter().find(|id| !exists(id)) {
            Some(id) if id.is_slot() => Err(Refusal::NoSuchSlot),
            None if !claims.is_empty() => Ok(()),
            Some(_) | None => Err(Refusal::NoSuchPool),
        }
    }

    /// How many reservations with these claims the pools have room for.
    pub(super) fn free(&self, claims: &[PoolId]) -> i64 {
        let free = |id: &PoolId| match *id {
            PoolId::SiteDoses(stock, _) => {
                let dates = dates(claims, stock);
                self.site_stocks.stocks.get(&stock).map_or(0, |stock| stock.free(&dates))
            }
            PoolId::Vaccine(_) | PoolId::Slot(_) => {
                self.pools.get(id).map_or(0, |pool| pool.free().max(0) / units(claims, *id))
            }
        };
        claims.iter().map(free).min().unwrap_or_default()
    }

    /// Why there is no room for a reservation.
    pub(super) fn refusal(&self, hold: &HoldDoses) -> Refusal {
        let first = doses(&hold.claims);
        if !first.is_empty() && self.free(&first) == 0 {
            return Refusal::SoldOut;
        }
        if self.free(&hold.claims) == 0 {
            return Refusal::SlotFull;
        }
        // A last dose of the central stock is none for a series, whatever the time.
        let both = doses(&hold.all_claims());
        let is_central = both.iter().all(|id| id.site_stock().is_none());
        if is_central && self.free(&both) == 0 { Refusal::SoldOut } else { Refusal::NextSlotFull }
    }

    pub(super) fn take_units(&mut self, claims: &[PoolId], count: u32) {
        let count = i64::from(count);
        for id in claims {
            if let PoolId::SiteDoses(stock, date) = *id {
                self.site_stocks.stock_mut(stock).take(date, count);
            } else if let Some(pool) = self.pools.get_mut(id) {
                pool.taken += count;
            }
        }
    }

    pub(super) fn give_back_units(&mut self, claims: &[PoolId]) {
        for id in claims {
            if let PoolId::SiteDoses(stock, date) = *id {
                self.site_stocks.stock_mut(stock).give_back(date);
            } else if let Some(pool) = self.pools.get_mut(id) {
                pool.taken -= 1;
                pool.reduce_overcommitted();
            }
        }
    }

    /// A unit of each was taken, whether or not there was room for it. To a ledger that was restored, slots may not be
    /// known yet.
    pub(super) fn take_unguarded(&mut self, hold: &HoldDoses) {
        Slots::add_missing(&hold.claims, &mut self.pools);
        self.take_units(&hold.claims, 1);
        for id in &hold.claims {
            if let PoolId::SiteDoses(stock, _) = *id {
                self.site_stocks.stock_mut(stock).overcommit();
            } else if let Some(pool) = self.pools.get_mut(id) {
                pool.overcommit();
            }
        }
    }

    /// A dose is gone, a place remains: it was used.
    pub(super) fn use_units(&mut self, claims: &[PoolId], lot: Option<&LotNumber>) {
        for id in claims {
            match *id {
                PoolId::SiteDoses(stock, date) => self.site_stocks.use_dose(stock, date, lot),
                PoolId::Slot(_) => {
                    if let Some(pool) = self.pools.get_mut(id) {
                        pool.take_again();
                    }
                }
                PoolId::Vaccine(_) => {
                    if let Some(pool) = self.pools.get_mut(id) {
                        pool.use_one();
                    }
                }
            }
        }
    }

    /// The name of the vaccine.
    pub(super) fn name(&self, claims: &[PoolId]) -> Result<Name, Refusal> {
        let first = claims.first().and_then(|id| self.pools.get(&id.requested()));
        first.map(|pool| pool.name.clone()).ok_or(Refusal::NoSuchPool)
    }
}

/// The dates on which these claims need doses of a stock.
fn dates(claims: &[PoolId], stock: SiteStockId) -> Vec<Date> {
    let of_stock = claims.iter().filter_map(|id| id.site_stock()).filter(|(id, _)| *id == stock);
    of_stock.map(|(_, date)| date).collect()
}

/// How many units of a pool are claimed.
fn units(claims: &[PoolId], id: PoolId) -> i64 {
    let units = claims.iter().filter(|claim| **claim == id).count();
    i64::try_from(units).unwrap_or(i64::MAX)
}
