//! Whoever takes a ticket while vaccine is down keeps the place in line, through every crash.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use drill::{Reply, Request, Target};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::town::{Ground, Part, Town, ask, bookings, register, settled};

/// Clients that would rather not wait.
const CLIENTS: u16 = 1_000;

/// Doses: fewer than clients, and more than are asked for in one request.
const DOSES: i64 = 600;

/// How many have their ticket when booking is killed for the first time.
const BEFORE_THE_CRASH: u16 = 400;

/// How long everything may take.
const WITHIN: Duration = Duration::from_mins(1);

/// Asks until the answer is a ticket, as a client does whose connection broke or who was told to
/// come back.
async fn insist(target: &Target, request: &Request) -> Reply {
    let start = Instant::now();
    loop {
        match drill::send(target, request).await {
            Ok(reply) if matches!(reply.status, 200 | 202) => return reply,
            Ok(reply) if reply.status != 503 => panic!("{}: {}", reply.status, reply.text()),
            Ok(_) | Err(_) => assert!(start.elapsed() < WITHIN, "no ticket within {WITHIN:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, as a client comes back
    }
}

/// A client with its ticket.
struct Waiting {
    target: Target,
    path: String,
    place: i64,
}

impl Waiting {
    async fn with_key(target: Target, key: &str, vaccine: i64) -> Self {
        let request = Request::post_json("/bookings", &json!({"vaccineId": vaccine, "userId": 5}))
            .header("idempotency-key", key)
            .header("prefer", "respond-async");
        let reply = insist(&target, &request).await;
        let ticket = reply.json().unwrap();
        assert_eq!((reply.status, &ticket["status"]), (202, &json!("WAITING")), "{ticket}");
        let location = reply.location().unwrap();
        let way_back = format!("http://{}/tickets/", target.authority());
        assert!(location.starts_with(&way_back), "{location} does not lead back to {way_back}");
        let path = location[way_back.len() - "/tickets/".len()..].to_owned();
        Self { target, path, place: ticket["position"].as_i64().unwrap() }
    }

    /// The ticket as it has ended.
    async fn ended(&self) -> Value {
        let start = Instant::now();
        loop {
            let ticket = insist(&self.target, &Request::get(&self.path)).await.json().unwrap();
            if ticket["status"] != "WAITING" {
                return ticket;
            }
            assert!(start.elapsed() < WITHIN, "it waits for ever: {ticket}");
            tokio::time::sleep(Duration::from_millis(2)).await; // tidy: paced, looks until it ends
        }
    }
}

/// Everybody takes a ticket, and booking is killed when some have theirs; in the order of the line.
async fn line_up(town: &mut Town, entries: &[Target], vaccine: i64) -> Vec<Waiting> {
    let given = Arc::new(AtomicU16::new(0));
    let mut clients = JoinSet::new();
    for (client, target) in (0..CLIENTS).zip(entries.iter().cycle()) {
        let (target, given) = (target.clone(), Arc::clone(&given));
        clients.spawn(async move {
            let waiting = Waiting::with_key(target, &format!("client {client}"), vaccine).await;
            given.fetch_add(1, Ordering::Relaxed);
            waiting
        });
    }
    while given.load(Ordering::Relaxed) < BEFORE_THE_CRASH {
        tokio::time::sleep(Duration::from_millis(1)).await; // tidy: paced, looks until so many have one
    }
    town.kill(Part::Booking(0));
    town.start(Part::Booking(0)).await;
    let mut line = clients.join_all().await;
    line.sort_by_key(|waiting| waiting.place);
    let places = line.iter().map(|waiting| waiting.place);
    assert!(places.eq(1..=i64::from(CLIENTS)), "two clients have the same place");
    line
}

async fn everybody_keeps_the_place(mut town: Town, vaccines: &[Part], entries: &[Target]) {
    let vaccine = register(&town.vaccine(), "FIZER", DOSES).await;
    for part in vaccines {
        town.kill(*part);
    }
    let out = Instant::now();
    let line = line_up(&mut town, entries, vaccine).await;
    println!("{CLIENTS} tickets, and a crash among them, within {:?}", out.elapsed());

    for part in vaccines {
        town.start(*part).await;
    }
    let back = Instant::now();
    line[0].ended().await; // The head of the line is served: now what comes behind is under way.
    let behind = &line[line.len() - 1];
    let behind = insist(&behind.target, &Request::get(&behind.path)).await.json().unwrap();
    println!("booking is killed while the last in line is {}", behind["status"]);
    town.kill(Part::Booking(0));
    town.start(Part::Booking(0)).await;
    let mut booked = Vec::new();
    for waiting in &line {
        let ticket = waiting.ended().await;
        let expected = if waiting.place <= DOSES { "BOOKED" } else { "SOLD_OUT" };
        assert_eq!(ticket["status"], expected, "place {}: {ticket}", waiting.place);
        booked.extend(ticket["bookingId"].as_i64());
    }
    println!("all of them ended, and a crash among them, within {:?}", back.elapsed());

    // Each has a booking of its own, also made in the order of arrival, and nobody else has one.
    assert!(booked.is_sorted(), "{booked:?}");
    let entry = town.booking(0);
    let standing: BTreeSet<_> = bookings(&entry).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(standing, booked.into_iter().collect());
    assert_eq!(i64::try_from(standing.len()).unwrap(), DOSES);
    let settled = settled(&town.vaccine(), vaccine, DOSES).await;
    println!("the dust had settled after {settled:?}");
    let again = ask(&line[0].target, Request::get(&line[0].path)).await.json().unwrap();
    assert_eq!(again["status"], "BOOKED");
}

#[tokio::test]
async fn a_thousand_tickets_of_an_outage_end_in_the_order_of_arrival() {
    let town = Town::apart(1).await;
    let entries = [town.gateway()];
    everybody_keeps_the_place(town, &[Part::Vaccine(0)], &entries).await;
}

#[tokio::test]
async fn the_same_line_on_postgres_with_three_bookings_and_two_vaccines() {
    let town = Town::apart_on(Ground::postgres().await, 2, 3).await;
    let entries = [town.booking(0), town.booking(1), town.booking(2)];
    everybody_keeps_the_place(town, &[Part::Vaccine(0), Part::Vaccine(1)], &entries).await;
}
