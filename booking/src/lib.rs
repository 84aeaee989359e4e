#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use chassis::{
    client::Client,
    listen::Listener,
    process::{Fatal, Process},
};
use eventing::Part;
use resilience::breaker::BreakerConfig;

pub mod api;
pub mod attempts;
pub mod bookings;
pub mod config;
pub mod domain;
pub mod events;
pub mod settle;
pub mod store;

pub use config::Config;

use crate::{
    attempts::{Attempts, Batches},
    bookings::Bookings,
    store::{Book, Reads},
};

/// Its name: in the log, as a schema, and on the bus.
const PART: &str = "booking";

/// How long any request may take.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(2_900);

/// Opens the bookings, starts their writer, tells and settles in the background, answers requests;
/// returns when everything is drained.
pub async fn serve(config: Config, process: Process) -> Result<(), Fatal> {
    serve_on(Listener::bind(config.listen)?, config, process).await
}

/// The same on a listener of one's own; `config.listen` does not matter.
pub async fn serve_on(listener: Listener, config: Config, process: Process) -> Result<(), Fatal> {
    let part = Part::open(PART, &config.database, store::MIGRATIONS, Book, &process).await?;
    part.tell(&config.events, config.listeners()).await?;
    part.hear(&config.events, &["injection"]).await?;

    let vaccine = Client::guarded("vaccine", config.vaccine, &vaccine_breaker(), &process)?;
    let batches = Batches {
        vaccine: vaccine.clone(),
        holder: part.store,
        desk: part.desk.clone(),
        process: process.clone(),
    };
    let (attempts, making) = Attempts::new(batches);
    process.spawn(making);
    let bookings = Arc::new(Bookings {
        desk: part.desk.clone(),
        reads: Reads(part.readers.clone()),
        attempts,
        holder: part.store,
        told: part.told.clone(),
        process: process.clone(),
    });
    settle::start(&bookings, &vaccine, &process);
    part.serve(listener, api::router(bookings), ANSWER_WITHIN).await
}

/// How `vaccine` is left in peace.
///
/// It answers within milliseconds or it is in trouble, and then it is asked again every second on a
/// few people's behalf: longer pauses would spare it little and keep everybody waiting after it has
/// recovered.
fn vaccine_breaker() -> BreakerConfig {
    BreakerConfig {
        slow_after: Duration::from_millis(800),
        open_for: Duration::from_millis(500),
        open_max: Duration::from_secs(1),
        ramp: Duration::from_millis(200),
        ..BreakerConfig::default()
    }
}
