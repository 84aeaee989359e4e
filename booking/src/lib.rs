#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use chassis::{
    client::Client,
    listen::Listener,
    process::{Fatal, Process},
};
use contracts::ids::HolderId;
use storage::writer::Writer;
use thiserror::Error;
use tokio::{select, sync::Notify};

pub mod api;
pub mod attempts;
pub mod bookings;
pub mod config;
pub mod domain;
pub mod events;
pub mod relay;
pub mod settle;
pub mod store;

pub use config::Config;

use crate::{
    attempts::{Attempts, Batches},
    bookings::Bookings,
    relay::Relay,
};

/// How long any request may take.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(2_900);

/// The bookings stopped being written though nobody asked for it.
#[derive(Debug, Error)]
#[error("the bookings' writer has died; the log says why")]
struct WriterDied;

/// Opens the bookings, starts their writer, tells and settles in the background, answers requests;
/// returns when everything is drained.
pub async fn serve(config: Config, process: Process) -> Result<(), Fatal> {
    serve_on(Listener::bind(config.listen)?, config, process).await
}

/// The same on a listener of one's own; `config.listen` does not matter.
pub async fn serve_on(listener: Listener, config: Config, process: Process) -> Result<(), Fatal> {
    let (writable, readers) = storage::sqlite::open(&config.database, store::sqlite::MIGRATIONS)?;
    let vaccine = Client::new(config.vaccine);
    let holder = HolderId(writable.store_id);
    let (writer, writer_ended) = Writer::start("booking", store::Sqlite::new(writable));
    let batches = Batches {
        vaccine: vaccine.clone(),
        holder,
        writer: writer.clone(),
        process: process.clone(),
    };
    let (attempts, making) = Attempts::new(batches);
    process.spawn(making);
    let bookings = Arc::new(Bookings {
        writer: writer.clone(),
        reads: store::Reads::new(readers),
        attempts,
        holder,
        told: Arc::new(Notify::new()),
        process: process.clone(),
    });
    let relay = Relay { bookings: Arc::clone(&bookings), vaccine: vaccine.clone() };
    process.spawn(relay.run(process.clone()));
    settle::start(&bookings, &vaccine, &process);

    let app = api::router(bookings).merge(chassis::health::router("booking", process.readiness()));
    tokio::pin!(writer_ended);
    select! {
        served = listener.serve("booking", app, ANSWER_WITHIN, &process) => served?,
        () = &mut writer_ended => return Err(WriterDied.into()),
    }
    process.finish().await;
    writer.close().await;
    writer_ended.await;
    Ok(())
}
