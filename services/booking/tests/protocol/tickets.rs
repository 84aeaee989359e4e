//! The queue against a `vaccine` that fails in every way: each ticket ends once, in the order of arrival,
//! whichever process serves it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use booking::{
    domain::{
        Bookings, Command, Fingerprint, NotGranted, Reply,
        tickets::{Answer, EnqueueReply, EnqueueTicket, QueuedTicket, ServeTicket, TicketEnd},
    },
    holds::HoldClient,
    protocol::{Accepted, BookingError, BookingRequest},
    ticket_queue,
};
use contracts::{
    ids::{TicketId, UserId, VaccineId},
    vaccine::{HOLDS_MAX, HoldOutcome},
};
use jiff::Timestamp;
use platform_rest::client::Client;
use platform_store::{AggregateStore, Input, Output, Store, StoreError};
use serde_json::Value;
use testkit::TEST_TIMEOUT;
use tokio::{
    join,
    sync::watch,
    time::{self, timeout},
};
use uuid::Uuid;

use crate::{
    app::BookingApp,
    book,
    fixture::{ProtocolFixture, with_key_of, without_key},
    vaccine::{ANSWERED_MAX, FakeReply, FakeVaccine, HOLDS, held, held_many, wanted},
};

const BODY: &str = r#"{"vaccineId":1,"userId":5}"#;

/// Adds a request to the queue; nothing serves it before [`serve`].
pub(crate) async fn enqueue(fixture: &ProtocolFixture, key: &str) -> QueuedTicket {
    enqueue_request(fixture, with_key_of(key, true)).await
}

pub(crate) async fn enqueue_request(
    fixture: &ProtocolFixture,
    request: BookingRequest,
) -> QueuedTicket {
    match fixture.protocol.book(request).await {
        Ok(Accepted::Ticket(ticket, _)) => ticket,
        other => panic!("no ticket: {other:?}"),
    }
}

/// Of that many citizens, one each.
async fn enqueue_many(fixture: &ProtocolFixture, count: u32) {
    for user in 0..count {
        let user = UserId(user.into());
        enqueue_request(fixture, BookingRequest { user, ..with_key_of("a", true) }).await;
    }
}

pub(crate) async fn enqueue_all<const N: usize>(
    fixture: &ProtocolFixture,
    keys: [&str; N],
) -> [QueuedTicket; N] {
    let mut tickets = Vec::new();
    for key in keys {
        tickets.push(enqueue(fixture, key).await);
    }
    tickets.try_into().unwrap()
}

/// Starts the worker that serves the queue.
pub(crate) fn serve(fixture: &ProtocolFixture) {
    ticket_queue::start(&fixture.protocol, Arc::clone(&fixture.protocol.holds));
}

/// Starts a worker as another process has it.
fn serve_in_another_process(fixture: &ProtocolFixture) {
    let vaccine = Client::new(fixture.vaccine.url().parse().unwrap());
    let holds = Arc::new(HoldClient::new(
        vaccine,
        fixture.protocol.owner,
        fixture.protocol.queries.0.clone(),
        fixture.protocol.aborts.clone(),
        fixture.protocol.runtime.stop.clone(),
    ));
    ticket_queue::start(&fixture.protocol, holds);
}

/// How these tickets ended, as soon as all of them have.
pub(crate) async fn ends<const N: usize>(
    fixture: &ProtocolFixture,
    tickets: &[QueuedTicket; N],
) -> [TicketEnd; N] {
    let all = async {
        loop {
            let mut ends = Vec::new();
            for ticket in tickets {
                ends.extend(fixture.protocol.ticket(ticket.id).await.unwrap().0.end);
            }
            if let Ok(ends) = ends.try_into() {
                return ends;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(TEST_TIMEOUT, all).await.expect("every ticket ends in time")
}

pub(crate) fn is_booked(end: &TicketEnd) -> bool {
    matches!(end, TicketEnd::Booked(_))
}

/// How many doses each batch wants for citizens, as soon as there are so many batches.
async fn wanted_by(fixture: &ProtocolFixture, batches: usize) -> Vec<u32> {
    let wanted = fixture.vaccine.batches(batches).await.iter().map(wanted).collect::<Vec<_>>();
    wanted.into_iter().filter(|wanted| *wanted > 0).collect()
}

#[tokio::test]
async fn the_queue_is_served_in_the_order_of_arrival() {
    let fixture = ProtocolFixture::start();
    let queue = enqueue_all(&fixture, ["c", "a", "b"]).await;
    for outcome in [held_many(2), HoldOutcome::SoldOut] {
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
    }
    serve(&fixture);
    let ends = ends(&fixture, &queue).await;
    assert_eq!(ends.map(|end| is_booked(&end)), [true, true, false]);
    assert_eq!(wanted_by(&fixture, 2).await, [3, 1]);
    assert_eq!(fixture.events().await, ["Booked", "Booked"]);
}

#[tokio::test]
async fn tickets_get_the_doses_in_hand_before_any_other() {
    let fixture = ProtocolFixture::start();
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_many(4)]));
    assert_eq!(fixture.book(without_key()).await, Ok(1));
    let queue = enqueue_all(&fixture, ["a", "b"]).await;
    serve(&fixture);
    let (ends, last) = join!(ends(&fixture, &queue), fixture.book(without_key()));
    assert!(ends.iter().all(is_booked));
    assert_eq!(last, Ok(4));
    assert_eq!(wanted_by(&fixture, 1).await.len(), 1, "there were enough in hand");
}

#[tokio::test]
async fn a_long_queue_is_served_in_several_requests() {
    let fixture = ProtocolFixture::start();
    let max = u32::try_from(HOLDS_MAX).unwrap();
    enqueue_many(&fixture, max + 1).await;
    let decide = fixture.vaccine.delay_next(HOLDS);
    serve(&fixture);
    assert_eq!(wanted_by(&fixture, 1).await, [max]);
    drop(decide.send(FakeReply::outcomes([held_many(max)])));
    assert_eq!(wanted_by(&fixture, 2).await, [max, 1]);
}

/// What `vaccine` may send instead of an answer.
fn no_answers() -> [FakeReply; 6] {
    [
        FakeReply::Disconnect,
        FakeReply::Response(503, String::new()),
        FakeReply::Response(200, "nonsense".to_owned()),
        FakeReply::outcomes([HoldOutcome::Failed]),
        FakeReply::outcomes([HoldOutcome::Conflict]),
        FakeReply::outcomes([]),
    ]
}

#[tokio::test]
async fn a_request_without_an_answer_is_repeated() {
    let fixture = ProtocolFixture::start();
    let queue = enqueue_all(&fixture, ["a", "b"]).await;
    let times = no_answers().len();
    for reply in no_answers() {
        fixture.vaccine.reply_next(HOLDS, reply);
    }
    serve(&fixture);
    assert!(ends(&fixture, &queue).await.iter().all(is_booked));
    assert_eq!(wanted_by(&fixture, times + 1).await, vec![2; times + 1]);
    // Until the fifth answer, that these reservations are taken.
    let batches = fixture.vaccine.batches(times + 1).await;
    let firsts: Vec<_> = batches.iter().map(|batch| batch.blocks[0].first).collect();
    assert_eq!(firsts[..5], vec![firsts[0]; 5]);
    assert_eq!(firsts[5..], vec![firsts[5]; times - 4]);
    assert_ne!(firsts[0], firsts[5]);
    let booked = fixture.events().await.into_iter().filter(|event| event == "Booked");
    assert_eq!(booked.count(), 2);
}

#[tokio::test]
async fn only_undecided_tickets_are_requested_again() {
    let fixture = ProtocolFixture::start();
    let other = BookingRequest { choice: VaccineId(2).into(), ..with_key_of("b", true) };
    let queue = [
        enqueue(&fixture, "a").await,
        enqueue_request(&fixture, other).await,
        enqueue(&fixture, "c").await,
    ];
    let outcomes = [held_many(2), HoldOutcome::Failed];
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes(outcomes));
    serve(&fixture);
    assert!(ends(&fixture, &queue).await.iter().all(is_booked));
    let again = &fixture.vaccine.batches(2).await[1].blocks[0];
    assert_eq!((again.vaccine_id, again.count), (VaccineId(2), 1));
}

#[tokio::test]
async fn a_ticket_whose_dose_was_resolved_before_it_is_booked_gets_another() {
    let fixture = ProtocolFixture::start();
    let queue = enqueue_all(&fixture, ["a"]).await;
    let decide = fixture.vaccine.delay_next(HOLDS);
    serve(&fixture);
    let held_now = fixture.reservation(0).await;
    assert_eq!(fixture.protocol.queries.orphaned(vec![held_now]).await, Ok(vec![held_now]));
    fixture.protocol.resolve(&[held_now]).await;
    drop(decide.send(FakeReply::outcomes([held()])));
    assert!(ends(&fixture, &queue).await.iter().all(is_booked));
    assert_eq!(fixture.events().await, ["ReservationAborted", "Booked"]);
}

/// A store that counts the tickets that are served.
struct Counting {
    store: AggregateStore<Bookings>,
    served: watch::Sender<usize>,
}

impl Store for Counting {
    type Command = Input<Command>;
    type Reply = Output<Reply>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Reply>>, StoreError> {
        let outcomes = self.store.apply(batch);
        self.served
            .send_modify(|served| *served += batch.iter().filter(|one| is_serve(one)).count());
        outcomes
    }
}

fn is_serve(input: &Input<Command>) -> bool {
    matches!(input, Input::Command(Command::Serve(_)))
}

/// Two processes have requested doses for the same tickets, and a dose was released between the answers.
async fn two_processes(first: u32, second: u32) -> (Vec<bool>, Vec<String>) {
    let served = watch::Sender::new(0);
    let fixture = ProtocolFixture::with_store(|store| Counting { store, served: served.clone() });
    let queue = enqueue_all(&fixture, ["a", "b"]).await;
    let decide = [fixture.vaccine.delay_next(HOLDS), fixture.vaccine.delay_next(HOLDS)];
    serve(&fixture);
    serve_in_another_process(&fixture);
    fixture.vaccine.batches(2).await;
    let mut served = served.subscribe();
    for (decide, (doses, times)) in decide.into_iter().zip([(first, first), (second, 3)]) {
        drop(decide.send(FakeReply::outcomes([held_many(doses)])));
        let times = usize::try_from(times).unwrap();
        let written = timeout(TEST_TIMEOUT, served.wait_for(|served| *served >= times)).await;
        drop(written.expect("it is written in time").unwrap());
    }
    let ended = ends(&fixture, &queue).await;
    (ended.iter().map(is_booked).collect(), fixture.events().await)
}

#[tokio::test]
async fn two_processes_that_serve_the_same_queue_book_each_ticket_once() {
    let booked = (vec![true; 2], vec!["Booked".to_owned(); 2]);
    // The second one has the dose for the first ticket in hand then.
    assert_eq!(two_processes(1, 2).await, booked);
    assert_eq!(two_processes(2, 1).await, booked);
}

/// A store that fails so many times when tickets are served.
struct Failing {
    store: AggregateStore<Bookings>,
    times: AtomicUsize,
}

impl Store for Failing {
    type Command = Input<Command>;
    type Reply = Output<Reply>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Reply>>, StoreError> {
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
async fn tickets_whose_write_failed_are_written_once() {
    let fixture =
        ProtocolFixture::with_store(|store| Failing { store, times: AtomicUsize::new(2) });
    let queue = enqueue_all(&fixture, ["a", "b"]).await;
    serve(&fixture);
    assert!(ends(&fixture, &queue).await.iter().all(is_booked));
    assert_eq!(wanted_by(&fixture, 3).await, [2, 2, 2]);
    let mut events = fixture.events().await;
    events.retain(|event| event != "ReservationAborted"); // Their doses may have been booked.
    assert_eq!(events, ["Booked", "Booked"]);
}

#[tokio::test]
async fn tickets_go_before_requests_that_arrived_later() {
    let fixture = ProtocolFixture::start();
    let queue = enqueue_all(&fixture, ["a", "b"]).await;
    let mut later = Box::pin(fixture.book(without_key()));
    assert!(later.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    serve(&fixture);
    assert!(later.await.is_ok());
    assert!(ends(&fixture, &queue).await.iter().all(is_booked));
    assert_eq!(wanted_by(&fixture, 2).await, [2, 1]);
}

/// The circuit is open; then it is probed with tickets.
#[tokio::test]
async fn tickets_get_the_first_doses_after_an_outage_however_often_others_retry() {
    let mut app = BookingApp::start_with(FakeVaccine::unreachable());
    for user in 1..=9 {
        let body = BODY.replace('5', &user.to_string());
        assert_eq!(app.enqueue("a", &body).await.status, 202);
    }
    let outage = async {
        while book(&app).await.json()["detail"] != "the stock service is unavailable" {}
        app.vaccine.listen();
        while app.vaccine.requests(HOLDS).is_empty() {
            join!(book(&app), book(&app), book(&app), book(&app), book(&app));
        }
    };
    timeout(TEST_TIMEOUT, outage).await.expect("it ends");
    // The probe, and what the ramp permits after it.
    let events = app.vaccine.events(9).await;
    let users = events.iter().take(9).map(|event| {
        let data: Value = serde_json::from_str(event.data.get()).unwrap();
        data["userId"].as_u64().unwrap()
    });
    assert_eq!(users.collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
}

/// The circuit stays closed.
#[tokio::test]
async fn tickets_keep_their_turn_after_an_answer_of_503() {
    let fixture = ProtocolFixture::start();
    enqueue_all(&fixture, ["a", "b"]).await;
    fixture.vaccine.reply_next(HOLDS, FakeReply::Response(503, String::new()));
    serve(&fixture);
    fixture.vaccine.batches(1).await;
    assert!(fixture.book(without_key()).await.is_ok());
    assert_eq!(wanted_by(&fixture, 3).await, [2, 2, 1]);
}

/// Who must not wait for tickets that cannot be served.
#[tokio::test]
async fn others_are_served_while_tickets_fail_again_and_again() {
    let fixture = ProtocolFixture::start();
    enqueue(&fixture, "a").await;
    for _ in 0..100 {
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::Failed]));
    }
    serve(&fixture);
    let served =
        async { while fixture.book(without_key()).await == Err(BookingError::RetryLater) {} };
    timeout(TEST_TIMEOUT, served).await.expect("they get their turn");
}

pub(crate) async fn end_as_sold_out(fixture: &ProtocolFixture, ticket: &QueuedTicket) {
    let (ticket, answer) = (ticket.id, Answer::NotGranted(NotGranted::SoldOut));
    let sold_out = ServeTicket { ticket, answer, at: Timestamp::UNIX_EPOCH };
    let commands = &fixture.protocol.commands;
    commands.submit(sold_out, Instant::now() + TEST_TIMEOUT).await.unwrap();
}

#[tokio::test]
async fn a_key_whose_ticket_ends_while_the_same_request_is_under_way_has_one_outcome() {
    let fixture = ProtocolFixture::start();
    let ticket = enqueue(&fixture, "a").await;
    let decide = fixture.vaccine.delay_next(HOLDS);
    let ends_as_sold_out = async {
        fixture.reservation(0).await;
        end_as_sold_out(&fixture, &ticket).await;
        drop(decide.send(FakeReply::outcomes([held()])));
    };
    let (outcome, ()) = join!(fixture.book(with_key_of("a", false)), ends_as_sold_out);
    assert_eq!(outcome, Err(BookingError::NotGranted(NotGranted::SoldOut)));
}

#[tokio::test]
async fn a_long_queue_is_served_by_a_vaccine_that_answers_few_holds_at_once() {
    let fixture = ProtocolFixture::start();
    enqueue_many(&fixture, ANSWERED_MAX).await;
    let last = enqueue_all(&fixture, ["last"]).await;
    serve(&fixture);
    assert!(ends(&fixture, &last).await.iter().all(is_booked));
}

#[tokio::test]
async fn tickets_wait_for_a_vaccine_that_is_down_also_across_a_restart() {
    let mut app = BookingApp::start_with(FakeVaccine::unreachable());
    let accepted = [app.enqueue("b", BODY).await, app.enqueue("a", BODY).await];
    app.restart().await;
    assert_eq!(app.ticket(&accepted[1]).await.json()["position"], 2);
    for outcome in [held(), HoldOutcome::SoldOut] {
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
    }
    app.vaccine.listen();
    app.vaccine.events(1).await;
    assert_eq!(app.ticket(&accepted[0]).await.json()["status"], "BOOKED");
    assert_eq!(ended(&app, &accepted[1]).await, "SOLD_OUT");
}

/// The status of a ticket, as soon as it has ended.
async fn ended(app: &BookingApp, accepted: &testkit::Reply) -> String {
    let ended = async {
        loop {
            let ticket = app.ticket(accepted).await.json();
            if ticket["status"] != "WAITING" {
                return ticket["status"].as_str().unwrap().to_owned();
            }
        }
    };
    timeout(TEST_TIMEOUT, ended).await.expect("it ends in time")
}

#[tokio::test]
async fn a_ticket_in_an_empty_queue_is_served_at_once() {
    let app = BookingApp::start();
    app.enqueue("a", BODY).await; // Once it is served, the queue is empty.
    app.vaccine.events(1).await;
    let start = Instant::now();
    app.enqueue("b", BODY).await;
    app.vaccine.events(2).await;
    assert!(start.elapsed() < Duration::from_secs(3), "after {:?}", start.elapsed());
}

#[tokio::test]
async fn the_event_of_a_ticket_is_published_at_once() {
    let fixture = ProtocolFixture::start();
    enqueue(&fixture, "a").await;
    let decide = fixture.vaccine.delay_next(HOLDS);
    serve(&fixture);
    fixture.reservation(0).await;
    let mut new_events = fixture.new_events.clone();
    new_events.mark_seen();
    drop(decide.send(FakeReply::outcomes([held()])));
    timeout(TEST_TIMEOUT, new_events.changed()).await.expect("the relay is notified");
}

#[tokio::test]
async fn a_ticket_of_another_process_is_found() {
    let fixture = ProtocolFixture::start();
    let first = enqueue_all(&fixture, ["a"]).await;
    serve(&fixture);
    ends(&fixture, &first).await;
    let enqueue = EnqueueTicket {
        ticket: TicketId(Uuid::from_u128(1)),
        choice: VaccineId(7).into(),
        user: UserId(5),
        fingerprint: Fingerprint([1; 16]),
        at: Timestamp::UNIX_EPOCH,
    };
    let reply = fixture.protocol.commands.submit(enqueue, Instant::now() + TEST_TIMEOUT).await;
    assert!(matches!(reply, Ok(EnqueueReply::Queued(_))), "{reply:?}");
    let start = Instant::now();
    while fixture.vaccine.requests(HOLDS).len() == 1 {
        assert!(start.elapsed() < TEST_TIMEOUT, "it is not found");
        fixture.protocol.queries.queue_head(1).await.unwrap(); // By then the worker waits.
        time::pause();
        time::advance(Duration::from_secs(6)).await; // Longer than it waits.
        time::resume();
    }
    assert_eq!(fixture.vaccine.batches(2).await[1].blocks[0].vaccine_id, VaccineId(7));
}

#[tokio::test]
async fn requests_without_a_ticket_are_served_while_tickets_wait() {
    let app = BookingApp::start();
    let decide = app.vaccine.delay_next(HOLDS);
    app.enqueue("a", BODY).await;
    app.vaccine.batches(1).await;
    assert_eq!(app.request("POST /bookings", BODY).await.status, 201);
    drop(decide.send(FakeReply::outcomes([held()])));
}
