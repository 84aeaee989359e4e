//! What the system is for, function by function, through the gateway, on every ground.

use drill::{Request, Target};
use serde_json::{Value, json};

use crate::town::{Ground, Part, Town, ask, book, cancel, eventually, read, register};

/// Books, and answers the booking's number.
async fn booked(gateway: &Target, vaccine: i64) -> i64 {
    let reply = ask(gateway, book(vaccine)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json().unwrap()["bookingId"].as_i64().unwrap()
}

/// The appointment of a booking, as soon as the desk has heard of it.
async fn appointment(gateway: &Target, booking: i64) -> i64 {
    let path = format!("/injections/search/findByBookingId?bookingId={booking}");
    let found = eventually(gateway, &path, |page| page["page"]["totalElements"] == 1).await;
    found["_embedded"]["injections"][0]["injectionId"].as_i64().unwrap()
}

fn complete(injection: i64) -> Request {
    let body = json!({"status": "INJECTION_COMPLETED"});
    Request::patch_json(&format!("/injections/{injection}"), &body)
}

fn shows(status: &'static str) -> impl Fn(&Value) -> bool {
    move |body| body["status"] == status
}

/// Stock and booked quantity, as soon as they are these.
async fn counts(gateway: &Target, vaccine: i64, stock: i64, booked: i64) {
    let path = format!("/vaccines/{vaccine}");
    eventually(gateway, &path, |now| now["stock"] == stock && now["bookQty"] == booked).await;
}

async fn a_manager_registers_a_vaccine_and_its_stock(town: &Town) {
    let id = register(&town.gateway(), "FIZER", 7).await;
    let vaccine = read(&town.gateway(), &format!("/vaccines/{id}")).await;
    assert_eq!((&vaccine["vcName"], &vaccine["stock"]), (&json!("FIZER"), &json!(7)));
}

async fn a_manager_adds_stock(town: &Town) {
    let id = register(&town.gateway(), "FIZER", 1).await;
    booked(&town.gateway(), id).await;
    assert_eq!(ask(&town.gateway(), book(id)).await.status, 409);
    let more = Request::patch_json(&format!("/vaccines/{id}"), &json!({"stock": "2"}));
    assert_eq!(ask(&town.gateway(), more).await.status, 200);
    booked(&town.gateway(), id).await;
}

async fn a_citizen_books(town: &Town) {
    let id = register(&town.gateway(), "FIZER", 5).await;
    let booking = booked(&town.gateway(), id).await;
    let kept = read(&town.gateway(), &format!("/bookings/{booking}")).await;
    assert_eq!((&kept["status"], &kept["vcName"]), (&json!("BOOKED"), &json!("FIZER")));
    counts(&town.gateway(), id, 5, 1).await;
}

async fn a_citizen_cancels(town: &Town) {
    let id = register(&town.gateway(), "FIZER", 5).await;
    let booking = booked(&town.gateway(), id).await;
    for _ in 0..2 {
        assert_eq!(ask(&town.gateway(), cancel(booking)).await.status, 200);
    }
    counts(&town.gateway(), id, 5, 0).await;
    let of_booking = |page: &Value| {
        let all = page["_embedded"]["cancellations"].as_array().unwrap();
        all.iter().any(|one| one["bookingId"] == booking && one["vaccineId"] == id)
    };
    eventually(&town.gateway(), "/cancellations?size=1000", of_booking).await;
}

async fn bookings_never_exceed_the_stock(town: &Town) {
    let id = register(&town.gateway(), "FIZER", 2).await;
    booked(&town.gateway(), id).await;
    booked(&town.gateway(), id).await;
    let refused = ask(&town.gateway(), book(id)).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json().unwrap()["type"], "urn:anticorona:sold-out");
    let less = Request::patch_json(&format!("/vaccines/{id}"), &json!({"stock": 1}));
    assert_eq!(ask(&town.gateway(), less).await.status, 409);
}

async fn a_vaccination_takes_one_from_stock_and_bookings_once(town: &Town) {
    let id = register(&town.gateway(), "FIZER", 5).await;
    let booking = booked(&town.gateway(), id).await;
    let injection = appointment(&town.gateway(), booking).await;
    assert_eq!(ask(&town.gateway(), complete(injection)).await.status, 200);
    counts(&town.gateway(), id, 4, 0).await;
    assert_eq!(ask(&town.gateway(), complete(injection)).await.status, 409);
    booked(&town.gateway(), id).await;
    counts(&town.gateway(), id, 4, 1).await;
    let path = format!("/bookings/{booking}");
    eventually(&town.gateway(), &path, shows("INJECTION_COMPLETED")).await;
    assert_eq!(ask(&town.gateway(), cancel(booking)).await.status, 409);
}

async fn the_desk_completes_whoever_comes_and_nobody_who_cancelled(town: &Town) {
    let id = register(&town.gateway(), "FIZER", 5).await;
    let booking = booked(&town.gateway(), id).await;
    let injection = appointment(&town.gateway(), booking).await;
    let path = format!("/injections/{injection}");
    eventually(&town.gateway(), &path, shows("INJECTION_READY")).await;
    assert_eq!(ask(&town.gateway(), cancel(booking)).await.status, 200);
    eventually(&town.gateway(), &path, shows("INJECTION_CANCELLED")).await;
    assert_eq!(ask(&town.gateway(), complete(injection)).await.status, 409);
    counts(&town.gateway(), id, 5, 0).await;
}

async fn a_citizen_sees_the_booking_as_it_changes(town: &Town) {
    let id = register(&town.gateway(), "FIZER", 5).await;
    let [first, second] = [booked(&town.gateway(), id).await, booked(&town.gateway(), id).await];
    let path = format!("/mypages/{first}");
    let seen = eventually(&town.gateway(), &path, shows("BOOKED")).await;
    assert_eq!((&seen["vcName"], &seen["userId"]), (&json!("FIZER"), &json!(5)));
    assert!(seen["asOf"].is_string(), "{seen}");
    let injection = appointment(&town.gateway(), first).await;
    assert_eq!(ask(&town.gateway(), complete(injection)).await.status, 200);
    eventually(&town.gateway(), &path, shows("INJECTION_COMPLETED")).await;
    assert_eq!(ask(&town.gateway(), cancel(second)).await.status, 200);
    let path = "/mypages/search/findByUserId?userId=5&size=1000";
    let of_user = |page: &Value| {
        let all = page["_embedded"]["mypages"].as_array().unwrap();
        let is = |id, status| all.iter().any(|one| one["bookId"] == id && one["status"] == status);
        is(first, "INJECTION_COMPLETED") && is(second, "BOOKING_CANCELLED")
    };
    eventually(&town.gateway(), path, of_user).await;
}

/// Register, book, look, cancel, book, complete, look again, by the links that come back alone.
async fn everything_is_reached_from_the_gateway_by_links(town: &Town) {
    let gateway = town.gateway();
    let path = |link: &Value| {
        let href = link["href"].as_str().unwrap();
        let rest = href.split_once("://").unwrap().1;
        rest[rest.find('/').unwrap()..].to_owned()
    };
    let root = read(&gateway, "/").await["_links"].clone();
    let body = json!({"vcName": "NOVAVAX", "stock": 3});
    let vaccine = ask(&gateway, Request::post_json(&path(&root["vaccines"]), &body)).await;
    let vaccine = vaccine.json().unwrap();
    let body = json!({"vaccineId": vaccine["vaccineId"], "userId": 77});
    let book = || Request::post_json(&path(&root["bookings"]), &body);
    let booking = ask(&gateway, book()).await.json().unwrap();
    let body = json!({"status": "BOOKING_CANCELLED"});
    let this = path(&booking["_links"]["self"]);
    assert_eq!(ask(&gateway, Request::patch_json(&this, &body)).await.status, 200);
    assert_eq!(read(&gateway, &this).await["status"], "BOOKING_CANCELLED");
    let booking = ask(&gateway, book()).await.json().unwrap()["bookingId"].clone();
    let desk = format!("{}?size=1000", path(&root["injections"]));
    let expected = |page: &Value| {
        let all = page["_embedded"]["injections"].as_array().unwrap();
        all.iter().find(|one| one["bookingId"] == booking).cloned()
    };
    let page = eventually(&gateway, &desk, |page| expected(page).is_some()).await;
    let injection = path(&expected(&page).unwrap()["_links"]["self"]);
    let body = json!({"status": "INJECTION_COMPLETED"});
    assert_eq!(ask(&gateway, Request::put_json(&injection, &body)).await.status, 200);
    let mine = format!("{}/search/findByUserId?userId=77", path(&root["mypages"]));
    let done = |page: &Value| {
        let all = page["_embedded"]["mypages"].as_array().unwrap();
        all.iter().any(|one| one["bookId"] == booking && one["status"] == "INJECTION_COMPLETED")
    };
    let page = eventually(&gateway, &mine, done).await;
    let first = &page["_embedded"]["mypages"][0];
    assert_eq!(read(&gateway, &path(&first["_links"]["self"])).await["bookId"], first["bookId"]);
    read(&gateway, &path(&page["_links"]["first"])).await;
    eventually(&gateway, &path(&vaccine["_links"]["self"]), |now| now["stock"] == 2).await;
}

/// One town for all of them: they do not get in each other's way.
async fn all_functions(town: &Town) {
    a_manager_registers_a_vaccine_and_its_stock(town).await;
    a_manager_adds_stock(town).await;
    a_citizen_books(town).await;
    a_citizen_cancels(town).await;
    bookings_never_exceed_the_stock(town).await;
    a_vaccination_takes_one_from_stock_and_bookings_once(town).await;
    the_desk_completes_whoever_comes_and_nobody_who_cancelled(town).await;
    a_citizen_sees_the_booking_as_it_changes(town).await;
    everything_is_reached_from_the_gateway_by_links(town).await;
}

#[tokio::test]
async fn every_function_works_embedded() {
    all_functions(&Town::together().await).await;
}

#[tokio::test]
async fn every_function_works_with_each_part_in_its_own_process() {
    all_functions(&Town::apart(1).await).await;
}

#[tokio::test]
async fn every_function_works_on_postgres_and_nats() {
    let ground = Ground::postgres_and_nats().await;
    all_functions(&Town::apart_on(ground, 2, 2).await).await;
}

#[tokio::test]
async fn every_function_works_mixed_on_postgres_sqlite_and_nats() {
    let ground = Ground::mixed_postgres_and_nats().await;
    all_functions(&Town::on(ground, &[Part::Together]).await).await;
}

#[tokio::test]
async fn every_function_works_on_postgres_without_nats() {
    let ground = Ground::postgres().await;
    all_functions(&Town::on(ground, &[Part::Together]).await).await;
}
