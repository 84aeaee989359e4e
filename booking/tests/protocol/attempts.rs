//! Attempts in batches: where an answer is missing nothing is assumed.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use booking::{
    attempts::{Attempt, HOLDS_MIN, NotTried, Tried},
    domain::{Command, Done, Outcome},
    store::Book,
};
use contracts::{
    ids::{ReservationId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use insta::assert_snapshot;
use storage::{
    store::{Input, Output, Stored},
    writer::{Store, StoreError},
};
use tokio::{join, select, task::JoinSet};
use uuid::Uuid;

use crate::{
    BOOK, book,
    desk::Desk,
    said,
    town::{
        SEED, Town,
        vaccine::{HOLDS, Reply, Vaccine, held},
    },
};

#[tokio::test]
async fn with_vaccine_out_of_reach_nothing_has_happened() {
    let mut town = Town::with(Vaccine::closed());
    assert_snapshot!(book(&town).await, @r#"
    503 Service Unavailable
    retry-after: in a moment
    content-type: application/problem+json

    {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"bookings cannot be taken at this moment"}
    "#);
    assert_eq!(town.ask("GET /bookings", "").await.json()["page"]["totalElements"], 0);

    town.vaccine.listen();
    assert_eq!(book(&town).await.json()["bookingId"], 1);
    // There was no dose to give back, so the booking is all that vaccine hears.
    assert_eq!(said(&town.vaccine.told(1).await[0]).0, "Booked");
}

#[tokio::test]
async fn a_lost_answer_without_a_key_is_settled() {
    let failed = Reply::outcomes([HoldOutcome::Failed]);
    for reply in [Reply::Nothing, Reply::Answer(500, String::new()), Reply::outcomes([]), failed] {
        let town = Town::open();
        town.vaccine.will_answer(HOLDS, reply);
        assert_eq!(book(&town).await.status, 503);
        let reservation = town.vaccine.batches(1).await[0].holds[0].reservation_id.to_string();
        let [event] = &town.vaccine.told(1).await[..] else { panic!("one event") };
        assert_eq!(said(event), ("ReservationAbandoned".to_owned(), reservation));
        assert_eq!(town.ask("GET /bookings", "").await.json()["page"]["totalElements"], 0);
    }
}

#[tokio::test]
async fn a_lost_answer_with_a_key_is_asked_for_again() {
    let town = Town::open();
    town.vaccine.will_answer(HOLDS, Reply::Nothing);
    assert_eq!(town.ask_with_key("a", BOOK, SEED).await.status, 503);
    assert_eq!(town.ask_with_key("a", BOOK, SEED).await.status, 201);

    let batches = town.vaccine.batches(2).await;
    assert_eq!(batches[0].holds, batches[1].holds);
    let reservation = batches[0].holds[0].reservation_id.to_string();
    // Had the first try been settled, that would come before the booking.
    assert_eq!(said(&town.vaccine.told(1).await[0]), ("Booked".to_owned(), reservation));
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_leaves_nothing_to_settle() {
    let town = Town::open();
    for refusal in [HoldOutcome::SoldOut, HoldOutcome::NoSuchVaccine, HoldOutcome::Conflict] {
        town.vaccine.will_answer(HOLDS, Reply::outcomes([refusal]));
        assert!(book(&town).await.status.is_client_error());
    }
    assert_eq!(book(&town).await.status, 201);
    assert_eq!(said(&town.vaccine.told(1).await[0]).0, "Booked");
}

#[tokio::test]
async fn a_booking_under_way_when_the_process_stops_is_made_and_told_after_the_next_start() {
    let mut town = Town::open();
    let decide = town.vaccine.will_wait(HOLDS);
    let stop = async {
        town.vaccine.batches(1).await;
        town.stop();
        drop(decide.send(Reply::outcomes([held()])));
    };
    let (answer, ()) = join!(book(&town), stop);
    assert_eq!(answer.status, 201);

    town.reopen().await;
    assert_eq!(town.ask("GET /bookings/1", "").await.status, 200);
    assert_eq!(said(&town.vaccine.told(1).await[0]).0, "Booked");
}

/// Attempts on their own, without the protocol around them.
struct Asking {
    desk: Desk,
}

impl Asking {
    fn start() -> Self {
        Self { desk: Desk::open() }
    }

    /// What came of an attempt on a vaccine: its name where it is booked.
    async fn ask(&self, vaccine: i64, within: Duration) -> Result<HoldOutcome, NotTried> {
        let attempt = Attempt {
            reservation: ReservationId(Uuid::now_v7()),
            vaccine: VaccineId(vaccine),
            user: UserId(5),
            asked: None,
            hold_by: Instant::now() + within,
            write_by: Instant::now() + SOON,
        };
        match self.desk.bookings.attempts.make(attempt).await? {
            Tried::Written(Ok(Ok(Done::Booked(_)))) => Ok(held()),
            Tried::Refused(outcome) => Ok(outcome),
            other @ Tried::Written(_) => panic!("{other:?}"),
        }
    }
}

const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn who_asks_while_a_request_is_under_way_travels_in_the_next() {
    let asking = Asking::start();
    let decide = asking.desk.vaccine.will_wait(HOLDS);
    let outcomes = [held(), HoldOutcome::SoldOut, HoldOutcome::NoSuchVaccine];
    asking.desk.vaccine.will_answer(HOLDS, Reply::outcomes(outcomes.clone()));
    let others = async {
        asking.desk.vaccine.batches(1).await;
        let let_go = async { drop(decide.send(Reply::outcomes([held()]))) };
        // In this order: all three wait by the time that the first is let go.
        join!(asking.ask(2, SOON), asking.ask(3, SOON), asking.ask(4, SOON), let_go)
    };
    let (first, (second, third, fourth, ())) = join!(asking.ask(1, SOON), others);

    assert_eq!(first, Ok(held()));
    assert_eq!([second, third, fourth], outcomes.map(Ok));
    let batches = asking.desk.vaccine.batches(2).await;
    let vaccines = batches.iter().map(|batch| batch.holds.iter().map(|hold| hold.vaccine_id.0));
    assert_eq!(vaccines.map(Vec::from_iter).collect::<Vec<_>>(), [vec![1], vec![2, 3, 4]]);
}

#[tokio::test]
async fn what_was_held_in_one_request_is_booked_in_one_commit() {
    let commits = Arc::new(AtomicUsize::new(0));
    let desk = Desk::with(|store| Counting { store, commits: Arc::clone(&commits) });
    let asking = Asking { desk };
    asking.desk.vaccine.will_answer(HOLDS, Reply::outcomes([held(), held(), held()]));
    let all = join!(asking.ask(1, SOON), asking.ask(1, SOON), asking.ask(1, SOON));
    assert_eq!(all, (Ok(held()), Ok(held()), Ok(held())));
    assert_eq!(commits.load(Ordering::Relaxed), 1);
}

/// A store that counts its commits.
struct Counting {
    store: Stored<Book>,
    commits: Arc<AtomicUsize>,
}

impl Store for Counting {
    type Command = Input<Command>;
    type Outcome = Output<Outcome>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Outcome>>, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.apply(batch)
    }
}

#[tokio::test]
async fn who_finds_the_queue_full_is_refused_at_once() {
    let asking = Asking::start();
    let _under_way = asking.desk.vaccine.will_wait(HOLDS);
    let refused = loop {
        // Asked once each: it waits in the queue, or it does not fit.
        select! {
            biased;
            outcome = asking.ask(1, SOON) => break outcome,
            () = ready(()) => {}
        }
    };
    assert_eq!(refused, Err(NotTried::Busy));
}

#[tokio::test]
async fn who_waited_too_long_is_not_asked_for_any_more() {
    let asking = Asking::start();
    assert_eq!(asking.ask(1, Duration::ZERO).await, Err(NotTried::Busy));
    assert_eq!(asking.ask(2, SOON).await, Ok(held()));
    let [batch] = &asking.desk.vaccine.batches(1).await[..] else { panic!("one request") };
    assert_eq!(batch.holds[0].vaccine_id, VaccineId(2));
}

impl Asking {
    /// So many at the same time; the largest number that then travelled together.
    async fn ask_at_once(self: &Arc<Self>, many: usize) -> usize {
        let before = self.desk.vaccine.asked(HOLDS).len();
        let mut all = JoinSet::new();
        for _ in 0..many {
            let asking = Arc::clone(self);
            all.spawn(async move { asking.ask(1, SOON).await });
        }
        for outcome in all.join_all().await {
            assert_eq!(outcome, Ok(held()));
        }
        let batches = self.desk.vaccine.batches(before + 1).await;
        batches[before..].iter().map(|batch| batch.holds.len()).max().unwrap()
    }
}

#[tokio::test]
async fn fewer_travel_together_after_trouble_and_soon_as_many_again() {
    let asking = Arc::new(Asking::start());
    let least = usize::try_from(HOLDS_MIN).unwrap();
    for _ in 0..16 {
        asking.desk.vaccine.will_answer(HOLDS, Reply::Answer(429, String::new()));
        assert_eq!(asking.ask(1, SOON).await, Err(NotTried::Unknown));
    }
    assert!(asking.ask_at_once(3 * least).await <= least);
    let start = Instant::now();
    while asking.ask_at_once(3 * least).await <= least {
        assert!(start.elapsed() < PATIENCE, "still no more than {least}");
    }
}

/// Longer than it takes to learn that all is well.
const PATIENCE: Duration = Duration::from_secs(10);
