#![doc = include_str!("../README.md")]

use std::time::Duration;

use chassis::{
    listen::Listener,
    process::{Fatal, Process},
};
use contracts::ids::HolderId;
use eventing::{Bell, Hearing, Wiring};
use storage::{
    database,
    store::{Desk, Stored},
};
use thiserror::Error;
use tokio::select;

pub mod api;
pub mod config;
pub mod domain;
pub mod events;
pub mod store;

pub use config::Config;

use crate::store::{Book, Reads};

/// Its name: in the log, as a schema, and on the bus.
const PART: &str = "vaccine";

/// How long a request may take. Shorter than what booking gives a citizen, who waits for us.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_800);

/// The ledger stopped writing though nobody asked it to.
#[derive(Debug, Error)]
#[error("the ledger's writer has died; the log says why")]
struct WriterDied;

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
    let (writable, readers) = database::open(&config.database, PART, store::MIGRATIONS).await?;
    let source = HolderId(writable.store_id);
    let (desk, writer_ended) = Desk::start(PART, Stored::new(writable, book));
    let told = Bell::default();
    let hearing = Hearing::new(desk.clone(), told.clone());
    let wiring = Wiring {
        part: PART,
        source,
        outbox: readers.clone(),
        told: told.clone(),
        process: process.clone(),
    };
    wiring.tell(&config.events, vec![]).await?;
    wiring.hear(&config.events, &["booking", "injection"], &hearing).await?;

    let ledger = api::Ledger {
        desk: desk.clone(),
        reads: Reads(readers.clone()),
        told,
        process: process.clone(),
    };
    let app = api::router(ledger)
        .merge(eventing::api::router(hearing, readers))
        .merge(chassis::health::router(PART, process.readiness()));
    tokio::pin!(writer_ended);
    select! {
        served = listener.serve(PART, app, ANSWER_WITHIN, &process) => served?,
        () = &mut writer_ended => return Err(WriterDied.into()),
    }
    process.finish().await;
    desk.close().await;
    writer_ended.await;
    Ok(())
}
