//! "Sold out" is replied without a commit, and only while it is true: a reservation that is known keeps its
//! reply, and a dose that is free again is granted at once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use platform_store::{
    AggregateStore, CommandOf, Commands, Input, Notifier, Output, Store, StoreError,
};
use testkit::{TEST_TIMEOUT, TestDatabase, on_both_databases};
use tokio::time::timeout;
use vaccine::{
    domain::{Command, ConfirmHold, Ledger, Name, PoolId, Refusal, RemoveVaccine, Reply},
    holds::{Holds, Take},
    store::{MIGRATIONS, Queries},
};

use super::{change_vaccine, hold_doses, name, register_vaccine};
use crate::commands::{confirm_without_owner, release_reservation};

/// A store that counts its transactions; none begins while the gate is locked.
struct CountingStore {
    store: AggregateStore<Ledger>,
    commits: Arc<AtomicUsize>,
    gate: Arc<Mutex<()>>,
}

impl Store for CountingStore {
    type Command = Input<Command>;
    type Reply = Output<Reply>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Reply>>, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let _open = self.gate.lock();
        self.store.apply(batch)
    }
}

/// One process of the service.
struct VaccineProcess<'a> {
    database: &'a TestDatabase,
    commands: Commands<Ledger>,
    holds: Holds,
    commits: Arc<AtomicUsize>,
    gate: Arc<Mutex<()>>,
}

impl<'a> VaccineProcess<'a> {
    fn start(database: &'a TestDatabase) -> Self {
        let (connection, reads) = database.open("vaccine", MIGRATIONS).unwrap();
        let (commits, gate) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<()>>::default());
        let store = AggregateStore::new(connection, Notifier::default());
        let counting =
            CountingStore { store, commits: Arc::clone(&commits), gate: Arc::clone(&gate) };
        let (commands, _ended) = Commands::start("vaccine", counting);
        let holds = Holds::new(commands.clone(), Queries(reads));
        Self { database, commands, holds, commits, gate }
    }

    fn submit<C: CommandOf<Ledger>>(&self, command: C) -> C::Reply {
        self.database.block_on(self.commands.submit(command, in_a_minute())).unwrap()
    }

    /// Holds doses, each given by reservation and vaccine.
    fn hold(&self, holds: &[(u128, i64)]) -> Vec<Result<Name, Refusal>> {
        self.take(holds.iter().map(|(number, pool)| hold_doses(*number, &[*pool])).collect())
    }

    fn take<C: Take>(&self, takes: Vec<C>) -> Vec<Result<C::Granted, Refusal>> {
        let replies = self.database.block_on(self.holds.take(takes, in_a_minute())).unwrap();
        replies.into_iter().map(Result::unwrap).collect()
    }

    /// How many transactions there were since the last call.
    fn commits(&self) -> usize {
        self.commits.swap(0, Ordering::Relaxed)
    }
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with refusals")]
fn held() -> Result<Name, Refusal> {
    Ok(name("FIZER"))
}

const SOLD_OUT: Result<Name, Refusal> = Err(Refusal::SoldOut);

/// A process that remembers its only vaccine as sold out; reservation 1 holds the dose.
fn sold_out(database: &TestDatabase) -> VaccineProcess<'_> {
    let process = VaccineProcess::start(database);
    process.submit(register_vaccine(1));
    assert_eq!(process.hold(&[(1, 1), (2, 1)]), [held(), SOLD_OUT]);
    assert_eq!(process.commits(), 2);
    process
}

on_both_databases!(
    a_load_spike_on_a_sold_out_vaccine_causes_no_commit,
    sold_out_is_replied_while_a_commit_is_running,
    a_repeated_hold_that_was_granted_is_granted_again,
    a_reservation_that_was_released_is_refused_as_such,
    a_dose_that_is_released_is_granted_at_once,
    doses_that_are_added_are_granted_at_once,
    only_sold_out_holds_of_a_batch_are_refused_without_a_commit,
    a_vaccine_that_was_removed_is_unknown_and_not_sold_out,
    a_confirmation_without_a_hold_is_refused_without_a_commit_too,
    known_ids_of_one_moment_are_found_among_others,
    known_ids_of_a_long_time_are_found_among_others,
);

fn a_load_spike_on_a_sold_out_vaccine_causes_no_commit(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    for round in 1..=20 {
        let holds: Vec<_> = (1..=50).map(|number| (round * 1_000 + number, 1)).collect();
        assert_eq!(process.hold(&holds), vec![SOLD_OUT; holds.len()]);
    }
    assert_eq!(process.commits(), 0);
}

fn sold_out_is_replied_while_a_commit_is_running(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    let locked = process.gate.lock();
    let mut commit =
        Box::pin(process.commands.submit(ConfirmHold(hold_doses(1, &[1])), in_a_minute()));
    let first_poll = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(first_poll.is_pending(), "it commits behind a locked gate");
    let hold = process.holds.take(vec![hold_doses(3, &[1])], in_a_minute());
    let reply = database.block_on(async { timeout(TEST_TIMEOUT, hold).await });
    assert_eq!(reply, Ok(Ok(vec![Ok(SOLD_OUT)])), "it waits for the commit");
    drop(locked);
    assert_eq!(database.block_on(commit), Ok(Ok(())));
}

fn a_repeated_hold_that_was_granted_is_granted_again(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    for _ in 0..2 {
        assert_eq!(process.hold(&[(1, 1)]), [held()]);
    }
    assert_eq!(process.hold(&[(3, 1), (1, 1), (4, 1)]), [SOLD_OUT, held(), SOLD_OUT]);
    process.submit(ConfirmHold(hold_doses(1, &[1]))).unwrap();
    assert_eq!(process.hold(&[(1, 1)]), [held()]);
    assert_eq!(process.hold(&[(5, 1)]), [SOLD_OUT]);
}

fn a_reservation_that_was_released_is_refused_as_such(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    process.submit(release_reservation(7)).unwrap();
    assert_eq!(process.hold(&[(7, 1), (8, 1)]), [Err(Refusal::Released), SOLD_OUT]);
    process.submit(register_vaccine(1));
    assert_eq!(process.hold(&[(1, 2), (7, 1)]), [Err(Refusal::Conflict), Err(Refusal::Released)]);
}

fn a_dose_that_is_released_is_granted_at_once(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    assert_eq!(process.hold(&[(3, 1)]), [SOLD_OUT]);
    process.submit(release_reservation(1)).unwrap();
    assert_eq!(process.hold(&[(3, 1), (4, 1)]), [held(), SOLD_OUT]);
    process.commits();
    assert_eq!(process.hold(&[(5, 1)]), [SOLD_OUT]);
    assert_eq!(process.commits(), 0, "it is not remembered");
}

fn doses_that_are_added_are_granted_at_once(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    assert_eq!(process.hold(&[(3, 1)]), [SOLD_OUT]);
    process.submit(change_vaccine(1, None, Some(3))).unwrap();
    assert_eq!(process.hold(&[(3, 1), (4, 1), (5, 1)]), [held(), held(), SOLD_OUT]);
}

fn only_sold_out_holds_of_a_batch_are_refused_without_a_commit(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    process.submit(register_vaccine(1));
    process.commits();
    let holds = [(11, 1), (12, 2), (13, 1), (1, 1), (14, 3), (15, 2)];
    let unknown = Err(Refusal::NoSuchPool);
    let replies = process.hold(&holds);
    assert_eq!(replies, [SOLD_OUT, held(), SOLD_OUT, held(), unknown, SOLD_OUT]);
    assert_eq!(process.commits(), 1);
}

fn a_vaccine_that_was_removed_is_unknown_and_not_sold_out(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    process.submit(release_reservation(1)).unwrap();
    process.submit(RemoveVaccine { pool: PoolId(1), expected: None }).unwrap();
    assert_eq!(process.hold(&[(3, 1)]), [Err(Refusal::NoSuchPool)]);
}

fn a_confirmation_without_a_hold_is_refused_without_a_commit_too(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    assert_eq!(process.take(vec![confirm_without_owner(3, 1)]), [Err(Refusal::SoldOut)]);
    assert_eq!(process.commits(), 0);
    process.submit(release_reservation(1)).unwrap();
    assert_eq!(process.take(vec![confirm_without_owner(3, 1)]), [Ok(())]);
}

/// A reservation id of one moment, as [`uuid::Uuid::now_v7`] makes them.
fn timed(number: u128) -> u128 {
    0x0199_0000_0000_7000_8000_0000_0000_0000 + number
}

fn known_ids_of_one_moment_are_found_among_others(new: fn() -> TestDatabase) {
    let database = new();
    let process = VaccineProcess::start(&database);
    process.submit(register_vaccine(4));
    let known = [timed(10), timed(20), timed(30), 7].map(|number| (number, 1));
    assert_eq!(process.hold(&known), vec![held(); 4]);
    assert_eq!(process.hold(&[(8, 1)]), [SOLD_OUT]);
    process.commits();

    let holds = [5, 15, 25, 35].map(|number| (timed(number), 1));
    assert_eq!(process.hold(&holds), vec![SOLD_OUT; 4]);
    assert_eq!(process.hold(&[(timed(6), 1), (9, 1)]), vec![SOLD_OUT; 2]);
    assert_eq!(process.commits(), 0);
    for (number, reply) in [(10, held()), (20, held()), (30, held()), (31, SOLD_OUT), (9, SOLD_OUT)]
    {
        assert_eq!(process.hold(&[(timed(number), 1)]), vec![reply.clone()]);
        let among_others = [(timed(1), 1), (timed(number), 1), (7, 1), (timed(40), 1)];
        let replies = process.hold(&among_others);
        assert_eq!(replies, [SOLD_OUT, reply, held(), SOLD_OUT], "{number}");
    }
}

fn known_ids_of_a_long_time_are_found_among_others(new: fn() -> TestDatabase) {
    /// Too many for one range scan between two ids.
    const MANY: u128 = 1_100;

    let database = new();
    let process = VaccineProcess::start(&database);
    process.submit(register_vaccine(1_100));
    let known: Vec<_> = (1..=MANY).map(|number| (timed(number), 1)).collect();
    assert_eq!(process.hold(&known), vec![held(); known.len()]);
    assert_eq!(process.hold(&[(8, 1)]), [SOLD_OUT]);
    let holds = [(timed(0), 1), (timed(MANY), 1), (timed(MANY + 1), 1)];
    assert_eq!(process.hold(&holds), [SOLD_OUT, held(), SOLD_OUT]);
}

#[test]
fn holds_are_decided_in_commits_while_the_store_cannot_be_read() {
    let (database, without_tables) = (TestDatabase::sqlite(), TestDatabase::sqlite());
    let process = sold_out(&database);
    let (_, unreadable) = without_tables.open("vaccine", &[]).unwrap();
    let holds = Holds::new(process.commands.clone(), Queries(unreadable));
    let process = VaccineProcess { holds, ..process };
    for commits in [1, 1] {
        assert_eq!(process.hold(&[(3, 1), (1, 1)]), [SOLD_OUT, held()]);
        assert_eq!(process.commits(), commits);
    }
}

/// Two processes on one PostgreSQL.
mod two_processes_on_postgres {
    use super::*;

    #[test]
    fn a_dose_that_another_process_releases_is_granted_at_once() {
        let database = TestDatabase::postgres();
        let (one, other) = (sold_out(&database), VaccineProcess::start(&database));
        assert_eq!(one.hold(&[(3, 1)]), [SOLD_OUT]);
        other.submit(release_reservation(1)).unwrap();
        assert_eq!(one.hold(&[(3, 1)]), [held()]);
    }

    #[test]
    fn a_hold_that_another_process_granted_is_known_at_once() {
        let database = TestDatabase::postgres();
        let (one, other) = (sold_out(&database), VaccineProcess::start(&database));
        other.submit(release_reservation(1)).unwrap();
        assert_eq!(other.hold(&[(3, 1)]), [held()]);
        // Its reply was lost, and the retry goes to the other process.
        assert_eq!(one.hold(&[(3, 1), (4, 1)]), [held(), SOLD_OUT]);
    }
}
