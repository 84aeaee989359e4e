//! Lots of sites, and the decisions about them.
//!
//! Doses that are claimed cannot be taken away silently: who wastes, transfers or counts them down is refused, unless
//! they say that the bookings have to move; the stock is then overcommitted by these.

use std::collections::BTreeMap;

use contracts::{
    ids::LotId,
    vaccine::lots::{LOTS_MAX, LotChangeKind},
};
use jiff::civil::Date;
use platform_store::ChangeSet;

use super::{
    lot_records::{ChangeLot, LotChangeRecord, LotRecord, ReceiveLot},
    records::Refusal,
    site_stock::SiteStock,
    values::{LotNumber, SiteStockId},
};

/// The lots and the stocks of sites that a batch of commands names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteStocks {
    /// Stocks.
    pub stocks: ChangeSet<SiteStockId, SiteStock>,
    /// Lots; of each stock whose lots may change, all.
    pub lots: ChangeSet<LotId, LotRecord>,
    /// What happened to lots, by the number of the change.
    pub changes: BTreeMap<(LotId, i64), LotChangeRecord>,
    /// The highest number of a lot ever given.
    pub last_lot: i64,
}

impl SiteStocks {
    pub(super) fn receive(&mut self, receive: &ReceiveLot) -> Result<(LotId, LotRecord), Refusal> {
        let ReceiveLot { stock, number, expires_on, doses, by, at } = receive;
        if let Some((known, _)) = self.find(*stock, number) {
            return Err(Refusal::LotExists(known));
        }
        let id = self.add_lot(*stock, number, *expires_on)?;
        let record = LotChangeRecord {
            kind: LotChangeKind::Received,
            doses: *doses,
            site: None,
            by: by.clone(),
            at: *at,
        };
        self.apply(id, record, |lot| lot.received += doses);
        self.known(id)
    }

    pub(super) fn change(&mut self, change: &ChangeLot) -> Result<(LotId, LotRecord), Refusal> {
        let ChangeLot { lot: id, kind, doses, to, overcommit, expected, by, at } = change;
        let (_, known) = self.known(*id)?;
        if expected.is_some_and(|changes| changes != known.changes) {
            return Err(Refusal::Stale);
        }
        let left = match kind {
            LotChangeKind::Received => known.doses + doses,
            LotChangeKind::Counted => *doses,
            LotChangeKind::Wasted | LotChangeKind::Transferred => known.doses - doses,
        };
        if left < 0 {
            return Err(Refusal::NotEnoughDoses { doses: known.doses });
        }
        if !overcommit {
            self.check_claimed(&known, left)?;
        }
        let record =
            LotChangeRecord { kind: *kind, doses: *doses, site: *to, by: by.clone(), at: *at };
        if let (LotChangeKind::Transferred, Some(site)) = (kind, to) {
            self.arrive(SiteStockId { site: *site, ..known.stock }, &known, &record)?;
        }
        self.apply(*id, record, |lot| match kind {
            LotChangeKind::Received => lot.received += doses,
            LotChangeKind::Wasted => lot.wasted += doses,
            LotChangeKind::Transferred => lot.transferred += doses,
            LotChangeKind::Counted => {}
        });
        self.known(*id)
    }

    /// A dose is used: of the lot that was recorded, if the site has doses of it, whenever it expires; otherwise of the first
    /// lot to expire that is valid on the date.
    pub(super) fn use_dose(&mut self, id: SiteStockId, date: Date, recorded: Option<&LotNumber>) {
        let of_stock = || self.lots.iter().filter(|(_, lot)| lot.stock == id && lot.doses > 0);
        let recorded = of_stock().find(|(_, lot)| recorded == Some(&lot.number));
        let valid = of_stock().filter(|(_, lot)| lot.expires_on >= date);
        let first = valid.min_by_key(|(id, lot)| (lot.expires_on, **id));
        let lot = recorded.or(first).map(|(id, _)| *id);
        if let Some(lot) = lot.and_then(|id| self.lots.get_mut(&id)) {
            lot.doses -= 1;
            lot.used += 1;
            let expires_on = lot.expires_on;
            self.stock_mut(id).add_doses(expires_on, -1);
        }
        self.stock_mut(id).overcommit();
    }

    /// A stock, which may have no lots yet.
    pub(super) fn stock_mut(&mut self, id: SiteStockId) -> &mut SiteStock {
        self.stocks.get_mut_or_default(id)
    }

    /// Whether no reservation loses its dose that had one.
    fn check_claimed(&self, lot: &LotRecord, left: i64) -> Result<(), Refusal> {
        let Some(before) = self.stocks.get(&lot.stock) else { return Ok(()) };
        let mut after = before.clone();
        after.add_doses(lot.expires_on, left - lot.doses);
        let short = -after.margin();
        if short <= 0 || after.margin() >= before.margin() {
            return Ok(());
        }
        let tightest = after.pools().find(|pool| pool.doses - pool.taken == -short);
        Err(Refusal::DosesClaimed { short, after: tightest.and_then(|pool| pool.after) })
    }

    /// Doses of a lot arrive from another site.
    fn arrive(
        &mut self,
        stock: SiteStockId,
        from: &LotRecord,
        record: &LotChangeRecord,
    ) -> Result<(), Refusal> {
        let id = match self.find(stock, &from.number) {
            Some((_, known)) if known.expires_on != from.expires_on => {
                return Err(Refusal::OtherExpiry { expires_on: known.expires_on });
            }
            Some((id, _)) => id,
            None => self.add_lot(stock, &from.number, from.expires_on)?,
        };
        let doses = record.doses;
        let arrival = LotChangeRecord {
            kind: LotChangeKind::Received,
            site: Some(from.stock.site),
            ..record.clone()
        };
        self.apply(id, arrival, |lot| lot.received += doses);
        Ok(())
    }

    fn add_lot(
        &mut self,
        stock: SiteStockId,
        number: &LotNumber,
        expires_on: Date,
    ) -> Result<LotId, Refusal> {
        if self.lots.iter().filter(|(_, lot)| lot.stock == stock).count() >= LOTS_MAX {
            return Err(Refusal::TooManyLots);
        }
        self.last_lot += 1;
        let id = LotId(self.last_lot);
        let number = number.clone();
        let [doses, received, used, wasted, transferred, changes] = [0; 6];
        let lot = LotRecord {
            stock,
            number,
            expires_on,
            doses,
            received,
            used,
            wasted,
            transferred,
            changes,
        };
        self.lots.insert(id, lot);
        Ok(id)
    }

    /// Records a change of a lot, and counts the doses of its stock.
    fn apply(&mut self, id: LotId, record: LotChangeRecord, count: impl Fn(&mut LotRecord)) {
        let Some(lot) = self.lots.get_mut(&id) else { return };
        let before = lot.doses;
        lot.doses = match record.kind {
            LotChangeKind::Received => before + record.doses,
            LotChangeKind::Counted => record.doses,
            LotChangeKind::Wasted | LotChangeKind::Transferred => before - record.doses,
        };
        lot.changes += 1;
        count(lot);
        let (stock, expires_on, added) = (lot.stock, lot.expires_on, lot.doses - before);
        self.changes.insert((id, lot.changes), record);
        let stock = self.stock_mut(stock);
        stock.add_doses(expires_on, added);
        stock.overcommit();
        stock.reduce_overcommitted();
    }

    fn find(&self, stock: SiteStockId, number: &LotNumber) -> Option<(LotId, &LotRecord)> {
        let is_it = |lot: &LotRecord| (lot.stock, &lot.number) == (stock, number);
        self.lots.iter().find(|(_, lot)| is_it(lot)).map(|(id, lot)| (*id, lot))
    }

    fn known(&self, id: LotId) -> Result<(LotId, LotRecord), Refusal> {
        let known = self.lots.get(&id).cloned();
        known.map(|lot| (id, lot)).ok_or(Refusal::NoSuchLot)
    }
}
