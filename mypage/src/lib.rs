#![doc = include_str!("../README.md")]

use std::time::Duration;

use chassis::{
    listen::Listener,
    process::{Fatal, Process},
};
use eventing::Part;
use storage::database;
use tokio::task;

pub mod api;
pub mod config;
pub mod domain;
pub mod events;
pub mod store;

pub use config::Config;

use crate::store::{Book, Reads};

/// Its name: in the log, as a schema, and on the bus.
const PART: &str = "mypage";

/// How long a request may take.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(2_900);

/// Opens the views, hears bookings and injections, answers requests; returns when everything is
/// drained.
pub async fn serve(config: Config, process: Process) -> Result<(), Fatal> {
    serve_on(Listener::bind(config.listen)?, config, process).await
}

/// The same on a listener of one's own; `config.listen` does not matter.
pub async fn serve_on(listener: Listener, config: Config, process: Process) -> Result<(), Fatal> {
    let part = Part::open(PART, &config.database, store::MIGRATIONS, Book, &process).await?;
    part.hear(&config.events, &["booking", "injection"]).await?;
    let reads = Reads(part.readers.clone());
    part.serve(listener, api::router(reads), ANSWER_WITHIN).await
}

/// Forgets every view; whoever tells us events tells them again from the beginning.
pub async fn rebuild(config: Config, _: Process) -> Result<(), Fatal> {
    let (mut writable, _) = database::open(&config.database, PART, store::MIGRATIONS).await?;
    task::spawn_blocking(move || store::forget(&mut writable)).await??;
    tracing::info!("everything is forgotten, and is heard again as soon as mypage runs");
    Ok(())
}
