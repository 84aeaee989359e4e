//! What every place to keep the ledger in must do; then what only a file can do.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use rusqlite::{Connection, OpenFlags};
use storage::{
    sqlite::{Writable, open, open_in_memory},
    writer::{Store, StoreError},
};
use tempfile::TempDir;
use vaccine::{
    domain::{Command, Done, Hold, Ledger, Outcome, PoolId, Refusal, decide},
    store::{Reads, Sqlite, sqlite::MIGRATIONS},
};

#[path = "ledger/commands.rs"]
mod commands;

use commands::{
    any_command, confirm, hear_booked, hold, holder, name, of, register, release, reservation,
};

/// A ledger that is kept somewhere; what is in a file can be looked at from outside.
struct Kept {
    writable: Writable,
    file: Option<PathBuf>,
}

#[test]
fn a_ledger_in_memory() {
    suite(&|| Kept { writable: open_in_memory(MIGRATIONS).expect("opens"), file: None });
}

#[test]
fn a_ledger_in_a_file() {
    let (folder, files) = (TempDir::new().expect("a folder"), Cell::new(0));
    suite(&|| {
        files.set(files.get() + 1);
        let file = folder.path().join(format!("{}.sqlite", files.get()));
        let (writable, _) = open(&file, MIGRATIONS).expect("opens");
        Kept { writable, file: Some(file) }
    });
}

fn suite(open: &dyn Fn() -> Kept) {
    a_batch_decides_and_keeps_the_same_as_its_commands_one_by_one(open);
    what_the_tables_do_not_allow_is_refused_whole(open);
    a_repeated_id_takes_one_dose(open);
    a_number_is_never_given_again(open);
}

fn a_batch_decides_and_keeps_the_same_as_its_commands_one_by_one(open: &dyn Fn() -> Kept) {
    let settings = ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() };
    let any_batches = vec(vec(any_command(), 1..12), 1..6);
    let held = TestRunner::new(settings).run(&any_batches, |batches| {
        let (together, alone) = (open(), open());
        let files = [together.file, alone.file];
        let mut together = Sqlite::new(together.writable);
        let mut alone = Sqlite::new(alone.writable);
        for batch in [vec![vec![register(2), register(1)]], batches].concat() {
            let one_by_one: Vec<_> =
                batch.chunks(1).flat_map(|one| alone.apply(one).expect("keeps it")).collect();
            prop_assert_eq!(together.apply(&batch).expect("keeps it"), one_by_one);
        }
        let [rows_together, rows_alone] = files.map(|file| file.map(|file| rows(&file)));
        prop_assert_eq!(rows_together, rows_alone);
        prop_assert_eq!(seen(&mut together), seen(&mut alone));
        Ok(())
    });
    held.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The checks in the database stand even where a decision is wrong: it fails closed.
fn what_the_tables_do_not_allow_is_refused_whole(open: &dyn Fn() -> Kept) {
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

    let Kept { writable, file } = open();
    let mut store = Sqlite::deciding_by(writable, unguarded);
    store.apply(&[register(1), register(1)]).expect("registers");
    let look = |pool| Command::Change { pool: PoolId(pool), name: None, stock: None };
    let look = [look(1), look(2)];
    let before = store.apply(&look).expect("answers");
    let rows_before = file.as_deref().map(rows);
    let rename = Command::Change { pool: PoolId(1), name: Some(name("MODERNA")), stock: None };
    let fine = [rename, register(5), hear_booked(1, 9)];
    for wrong in [[hold(1, 2), hold(2, 2)], [release(1), release(2)]] {
        let refused = store.apply(&[&look[..], &fine, &wrong].concat());
        assert!(matches!(refused, Err(StoreError::Rejected(_))), "{refused:?}");
        assert_eq!(file.as_deref().map(rows), rows_before);
        assert_eq!(store.apply(&look).expect("answers"), before);
    }
    let next = store.apply(&fine).expect("goes on");
    assert!(matches!(next[1], Ok(Done::Vaccine(PoolId(3), _))), "{next:?}");
    assert_eq!(next[2], Ok(Done::Heard { sequence: 1, refused: None }));
}

fn a_repeated_id_takes_one_dose(open: &dyn Fn() -> Kept) {
    let mut store = Sqlite::new(open().writable);
    store.apply(&[register(2)]).expect("registers");
    let held = Ok(Done::Held { name: name("FIZER") });
    let twice = store.apply(&[hold(1, 1), hold(1, 1)]).expect("holds");
    assert_eq!(twice, [held.clone(), held.clone()]);
    let later = store.apply(&[confirm(1, 1), hold(1, 1), confirm(1, 1)]).expect("confirms");
    assert_eq!(later, [Ok(Done::Confirmed), held, Ok(Done::Confirmed)]);
    assert_eq!(seen(&mut store)[0].as_ref().map(taken), Ok(1));
}

fn a_number_is_never_given_again(open: &dyn Fn() -> Kept) {
    let mut store = Sqlite::new(open().writable);
    let remove = |pool| Command::Remove { pool: PoolId(pool) };
    store.apply(&[register(1), register(1)]).expect("registers");
    store.apply(&[remove(2)]).expect("removes");
    store.apply(&[register(1), remove(3)]).expect("registers and removes");
    let next = store.apply(&[register(1)]).expect("registers");
    assert!(matches!(next[0], Ok(Done::Vaccine(PoolId(4), _))), "{next:?}");
}

fn taken(done: &Done) -> i64 {
    match done {
        Done::Vaccine(_, pool) => pool.taken,
        other => panic!("{other:?} is no vaccine"),
    }
}

/// What can be asked without changing anything: every vaccine, what became of every reservation,
/// and how far every source was heard.
fn seen(store: &mut Sqlite) -> Vec<Outcome> {
    let look = |pool| Command::Change { pool: PoolId(pool), name: None, stock: None };
    let spent = |number| Command::Hold(Hold { holder: None, ..of(number, &[999]) });
    let position = |source| match hear_booked(0, 1) {
        Command::Hear { sequence, said, .. } => {
            Command::Hear { source: holder(source), sequence, said }
        }
        command => command,
    };
    let questions = (1..10).map(look).chain((1..6).map(spent)).chain((1..3).map(position));
    store.apply(&questions.collect::<Vec<_>>()).expect("answers")
}

/// All that is in the tables of a file.
fn rows(file: &Path) -> Vec<String> {
    let tables = [
        "SELECT 'pool ' || id || ' ' || name || ' ' || stock || ' ' || taken FROM pools ORDER BY id",
        "SELECT 'reservation ' || quote(id) || ' ' || quote(holder) || ' ' || state || ' ' || claims
             || ' ' || held_at_ms FROM reservations ORDER BY id",
        "SELECT 'heard ' || quote(source) || ' ' || sequence FROM inbox ORDER BY source",
        "SELECT 'last pool ' || id FROM last_pool",
    ];
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = Connection::open_with_flags(file, flags).expect("a database");
    let of_table = |query| -> rusqlite::Result<Vec<String>> {
        connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
    };
    tables.iter().flat_map(|query| of_table(query).expect("known tables")).collect()
}

/// A ledger in a file of its own, and who looks into it.
struct Filed {
    folder: TempDir,
    store: Sqlite,
    reads: Reads,
}

impl Filed {
    fn new() -> Self {
        Self::open(TempDir::new().expect("a folder"))
    }

    fn open(folder: TempDir) -> Self {
        let file = folder.path().join("vaccine.sqlite");
        let (writable, readers) = open(&file, MIGRATIONS).expect("opens");
        Self { folder, store: Sqlite::new(writable), reads: Reads::new(readers) }
    }

    fn reopened(self) -> Self {
        let Self { folder, store, reads } = self;
        drop((store, reads));
        Self::open(folder)
    }

    fn apply(&mut self, batch: &[Command]) -> Vec<Outcome> {
        self.store.apply(batch).expect("keeps it")
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

#[tokio::test]
async fn only_old_holds_that_nobody_settled_are_unsettled_and_the_oldest_comes_first() {
    let mut ledger = Filed::new();
    let hold = |number, by, at| {
        Command::Hold(Hold { holder: Some(holder(by)), at: second(at), ..of(number, &[1]) })
    };
    ledger.apply(&[register(9)]);
    ledger.apply(&[hold(1, 1, 30), hold(2, 1, 10), hold(3, 1, 20), hold(4, 2, 5)]);
    ledger.apply(&[hold(5, 1, 1), confirm(5, 1), hold(6, 1, 1), release(6), release(7)]);

    let unsettled = async |by: Option<u128>, until, limit| {
        let ids = ledger.reads.unsettled(by.map(holder), second(until), limit).await;
        ids.expect("reads").iter().map(|id| id.0.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(unsettled(Some(1), 30, 9).await, [2, 3, 1]);
    assert_eq!(unsettled(Some(1), 29, 9).await, [2, 3]);
    assert_eq!(unsettled(Some(1), 30, 1).await, [2]);
    assert_eq!(unsettled(Some(2), 30, 9).await, [4]);
    assert_eq!(unsettled(Some(3), 30, 9).await, [0; 0]);
    assert_eq!(unsettled(None, 30, 3).await, [4, 2, 3]);
}

#[tokio::test]
async fn what_was_kept_is_there_after_reopening() {
    let mut ledger = Filed::new();
    ledger.apply(&[register(3), register(5), hold(1, 1), confirm(2, 1), release(3)]);
    ledger.apply(&[hear_booked(1, 1), hear_booked(2, 4)]);
    let seen_before = seen(&mut ledger.store);

    let mut ledger = ledger.reopened();
    assert_eq!(seen(&mut ledger.store), seen_before);
    assert_eq!(ledger.reads.heard(holder(1)).await, Ok(2));
    assert_eq!(ledger.reads.heard(holder(2)).await, Ok(0));
    let hold = ledger.reads.reservation(reservation(1)).await.expect("reads").expect("is there");
    assert_eq!(hold.state, contracts::vaccine::ReservationState::Booked);
    assert_eq!(
        ledger.apply(&[hear_booked(2, 9)]),
        [Ok(Done::Heard { sequence: 2, refused: None })]
    );
}
