//! Bookings of slots: a dose and a place, both or neither, on every database and transport.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use drill::{Load, Reconnect, Request, Requests, ServiceProcess, Stop, Target};
use serde_json::{Value, json};

use crate::{
    environment,
    requests::{bookings, cancel, eventually, get, register_vaccine, send, wait_until_taken},
    test_system::{CAMPAIGN, TestSystem},
};

/// Places of a slot, and slots.
const PLACES: i64 = 7;
const SLOTS: i64 = 24;

fn site() -> Value {
    let days = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let hours = days.map(|day| json!({"day": day, "from": "09:00", "to": "12:00"}));
    json!({
        "name": {"ko": "중앙"}, "phone": "+82-2-120", "timeZone": "Asia/Seoul",
        "address": {"line": "세종대로 110", "city": "서울", "region": "KR-11"},
        "openingHours": hours
    })
}

/// Four slots on each of six days, of a vaccine at site 1.
pub(crate) async fn open_campaign(target: &Target, vaccine: i64) {
    open_campaign_with(target, vaccine, "CENTRAL").await;
}

/// One slot on each of so many days of January, of a vaccine at site 1.
pub(crate) fn campaign_of_days(vaccine: i64, days: u64, places: i64) -> Value {
    json!({
        "name": {"ko": "겨울"}, "vaccineIds": [vaccine], "sites": [{"siteId": 1}], "from": "2099-01-01",
        "to": format!("2099-01-{days:02}"), "slotMinutes": 180, "capacity": places
    })
}

async fn open_campaign_with(target: &Target, vaccine: i64, doses: &str) {
    let campaign = json!({
        "name": {"ko": "겨울"}, "vaccineIds": [vaccine], "sites": [{"siteId": 1}], "from": "2099-01-05",
        "to": "2099-01-10", "slotMinutes": 45, "capacity": PLACES, "doses": doses
    });
    open_campaign_of(target, &campaign).await;
}

/// Opens a campaign at site 1, which is created too.
pub(crate) async fn open_campaign_of(target: &Target, campaign: &Value) {
    for (path, body) in [("/sites", &site()), ("/campaigns", campaign)] {
        let created = send(target, Request::post_json(path, body)).await;
        assert_eq!(created.status, 201, "{path}: {}", created.text());
    }
    set_status(target, "SCHEDULED").await;
    set_status(target, "OPEN").await;
}

async fn set_status(target: &Target, status: &str) {
    let body = json!({"status": status, "reason": "a test", "actor": "me"});
    let changed = send(target, Request::post_json("/campaigns/1/status", &body)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
}

/// For somebody who has no booking yet.
fn book(vaccine: i64, slot: i64) -> Request {
    static PEOPLE: AtomicU64 = AtomicU64::new(1_000);
    book_for(PEOPLE.fetch_add(1, Ordering::Relaxed), vaccine, slot)
}

fn book_for(user: u64, vaccine: i64, slot: i64) -> Request {
    Request::post_json("/bookings", &json!({"vaccineId": vaccine, "slotId": slot, "userId": user}))
}

/// Books, as soon as it is neither refused as not open nor as not known: the status, and why.
async fn booked(target: &Target, vaccine: i64, slot: i64) -> (u16, Value) {
    let start = std::time::Instant::now();
    loop {
        let response = send(target, book(vaccine, slot)).await;
        let body: Value = response.json().unwrap();
        let kind = body["type"].as_str().unwrap_or_default();
        if !kind.ends_with("no-such-slot") && !kind.ends_with("slot-not-open") {
            return (response.status, body);
        }
        assert!(start.elapsed() < drill::CONVERGE_WITHIN, "{body}");
        tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, polls until it is open
    }
}

#[tokio::test]
async fn a_citizen_books_a_slot_until_it_is_full_and_a_closed_site_takes_no_more() {
    let system = TestSystem::in_processes(1).await;
    let gateway = &system.gateway();
    let vaccine = register_vaccine(gateway, 100).await;
    open_campaign(gateway, vaccine).await;
    let (status, booking) = booked(gateway, vaccine, 1).await;
    assert_eq!((status, &booking["siteId"]), (201, &json!(1)), "{booking}");
    assert_eq!(booking["startsAt"], "2099-01-05T00:00:00Z");
    for _ in 1..PLACES {
        assert_eq!(booked(gateway, vaccine, 1).await.0, 201);
    }
    let (status, full) = booked(gateway, vaccine, 1).await;
    assert_eq!((status, &full["type"]), (409, &json!("urn:anticorona:slot-full")));
    let instead = &full["alternatives"]["sameSite"][0];
    assert_eq!((&instead["slotId"], &instead["free"]), (&json!(2), &json!(PLACES)), "{full}");
    assert_eq!(send(gateway, cancel(1)).await.status, 200);
    let free = |slot: &Value| slot["taken"] == PLACES - 1;
    eventually(&system.vaccine(), "/slots/1", free).await;
    assert_eq!(booked(gateway, vaccine, 1).await.0, 201);

    let closed = json!({"hours": [], "note": "closed today"});
    let close = Request::put_json("/sites/1/exceptions/2099-01-05", &closed);
    assert_eq!(send(gateway, close).await.status, 200);
    let is_overcommitted = |slot: &Value| slot["overcommitted"] == PLACES;
    eventually(&system.vaccine(), "/slots/1", is_overcommitted).await;
    assert_eq!(booked(gateway, vaccine, 2).await.1["type"], "urn:anticorona:slot-full");
    assert_eq!(booked(gateway, vaccine, 5).await.0, 201, "another day");

    set_status(gateway, "PAUSED").await;
    let paused = |slot: Value| slot["type"] == "urn:anticorona:slot-not-open";
    while !paused(send(gateway, book(vaccine, 6)).await.json().unwrap()) {}
    let without = send(gateway, crate::requests::book(vaccine)).await;
    assert_eq!(without.status, 201, "a dose without a slot is booked as before");
}

#[tokio::test]
async fn a_citizen_sees_where_and_when_and_puts_it_into_a_calendar() {
    let system = TestSystem::in_processes(1).await;
    let gateway = &system.gateway();
    let vaccine = register_vaccine(gateway, 2).await;
    open_campaign(gateway, vaccine).await;
    assert_eq!(booked(gateway, vaccine, 1).await.0, 201);
    let has_site = |view: &Value| view["site"]["phone"] == "+82-2-120";
    let view = eventually(gateway, "/mypages/1", has_site).await;
    assert_eq!(view["localTime"], "2099-01-05T09:00+09:00[Asia/Seoul]");
    let calendar = send(gateway, Request::get("/mypages/1/calendar")).await;
    let text = calendar.text();
    assert!(calendar.status == 200 && text.contains("LOCATION:중앙\\, 세종대로 110"), "{text}");

    let to_slot_2 = Request::patch_json("/bookings/1", &json!({"slotId": 2}));
    assert_eq!(send(gateway, to_slot_2).await.status, 200);
    eventually(gateway, "/mypages/1", |view| view["slotId"] == 2).await;
    let moved = send(gateway, Request::get("/mypages/1/calendar")).await;
    assert!(moved.text().contains("SEQUENCE:1\r\n"), "{}", moved.text());

    let mut site = site();
    site["phone"] = json!("119");
    assert_eq!(send(gateway, Request::put_json("/sites/1", &site)).await.status, 200);
    eventually(gateway, "/mypages/1", |view| view["site"]["phone"] == "119").await;
}

/// Of each slot as many places are booked as there are, and of the vaccine as many doses as bookings.
async fn every_place_is_booked_once(system: &TestSystem, replicas: u16) {
    let doses = SLOTS * PLACES;
    let vaccine = register_vaccine(&system.vaccine(), doses + 50).await;
    open_campaign(&system.target(CAMPAIGN), vaccine).await;
    let expected: BTreeMap<i64, i64> = (1..=SLOTS).map(|slot| (slot, PLACES)).collect();
    assert_eq!(book_all(system, replicas, vaccine).await, expected);
    wait_until_taken(&system.vaccine(), vaccine, doses).await;
    for slot in 1..=SLOTS {
        let counted = get(&system.vaccine(), &format!("/slots/{slot}")).await;
        assert_eq!((&counted["taken"], &counted["overcommitted"]), (&json!(PLACES), &json!(0)));
    }
    let booked = bookings(&system.booking(0)).await.len();
    assert_eq!(i64::try_from(booked).unwrap(), doses);
}

/// Every dose of the lots is booked, and none for a date after its expiry.
async fn every_dose_of_the_lots_is_booked_once(system: &TestSystem, replicas: u16) {
    let ledger = &system.vaccine();
    let vaccine = register_vaccine(ledger, 0).await;
    for (number, expires_on, doses) in [("A", "2099-01-07", 25), ("B", "2099-01-31", 30)] {
        let lot = json!({
            "siteId": 1, "vaccineId": vaccine, "number": number, "expiresOn": expires_on, "doses": doses,
            "reason": "a test", "actor": "me"
        });
        let received = send(ledger, Request::post_json("/lots", &lot)).await;
        assert_eq!(received.status, 201, "{}", received.text());
    }
    open_campaign_with(&system.target(CAMPAIGN), vaccine, "SITE_LOTS").await;
    let counts = book_all(system, replicas, vaccine).await;
    assert_eq!(counts.values().sum::<i64>(), 55, "{counts:?}");
    // Four slots a day: those after the seventh of January.
    let late: i64 = counts.range(13..).map(|(_, count)| count).sum();
    assert!(late <= 30, "{counts:?}");
    let path = format!("/stocks/1/{vaccine}");
    let all_taken = |stock: &Value| stock["pools"][0] == json!({"doses": 55, "taken": 55});
    eventually(ledger, &path, all_taken).await;
    let stock = get(ledger, &path).await;
    assert_eq!(stock["pools"][1], json!({"after": "2099-01-07", "doses": 30, "taken": late}));
    assert_eq!(
        (&stock["overcommitted"], bookings(&system.booking(0)).await.len()),
        (&json!(0), 55)
    );
    let central = get(ledger, &format!("/vaccines/{vaccine}")).await;
    assert_eq!(central["bookQty"], 0, "none of the central stock");
    let audit = system.audit().await;
    assert!(audit.is_clean(), "{audit}");
}

/// Books every slot until it is refused, at all replicas at once: the bookings of each slot.
async fn book_all(system: &TestSystem, replicas: u16, vaccine: i64) -> BTreeMap<i64, i64> {
    let (status, first) = booked(&system.booking(0), vaccine, SLOTS).await;
    assert_eq!(status, 201, "{first}");
    let counts = Arc::new(Mutex::new(BTreeMap::from([(SLOTS, 1)])));
    let mut loads = Vec::new();
    for replica in 0..replicas {
        let (entry, counts) = (system.booking(replica), Arc::clone(&counts));
        let slot = move |number: u64| i64::try_from(number % 24).unwrap() + 1;
        let load = Load {
            users: 40,
            reconnect: Reconnect::Never,
            stop: Stop::after(Duration::from_mins(1)).or_requests(2_000),
            request: Requests::made(move |number| book(vaccine, slot(number))),
        };
        let count = move |response: &drill::Response| {
            if response.status == 201 {
                let slot = response.json().unwrap()["slotId"].as_i64().unwrap();
                *counts.lock().unwrap().entry(slot).or_insert(0) += 1;
            }
        };
        loads.push(tokio::spawn(async move { load.run_watched(&entry, count).await }));
    }
    for load in loads {
        let summary = load.await.unwrap();
        assert!(summary.count(409) > 0, "{summary:?}");
    }
    let counts = counts.lock().unwrap();
    counts.clone()
}

#[tokio::test]
async fn every_dose_of_the_lots_is_booked_once_on_sqlite() {
    let system = TestSystem::in_processes(1).await;
    every_dose_of_the_lots_is_booked_once(&system, 1).await;
}

#[tokio::test]
async fn every_dose_of_the_lots_is_booked_once_by_three_bookings_and_two_vaccines_on_postgres() {
    let environment = environment::postgres_and_nats().await;
    let system = TestSystem::in_processes_of(environment, 2, 3).await;
    every_dose_of_the_lots_is_booked_once(&system, 3).await;
}

#[tokio::test]
async fn every_place_is_booked_once_on_sqlite() {
    let system = TestSystem::in_processes(1).await;
    every_place_is_booked_once(&system, 1).await;
}

#[tokio::test]
async fn every_place_is_booked_once_by_three_bookings_and_two_vaccines_on_postgres() {
    let environment = environment::postgres_and_nats().await;
    let system = TestSystem::in_processes_of(environment, 2, 3).await;
    every_place_is_booked_once(&system, 3).await;
}

#[tokio::test]
async fn places_are_counted_after_booking_and_vaccine_were_killed() {
    let mut system = TestSystem::in_processes(1).await;
    let vaccine = register_vaccine(&system.vaccine(), 100).await;
    open_campaign(&system.target(CAMPAIGN), vaccine).await;
    for _ in 0..3 {
        assert_eq!(booked(&system.booking(0), vaccine, 1).await.0, 201);
    }
    for service in [ServiceProcess::booking(0), ServiceProcess::vaccine(0), CAMPAIGN] {
        system.kill(service);
    }
    for service in [ServiceProcess::vaccine(0), CAMPAIGN, ServiceProcess::booking(0)] {
        system.start_service(service).await;
    }
    for _ in 3..PLACES {
        assert_eq!(booked(&system.booking(0), vaccine, 1).await.0, 201);
    }
    assert_eq!(booked(&system.booking(0), vaccine, 1).await.0, 409);
}
