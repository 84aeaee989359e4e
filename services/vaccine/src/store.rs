//! Where the ledger is kept: load and save. All SQL is here; that of reservations is in `blocks`.

use std::{collections::BTreeSet, time::Duration};

use contracts::{
    campaign::DoseSource,
    ids::{CampaignId, LotId, ReservationId, SiteId, SlotId, StoreId, VaccineId},
    vaccine::{
        OrphanedHolds, Reservation, SlotCount, Vaccine,
        availability::{AVAILABLE_SLOTS_MAX, DoseAvailability, SlotAvailability},
        lots::{Lot, SiteStockCount},
        product::Product,
    },
};
use jiff::{Timestamp, civil::Date};
use platform_rest::hal::List;
use platform_store::{
    Aggregate, Event, Keyset, Migration, PageRange, PendingQuery, ReadError, ReadPool, Row,
    RowChange, SqlError, Tx, keyset,
};

use crate::{
    domain::{
        AbortReservation, AdministerDose, ChangeLot, ChangeVaccine, Command, ConfirmHold, Doses,
        HoldDoses, Ledger, MoveReservation, Name, PlanSlots, Pool, PoolId, ReleaseReservation,
        RemoveVaccine, Reply, ReservationRecord, ReturnDose, SetProduct, SiteStockId, decide,
    },
    events,
};

mod blocks;
mod products;
mod site_stocks;
mod slots;

/// The schema.
pub const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_ledger.sql",
    sqlite: include_str!("../migrations/sqlite/0001_ledger.sql"),
    postgres: include_str!("../migrations/postgres/0001_ledger.sql"),
}];

const LOAD_POOL: &str = "
    SELECT id, name, stock, taken, overcommitted
      FROM pools
     WHERE id = ?1";

const LAST_POOL: &str = "
    SELECT id
      FROM last_pool";

const SAVE_LAST_POOL: &str = "
    UPDATE last_pool
       SET id = ?1
     WHERE id < ?1";

const INSERT_POOL: &str = "
    INSERT INTO pools (id, name, stock, taken, overcommitted)
         VALUES (?1, ?2, ?3, ?4, ?5)";

const UPDATE_POOL: &str = "
    UPDATE pools
       SET name = ?2, stock = ?3, taken = ?4, overcommitted = ?5
     WHERE id = ?1";

const DELETE_POOL: &str = "
    DELETE FROM pools
     WHERE id = ?1";

/// All vaccines, by number.
const VACCINES: Keyset =
    keyset!(SELECT "id, name, stock, taken, overcommitted" FROM "pools" ORDER BY "id");

const OVERCOMMITTED: &str = "
    SELECT overcommitted
      FROM pools
     WHERE overcommitted > 0";

/// A hold that is so far in the future was requested before the wall clock was set back: nobody knows its age. Two
/// processes on one database may differ by less.
const CLOCK_STEP_MIN: Duration = Duration::from_mins(1);

impl Aggregate for Ledger {
    type Command = Command;
    type Reply = Reply;

    fn load(tx: &Tx<'_>, commands: &[&Command]) -> Result<Self, SqlError> {
        let mut named = Named::default();
        for command in commands {
            named.add(command);
        }
        let last_pool = named.last_pool.then(|| tx.enqueue(LAST_POOL, &[])).transpose()?;
        let mut ledger = load(tx, &named)?;
        if let Some(last_pool) = last_pool {
            ledger.last_pool = last_pool.first(|row| row.int(0))?.unwrap_or(0);
        }
        Ok(ledger)
    }

    fn decide(&mut self, command: &Command) -> Reply {
        decide(self, command)
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        save_pools(tx, self)?;
        blocks::save(tx, &self.reservations)?;
        products::save(tx, &self.products)?;
        slots::save(tx, self)?;
        site_stocks::save(tx, &self.site_stocks)?;
        if self.last_pool > 0 {
            tx.execute(SAVE_LAST_POOL, &[self.last_pool.into()])?;
        }
        Ok(())
    }

    fn events(
        command: &Command,
        reply: &Reply,
    ) -> serde_json::Result<impl IntoIterator<Item = Event>> {
        events::event(command, reply)
    }

    /// None: no service consumes the events of vaccines.
    fn snapshot(_: &Tx<'_>, _: i64, _: u32) -> Result<Vec<(i64, Event)>, SqlError> {
        Ok(Vec::new())
    }

    fn prune(tx: &Tx<'_>, before_ms: i64) -> Result<usize, SqlError> {
        blocks::RELEASED.prune(tx, before_ms, |row| row.uuid(0))
    }
}

/// The rows that commands name.
#[derive(Default)]
struct Named {
    reservations: BTreeSet<ReservationId>,
    pools: BTreeSet<PoolId>,
    campaigns: BTreeSet<CampaignId>,
    products: BTreeSet<VaccineId>,
    /// Of which a dose is used.
    used: BTreeSet<ReservationId>,
    /// Lots, and the sites that get doses of them.
    lots: BTreeSet<(LotId, Option<SiteId>)>,
    /// Stocks whose lots may change.
    lots_of: BTreeSet<SiteStockId>,
    last_pool: bool,
    last_lot: bool,
}

impl Named {
    fn add(&mut self, command: &Command) {
        match command {
            Command::Register(_) => self.last_pool = true,
            Command::Change(ChangeVaccine { vaccine, .. }) => {
                self.pools.insert((*vaccine).into());
            }
            Command::Remove(RemoveVaccine { vaccine, .. })
            | Command::SetProduct(SetProduct { vaccine, .. }) => {
                self.pools.insert((*vaccine).into());
                self.products.insert(*vaccine);
            }
            Command::Hold(hold) => self.add_hold(hold),
            Command::Confirm(ConfirmHold(hold)) => {
                self.reservations.insert(hold.reservation);
                self.pools.extend(&hold.claims);
            }
            Command::Release(ReleaseReservation { reservation, of, at: _ }) => {
                self.reservations.insert(*reservation);
                self.pools.extend(of);
            }
            Command::Return(ReturnDose { reservation, .. })
            | Command::Abort(AbortReservation { reservation, .. }) => {
                self.reservations.insert(*reservation);
            }
            Command::Move(MoveReservation { previous, reservation, claims, .. }) => {
                self.reservations.extend(previous);
                self.reservations.insert(*reservation);
                self.pools.extend(claims);
            }
            Command::Administer(AdministerDose { reservation, claims, lot: _, at: _ }) => {
                self.reservations.insert(*reservation);
                self.used.insert(*reservation);
                self.pools.extend(claims);
            }
            Command::PlanSlots(PlanSlots(slots)) => {
                self.pools.extend(slots.iter().map(|planned| PoolId::from(planned.slot)));
                self.campaigns.extend(slots.iter().map(|planned| planned.place.campaign));
            }
            Command::RecordCampaign(change) => {
                self.campaigns.insert(change.id);
            }
            Command::ReceiveLot(receive) => {
                self.pools.insert(receive.stock.vaccine.into());
                self.lots_of.insert(receive.stock);
                self.last_lot = true;
            }
            Command::ChangeLot(ChangeLot { lot, to, .. }) => {
                self.lots.insert((*lot, *to));
                self.last_lot |= to.is_some();
            }
        }
    }

    /// The blocks of its first and its last reservation say whether the others are known.
    fn add_hold(&mut self, hold: &HoldDoses) {
        self.reservations.insert(hold.first);
        self.reservations.extend(hold.last());
        self.pools.extend(&hold.claims);
        if let Some(next) = &hold.next {
            self.reservations.extend(hold.first.nth(hold.count));
            self.pools.extend(next);
            self.products.extend(hold.claims.iter().filter_map(|id| id.vaccine()));
        }
    }
}

/// Queries the named vaccines before the reservations are known: most of these name no other pools.
fn load(tx: &Tx<'_>, named: &Named) -> Result<Ledger, SqlError> {
    let mut ledger = Ledger::default();
    let named_vaccines = query_vaccines(tx, &named.pools)?;
    ledger.reservations = blocks::load(tx, &named.reservations)?;
    let mut further_pools = BTreeSet::new();
    for known in named.reservations.iter().filter_map(|id| ledger.reservations.get(id)) {
        let claims = known.claims.iter().flat_map(|id| [*id, id.requested()]);
        further_pools.extend(claims.filter(|id| !named.pools.contains(id)));
    }
    load_vaccines(&mut ledger, named_vaccines)?;
    load_vaccines(&mut ledger, query_vaccines(tx, &further_pools)?)?;
    slots::load(tx, &mut ledger, named.pools.union(&further_pools))?;
    slots::load_campaigns(tx, &mut ledger, &named.campaigns)?;
    products::load(tx, &mut ledger, &named.products)?;
    let pools = named.pools.union(&further_pools);
    let claimed: BTreeSet<_> = pools.filter_map(|id| Some(id.site_stock()?.0)).collect();
    let needed = located(&ledger, &named.pools).chain(claimed).collect();
    let with_lots = lots_of(tx, &ledger, named)?;
    site_stocks::load(tx, &mut ledger, needed, &with_lots)?;
    if named.last_lot {
        ledger.site_stocks.last_lot = site_stocks::last_lot(tx)?;
    }
    Ok(ledger)
}

/// The stocks of the sites of these slots that holds of these vaccines may need.
fn located<'a>(
    ledger: &'a Ledger,
    pools: &'a BTreeSet<PoolId>,
) -> impl Iterator<Item = SiteStockId> + 'a {
    let slots = pools.iter().filter_map(|id| ledger.slots.places.get(id));
    slots.flat_map(|place| {
        let campaign = ledger.slots.campaigns.get(&place.campaign);
        let from_lots = campaign.filter(|known| known.doses == DoseSource::SiteLots);
        let vaccines = from_lots.into_iter().flat_map(|campaign| &campaign.vaccines);
        let wanted = vaccines.filter(|id| pools.contains(&PoolId::from(**id)));
        wanted.map(|vaccine| SiteStockId { site: place.site, vaccine: *vaccine })
    })
}

/// The stocks whose lots may change.
fn lots_of(tx: &Tx<'_>, ledger: &Ledger, named: &Named) -> Result<BTreeSet<SiteStockId>, SqlError> {
    let mut stocks = named.lots_of.clone();
    for known in named.used.iter().filter_map(|id| ledger.reservations.get(id)) {
        stocks.extend(known.claims.iter().filter_map(|id| Some(id.site_stock()?.0)));
    }
    stocks.extend(site_stocks::of_lots(tx, &named.lots)?);
    Ok(stocks)
}

fn query_vaccines<'a>(
    tx: &Tx<'a>,
    pools: &BTreeSet<PoolId>,
) -> Result<Vec<PendingQuery<'a>>, SqlError> {
    let vaccines = pools.iter().filter(|id| id.site_stock().is_none());
    let vaccines = vaccines.filter_map(|id| id.vaccine());
    vaccines.map(|id| tx.enqueue(LOAD_POOL, &[id.0.into()])).collect()
}

fn load_vaccines(ledger: &mut Ledger, pending: Vec<PendingQuery<'_>>) -> Result<(), SqlError> {
    for pending in pending {
        if let Some((id, known)) = pending.first(pool)? {
            ledger.pools.load(id.into(), known);
        }
    }
    Ok(())
}

fn pool(row: &Row<'_>) -> Result<(VaccineId, Pool), SqlError> {
    let name = Name::parse(row.text(1)?);
    let stock = Doses::parse(row.int(2)?);
    let pool = Pool {
        name: name.ok_or(SqlError::Decode { column: 1, expected: "a name" })?,
        stock: stock.ok_or(SqlError::Decode { column: 2, expected: "a number of doses" })?,
        taken: row.int(3)?,
        overcommitted: row.int(4)?,
    };
    Ok((VaccineId(row.int(0)?), pool))
}

fn save_pools(tx: &Tx<'_>, ledger: &Ledger) -> Result<(), SqlError> {
    for (id, pool, change) in ledger.pools.changes() {
        let Some(id) = id.vaccine() else { continue };
        let row = [
            id.0.into(),
            pool.name.as_str().into(),
            pool.stock.count().into(),
            pool.taken.into(),
            pool.overcommitted.into(),
        ];
        match change {
            RowChange::Inserted => tx.execute(INSERT_POOL, &row)?,
            RowChange::Updated => tx.execute(UPDATE_POOL, &row)?,
            RowChange::Deleted => tx.execute(DELETE_POOL, &[id.0.into()])?,
        }
    }
    Ok(())
}

/// Which holds are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct HoldFilter {
    /// Those of one store, or of all.
    pub owner: Option<StoreId>,
    /// Those that claim this pool, or any.
    pub pool: Option<PoolId>,
}

/// Reads the ledger.
#[derive(Clone, Debug)]
pub struct Queries(pub ReadPool);

impl Queries {
    /// One vaccine.
    pub async fn vaccine(&self, id: VaccineId) -> Result<Option<Vaccine>, ReadError> {
        self.0.read(move |tx| tx.find(LOAD_POOL, &[id.0.into()], vaccine)).await
    }

    /// One vaccine, as decisions see it.
    pub async fn pool(&self, id: VaccineId) -> Result<Option<Pool>, ReadError> {
        let find = move |tx: &Tx<'_>| tx.find(LOAD_POOL, &[id.0.into()], pool);
        Ok(self.0.read(find).await?.map(|(_, pool)| pool))
    }

    /// The product rules of a vaccine.
    pub async fn product(&self, id: VaccineId) -> Result<Option<Product>, ReadError> {
        self.0.read(move |tx| products::of(tx, id)).await
    }

    /// One slot.
    pub async fn slot(&self, id: SlotId) -> Result<Option<SlotCount>, ReadError> {
        self.0.read(move |tx| slots::count(tx, id)).await
    }

    /// What is free at a site on these dates, all of one moment; none if there are more slots than
    /// [`AVAILABLE_SLOTS_MAX`].
    pub async fn availability(
        &self,
        site: SiteId,
        dates: [Date; 2],
    ) -> Result<Option<PlacesAndDoses>, ReadError> {
        self.0.read(move |tx| availability(tx, site, dates)).await
    }

    /// A page of the vaccines. How many there are is not known without counting: numbers have gaps.
    pub async fn vaccines(&self, range: PageRange) -> Result<List<Vaccine>, ReadError> {
        self.0.read(move |tx| vaccines(tx, range)).await
    }

    /// The rows that holds name, all of one moment.
    pub async fn of_holds<'a>(
        &self,
        holds: impl Iterator<Item = &'a HoldDoses>,
    ) -> Result<Ledger, ReadError> {
        let mut named = Named::default();
        for hold in holds {
            named.add_hold(hold);
        }
        self.0.read(move |tx| load(tx, &named)).await
    }

    /// Doses by which all vaccines are overcommitted, and places by which all slots are.
    pub async fn overcommitted(&self) -> Result<[i64; 2], ReadError> {
        let all = |tx: &Tx<'_>, sql| {
            let units: Vec<i64> = tx.all(sql, &[], |row| row.int(0))?;
            Ok::<i64, SqlError>(units.into_iter().sum())
        };
        let read = self.0.read(move |tx| {
            let doses = all(tx, OVERCOMMITTED)? + all(tx, site_stocks::OVERCOMMITTED)?;
            Ok([doses, all(tx, slots::OVERCOMMITTED)?])
        });
        read.await
    }

    /// One lot, with what happened to it.
    pub async fn lot(&self, id: LotId) -> Result<Option<Lot>, ReadError> {
        self.0.read(move |tx| site_stocks::lot(tx, id)).await
    }

    /// A page of all lots.
    pub async fn lots(&self, range: PageRange) -> Result<List<Lot>, ReadError> {
        self.0.read(move |tx| site_stocks::lots(tx, range)).await
    }

    /// A page of the lots of a site.
    pub async fn lots_of(&self, site: SiteId, range: PageRange) -> Result<List<Lot>, ReadError> {
        self.0.read(move |tx| site_stocks::lots_of_site(tx, site, range)).await
    }

    /// The doses of a vaccine at a site, and what claims them.
    pub async fn site_stock(&self, id: SiteStockId) -> Result<Option<SiteStockCount>, ReadError> {
        self.0.read(move |tx| site_stocks::count(tx, id)).await
    }

    /// One reservation.
    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, ReadError> {
        let read = self.0.read(move |tx| {
            let reservations = blocks::load(tx, &BTreeSet::from([id]))?;
            Ok(reservations.get(&id).and_then(|known| view(id, known)))
        });
        read.await
    }

    /// Holds that were requested so long ago or longer and not resolved since, oldest first; and what was aborted for
    /// one owner.
    pub async fn orphaned_holds(
        &self,
        HoldFilter { owner, pool: of }: HoldFilter,
        now: Timestamp,
        held_for: Duration,
        limit: u32,
    ) -> Result<OrphanedHolds, ReadError> {
        let [until, future] = [now - held_for, now + CLOCK_STEP_MIN].map(Timestamp::as_millisecond);
        // Of all holds none is missing, whatever the clock of another process was.
        let until = if held_for.is_zero() { i64::MAX } else { until };
        let read = self.0.read(move |tx| {
            let Some(owner) = owner else {
                let reservation_ids = blocks::orphaned(tx, of, [until, future], limit)?;
                return Ok(OrphanedHolds { reservation_ids, aborted: Vec::new() });
            };
            Ok(OrphanedHolds {
                reservation_ids: blocks::orphaned_of(tx, owner, of, [until, future], limit)?,
                aborted: blocks::aborted_of(tx, owner, limit)?,
            })
        });
        read.await
    }
}

/// The slots of a site, and the doses that they offer.
pub type PlacesAndDoses = (Vec<SlotAvailability>, Vec<DoseAvailability>);

/// The read of [`Queries::availability`].
pub fn availability(
    tx: &Tx<'_>,
    site: SiteId,
    dates: [Date; 2],
) -> Result<Option<PlacesAndDoses>, SqlError> {
    let slots = slots::of_site(tx, site, dates, AVAILABLE_SLOTS_MAX)?;
    let Some(slots) = slots else { return Ok(None) };
    let mut ledger = Ledger::default();
    let campaigns = slots.iter().map(|slot| slot.campaign_id).collect();
    slots::load_campaigns(tx, &mut ledger, &campaigns)?;
    let offered = ledger.offered(site, &slots);
    let vaccines = offered.iter().map(|id| id.requested()).collect();
    load_vaccines(&mut ledger, query_vaccines(tx, &vaccines)?)?;
    let stocks = offered.iter().filter_map(|id| Some(id.site_stock()?.0)).collect();
    site_stocks::load(tx, &mut ledger, stocks, &BTreeSet::new())?;
    Ok(Some((slots, ledger.free_doses(&offered))))
}

/// The read of [`Queries::vaccines`].
pub fn vaccines(tx: &Tx<'_>, range: PageRange) -> Result<List<Vaccine>, SqlError> {
    Ok(List { rows: VACCINES.page(tx, &[], range, vaccine)?, total: None })
}

fn vaccine(row: &Row<'_>) -> Result<Vaccine, SqlError> {
    pool(row).map(|(id, pool)| events::vaccine(id, &pool))
}

fn view(id: ReservationId, known: ReservationRecord<'_>) -> Option<Reservation> {
    let vaccine_id = known.claims.first()?.vaccine()?;
    Some(Reservation { reservation_id: id, vaccine_id, state: known.state })
}
