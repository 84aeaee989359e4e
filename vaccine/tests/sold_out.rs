//! "Sold out" is answered without a commit, and is true all the same: whoever holds a dose already
//! is told so, and a dose that comes back is there at once.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use storage::{
    store::{Desk, Input, Output, Stored},
    writer::{Store, StoreError},
};
use tokio::time::timeout;
use vaccine::{
    domain::{Command, Done, Outcome, Refusal},
    holds::Holds,
    store::{Book, MIGRATIONS, Reads},
};

#[path = "ledger/commands.rs"]
#[expect(dead_code, reason = "other tests of the ledger use more of it")]
mod commands;
#[path = "../../storage/tests/place/place.rs"]
mod place;

use commands::{confirm, give_back, name, of, register, release, stock};
use place::{Place, on_both};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(5);

/// A ledger that counts its transactions; none begins while somebody holds its door.
struct Counting {
    store: Stored<Book>,
    commits: Arc<AtomicUsize>,
    door: Arc<Mutex<()>>,
}

impl Store for Counting {
    type Command = Input<Command>;
    type Outcome = Output<Outcome>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Outcome>>, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let _through = self.door.lock();
        self.store.apply(batch)
    }
}

/// One process of vaccine.
struct Process {
    desk: Desk<Book>,
    holds: Holds,
    commits: Arc<AtomicUsize>,
    door: Arc<Mutex<()>>,
}

impl Process {
    fn of(place: &Place) -> Self {
        let (writable, readers) = place.open("vaccine", MIGRATIONS).expect("opens");
        let (commits, door) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<()>>::default());
        let store = Stored::new(writable, Book::default());
        let counting = Counting { store, commits: Arc::clone(&commits), door: Arc::clone(&door) };
        let (desk, _ended) = Desk::start("vaccine", counting);
        Self { holds: Holds::new(desk.clone(), Reads(readers)), desk, commits, door }
    }

    fn ask(&self, place: &Place, command: Command) -> Outcome {
        place.wait(self.desk.ask(command, later())).expect("decides").expect("keeps it")
    }

    /// Holds doses, each named by reservation and vaccine.
    fn hold(&self, place: &Place, holds: &[(u128, i64)]) -> Vec<Outcome> {
        self.take(place, holds, Command::Hold)
    }

    fn take(
        &self,
        place: &Place,
        holds: &[(u128, i64)],
        command: fn(vaccine::domain::Hold) -> Command,
    ) -> Vec<Outcome> {
        let holds = holds.iter().map(|(number, pool)| of(*number, &[*pool])).collect();
        let taken = place.wait(self.holds.take(holds, command, later())).expect("decides");
        taken.into_iter().map(|outcome| outcome.expect("keeps it")).collect()
    }

    /// How many transactions there were since it was asked last.
    fn commits(&self) -> usize {
        self.commits.swap(0, Ordering::Relaxed)
    }
}

fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside refusals")]
fn held() -> Outcome {
    Ok(Done::Held { name: name("FIZER") })
}

const SOLD_OUT: Outcome = Err(Refusal::SoldOut);

/// A ledger whose only dose reservation 1 holds, and that has said so.
fn sold_out(place: &Place) -> Process {
    let process = Process::of(place);
    process.ask(place, register(1)).expect("registers");
    assert_eq!(process.hold(place, &[(1, 1), (2, 1)]), [held(), SOLD_OUT]);
    assert_eq!(process.commits(), 2);
    process
}

on_both!(
    a_rush_on_what_is_sold_out_makes_no_commit,
    sold_out_is_answered_while_a_commit_takes_its_time,
    who_holds_a_dose_is_told_so_however_often_and_late_it_asks,
    an_id_that_is_spent_is_still_spent,
    a_dose_that_is_given_back_is_there_at_once,
    doses_that_are_added_are_there_at_once,
    only_what_is_sold_out_is_answered_without_a_commit,
    a_vaccine_that_is_gone_is_not_called_sold_out,
    old_clients_are_told_without_a_commit_too,
    of_ids_made_at_one_moment_those_that_are_known_are_found,
    of_ids_made_over_a_long_time_those_that_are_known_are_found,
);

fn a_rush_on_what_is_sold_out_makes_no_commit(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    for round in 1..=20 {
        let rush: Vec<_> = (1..=50).map(|number| (round * 1_000 + number, 1)).collect();
        assert_eq!(process.hold(&place, &rush), vec![SOLD_OUT; rush.len()]);
    }
    assert_eq!(process.commits(), 0);
}

fn sold_out_is_answered_while_a_commit_takes_its_time(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    let closed = process.door.lock();
    let mut commit = Box::pin(process.desk.ask(confirm(1, 1), later()));
    let begun = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(begun.is_pending(), "it passes a closed door");
    let hold = process.holds.take(vec![of(3, &[1])], Command::Hold, later());
    let answer = place.wait(async { timeout(PATIENCE, hold).await });
    assert_eq!(answer.expect("it waits for the commit"), Ok(vec![Ok(SOLD_OUT)]));
    drop(closed);
    assert_eq!(place.wait(commit), Ok(Ok(Ok(Done::Confirmed))));
}

fn who_holds_a_dose_is_told_so_however_often_and_late_it_asks(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    for _ in 0..2 {
        assert_eq!(process.hold(&place, &[(1, 1)]), [held()]);
    }
    assert_eq!(process.hold(&place, &[(3, 1), (1, 1), (4, 1)]), [SOLD_OUT, held(), SOLD_OUT]);
    process.ask(&place, confirm(1, 1)).expect("confirms");
    assert_eq!(process.hold(&place, &[(1, 1)]), [held()]);
    assert_eq!(process.hold(&place, &[(5, 1)]), [SOLD_OUT]);
}

fn an_id_that_is_spent_is_still_spent(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    process.ask(&place, release(7)).expect("releases before the hold comes");
    assert_eq!(process.hold(&place, &[(7, 1), (8, 1)]), [Err(Refusal::Released), SOLD_OUT]);
    process.ask(&place, register(1)).expect("registers");
    assert_eq!(
        process.hold(&place, &[(1, 2), (7, 1)]),
        [Err(Refusal::Conflict), Err(Refusal::Released)]
    );
}

fn a_dose_that_is_given_back_is_there_at_once(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    assert_eq!(process.hold(&place, &[(3, 1)]), [SOLD_OUT]);
    process.ask(&place, give_back(1)).expect("gives back");
    assert_eq!(process.hold(&place, &[(3, 1), (4, 1)]), [held(), SOLD_OUT]);
    process.commits();
    assert_eq!(process.hold(&place, &[(5, 1)]), [SOLD_OUT]);
    assert_eq!(process.commits(), 0, "it is known again");
}

fn doses_that_are_added_are_there_at_once(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    assert_eq!(process.hold(&place, &[(3, 1)]), [SOLD_OUT]);
    let pool = vaccine::domain::PoolId(1);
    let more = Command::Change { pool, name: None, stock: Some(stock(3)) };
    process.ask(&place, more).expect("adds");
    let outcomes = process.hold(&place, &[(3, 1), (4, 1), (5, 1)]);
    assert_eq!(outcomes, [held(), held(), SOLD_OUT]);
}

fn only_what_is_sold_out_is_answered_without_a_commit(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    process.ask(&place, register(1)).expect("registers");
    process.commits();
    let asked = [(11, 1), (12, 2), (13, 1), (1, 1), (14, 3), (15, 2)];
    let no_such = Err(Refusal::NoSuchPool);
    let outcomes = process.hold(&place, &asked);
    assert_eq!(outcomes, [SOLD_OUT, held(), SOLD_OUT, held(), no_such, SOLD_OUT]);
    assert_eq!(process.commits(), 1);
}

fn a_vaccine_that_is_gone_is_not_called_sold_out(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    process.ask(&place, give_back(1)).expect("gives back");
    process.ask(&place, Command::Remove { pool: vaccine::domain::PoolId(1) }).expect("removes");
    assert_eq!(process.hold(&place, &[(3, 1)]), [Err(Refusal::NoSuchPool)]);
}

fn old_clients_are_told_without_a_commit_too(new: fn() -> Place) {
    let place = new();
    let process = sold_out(&place);
    assert_eq!(process.take(&place, &[(3, 1)], Command::Confirm), [SOLD_OUT]);
    assert_eq!(process.commits(), 0);
    process.ask(&place, give_back(1)).expect("gives back");
    assert_eq!(process.take(&place, &[(3, 1)], Command::Confirm), [Ok(Done::Confirmed)]);
}

/// The n-th reservation id of a moment, as [`uuid::Uuid::now_v7`] makes them.
fn timed(number: u128) -> u128 {
    0x0199_0000_0000_7000_8000_0000_0000_0000 + number
}

fn of_ids_made_at_one_moment_those_that_are_known_are_found(new: fn() -> Place) {
    let place = new();
    let process = Process::of(&place);
    process.ask(&place, register(4)).expect("registers");
    let known = [timed(10), timed(20), timed(30), 7].map(|number| (number, 1));
    assert_eq!(process.hold(&place, &known), vec![held(); 4]);
    assert_eq!(process.hold(&place, &[(8, 1)]), [SOLD_OUT]);
    process.commits();

    let asked = [5, 15, 25, 35].map(|number| (timed(number), 1));
    assert_eq!(process.hold(&place, &asked), vec![SOLD_OUT; 4]);
    assert_eq!(process.hold(&place, &[(timed(6), 1), (9, 1)]), vec![SOLD_OUT; 2]);
    assert_eq!(process.commits(), 0);
    for (number, outcome) in
        [(10, held()), (20, held()), (30, held()), (31, SOLD_OUT), (9, SOLD_OUT)]
    {
        assert_eq!(process.hold(&place, &[(timed(number), 1)]), vec![outcome.clone()]);
        let among_others = [(timed(1), 1), (timed(number), 1), (7, 1), (timed(40), 1)];
        let outcomes = process.hold(&place, &among_others);
        assert_eq!(outcomes, [SOLD_OUT, outcome, held(), SOLD_OUT], "{number}");
    }
}

fn of_ids_made_over_a_long_time_those_that_are_known_are_found(new: fn() -> Place) {
    /// More than are looked at between two ids.
    const MANY: u128 = 1_100;

    let place = new();
    let process = Process::of(&place);
    process.ask(&place, register(1_100)).expect("registers");
    let known: Vec<_> = (1..=MANY).map(|number| (timed(number), 1)).collect();
    assert_eq!(process.hold(&place, &known), vec![held(); known.len()]);
    assert_eq!(process.hold(&place, &[(8, 1)]), [SOLD_OUT]);
    let asked = [(timed(0), 1), (timed(MANY), 1), (timed(MANY + 1), 1)];
    assert_eq!(process.hold(&place, &asked), [SOLD_OUT, held(), SOLD_OUT]);
}

#[test]
fn a_ledger_that_cannot_be_read_decides_in_commits() {
    let (place, nothing_there) = (Place::sqlite(), Place::sqlite());
    let process = sold_out(&place);
    let (_, unreadable) = nothing_there.open("vaccine", &[]).expect("opens");
    let process = Process { holds: Holds::new(process.desk.clone(), Reads(unreadable)), ..process };
    for commits in [1, 1] {
        assert_eq!(process.hold(&place, &[(3, 1), (1, 1)]), [SOLD_OUT, held()]);
        assert_eq!(process.commits(), commits);
    }
}

/// Several processes on one PostgreSQL.
mod several_processes_on_postgres {
    use super::*;

    #[test]
    fn a_dose_that_another_process_gives_back_is_there_at_once() {
        let place = Place::postgres();
        let (one, other) = (sold_out(&place), Process::of(&place));
        assert_eq!(one.hold(&place, &[(3, 1)]), [SOLD_OUT]);
        other.ask(&place, give_back(1)).expect("gives back");
        assert_eq!(one.hold(&place, &[(3, 1)]), [held()]);
    }

    #[test]
    fn a_hold_that_another_process_took_is_known_at_once() {
        let place = Place::postgres();
        let (one, other) = (sold_out(&place), Process::of(&place));
        other.ask(&place, give_back(1)).expect("gives back");
        assert_eq!(other.hold(&place, &[(3, 1)]), [held()]);
        // Its answer got lost; the next try goes elsewhere.
        assert_eq!(one.hold(&place, &[(3, 1), (4, 1)]), [held(), SOLD_OUT]);
    }
}
