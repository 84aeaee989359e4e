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
pub mod holds;
pub mod store;

pub use config::Config;

use crate::{
    holds::Holds,
    store::{Book, Reads},
};

/// Its name: in the log, as a schema, and on the bus.
const PART: &str = "vaccine";

/// How long a request may take. Shorter than what booking gives a citizen, who waits for us.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(2_800);

/// Opens the ledger, starts its writer, answers requests; returns when everything is drained.
pub async fn serve(config: Config, process: Process) -> Result<(), Fatal> {
    serve_on(Listener::bind(config.listen)?, config, process).await
}

/// The same on a listener of one's own; `config.listen` does not matter.
pub async fn serve_on(listener: Listener, config: Config, process: Process) -> Result<(), Fatal> {
    serve_book(listener, config, Book::default(), process).await
}

/// The same with a ledger that decides in its own way.
pub async fn serve_book(
    listener: Listener,
    config: Config,
    book: Book,
    process: Process,
) -> Result<(), Fatal> {
    let part = Part::open(PART, &config.database, store::MIGRATIONS, book, &process).await?;
    part.tell(&config.events, vec![]).await?;
    part.hear(&config.events, &["booking", "injection"]).await?;
    let reads = Reads(part.readers.clone());
    let ledger = api::Ledger {
        desk: part.desk.clone(),
        holds: Holds::new(part.desk.clone(), reads.clone()),
        reads,
        told: part.told.clone(),
        process,
    };
    part.serve(listener, api::router(ledger), ANSWER_WITHIN).await
}
