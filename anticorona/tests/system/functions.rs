//! Every function of the system, through the gateway, on every database and transport.

use drill::{Request, ServiceProcess, Target};
use serde_json::{Value, json};

use crate::{
    environment,
    requests::{book, cancel, eventually, get, items, path, register_vaccine, send},
    test_system::TestSystem,
};

/// Books; the id of the booking.
async fn booked(gateway: &Target, vaccine: i64) -> i64 {
    let response = send(gateway, book(vaccine)).await;
    assert_eq!(response.status, 201, "{}", response.text());
    response.json().unwrap()["bookingId"].as_i64().unwrap()
}

/// The appointment of a booking, as soon as injection has consumed its event.
async fn appointment(gateway: &Target, booking: i64) -> i64 {
    let path = format!("/injections/search/findByBookingId?bookingId={booking}");
    let found = eventually(gateway, &path, |page| items(page, "injections").len() == 1).await;
    items(&found, "injections")[0]["injectionId"].as_i64().unwrap()
}

fn complete(injection: i64) -> Request {
    let body = json!({"status": "INJECTION_COMPLETED"});
    Request::patch_json(&format!("/injections/{injection}"), &body)
}

fn has_status(status: &'static str) -> impl Fn(&Value) -> bool {
    move |body| body["status"] == status
}

/// Waits until these are the stock and the booked quantity.
async fn wait_for_quantities(gateway: &Target, vaccine: i64, stock: i64, booked: i64) {
    let path = format!("/vaccines/{vaccine}");
    eventually(gateway, &path, |now| now["stock"] == stock && now["bookQty"] == booked).await;
}

async fn a_manager_registers_a_vaccine_and_its_stock(gateway: &Target) {
    let id = register_vaccine(gateway, 7).await;
    let vaccine = get(gateway, &format!("/vaccines/{id}")).await;
    assert_eq!((&vaccine["vcName"], &vaccine["stock"]), (&json!("FIZER"), &json!(7)));
}

async fn a_manager_adds_stock(gateway: &Target) {
    let id = register_vaccine(gateway, 1).await;
    booked(gateway, id).await;
    for stock in 2..12 {
        assert_eq!(send(gateway, book(id)).await.status, 409);
        let more =
            Request::patch_json(&format!("/vaccines/{id}"), &json!({"stock": stock.to_string()}));
        assert_eq!(send(gateway, more).await.status, 200);
        booked(gateway, id).await;
    }
}

async fn a_citizen_books(gateway: &Target) {
    let id = register_vaccine(gateway, 5).await;
    let booking = booked(gateway, id).await;
    let kept = get(gateway, &format!("/bookings/{booking}")).await;
    assert_eq!((&kept["status"], &kept["vcName"]), (&json!("BOOKED"), &json!("FIZER")));
    wait_for_quantities(gateway, id, 5, 1).await;
}

async fn a_citizen_cancels(gateway: &Target) {
    let id = register_vaccine(gateway, 5).await;
    let booking = booked(gateway, id).await;
    for _ in 0..2 {
        assert_eq!(send(gateway, cancel(booking)).await.status, 200);
    }
    wait_for_quantities(gateway, id, 5, 0).await;
    let is_listed = |page: &Value| {
        let all = items(page, "cancellations");
        all.iter().any(|one| one["bookingId"] == booking && one["vaccineId"] == id)
    };
    eventually(gateway, "/cancellations?size=1000", is_listed).await;
}

async fn bookings_never_exceed_the_stock(gateway: &Target) {
    let id = register_vaccine(gateway, 2).await;
    booked(gateway, id).await;
    booked(gateway, id).await;
    let refused = send(gateway, book(id)).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json().unwrap()["type"], "urn:anticorona:sold-out");
    let less = Request::patch_json(&format!("/vaccines/{id}"), &json!({"stock": 1}));
    assert_eq!(send(gateway, less).await.status, 409);
}

async fn a_vaccination_takes_one_dose_from_stock_and_bookings_once(gateway: &Target) {
    let id = register_vaccine(gateway, 5).await;
    let booking = booked(gateway, id).await;
    let injection = appointment(gateway, booking).await;
    assert_eq!(send(gateway, complete(injection)).await.status, 200);
    wait_for_quantities(gateway, id, 4, 0).await;
    assert_eq!(send(gateway, complete(injection)).await.status, 409);
    booked(gateway, id).await;
    wait_for_quantities(gateway, id, 4, 1).await;
    let path = format!("/bookings/{booking}");
    eventually(gateway, &path, has_status("INJECTION_COMPLETED")).await;
    assert_eq!(send(gateway, cancel(booking)).await.status, 409);
}

async fn the_injection_of_a_cancelled_booking_cannot_be_completed(gateway: &Target) {
    let id = register_vaccine(gateway, 5).await;
    let booking = booked(gateway, id).await;
    let injection = appointment(gateway, booking).await;
    let path = format!("/injections/{injection}");
    eventually(gateway, &path, has_status("INJECTION_READY")).await;
    assert_eq!(send(gateway, cancel(booking)).await.status, 200);
    eventually(gateway, &path, has_status("INJECTION_CANCELLED")).await;
    assert_eq!(send(gateway, complete(injection)).await.status, 409);
    wait_for_quantities(gateway, id, 5, 0).await;
}

async fn a_citizen_sees_each_change_of_a_booking(gateway: &Target) {
    let id = register_vaccine(gateway, 5).await;
    let [first, second] = [booked(gateway, id).await, booked(gateway, id).await];
    let path = format!("/mypages/{first}");
    let view = eventually(gateway, &path, has_status("BOOKED")).await;
    assert_eq!((&view["vcName"], &view["userId"]), (&json!("FIZER"), &json!(5)));
    assert!(view["asOf"].is_string(), "{view}");
    let injection = appointment(gateway, first).await;
    assert_eq!(send(gateway, complete(injection)).await.status, 200);
    eventually(gateway, &path, has_status("INJECTION_COMPLETED")).await;
    assert_eq!(send(gateway, cancel(second)).await.status, 200);
    let path = "/mypages/search/findByUserId?userId=5&size=1000";
    let shows_both = |page: &Value| {
        let all = items(page, "mypages");
        let is = |id, status| all.iter().any(|one| one["bookId"] == id && one["status"] == status);
        is(first, "INJECTION_COMPLETED") && is(second, "BOOKING_CANCELLED")
    };
    eventually(gateway, path, shows_both).await;
}

/// Registers, books, reads, cancels, books, completes and reads, by the links of the responses alone.
async fn everything_is_reached_from_the_gateway_by_links(gateway: &Target) {
    let root = get(gateway, "/").await["_links"].clone();
    let body = json!({"vcName": "NOVAVAX", "stock": 3});
    let vaccine = send(gateway, Request::post_json(&path(&root["vaccines"]), &body)).await;
    let vaccine = vaccine.json().unwrap();
    let body = json!({"vaccineId": vaccine["vaccineId"], "userId": 77});
    let book = || Request::post_json(&path(&root["bookings"]), &body);
    let booking = send(gateway, book()).await.json().unwrap();
    let body = json!({"status": "BOOKING_CANCELLED"});
    let this = path(&booking["_links"]["self"]);
    assert_eq!(send(gateway, Request::patch_json(&this, &body)).await.status, 200);
    assert_eq!(get(gateway, &this).await["status"], "BOOKING_CANCELLED");
    let booking = send(gateway, book()).await.json().unwrap()["bookingId"].clone();
    let injections = format!("{}?size=1000", path(&root["injections"]));
    let of_booking = |page: &Value| {
        items(page, "injections").iter().find(|one| one["bookingId"] == booking).cloned()
    };
    let page = eventually(gateway, &injections, |page| of_booking(page).is_some()).await;
    let injection = path(&of_booking(&page).unwrap()["_links"]["self"]);
    let body = json!({"status": "INJECTION_COMPLETED"});
    assert_eq!(send(gateway, Request::put_json(&injection, &body)).await.status, 200);
    let list = get(gateway, &path(&root["mypages"])).await;
    let searches = get(gateway, &path(&list["_links"]["search"])).await;
    let views = format!("{}?userId=77", path(&searches["_links"]["findByUserId"]));
    let is_completed = |page: &Value| {
        let all = items(page, "mypages");
        all.iter().any(|one| one["bookId"] == booking && one["status"] == "INJECTION_COMPLETED")
    };
    let page = eventually(gateway, &views, is_completed).await;
    let first = &items(&page, "mypages")[0];
    assert_eq!(get(gateway, &path(&first["_links"]["self"])).await["bookId"], first["bookId"]);
    get(gateway, &path(&page["_links"]["first"])).await;
    let profile = get(gateway, &path(&page["_links"]["profile"])).await;
    get(gateway, &path(&profile["_links"]["service-desc"])).await;
    eventually(gateway, &path(&vaccine["_links"]["self"]), |now| now["stock"] == 2).await;
}

/// One system for all of them: they do not interfere with each other.
async fn every_function_works(system: TestSystem) {
    let gateway = &system.gateway();
    a_manager_registers_a_vaccine_and_its_stock(gateway).await;
    a_manager_adds_stock(gateway).await;
    a_citizen_books(gateway).await;
    a_citizen_cancels(gateway).await;
    bookings_never_exceed_the_stock(gateway).await;
    a_vaccination_takes_one_dose_from_stock_and_bookings_once(gateway).await;
    the_injection_of_a_cancelled_booking_cannot_be_completed(gateway).await;
    a_citizen_sees_each_change_of_a_booking(gateway).await;
    everything_is_reached_from_the_gateway_by_links(gateway).await;
}

#[tokio::test]
async fn every_function_works_in_one_process() {
    every_function_works(TestSystem::in_one_process().await).await;
}

#[tokio::test]
async fn every_function_works_with_each_service_in_its_own_process() {
    every_function_works(TestSystem::in_processes(1).await).await;
}

#[tokio::test]
async fn every_function_works_on_postgres_and_nats() {
    let environment = environment::postgres_and_nats().await;
    every_function_works(TestSystem::in_processes_of(environment, 2, 2).await).await;
}

#[tokio::test]
async fn every_function_works_mixed_on_postgres_sqlite_and_nats() {
    let environment = environment::mixed_stores_and_nats().await;
    every_function_works(TestSystem::start(environment, &[ServiceProcess::ALL]).await).await;
}

#[tokio::test]
async fn every_function_works_on_postgres_without_nats() {
    let environment = environment::postgres().await;
    every_function_works(TestSystem::start(environment, &[ServiceProcess::ALL]).await).await;
}
