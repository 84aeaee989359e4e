//! What every place to keep the ledger in must do.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use contracts::vaccine::ReservationState;
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use storage::{
    database::{Database, Readers},
    outbox::{self, Entry},
    sql::{Row, SqlError, Tx},
    store::{Input, Output, Stored},
    writer::{Store, StoreError},
};
use vaccine::{
    domain::{Command, Done, Hold, Ledger, Outcome, Pool, PoolId, Refusal, decide},
    store::{Book, MIGRATIONS, Reads},
};

#[path = "ledger/commands.rs"]
mod commands;
#[path = "store/pages.rs"]
mod pages;
#[path = "../../storage/tests/place/place.rs"]
mod place;
#[path = "../../storage/tests/place/steps.rs"]
mod steps;

use commands::{
    administer, any_command, confirm, give_back, hold, holder, name, of, register, release,
    reservation, stock,
};
use place::{Place, on_both};

/// A ledger that is kept somewhere, and who looks into it.
struct Kept {
    place: Place,
    store: Stored<Book>,
    readers: Readers,
}

impl Kept {
    fn new(new: fn() -> Place) -> Self {
        Self::open(new(), Book::default())
    }

    fn open(place: Place, book: Book) -> Self {
        let (writable, readers) = place.open("vaccine", MIGRATIONS).expect("opens");
        Self { place, store: Stored::new(writable, book), readers }
    }

    fn close(self) -> Place {
        let Self { place, store, readers } = self;
        drop((store, readers));
        place
    }

    fn reopened(self) -> Self {
        Self::open(self.close(), Book::default())
    }

    fn try_apply(&mut self, batch: &[Command]) -> Result<Vec<Outcome>, StoreError> {
        let asked: Vec<_> = batch.iter().cloned().map(Input::Asked).collect();
        let outcome = |output| match output {
            Output::Answer(outcome) => outcome,
            Output::Heard { .. } => panic!("nobody said anything"),
        };
        Ok(self.store.apply(&asked)?.into_iter().map(outcome).collect())
    }

    fn apply(&mut self, batch: &[Command]) -> Vec<Outcome> {
        self.try_apply(batch).expect("keeps it")
    }

    fn reads(&self) -> Reads {
        Reads(self.readers.clone())
    }

    fn told(&self) -> Vec<Entry> {
        self.place.wait(self.readers.read(|tx| outbox::after(tx, 0, 1_000))).expect("reads")
    }

    /// All that is in the tables.
    fn rows(&self) -> Vec<String> {
        self.place.wait(self.readers.read(rows)).expect("known tables")
    }
}

const POOLS: &str = "SELECT id, name, stock, taken, place FROM pools ORDER BY id";
const RESERVATIONS: &str =
    "SELECT id, holder, claims, state, held_at_ms FROM reservations ORDER BY id";
const LAST_POOL: &str = "SELECT id FROM last_pool";
const TOLD: &str = "SELECT type, data FROM outbox ORDER BY sequence";

fn rows(tx: &Tx<'_>) -> Result<Vec<String>, SqlError> {
    let pool = |row: &Row<'_>| {
        let pool = format!("{} {} {} {}", row.int(0)?, row.text(1)?, row.int(2)?, row.int(3)?);
        Ok(format!("{pool} at {}", row.int(4)?))
    };
    let reservation = |row: &Row<'_>| {
        let (id, holder) = (row.uuid(0)?, row.uuid_or_null(1)?);
        Ok(format!("{id} {holder:?} {} {} {}", row.text(2)?, row.int(3)?, row.int(4)?))
    };
    let pools = tx.all(POOLS, &[], pool)?;
    let reservations = tx.all(RESERVATIONS, &[], reservation)?;
    let last_pool = tx.all(LAST_POOL, &[], |row| Ok(format!("last pool {}", row.int(0)?)))?;
    let told = tx.all(TOLD, &[], |row| Ok(format!("{} {}", row.text(0)?, row.text(1)?)))?;
    Ok([pools, reservations, last_pool, told].concat())
}

on_both!(
    a_batch_decides_and_keeps_the_same_as_its_commands_one_by_one,
    what_the_tables_do_not_allow_is_refused_whole,
    a_repeated_id_takes_one_dose,
    a_number_is_never_given_again,
    only_old_holds_that_nobody_settled_are_unsettled_and_the_oldest_comes_first,
    what_was_kept_is_there_after_reopening,
    a_reservation_is_shown_as_it_stands,
    what_happens_to_stock_is_told_once,
);

fn a_batch_decides_and_keeps_the_same_as_its_commands_one_by_one(new: fn() -> Place) {
    let many = if matches!(new().database, Database::Sqlite(_)) { 64 } else { 16 };
    let settings = ProptestConfig { cases: many, failure_persistence: None, ..Default::default() };
    let any_batches = vec(vec(any_command(), 1..12), 1..6);
    let held = TestRunner::new(settings).run(&any_batches, |batches| {
        let (mut together, mut alone) = (Kept::new(new), Kept::new(new));
        for batch in [vec![vec![register(2), register(1)]], batches].concat() {
            let one_by_one: Vec<_> = batch.chunks(1).flat_map(|one| alone.apply(one)).collect();
            prop_assert_eq!(together.apply(&batch), one_by_one);
        }
        prop_assert_eq!(together.rows(), alone.rows());
        Ok(())
    });
    held.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The checks in the database stand even where a decision is wrong: it fails closed.
fn what_the_tables_do_not_allow_is_refused_whole(new: fn() -> Place) {
    /// Counts doses of vaccine 2 without looking whether there are any.
    fn unguarded(ledger: &mut Ledger, command: &Command) -> Outcome {
        let doses = match command {
            Command::Hold(_) => 1,
            Command::Release { .. } => -1,
            _ => return decide(ledger, command),
        };
        ledger.pools.get_mut(&PoolId(2)).ok_or(Refusal::NoSuchPool)?.taken += doses;
        Ok(Done::Confirmed)
    }

    let mut ledger = Kept::open(new(), Book { decide: unguarded });
    ledger.apply(&[register(1), register(1)]);
    let before = ledger.rows();
    let rename = Command::Change { pool: PoolId(1), name: Some(name("MODERNA")), stock: None };
    let fine = [rename, register(5), confirm(9, 1)];
    // So that the rows of vaccine 2 are loaded.
    let look = [Command::Change { pool: PoolId(2), name: None, stock: None }];
    for wrong in [[hold(1, 2), hold(2, 2)], [release(1), release(2)]] {
        let refused = ledger.try_apply(&[&look[..], &fine, &wrong].concat());
        assert!(matches!(refused, Err(StoreError::Rejected(_))), "{refused:?}");
        assert_eq!(ledger.rows(), before);
    }
    let next = ledger.apply(&fine);
    assert!(matches!(next[1], Ok(Done::Registered(PoolId(3), _))), "{next:?}");
    assert_eq!(next[2], Ok(Done::Confirmed));
}

fn a_repeated_id_takes_one_dose(new: fn() -> Place) {
    let mut ledger = Kept::new(new);
    ledger.apply(&[register(2)]);
    let held = Ok(Done::Held { name: name("FIZER") });
    let twice = ledger.apply(&[hold(1, 1), hold(1, 1)]);
    assert_eq!(twice, [held.clone(), held.clone()]);
    let later = ledger.apply(&[confirm(1, 1), hold(1, 1), confirm(1, 1)]);
    assert_eq!(later, [Ok(Done::Confirmed), held, Ok(Done::Confirmed)]);
    let vaccine = ledger.place.wait(ledger.reads().vaccine(PoolId(1).into()));
    assert_eq!(vaccine.expect("reads").expect("is there").book_qty, 1);
}

fn a_number_is_never_given_again(new: fn() -> Place) {
    let mut ledger = Kept::new(new);
    let remove = |pool| Command::Remove { pool: PoolId(pool) };
    ledger.apply(&[register(1), register(1)]);
    ledger.apply(&[remove(2)]);
    ledger.apply(&[register(1), remove(3)]);
    let next = ledger.apply(&[register(1)]);
    assert!(matches!(next[0], Ok(Done::Registered(PoolId(4), _))), "{next:?}");
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn only_old_holds_that_nobody_settled_are_unsettled_and_the_oldest_comes_first(new: fn() -> Place) {
    let mut ledger = Kept::new(new);
    let hold = |number, by, at| {
        Command::Hold(Hold { holder: Some(holder(by)), at: second(at), ..of(number, &[1]) })
    };
    ledger.apply(&[register(9)]);
    ledger.apply(&[hold(1, 1, 30), hold(2, 1, 10), hold(3, 1, 20), hold(4, 2, 5)]);
    ledger.apply(&[hold(5, 1, 1), confirm(5, 1), hold(6, 1, 1), release(6), release(7)]);
    ledger.apply(&[hold(8, 1, 1), administer(8, 1), hold(9, 1, 1), give_back(9)]);

    let unsettled = |by: Option<u128>, until, limit| {
        let ids = ledger.reads();
        let ids = ledger.place.wait(ids.unsettled(by.map(holder), second(until), limit));
        ids.expect("reads").iter().map(|id| id.0.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(unsettled(Some(1), 30, 9), [2, 3, 1]);
    assert_eq!(unsettled(Some(1), 29, 9), [2, 3]);
    assert_eq!(unsettled(Some(1), 30, 1), [2]);
    assert_eq!(unsettled(Some(2), 30, 9), [4]);
    assert_eq!(unsettled(Some(3), 30, 9), [0; 0]);
    assert_eq!(unsettled(None, 30, 3), [4, 2, 3]);
}

fn what_was_kept_is_there_after_reopening(new: fn() -> Place) {
    let mut ledger = Kept::new(new);
    ledger.apply(&[register(3), register(5), hold(1, 1), confirm(2, 1), release(3)]);
    ledger.apply(&[confirm(1, 1), hold(4, 2), administer(4, 2)]);
    let before = ledger.rows();

    let mut ledger = ledger.reopened();
    assert_eq!(ledger.rows(), before);
    let again = ledger.apply(&[confirm(1, 1), hold(2, 1), hold(3, 1), hold(4, 2), register(1)]);
    let held = Done::Held { name: name("FIZER") };
    let next = Pool { name: name("FIZER"), stock: stock(1), taken: 0 };
    assert_eq!(
        again,
        [
            Ok(Done::Confirmed),
            Ok(held),
            Err(Refusal::Released),
            Err(Refusal::Administered),
            Ok(Done::Registered(PoolId(3), next))
        ]
    );
}

fn a_reservation_is_shown_as_it_stands(new: fn() -> Place) {
    let mut ledger = Kept::new(new);
    ledger.apply(&[register(5), hold(1, 1), confirm(2, 1), hold(3, 1), hold(4, 1)]);
    ledger.apply(&[release(3), administer(4, 1), administer(5, 1)]);
    let state = |number| {
        let known = ledger.place.wait(ledger.reads().reservation(reservation(number)));
        known.expect("reads").map(|known| (known.vaccine_id.0, known.state))
    };
    assert_eq!(state(1), Some((1, ReservationState::Held)));
    assert_eq!(state(2), Some((1, ReservationState::Booked)));
    assert_eq!(state(3), Some((1, ReservationState::Released)));
    assert_eq!(state(4), Some((1, ReservationState::Administered)));
    assert_eq!(state(5), Some((1, ReservationState::Administered)));
    assert_eq!(state(6), None);
}

fn what_happens_to_stock_is_told_once(new: fn() -> Place) {
    let mut ledger = Kept::new(new);
    let change = |name: Option<&str>, doses: Option<i64>| Command::Change {
        pool: PoolId(1),
        name: name.map(commands::name),
        stock: doses.map(stock),
    };
    ledger.apply(&[register(5), hold(1, 1), change(None, Some(7)), change(None, Some(6))]);
    ledger.apply(&[change(Some("MODERNA"), None), change(None, Some(0))]);
    // Whoever books and injects tells of these.
    ledger.apply(&[hold(1, 1), confirm(1, 1), administer(1, 1), hold(2, 1), release(2)]);
    ledger.apply(&[Command::Remove { pool: PoolId(1) }]);

    let vaccine = |name: &str, stock: i64| json!({"vaccineId": 1, "vcName": name, "stock": stock});
    let with = |mut data: Value, field: &str, value: i64| {
        data[field] = value.into();
        data
    };
    let changed =
        |name, stock, before| with(with(vaccine(name, stock), "bookQty", 1), "stockBefore", before);
    let told: Vec<_> = ledger
        .told()
        .into_iter()
        .map(|told| (told.r#type, serde_json::from_str(&told.data).expect("JSON")))
        .collect();
    let expected = [
        ("Registered", with(vaccine("FIZER", 5), "bookQty", 0)),
        ("StockAdded", changed("FIZER", 7, 5)),
        ("StockModified", changed("FIZER", 6, 7)),
        ("StockModified", changed("MODERNA", 6, 6)),
    ];
    assert_eq!(told, expected.map(|(name, data): (&str, Value)| (name.to_owned(), data)));
}
