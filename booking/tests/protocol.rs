//! The booking protocol against a vaccine that fails in every way: never more bookings than doses,
//! and never a dose that nobody gives back.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "town/town.rs"]
mod town;

#[path = "protocol/attempts.rs"]
mod attempts;
#[path = "protocol/desk.rs"]
mod desk;
#[path = "protocol/late.rs"]
mod late;
#[path = "protocol/races.rs"]
mod races;
#[path = "protocol/relay.rs"]
mod relay;
#[path = "protocol/settle.rs"]
mod settle;
#[path = "protocol/tickets.rs"]
mod tickets;

use contracts::event::CloudEvent;
use serde_json::Value;
use town::{Answer, SEED, Town};

const BOOK: &str = "POST /bookings";

async fn book(town: &Town) -> Answer {
    town.ask(BOOK, SEED).await
}

/// What an event says: its type, and the reservation that it is about.
fn said(event: &CloudEvent) -> (String, String) {
    let data: Value = serde_json::from_str(event.data.get()).unwrap();
    (format!("{:?}", event.r#type), data["reservationId"].as_str().unwrap().to_owned())
}
