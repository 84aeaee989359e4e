//! The tables of lots, and of the stocks of sites.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    ids::{LotId, SiteId, VaccineId},
    vaccine::lots::{LOTS_MAX, Lot, LotChange, LotChangeKind, SiteStockCount},
};
use jiff::civil::Date;
use platform_rest::hal::List;
use platform_store::{Keyset, PageRange, Row, RowChange, SqlError, Tx, Value, keyset};

use crate::{
    domain::{Ledger, LotNumber, LotRecord, SiteStock, SiteStockId, SiteStocks},
    events,
};

const LOAD_STOCK: &str = "
    SELECT site, vaccine, doses, taken, overcommitted
      FROM site_stocks
     WHERE site = ?1
       AND vaccine = ?2";

const INSERT_STOCK: &str = "
    INSERT INTO site_stocks (site, vaccine, doses, taken, margin, overcommitted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const UPDATE_STOCK: &str = "
    UPDATE site_stocks
       SET doses = ?3, taken = ?4, margin = ?5, overcommitted = ?6
     WHERE site = ?1
       AND vaccine = ?2";

pub(super) const OVERCOMMITTED: &str = "
    SELECT overcommitted
      FROM site_stocks
     WHERE overcommitted > 0";

const LOAD_LOT: &str = "
    SELECT id, site, vaccine, number, expires_on, doses, received, used, wasted, transferred, changes
      FROM lots
     WHERE id = ?1";

const LOTS_OF_STOCK: &str = "
    SELECT id, site, vaccine, number, expires_on, doses, received, used, wasted, transferred, changes
      FROM lots
     WHERE site = ?1
       AND vaccine = ?2
     LIMIT ?3";

const LAST_LOT: &str = "
    SELECT coalesce(max(id), 0)
      FROM lots";

const INSERT_LOT: &str = "
    INSERT INTO lots (id, site, vaccine, number, expires_on,
                      doses, received, used, wasted, transferred, changes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const UPDATE_LOT: &str = "
    UPDATE lots
       SET doses = ?2, received = ?3, used = ?4, wasted = ?5, transferred = ?6, changes = ?7
     WHERE id = ?1";

const INSERT_CHANGE: &str = "
    INSERT INTO lot_changes (lot, number, kind, doses, site, reason, actor, at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// The last changes of a lot.
const CHANGES: &str = "
    SELECT kind, doses, site, reason, actor, at_ms
      FROM lot_changes
     WHERE lot = ?1
  ORDER BY number DESC
     LIMIT ?2";

/// Changes that are shown with a lot, the last ones.
const CHANGES_MAX: i64 = 100;

/// All lots, by number.
const LOTS: Keyset = keyset!(
    SELECT "id, site, vaccine, number, expires_on, doses, received, used, wasted, transferred, changes"
      FROM "lots" ORDER BY "id"
);

/// The lots of a site, by number.
const OF_SITE: Keyset = keyset!(
    SELECT "id, site, vaccine, number, expires_on, doses, received, used, wasted, transferred, changes"
      FROM "lots" WHERE "site = ?4" ORDER BY "id"
);

/// The highest number of a lot ever given.
pub(super) fn last_lot(tx: &Tx<'_>) -> Result<i64, SqlError> {
    Ok(tx.find(LAST_LOT, &[], |row| row.int(0))?.unwrap_or(0))
}

/// The stocks of these lots, and those at the sites that get doses of them.
pub(super) fn of_lots(
    tx: &Tx<'_>,
    lots: &BTreeSet<(LotId, Option<SiteId>)>,
) -> Result<Vec<SiteStockId>, SqlError> {
    let keys: Vec<_> = lots.iter().map(|(id, _)| [id.0.into()]).collect();
    let found = tx.find_each(LOAD_LOT, &keys, |row| Ok(record(row)?.1.stock))?;
    let mut stocks = Vec::new();
    for ((_, to), stock) in lots.iter().zip(found) {
        let Some(stock) = stock else { continue };
        stocks.push(stock);
        stocks.extend(to.map(|site| SiteStockId { site, ..stock }));
    }
    Ok(stocks)
}

/// Loads stocks; and of some, also the lots.
pub(super) fn load(
    tx: &Tx<'_>,
    ledger: &mut Ledger,
    mut stocks: BTreeSet<SiteStockId>,
    with_lots: &BTreeSet<SiteStockId>,
) -> Result<(), SqlError> {
    stocks.extend(with_lots);
    let keys: Vec<_> = stocks.iter().map(|id| [id.site.0.into(), id.vaccine.0.into()]).collect();
    for (id, known) in tx.find_each(LOAD_STOCK, &keys, stock)?.into_iter().flatten() {
        ledger.site_stocks.stocks.load(id, known);
    }
    let lots_max = i64::try_from(LOTS_MAX).unwrap_or(i64::MAX);
    let key = |id: &SiteStockId| [id.site.0.into(), id.vaccine.0.into(), lots_max.into()];
    let keys: Vec<_> = with_lots.iter().map(key).collect();
    for (id, lot) in tx.all_each(LOTS_OF_STOCK, &keys, record)?.into_iter().flatten() {
        ledger.site_stocks.lots.load(id, lot);
    }
    Ok(())
}

fn stock(row: &Row<'_>) -> Result<(SiteStockId, SiteStock), SqlError> {
    let id = SiteStockId { site: SiteId(row.int(0)?), vaccine: VaccineId(row.int(1)?) };
    let counts = |column| -> Result<BTreeMap<Date, i64>, SqlError> {
        let counts: Vec<(Date, i64)> = serde_json::from_str(row.text(column)?)
            .map_err(|_| SqlError::Decode { column, expected: "counts by date" })?;
        Ok(counts.into_iter().collect())
    };
    let (doses, taken, overcommitted) = (counts(2)?, counts(3)?, row.int(4)?);
    Ok((id, SiteStock { doses, taken, overcommitted }))
}

fn record(row: &Row<'_>) -> Result<(LotId, LotRecord), SqlError> {
    let number = LotNumber::parse(row.text(3)?);
    let lot = LotRecord {
        stock: SiteStockId { site: SiteId(row.int(1)?), vaccine: VaccineId(row.int(2)?) },
        number: number.ok_or(SqlError::Decode { column: 3, expected: "the number of a lot" })?,
        expires_on: date(row, 4)?,
        doses: row.int(5)?,
        received: row.int(6)?,
        used: row.int(7)?,
        wasted: row.int(8)?,
        transferred: row.int(9)?,
        changes: row.int(10)?,
    };
    Ok((LotId(row.int(0)?), lot))
}

/// A date that is stored as text.
pub(super) fn date(row: &Row<'_>, column: usize) -> Result<Date, SqlError> {
    let date = row.text(column)?.parse();
    date.map_err(|_| SqlError::Decode { column, expected: "a date" })
}

/// Saves the stocks, the lots and their changes; none is ever deleted.
pub(super) fn save(tx: &Tx<'_>, site_stocks: &SiteStocks) -> Result<(), SqlError> {
    save_stocks(tx, site_stocks)?;
    save_lots(tx, site_stocks)?;
    let changes: Vec<[Value<'_>; 8]> = site_stocks
        .changes
        .iter()
        .map(|((lot, number), change)| {
            [
                lot.0.into(),
                (*number).into(),
                code_of(change.kind).into(),
                change.doses.into(),
                change.site.map(|site| site.0).into(),
                change.by.reason.as_str().into(),
                change.by.actor.as_str().into(),
                change.at.into(),
            ]
        })
        .collect();
    tx.execute_each(INSERT_CHANGE, &changes)
}

fn save_stocks(tx: &Tx<'_>, site_stocks: &SiteStocks) -> Result<(), SqlError> {
    let text =
        |counts: &BTreeMap<Date, i64>| serde_json::to_string(&counts.iter().collect::<Vec<_>>());
    let mut texts = Vec::new();
    for (id, stock, change) in site_stocks.stocks.changes() {
        texts.push((id, stock, change, text(&stock.doses)?, text(&stock.taken)?));
    }
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    for (id, stock, change, doses, taken) in &texts {
        let rows = if *change == RowChange::Inserted { &mut inserted } else { &mut updated };
        rows.push(values(id, stock, [doses, taken]));
    }
    tx.execute_each(INSERT_STOCK, &inserted)?;
    tx.execute_each(UPDATE_STOCK, &updated)
}

fn values<'a>(
    id: &SiteStockId,
    stock: &SiteStock,
    [doses, taken]: [&'a String; 2],
) -> [Value<'a>; 6] {
    [
        id.site.0.into(),
        id.vaccine.0.into(),
        doses.as_str().into(),
        taken.as_str().into(),
        stock.margin().into(),
        stock.overcommitted.into(),
    ]
}

fn save_lots(tx: &Tx<'_>, site_stocks: &SiteStocks) -> Result<(), SqlError> {
    let (mut inserted, mut updated) = (Vec::new(), Vec::new());
    let expiries: BTreeMap<_, _> =
        site_stocks.lots.changes().map(|(id, lot, _)| (*id, lot.expires_on.to_string())).collect();
    for (id, lot, change) in site_stocks.lots.changes() {
        let [doses, received, used, wasted, transferred, changes] =
            [lot.doses, lot.received, lot.used, lot.wasted, lot.transferred, lot.changes]
                .map(Value::from);
        if change == RowChange::Inserted {
            let expires_on = expiries.get(id).map(String::as_str).into();
            let SiteStockId { site, vaccine } = lot.stock;
            let number = lot.number.as_str().into();
            inserted.push([
                id.0.into(),
                site.0.into(),
                vaccine.0.into(),
                number,
                expires_on,
                doses,
                received,
                used,
                wasted,
                transferred,
                changes,
            ]);
        } else {
            updated.push([id.0.into(), doses, received, used, wasted, transferred, changes]);
        }
    }
    tx.execute_each(INSERT_LOT, &inserted)?;
    tx.execute_each(UPDATE_LOT, &updated)
}

/// One lot, with its last changes.
pub(super) fn lot(tx: &Tx<'_>, id: LotId) -> Result<Option<Lot>, SqlError> {
    let Some(mut lot) = tx.find(LOAD_LOT, &[id.0.into()], view)? else { return Ok(None) };
    lot.changes = tx.all(CHANGES, &[id.0.into(), CHANGES_MAX.into()], change)?;
    lot.changes.reverse();
    Ok(Some(lot))
}

/// A page of all lots.
pub(super) fn lots(tx: &Tx<'_>, range: PageRange) -> Result<List<Lot>, SqlError> {
    let total = last_lot(tx)?.unsigned_abs();
    Ok(List { rows: LOTS.page(tx, &[], range, view)?, total: Some(total) })
}

/// A page of the lots of a site.
pub(super) fn lots_of_site(
    tx: &Tx<'_>,
    site: SiteId,
    range: PageRange,
) -> Result<List<Lot>, SqlError> {
    Ok(List { rows: OF_SITE.page(tx, &[site.0.into()], range, view)?, total: None })
}

/// The doses of a vaccine at a site, and what claims them.
pub(super) fn count(tx: &Tx<'_>, id: SiteStockId) -> Result<Option<SiteStockCount>, SqlError> {
    let found = tx.find(LOAD_STOCK, &[id.site.0.into(), id.vaccine.0.into()], stock)?;
    Ok(found.map(|(SiteStockId { site, vaccine }, stock)| SiteStockCount {
        site_id: site,
        vaccine_id: vaccine,
        overcommitted: stock.overcommitted,
        pools: stock.pools().collect(),
        dates: stock.dates().collect(),
    }))
}

fn view(row: &Row<'_>) -> Result<Lot, SqlError> {
    record(row).map(|(id, lot)| events::lot(id, &lot))
}

fn change(row: &Row<'_>) -> Result<LotChange, SqlError> {
    let kind = kind(row.int(0)?).ok_or(SqlError::Decode { column: 0, expected: "a change" })?;
    Ok(LotChange {
        kind,
        doses: row.int(1)?,
        site_id: row.int_or_null(2)?.map(SiteId),
        reason: row.text(3)?.to_owned(),
        actor: row.text(4)?.to_owned(),
        at: row.time(5)?,
    })
}

fn kind(code: i64) -> Option<LotChangeKind> {
    use LotChangeKind::{Counted, Received, Transferred, Wasted};
    [Received, Wasted, Transferred, Counted].into_iter().find(|kind| code_of(*kind) == code)
}

fn code_of(kind: LotChangeKind) -> i64 {
    match kind {
        LotChangeKind::Received => 0,
        LotChangeKind::Wasted => 1,
        LotChangeKind::Transferred => 2,
        LotChangeKind::Counted => 3,
    }
}
