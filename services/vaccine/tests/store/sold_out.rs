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

use contracts::ids::VaccineId;
use platform_store::{
    AggregateStore, CommandOf, Commands, Input, Notifier, Output, Store, StoreError,
};
use testkit::{TEST_TIMEOUT, TestDatabase, on_both_databases};
use tokio::time::timeout;
use vaccine::{
    domain::{Command, ConfirmHold, HeldBlock, Ledger, Refusal, RemoveVaccine, Reply},
    holds::{Holds, Take},
    store::{MIGRATIONS, Queries},
};

use super::{change_vaccine, hold_doses, register_vaccine};
use crate::commands::{self, confirm_without_owner, dose, hold_block, release_reservation};

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
    fn hold(&self, holds: &[(u128, i64)]) -> Vec<Result<HeldBlock, Refusal>> {
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
fn held() -> Result<HeldBlock, Refusal> {
    Ok(commands::held(1))
}

const SOLD_OUT: Result<HeldBlock, Refusal> = Err(Refusal::SoldOut);

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
    a_repeated_block_that_was_granted_is_granted_again,
    a_block_of_which_a_reservation_is_known_is_decided_in_a_commit,
    known_ids_are_found_among_others_that_may_be_of_one_block_and_that_cannot,
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
    let mut commit = Box::pin(process.commands.submit(ConfirmHold(dose(1, &[1])), in_a_minute()));
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
    process.submit(ConfirmHold(dose(1, &[1]))).unwrap();
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
    process.submit(RemoveVaccine { vaccine: VaccineId(1), expected: None }).unwrap();
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

fn a_repeated_block_that_was_granted_is_granted_again(new: fn() -> TestDatabase) {
    let database = new();
    let process = VaccineProcess::start(&database);
    process.submit(register_vaccine(3));
    let block = |first| hold_block(first, 5, 2);
    let granted = Ok(commands::held(3));
    assert_eq!(process.take(vec![block(10), block(20)]), [granted.clone(), SOLD_OUT]);
    process.commits();
    assert_eq!(process.take(vec![block(20), block(30)]), [SOLD_OUT, SOLD_OUT]);
    assert_eq!(process.commits(), 0);
    assert_eq!(process.take(vec![block(20), block(10)]), [SOLD_OUT, granted.clone()]);
    process.submit(ConfirmHold(dose(11, &[1]))).unwrap();
    assert_eq!(process.take(vec![block(10)]), [granted]);
}

fn a_block_of_which_a_reservation_is_known_is_decided_in_a_commit(new: fn() -> TestDatabase) {
    let database = new();
    let process = sold_out(&database);
    for known in [10, 12, 14] {
        process.submit(release_reservation(known)).unwrap();
    }
    process.commits();
    for first in [10, 11, 12, 13, 14] {
        let replies = process.take(vec![hold_block(first, 3, 0)]);
        assert_eq!(replies, [Err(Refusal::Released)], "from {first}");
    }
    assert_eq!(process.commits(), 5);
    assert_eq!(process.take(vec![hold_block(7, 3, 0), hold_block(15, 3, 0)]), [SOLD_OUT, SOLD_OUT]);
    assert_eq!(process.commits(), 0);
}

fn known_ids_are_found_among_others_that_may_be_of_one_block_and_that_cannot(
    new: fn() -> TestDatabase,
) {
    const MANY: u128 = 1_100;

    let database = new();
    let process = VaccineProcess::start(&database);
    let apart = |number: u128| number << 16;
    for id in [|number| 2 * number, apart] {
        let vaccine = process.submit(register_vaccine(MANY.try_into().unwrap())).0.0;
        let known: Vec<_> = (1..=MANY).map(|number| (id(number), vaccine)).collect();
        assert_eq!(process.hold(&known), vec![held(); known.len()]);
        assert_eq!(process.hold(&[(id(MANY) + 1, vaccine)]), [SOLD_OUT]);
        process.commits();
        let unknown = known.iter().map(|(id, vaccine)| (id + 1, *vaccine)).collect::<Vec<_>>();
        assert_eq!(process.hold(&unknown), vec![SOLD_OUT; known.len()]);
        assert_eq!(process.commits(), 0);
        let few = [id(1) + 1, id(1), id(MANY), id(MANY) + 1].map(|id| (id, vaccine));
        assert_eq!(process.hold(&few), [SOLD_OUT, held(), held(), SOLD_OUT]);
        assert_eq!(process.hold(&known), vec![held(); known.len()]);
    }
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
