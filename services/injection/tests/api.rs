//! The injection desk over HTTP, and the events that it publishes.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use injection::SERVICE;
use serde_json::{Value, json};
use testkit::{TestApp, event};

#[path = "api/arrivals.rs"]
mod arrivals;
#[path = "api/day.rs"]
mod day;
#[path = "api/events.rs"]
mod events;
#[path = "api/injections.rs"]
mod injections;
#[path = "api/records.rs"]
mod records;
#[path = "api/refusals.rs"]
mod refusals;
#[path = "api/sheet.rs"]
mod sheet;

/// Two booking stores.
const NORTH: &str = "00000000-0000-0000-0000-000000000001";
const SOUTH: &str = "00000000-0000-0000-0000-000000000002";

/// The dose of a booking after it was moved.
const MOVED_TO: &str = "00000000-0000-0000-0001-000000000001";

const COMPLETED: &str = r#"{"status":"INJECTION_COMPLETED"}"#;

/// A desk without appointments.
fn start() -> TestApp {
    TestApp::start(&SERVICE, &[])
}

/// A desk with appointments for bookings 1 to 3.
async fn start_with_three() -> TestApp {
    with_three(start()).await
}

async fn with_three(app: TestApp) -> TestApp {
    let consumed = app.publish(&[booked(1, 1), booked(2, 2), booked(3, 3)]).await;
    assert_eq!(consumed.json()["sequence"], 3);
    app
}

/// The status of an injection.
async fn status(app: &TestApp, id: i64) -> String {
    let found = app.request(&format!("GET /injections/{id}"), "").await;
    found.json()["status"].as_str().unwrap().to_owned()
}

/// The consumer offset of a source.
async fn offset(app: &TestApp, source: &str) -> Value {
    app.request(&format!("GET /events/offset?source={source}"), "").await.json()["sequence"].clone()
}

fn booked(sequence: u64, booking: u64) -> Value {
    event(NORTH, sequence, "Booked", &data(booking, "BOOKED"))
}

/// The booking has another dose, with a place of another slot.
fn moved(sequence: u64, booking: u64) -> Value {
    let mut data = data(booking, "BOOKED");
    data["previousReservationIds"] = json!([data["reservationId"]]);
    data["reservationId"] = MOVED_TO.into();
    event(NORTH, sequence, "BookingMoved", &data)
}

fn cancelled(sequence: u64, booking: u64) -> Value {
    event(NORTH, sequence, "BookingCancelled", &data(booking, "BOOKING_CANCELLED"))
}

/// A booking of vaccine 1 in the north; user 105 has booking 5.
fn data(booking: u64, status: &str) -> Value {
    json!({
        "reservationId": format!("00000000-0000-0000-0000-{booking:012}"),
        "bookingId": booking, "vaccineId": 1, "vcName": "FIZER", "userId": booking + 100,
        "status": status,
    })
}
