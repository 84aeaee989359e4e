#![doc = include_str!("../README.md")]

use std::time::Duration;

use chassis::{
    listen::Listener,
    process::{Fatal, Process},
};
use eventing::Part;

pub mod api;
pub mod config;
pub mod domain;
pub mod events;
pub mod store;

pub use config::Config;

use crate::store::{Book, Reads};

/// Its name: in the log, as a schema, and on the bus.
const PART: &str = "injection";

/// How long a request may take.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(2_900);

/// Opens the desk, hears bookings, answers requests; returns when everything is drained.
pub async fn serve(config: Config, process: Process) -> Result<(), Fatal> {
    serve_on(Listener::bind(config.listen)?, config, process).await
}

/// The same on a listener of one's own; `config.listen` does not matter.
pub async fn serve_on(listener: Listener, config: Config, process: Process) -> Result<(), Fatal> {
    let part = Part::open(PART, &config.database, store::MIGRATIONS, Book, &process).await?;
    part.tell(&config.events, config.listeners()).await?;
    part.hear(&config.events, &["booking"]).await?;
    let injections = api::Injections {
        desk: part.desk.clone(),
        reads: Reads(part.readers.clone()),
        told: part.told.clone(),
    };
    part.serve(listener, api::router(injections), ANSWER_WITHIN).await
}
