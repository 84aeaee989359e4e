//! The booking protocol against a `vaccine` that fails in every way: never more bookings than doses, and no
//! dose that is never released.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "fixture/app.rs"]
mod app;
#[path = "protocol/fixture.rs"]
mod fixture;
#[path = "fixture/vaccine.rs"]
mod vaccine;

#[path = "protocol/doses.rs"]
mod doses;
#[path = "protocol/hand.rs"]
mod hand;
#[path = "protocol/late.rs"]
mod late;
#[path = "protocol/moves.rs"]
mod moves;
#[path = "protocol/races.rs"]
mod races;
#[path = "protocol/relay.rs"]
mod relay;
#[path = "protocol/resolver.rs"]
mod resolver;
#[path = "protocol/series.rs"]
mod series;
#[path = "protocol/slots.rs"]
mod slots;
#[path = "protocol/sold_out.rs"]
mod sold_out;
#[path = "protocol/tickets.rs"]
mod tickets;
#[path = "protocol/unwritable.rs"]
mod unwritable;

use app::{BookingApp, REFERENCE_BODY};
use contracts::event::{CloudEvent, short_name};
use serde_json::Value;
use testkit::Reply;

async fn book(app: &BookingApp) -> Reply {
    app.request("POST /bookings", REFERENCE_BODY).await
}

/// The type of an event, and its reservation.
fn summary(event: &CloudEvent) -> (String, String) {
    let data: Value = serde_json::from_str(event.data.get()).unwrap();
    let name = short_name(&event.r#type).unwrap();
    (name.to_owned(), data["reservationId"].as_str().unwrap().to_owned())
}
