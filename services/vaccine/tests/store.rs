//! The store keeps what was decided, all of a batch or nothing, with the events in the same commit.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "fixture/commands.rs"]
mod commands;
#[path = "fixture/lots.rs"]
mod lot_commands;
#[path = "fixture/unguarded.rs"]
mod unguarded;

#[path = "store/availability.rs"]
mod availability;
#[path = "store/blocks.rs"]
mod blocks;
#[path = "store/deliveries.rs"]
mod deliveries;
#[path = "store/lots.rs"]
mod lots;
#[path = "store/pages.rs"]
mod pages;
#[path = "store/slots.rs"]
mod slots;
#[path = "store/sold_out.rs"]
mod sold_out;

use std::time::Duration;

use contracts::{
    ids::{StoreId, VaccineId},
    vaccine::ReservationState,
};
use platform_store::{Aggregate, Database, OutboxEntry, Row, SqlError, StoreError, Tx, outbox};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use testkit::{TestDatabase, TestStore, on_both_databases};
use vaccine::{
    domain::{ChangeVaccine, Command, HoldDoses, Ledger, Pool, Refusal, RegisterVaccine, Reply},
    store::{HoldFilter, MIGRATIONS, Queries},
};

use commands::{
    abort_by, administer, any_command, change_vaccine, confirm, doses, hold, hold_doses, name,
    owner, register, register_vaccine, release, release_of, remove, rename, reservation,
    return_dose, second,
};
use unguarded::Unguarded;

fn open<A>(database: TestDatabase) -> TestStore<A>
where
    A: Aggregate<Command = Command, Reply = Reply>,
{
    TestStore::open(database, "vaccine", MIGRATIONS)
}

fn ledger(new: fn() -> TestDatabase) -> TestStore<Ledger> {
    open(new())
}

fn filter(owner: Option<StoreId>) -> HoldFilter {
    HoldFilter { owner, pool: None }
}

fn queries(ledger: &TestStore<Ledger>) -> Queries {
    Queries(ledger.reads())
}

const POOLS: &str = "SELECT id, name, stock, taken FROM pools ORDER BY id";
const RESERVATIONS: &str =
    "SELECT id, owner, claims, states, held_at_ms FROM reservations ORDER BY id";
const SLOTS: &str = "
    SELECT id, coalesce(campaign, 0), coalesce(starts_at_ms, 0), places, taken
      FROM slots
  ORDER BY id";
const CAMPAIGNS: &str = "SELECT id, status, vaccines FROM campaigns ORDER BY id";
const LAST_POOL: &str = "SELECT id FROM last_pool";

/// More than any test publishes.
const EVENTS_MAX: u32 = 10_000;

/// All rows of the ledger's tables and of its outbox.
fn rows(tx: &Tx<'_>) -> Result<Vec<String>, SqlError> {
    let pool = |row: &Row<'_>| {
        Ok(format!("{} {} {} {}", row.int(0)?, row.text(1)?, row.int(2)?, row.int(3)?))
    };
    let reservation = |row: &Row<'_>| {
        let (id, owner) = (row.uuid(0)?, row.uuid_or_null(1)?);
        Ok(format!("{id} {owner:?} {} {} {}", row.text(2)?, row.text(3)?, row.int(4)?))
    };
    let event = |entry: OutboxEntry| format!("{:?}", entry.event);
    let pools = tx.all(POOLS, &[], pool)?;
    let reservations = tx.all(RESERVATIONS, &[], reservation)?;
    let last_pool = tx.all(LAST_POOL, &[], |row| Ok(format!("last pool {}", row.int(0)?)))?;
    let slot = |row: &Row<'_>| {
        let [id, campaign, start] = [row.int(0)?, row.int(1)?, row.int(2)?];
        Ok(format!("{id} {campaign} {start} {} {}", row.int(3)?, row.int(4)?))
    };
    let slots = tx.all(SLOTS, &[], slot)?;
    let campaign = |row: &Row<'_>| Ok(format!("{} {} {}", row.int(0)?, row.int(1)?, row.text(2)?));
    let campaigns = tx.all(CAMPAIGNS, &[], campaign)?;
    let events = outbox::after(tx, 0, EVENTS_MAX)?.into_iter().map(event).collect();
    Ok([pools, reservations, slots, campaigns, last_pool, events].concat())
}

on_both_databases!(
    a_batch_replies_and_stores_the_same_as_its_commands_one_by_one,
    a_batch_that_violates_a_constraint_is_rejected_whole,
    a_repeated_reservation_id_takes_one_dose,
    a_number_is_never_given_again,
    holds_are_orphaned_by_age_and_owner_and_the_oldest_comes_first,
    what_was_committed_is_there_after_reopening,
    a_reservation_is_read_with_its_state,
    old_released_reservations_are_deleted,
    changes_of_vaccines_are_published_once_with_the_time_of_their_command,
);

fn a_batch_replies_and_stores_the_same_as_its_commands_one_by_one(new: fn() -> TestDatabase) {
    let cases = if matches!(new().database, Database::Sqlite(_)) { 64 } else { 16 };
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let any_batches = vec(vec(any_command(), 1..12), 1..6);
    let result = TestRunner::new(config).run(&any_batches, |batches| {
        let (mut together, mut alone) = (ledger(new), ledger(new));
        for batch in [vec![vec![register(2), register(1)]], batches].concat() {
            let one_by_one: Vec<_> = batch.chunks(1).flat_map(|one| alone.submit(one)).collect();
            prop_assert_eq!(together.submit(&batch), one_by_one);
        }
        prop_assert_eq!(together.read(rows), alone.read(rows));
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The constraints of the database hold even where a decision is wrong.
fn a_batch_that_violates_a_constraint_is_rejected_whole(new: fn() -> TestDatabase) {
    let mut ledger = open::<Unguarded>(new());
    ledger.submit(&[register(1), register(1)]);
    let before = ledger.read(rows);
    let right = [rename(1, "MODERNA"), register(5), confirm(9, 1)];
    for wrong in [[hold(1, 2), hold(2, 2)], [release_of(1, 2), release_of(2, 2)]] {
        let rejected = ledger.try_submit(&[&right[..], &wrong].concat());
        assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
        assert_eq!(ledger.read(rows), before);
    }
    let replies = ledger.submit(&right);
    assert!(matches!(replies[1], Reply::Registered(VaccineId(3), _)), "{replies:?}");
    assert_eq!(replies[2], Reply::Confirmed(Ok(())));
}

fn old_released_reservations_are_deleted(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(9)]);
    ledger.submit(&[hold(1, 1), hold(2, 1), confirm(2, 1), hold(3, 1), release(3), hold(4, 1)]);
    ledger.submit(&[abort_by(4, 1), administer(5, 1), release(6)]);
    let states = |ledger: &TestStore<Ledger>| {
        let states = "SELECT states FROM reservations ORDER BY id";
        ledger.read(|tx| tx.all(states, &[], |row| row.text(0).map(str::to_owned)))
    };
    assert_eq!(states(&ledger), ["0", "1", "2", "4", "3", "2"]);
    assert_eq!(ledger.prune(i64::MIN, 0), 0);
    assert_eq!(ledger.prune(i64::MAX, 0), 2);
    assert_eq!(states(&ledger), ["0", "1", "4", "3"]);
}

fn held() -> Reply {
    Reply::Held(Ok(commands::held(1)))
}

const CONFIRMED: Reply = Reply::Confirmed(Ok(()));

fn a_repeated_reservation_id_takes_one_dose(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(2)]);
    assert_eq!(ledger.submit(&[hold(1, 1), hold(1, 1)]), [held(), held()]);
    let later = ledger.submit(&[confirm(1, 1), hold(1, 1), confirm(1, 1)]);
    assert_eq!(later, [CONFIRMED, held(), CONFIRMED]);
    let vaccine = ledger.database.block_on(queries(&ledger).vaccine(VaccineId(1)));
    assert_eq!(vaccine.unwrap().unwrap().book_qty, 1);
}

fn a_number_is_never_given_again(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(1), register(1)]);
    ledger.submit(&[remove(2)]);
    ledger.submit(&[register(1), remove(3)]);
    let replies = ledger.submit(&[register(1)]);
    assert!(matches!(replies[0], Reply::Registered(VaccineId(4), _)), "{replies:?}");
}

fn holds_are_orphaned_by_age_and_owner_and_the_oldest_comes_first(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    let hold = |number, by, at| {
        let hold = hold_doses(number, &[1]);
        Command::Hold(HoldDoses { owner: Some(owner(by)), at: second(at), ..hold })
    };
    ledger.submit(&[register(9)]);
    ledger.submit(&[hold(1, 1, 30), hold(2, 1, 10), hold(3, 1, 20), hold(4, 2, 5)]);
    ledger.submit(&[hold(5, 1, 1), confirm(5, 1), hold(6, 1, 1), release(6), release(7)]);
    ledger.submit(&[hold(8, 1, 1), administer(8, 1), hold(9, 1, 1), return_dose(9)]);
    ledger.submit(&[hold(14, 3, 3_600)]);

    let orphaned_for = |by: Option<u128>, now, held_for, limit| {
        let queries = queries(&ledger);
        let held_for = Duration::from_secs(held_for);
        let ids = queries.orphaned_holds(filter(by.map(owner)), second(now), held_for, limit);
        let ids = ledger.database.block_on(ids).unwrap();
        ids.reservation_ids.iter().map(|id| id.0.as_u128()).collect::<Vec<_>>()
    };
    let orphaned = |by, until: i64, limit| orphaned_for(by, until + 1, 1, limit);
    assert_eq!(orphaned(Some(1), 30, 9), [2, 3, 1]);
    assert_eq!(orphaned(Some(1), 29, 9), [2, 3]);
    assert_eq!(orphaned(Some(1), 30, 1), [2]);
    assert_eq!(orphaned(Some(2), 30, 9), [4]);
    assert_eq!(orphaned(Some(4), 30, 9), [0; 0]);
    assert_eq!(orphaned(None, 30, 3), [4, 2, 3]);
    assert_eq!(orphaned(Some(3), 4, 9), [14], "from before the wall clock was set back by an hour");
    assert_eq!(
        orphaned_for(Some(1), 29, 0, 9),
        [2, 3, 1],
        "all, also of a process whose clock is ahead"
    );

    ledger.submit(&[hold(10, 1, 1), abort_by(10, 1), abort_by(11, 1), abort_by(12, 2)]);
    ledger.submit(&[abort_by(13, 1), return_dose(13)]);
    let queries = queries(&ledger);
    let listed = queries.orphaned_holds(filter(Some(owner(1))), second(0), Duration::ZERO, 9);
    let aborted = ledger.database.block_on(listed).unwrap().aborted;
    assert_eq!(aborted, [10, 11].map(reservation), "what its owner has not recorded");
}

fn what_was_committed_is_there_after_reopening(new: fn() -> TestDatabase) {
    let mut before = ledger(new);
    before.submit(&[register(3), register(5), hold(1, 1), confirm(2, 1), release(3)]);
    before.submit(&[confirm(1, 1), hold(4, 2), administer(4, 2)]);
    let expected = before.read(rows);

    let mut after = open::<Ledger>(before.close());
    assert_eq!(after.read(rows), expected);
    let replies = after.submit(&[confirm(1, 1), hold(2, 1), hold(3, 1), hold(4, 2), register(1)]);
    let registered = Pool { name: name("FIZER"), stock: doses(1), taken: 0, overcommitted: 0 };
    assert_eq!(
        replies,
        [
            CONFIRMED,
            held(),
            Reply::Held(Err(Refusal::Released)),
            held(),
            Reply::Registered(VaccineId(3), registered)
        ]
    );
}

fn a_reservation_is_read_with_its_state(new: fn() -> TestDatabase) {
    let mut ledger = ledger(new);
    ledger.submit(&[register(5), hold(1, 1), confirm(2, 1), hold(3, 1), hold(4, 1)]);
    ledger.submit(&[release(3), administer(4, 1), administer(5, 1), hold(7, 1), abort_by(7, 1)]);
    let state = |number| {
        let known = ledger.database.block_on(queries(&ledger).reservation(reservation(number)));
        known.unwrap().map(|known| (known.vaccine_id.0, known.state))
    };
    assert_eq!(state(1), Some((1, ReservationState::Held)));
    assert_eq!(state(2), Some((1, ReservationState::Booked)));
    assert_eq!(state(3), Some((1, ReservationState::Released)));
    assert_eq!(state(4), Some((1, ReservationState::Administered)));
    assert_eq!(state(5), Some((1, ReservationState::Administered)));
    assert_eq!(state(6), None);
    assert_eq!(state(7), Some((1, ReservationState::Aborted)));
}

fn changes_of_vaccines_are_published_once_with_the_time_of_their_command(
    new: fn() -> TestDatabase,
) {
    let mut ledger = ledger(new);
    let register = Command::Register(RegisterVaccine { at: second(1), ..register_vaccine(5) });
    let change = |name, stock, at| {
        Command::Change(ChangeVaccine { at: second(at), ..change_vaccine(1, name, stock) })
    };
    ledger.submit(&[register, hold(1, 1), change(None, Some(7), 2), change(None, Some(6), 3)]);
    ledger.submit(&[change(Some("MODERNA"), None, 4), change(None, Some(0), 5)]);
    // Booking and injection publish these.
    ledger.submit(&[hold(1, 1), confirm(1, 1), administer(1, 1), hold(2, 1), release(2)]);
    ledger.submit(&[remove(1)]);

    let changed = |name: &str, stock: i64, stock_before: i64| {
        json!({
            "vaccineId": 1, "vcName": name, "stock": stock, "bookQty": 1,
            "stockBefore": stock_before,
        })
    };
    let published = ledger.outbox().into_iter().map(|entry| {
        let data: Value = serde_json::from_str(&entry.event.data).unwrap();
        (entry.event.r#type, entry.event.at_ms, data)
    });
    let registered = json!({"vaccineId": 1, "vcName": "FIZER", "stock": 5, "bookQty": 0});
    let expected = [
        ("Registered", 1_000, registered),
        ("StockAdded", 2_000, changed("FIZER", 7, 5)),
        ("StockModified", 3_000, changed("FIZER", 6, 7)),
        ("StockModified", 4_000, changed("MODERNA", 6, 6)),
    ];
    let expected = expected.map(|(name, at_ms, data)| (name.to_owned(), at_ms, data));
    assert_eq!(published.collect::<Vec<_>>(), expected);
}
