//! The line against a vaccine that fails in every way: each ticket ends once, in the order of
//! arrival, whoever serves it.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use booking::{
    ANSWER_WITHIN,
    bookings::{Key, Request},
    domain::{
        Command, Fingerprint, Outcome,
        tickets::{End, Enqueue, Ticket},
    },
    store::Book,
    tickets::{self, Given},
};
use chassis::client::Client;
use contracts::{
    ids::{ReservationId, TicketId, UserId, VaccineId},
    vaccine::{HOLDS_MAX, HoldBatch, HoldOutcome},
};
use jiff::Timestamp;
use storage::{
    store::{Input, Output, Stored},
    writer::{Store, StoreError},
};
use tokio::{
    sync::watch,
    time::{self, timeout},
};
use uuid::Uuid;

use crate::{
    desk::Desk,
    town::{
        Town,
        vaccine::{HOLDS, Reply, Vaccine, held},
    },
};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(10);

const BODY: &str = r#"{"vaccineId":1,"userId":5}"#;

/// Puts a request in line; nobody serves it before [`serve`].
async fn queue(desk: &Desk, key: &str) -> Ticket {
    let key = Key { key: key.to_owned(), asked: Fingerprint([1; 16]) };
    let (vaccine, user) = (VaccineId(1), UserId(5));
    let request =
        Request { vaccine, user, key: Some(key.clone()), due: Instant::now() + ANSWER_WITHIN };
    match desk.bookings.queue(&request, &key).await {
        Ok(Given::Ticket(ticket, _)) => ticket,
        other => panic!("no ticket: {other:?}"),
    }
}

async fn queue_all<const N: usize>(desk: &Desk, keys: [&str; N]) -> [Ticket; N] {
    let mut tickets = Vec::new();
    for key in keys {
        tickets.push(queue(desk, key).await);
    }
    tickets.try_into().unwrap()
}

/// One more process that serves the line.
fn serve(desk: &Desk) {
    tickets::start(&desk.bookings, Client::new(desk.vaccine.url().parse().unwrap()));
}

/// How these tickets ended, as soon as all of them have.
async fn ends<const N: usize>(desk: &Desk, tickets: &[Ticket; N]) -> [End; N] {
    let all = async {
        loop {
            let mut ends = Vec::new();
            for ticket in tickets {
                let now = desk.bookings.ticket(ticket.id).await.unwrap().0;
                ends.extend(now.ended.map(|ended| ended.with));
            }
            if let Ok(ends) = ends.try_into() {
                return ends;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all).await.expect("a ticket does not end")
}

fn is_booked(end: &End) -> bool {
    matches!(end, End::Booked(_))
}

fn reservations(batch: &HoldBatch) -> Vec<ReservationId> {
    batch.holds.iter().map(|hold| hold.reservation_id).collect()
}

#[tokio::test]
async fn the_line_is_asked_for_in_the_order_of_arrival() {
    let desk = Desk::open();
    let line = queue_all(&desk, ["c", "a", "b"]).await;
    let said = [held(), held(), HoldOutcome::SoldOut];
    desk.vaccine.will_answer(HOLDS, Reply::outcomes(said));
    serve(&desk);
    let ends = ends(&desk, &line).await;
    assert_eq!(ends.map(|end| is_booked(&end)), [true, true, false]);
    let batches = desk.vaccine.batches(1).await;
    assert_eq!(batches.len(), 1);
    assert_eq!(reservations(&batches[0]), line.map(|ticket| ticket.reservation));
    assert_eq!(desk.said().await, ["Booked", "Booked", "ReservationAbandoned"]);
}

#[tokio::test]
async fn a_line_that_is_longer_than_a_request_is_asked_for_in_pieces() {
    let desk = Desk::open();
    let mut line = Vec::new();
    for number in 0..=HOLDS_MAX {
        line.push(queue(&desk, &number.to_string()).await.reservation);
    }
    let decide = desk.vaccine.will_wait(HOLDS);
    serve(&desk);
    assert_eq!(reservations(&desk.vaccine.batches(1).await[0]), line[..HOLDS_MAX]);
    drop(decide.send(Reply::outcomes(vec![held(); HOLDS_MAX])));
    assert_eq!(reservations(&desk.vaccine.batches(2).await[1]), line[HOLDS_MAX..]);
}

/// What vaccine may do instead of an answer.
fn no_answers() -> [Reply; 5] {
    [
        Reply::Nothing,
        Reply::Answer(503, String::new()),
        Reply::Answer(200, "nonsense".to_owned()),
        Reply::outcomes([HoldOutcome::Failed, HoldOutcome::Failed]),
        Reply::outcomes([]),
    ]
}

#[tokio::test]
async fn until_there_is_an_answer_the_same_is_asked_again() {
    let desk = Desk::open();
    let line = queue_all(&desk, ["a", "b"]).await;
    let times = no_answers().len();
    for reply in no_answers() {
        desk.vaccine.will_answer(HOLDS, reply);
    }
    serve(&desk);
    assert!(ends(&desk, &line).await.iter().all(is_booked));
    let batches = desk.vaccine.batches(times + 1).await;
    let asked: Vec<_> = batches.iter().map(reservations).collect();
    assert_eq!(asked, vec![line.map(|ticket| ticket.reservation).to_vec(); times + 1]);
    assert_eq!(desk.said().await, ["Booked", "Booked"]);
}

#[tokio::test]
async fn what_is_decided_of_a_request_is_not_asked_again() {
    let desk = Desk::open();
    let line = queue_all(&desk, ["a", "b", "c"]).await;
    let said = [held(), HoldOutcome::Failed, held()];
    desk.vaccine.will_answer(HOLDS, Reply::outcomes(said));
    serve(&desk);
    assert!(ends(&desk, &line).await.iter().all(is_booked));
    let batches = desk.vaccine.batches(2).await;
    assert_eq!(reservations(&batches[1]), [line[1].reservation]);
}

#[tokio::test]
async fn a_round_of_settling_between_hold_and_booking_does_not_touch_the_ticket() {
    let desk = Desk::open();
    let line = queue_all(&desk, ["a"]).await;
    let decide = desk.vaccine.will_wait(HOLDS);
    serve(&desk);
    let held_now = desk.reservation(0).await;
    assert_eq!(desk.bookings.reads.unknown(vec![held_now]).await, Ok(vec![]));
    desk.bookings.settle(&[held_now]).await;
    drop(decide.send(Reply::outcomes([held()])));
    assert!(ends(&desk, &line).await.iter().all(is_booked));
    assert_eq!(desk.said().await, ["Booked"]);
}

#[tokio::test]
async fn a_ticket_whose_dose_was_given_back_tries_the_next_attempt() {
    let desk = Desk::open();
    let line = queue_all(&desk, ["a", "b"]).await;
    let said = [HoldOutcome::Released, held()];
    desk.vaccine.will_answer(HOLDS, Reply::outcomes(said));
    serve(&desk);
    assert!(ends(&desk, &line).await.iter().all(is_booked));
    let batches = desk.vaccine.batches(2).await;
    assert_eq!(batches[1].holds.len(), 1);
    assert_ne!(batches[1].holds[0].reservation_id, line[0].reservation);
    assert_eq!(desk.said().await, ["ReservationAbandoned", "Booked", "Booked"]);
}

#[tokio::test]
async fn a_ticket_has_16_attempts() {
    let desk = Desk::open();
    let line = queue_all(&desk, ["a"]).await;
    for _ in 0..16 {
        desk.vaccine.will_answer(HOLDS, Reply::outcomes([HoldOutcome::Released]));
    }
    serve(&desk);
    assert_eq!(ends(&desk, &line).await, [End::GivenUp]);
    let batches = desk.vaccine.batches(16).await;
    let spent: BTreeSet<_> = batches.iter().map(reservations).collect();
    assert_eq!((batches.len(), spent.len()), (16, 16));
}

/// Counts how often it was told what became of a ticket.
struct Counting {
    store: Stored<Book>,
    served: watch::Sender<usize>,
}

impl Store for Counting {
    type Command = Input<Command>;
    type Outcome = Output<Outcome>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Outcome>>, StoreError> {
        let outcomes = self.store.apply(batch);
        self.served
            .send_modify(|served| *served += batch.iter().filter(|one| is_serve(one)).count());
        outcomes
    }
}

fn is_serve(input: &Input<Command>) -> bool {
    matches!(input, Input::Asked(Command::Serve(_)))
}

/// Two processes have asked for the same tickets, and a dose came back between the two answers.
async fn two_processes(
    first: [HoldOutcome; 2],
    second: [HoldOutcome; 2],
) -> (Vec<bool>, Vec<String>) {
    let served = watch::Sender::new(0);
    let desk = Desk::with(|store| Counting { store, served: served.clone() });
    let line = queue_all(&desk, ["a", "b"]).await;
    let decide = [desk.vaccine.will_wait(HOLDS), desk.vaccine.will_wait(HOLDS)];
    serve(&desk);
    serve(&desk);
    desk.vaccine.batches(2).await;
    let mut served = served.subscribe();
    for (decide, (said, times)) in decide.into_iter().zip([(first, 2), (second, 4)]) {
        drop(decide.send(Reply::outcomes(said)));
        let written = timeout(PATIENCE, served.wait_for(|served| *served == times)).await;
        drop(written.expect("nothing is written").unwrap());
    }
    let ended = ends(&desk, &line).await;
    (ended.iter().map(is_booked).collect(), desk.said().await)
}

#[tokio::test]
async fn of_two_processes_that_serve_the_same_line_the_first_decides() {
    let none = HoldOutcome::SoldOut;
    let (ended, said) = two_processes([held(), none.clone()], [held(), held()]).await;
    assert_eq!(ended, [true, false]);
    // The dose that the second one was given goes back: vaccine hears that its attempt is over.
    assert_eq!(said, ["Booked", "ReservationAbandoned"]);

    let (ended, said) = two_processes([held(), held()], [held(), none]).await;
    assert_eq!(ended, [true, true]);
    assert_eq!(said, ["Booked", "Booked"]);

    // The second one hears of doses that were cancelled meanwhile.
    let released = [HoldOutcome::Released, HoldOutcome::Released];
    let (ended, said) = two_processes([held(), held()], released).await;
    assert_eq!(ended, [true, true]);
    assert_eq!(said, ["Booked", "Booked"]);
}

/// A disk that fails so many times when it should keep what became of tickets.
struct Failing {
    store: Stored<Book>,
    times: AtomicUsize,
}

impl Store for Failing {
    type Command = Input<Command>;
    type Outcome = Output<Outcome>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Outcome>>, StoreError> {
        let serves = batch.iter().any(is_serve);
        let left = self.times.load(Ordering::Relaxed);
        if serves && left > 0 {
            self.times.store(left - 1, Ordering::Relaxed);
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        self.store.apply(batch)
    }
}

#[tokio::test]
async fn what_could_not_be_written_is_asked_again_and_written_once() {
    let desk = Desk::with(|store| Failing { store, times: AtomicUsize::new(2) });
    let line = queue_all(&desk, ["a", "b"]).await;
    serve(&desk);
    assert!(ends(&desk, &line).await.iter().all(is_booked));
    let asked: Vec<_> = desk.vaccine.batches(3).await.iter().map(reservations).collect();
    assert_eq!(asked, vec![line.map(|ticket| ticket.reservation).to_vec(); 3]);
    assert_eq!(desk.said().await, ["Booked", "Booked"]);
}

#[tokio::test]
async fn tickets_wait_for_a_vaccine_that_is_down_also_across_a_restart() {
    let mut town = Town::with(Vaccine::closed());
    let given = [town.queue("b", BODY).await, town.queue("a", BODY).await];
    town.reopen().await;
    assert_eq!(town.ticket(&given[1]).await.json()["position"], 2);
    town.vaccine.will_answer(HOLDS, Reply::outcomes([held(), HoldOutcome::SoldOut]));
    town.vaccine.listen();
    town.vaccine.told(2).await;
    assert_eq!(town.ticket(&given[0]).await.json()["status"], "BOOKED");
    assert_eq!(town.ticket(&given[1]).await.json()["status"], "SOLD_OUT");
}

#[tokio::test]
async fn a_ticket_is_served_at_once_when_all_is_well() {
    let town = Town::open();
    town.queue("a", BODY).await; // From here on nobody waits, and the line sleeps.
    town.vaccine.told(1).await;
    let start = Instant::now();
    town.queue("b", BODY).await;
    town.vaccine.told(2).await;
    assert!(start.elapsed() < Duration::from_secs(3), "after {:?}", start.elapsed());
}

#[tokio::test]
async fn what_became_of_a_ticket_is_told_at_once() {
    let desk = Desk::open();
    queue(&desk, "a").await;
    let decide = desk.vaccine.will_wait(HOLDS);
    serve(&desk);
    desk.reservation(0).await;
    let mut told = desk.bookings.told.ear();
    drop(decide.send(Reply::outcomes([held()])));
    timeout(PATIENCE, told.rung()).await.expect("nobody rings");
}

#[tokio::test]
async fn a_ticket_that_another_process_left_is_found() {
    let desk = Desk::open();
    let first = queue_all(&desk, ["a"]).await;
    serve(&desk);
    ends(&desk, &first).await;
    let left = Enqueue {
        ticket: TicketId(Uuid::from_u128(1)),
        key: "left".to_owned(),
        asked: Fingerprint([1; 16]),
        vaccine: VaccineId(1),
        user: UserId(5),
        attempt: 0,
        reservation: ReservationId(Uuid::from_u128(1)),
        at: Timestamp::UNIX_EPOCH,
    };
    let queued = desk.bookings.desk.ask(Command::Enqueue(left), Instant::now() + PATIENCE).await;
    assert!(queued.unwrap().unwrap().is_ok());
    let start = Instant::now();
    while desk.vaccine.asked(HOLDS).len() == 1 {
        assert!(start.elapsed() < PATIENCE, "nobody looks for it");
        desk.bookings.reads.head_of_line(1).await.unwrap(); // Meanwhile the line falls asleep.
        time::pause();
        time::advance(Duration::from_secs(6)).await; // Longer than it sleeps.
        time::resume();
    }
    assert_eq!(desk.reservation(1).await, ReservationId(Uuid::from_u128(1)));
}

#[tokio::test]
async fn who_does_not_wait_in_line_is_served_while_others_wait() {
    let town = Town::open();
    let decide = town.vaccine.will_wait(HOLDS);
    town.queue("a", BODY).await;
    town.vaccine.batches(1).await;
    assert_eq!(town.ask("POST /bookings", BODY).await.status, 201);
    drop(decide.send(Reply::outcomes([held()])));
}
