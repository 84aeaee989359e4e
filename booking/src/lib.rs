#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use chassis::{
    client::Client,
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
    let (writable, readers) = database::open(&config.database, PART, store::MIGRATIONS).await?;
    let holder = HolderId(writable.store_id);
    let (desk, writer_ended) = Desk::start(PART, Stored::new(writable, Book));
    let told = Bell::default();
    let hearing = Hearing::new(desk.clone(), told.clone());
    let wiring = Wiring {
        part: PART,
        source: holder,
        outbox: readers.clone(),
        told: told.clone(),
        process: process.clone(),
    };
    wiring.tell(&config.events, config.listeners()).await?;
    wiring.hear(&config.events, &["injection"], &hearing).await?;

    let vaccine = Client::new(config.vaccine);
    let batches =
        Batches { vaccine: vaccine.clone(), holder, desk: desk.clone(), process: process.clone() };
    let (attempts, making) = Attempts::new(batches);
    process.spawn(making);
    let bookings = Arc::new(Bookings {
        desk: desk.clone(),
        reads: Reads(readers.clone()),
        attempts,
        holder,
        told,
        process: process.clone(),
    });
    settle::start(&bookings, &vaccine, &process);

    let app = api::router(bookings)
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
