//! Tickets taken while vaccine is down are served in the order of their positions, whatever crashes.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use drill::{Request, Response, ServiceProcess, Target};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    environment,
    requests::{bookings, get, register_vaccine, send, wait_until_taken},
    test_system::{BOOKING, TestSystem, VACCINE},
};

/// Clients that prefer a ticket to waiting.
const CLIENTS: u16 = 1_000;

/// Doses: fewer than clients, and more than booking holds with one request.
const DOSES: i64 = 600;

/// How many clients have a ticket at the first crash of booking.
const BEFORE_THE_CRASH: u16 = 400;

/// The time limit of the whole queue.
const WITHIN: Duration = Duration::from_mins(1);

/// Retries after a broken connection and after 503, as a client does.
async fn send_until_answered(target: &Target, request: &Request) -> Response {
    let start = Instant::now();
    loop {
        match drill::send(target, request).await {
            Ok(response) if matches!(response.status, 200 | 202) => return response,
            Ok(response) if response.status != 503 => {
                panic!("{}: {}", response.status, response.text())
            }
            Ok(_) | Err(_) => assert!(start.elapsed() < WITHIN, "no ticket within {WITHIN:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, the retries of a client
    }
}

/// A client's ticket.
struct Ticket {
    target: Target,
    path: String,
    position: i64,
}

impl Ticket {
    async fn take(target: Target, client: u16, vaccine: i64) -> Self {
        let body = json!({"vaccineId": vaccine, "userId": client});
        let request = Request::post_json("/bookings", &body)
            .header("idempotency-key", &format!("client-{client}"))
            .header("prefer", "respond-async");
        let response = send_until_answered(&target, &request).await;
        let ticket = response.json().unwrap();
        assert_eq!((response.status, &ticket["status"]), (202, &json!("WAITING")), "{ticket}");
        let location = response.location().unwrap();
        let path = location.strip_prefix(&target.to_string());
        let path = path
            .filter(|path| path.starts_with("/tickets/"))
            .unwrap_or_else(|| panic!("{location} is not a ticket at {target}"));
        let (path, position) = (path.to_owned(), ticket["position"].as_i64().unwrap());
        Self { target, path, position }
    }

    async fn read(&self) -> Value {
        send_until_answered(&self.target, &Request::get(&self.path)).await.json().unwrap()
    }

    /// The ticket with its final status.
    async fn ended(&self) -> Value {
        let start = Instant::now();
        loop {
            let ticket = self.read().await;
            if ticket["status"] != "WAITING" {
                return ticket;
            }
            assert!(start.elapsed() < WITHIN, "it does not end: {ticket}");
            tokio::time::sleep(Duration::from_millis(2)).await; // tidy: paced, polls until it ends
        }
    }
}

/// Every client takes a ticket, and booking is killed meanwhile; the tickets in the order of the queue.
async fn take_tickets(system: &mut TestSystem, entries: &[Target], vaccine: i64) -> Vec<Ticket> {
    let taken = Arc::new(AtomicU16::new(0));
    let (mut clients, mut early) = (JoinSet::new(), Vec::new());
    for (client, target) in (0..CLIENTS).zip(entries.iter().cycle()) {
        let (target, taken) = (target.clone(), Arc::clone(&taken));
        clients.spawn(async move {
            let ticket = Ticket::take(target, client, vaccine).await;
            taken.fetch_add(1, Relaxed);
            ticket
        });
    }
    let start = Instant::now();
    while taken.load(Relaxed) < BEFORE_THE_CRASH {
        while let Some(ended) = clients.try_join_next() {
            early.push(ended.expect("a ticket"));
        }
        assert!(start.elapsed() < WITHIN, "{taken:?} tickets within {WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(1)).await; // tidy: paced, polls until so many are taken
    }
    system.kill(BOOKING);
    system.start_service(BOOKING).await;
    let mut queue = clients.join_all().await;
    queue.append(&mut early);
    queue.sort_by_key(|ticket| ticket.position);
    let positions = queue.iter().map(|ticket| ticket.position);
    assert!(positions.eq(1..=i64::from(CLIENTS)), "two tickets have the same position");
    queue
}

async fn are_served_in_order(
    mut system: TestSystem,
    vaccines: &[ServiceProcess],
    entries: &[Target],
) {
    let id = register_vaccine(&system.vaccine(), DOSES).await;
    for vaccine in vaccines {
        system.kill(*vaccine);
    }
    let start = Instant::now();
    let queue = take_tickets(&mut system, entries, id).await;
    println!("{CLIENTS} tickets were taken, with a crash, within {:?}", start.elapsed());

    for vaccine in vaccines {
        system.start_service(*vaccine).await;
    }
    let start = Instant::now();
    queue[0].ended().await; // The first position is served: the next ones are being processed.
    let last = queue[queue.len() - 1].read().await;
    println!("booking is killed while the last position is {}", last["status"]);
    system.kill(BOOKING);
    system.start_service(BOOKING).await;
    let mut booked = Vec::new();
    for ticket in &queue {
        let (position, ended) = (ticket.position, ticket.ended().await);
        let expected = if position <= DOSES { "BOOKED" } else { "SOLD_OUT" };
        assert_eq!(ended["status"], expected, "position {position}: {ended}");
        booked.extend(ended["bookingId"].as_i64());
    }
    println!("all of them ended, with a crash, within {:?}", start.elapsed());

    // Each has a booking of its own, made in the order of arrival, and there are no others.
    assert!(booked.is_sorted(), "{booked:?}");
    let kept: BTreeSet<_> =
        bookings(&system.booking(0)).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(kept, booked.into_iter().collect());
    assert_eq!(i64::try_from(kept.len()).unwrap(), DOSES);
    let within = wait_until_taken(&system.vaccine(), id, DOSES).await;
    println!("the ledgers converged within {within:?}");
    assert_eq!(get(&queue[0].target, &queue[0].path).await["status"], "BOOKED");
}

#[tokio::test]
async fn a_thousand_tickets_of_an_outage_are_served_in_the_order_of_arrival() {
    let system = TestSystem::in_processes(1).await;
    let entries = [system.gateway()];
    are_served_in_order(system, &[VACCINE], &entries).await;
}

#[tokio::test]
async fn tickets_on_postgres_with_three_bookings_and_two_vaccines_are_served_in_order() {
    let system = TestSystem::in_processes_of(environment::postgres().await, 2, 3).await;
    let entries = [system.booking(0), system.booking(1), system.booking(2)];
    are_served_in_order(system, &[VACCINE, ServiceProcess::vaccine(1)], &entries).await;
}

#[tokio::test]
async fn a_user_who_is_refused_further_tickets_takes_no_answer_from_others() {
    let mut system = TestSystem::in_processes(1).await;
    let id = register_vaccine(&system.vaccine(), 5).await;
    system.kill(VACCINE);
    let ticket = |number: u16| {
        let body = json!({"vaccineId": id, "userId": 5});
        Request::post_json("/bookings", &body)
            .header("idempotency-key", &format!("key-{number}"))
            .header("prefer", "respond-async")
    };
    let gateway = system.gateway();
    let mut statuses = Vec::new();
    for number in 0..200 {
        statuses.push(send(&gateway, ticket(number)).await.status);
    }
    assert_eq!((&statuses[..8], &statuses[8..]), (&[202; 8][..], &[429; 192][..]));
    assert_eq!(send(&gateway, Request::get("/bookings")).await.status, 200);
}
