#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use chassis::{
    client::Client,
    listen::Listener,
    process::{Fatal, Process},
};
use eventing::{Bell, Part};

pub mod api;
pub mod attempts;
pub mod bookings;
pub mod config;
pub mod domain;
pub mod events;
pub mod settle;
pub mod store;
pub mod tickets;

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

    let vaccine = Client::guarded("vaccine", config.vaccine, &config.breaker, &process)?;
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
        queued: Bell::default(),
        process: process.clone(),
    });
    settle::start(&bookings, &vaccine, &process);
    tickets::start(&bookings, vaccine);
    part.serve(listener, api::router(bookings), ANSWER_WITHIN).await
}
