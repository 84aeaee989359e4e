#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use chassis::{
    listen::Listener,
    process::{Fatal, Process},
};
use storage::writer::Writer;
use thiserror::Error;
use tokio::select;

pub mod api;
pub mod config;
pub mod domain;
pub mod events;
pub mod store;

pub use config::Config;

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
    let (writable, readers) = storage::sqlite::open(&config.database, store::sqlite::MIGRATIONS)?;
    let ledger = store::Sqlite::new(writable);
    serve_ledger(listener, ledger, store::Reads::new(readers), process).await
}

/// The same with a ledger of one's own.
pub async fn serve_ledger(
    listener: Listener,
    ledger: store::Sqlite,
    reads: store::Reads,
    process: Process,
) -> Result<(), Fatal> {
    let (writer, writer_ended) = Writer::start("vaccine", ledger);
    let ledger =
        api::Ledger { writer: writer.clone(), reads: Arc::new(reads), process: process.clone() };
    let app = api::router(ledger).merge(chassis::health::router("vaccine", process.readiness()));
    tokio::pin!(writer_ended);
    select! {
        served = listener.serve("vaccine", app, ANSWER_WITHIN, &process) => served?,
        () = &mut writer_ended => return Err(WriterDied.into()),
    }
    process.finish().await;
    writer.close().await;
    writer_ended.await;
    Ok(())
}
