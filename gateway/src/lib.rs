#![doc = include_str!("../README.md")]

use std::time::Duration;

use chassis::{
    client::Client,
    listen::Listener,
    process::{Fatal, Process},
};

pub mod api;
pub mod config;

pub use config::Config;

/// How long a request may take in all: what the citizen was promised.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Answers requests; returns when everything is drained.
pub async fn serve(config: Config, process: Process) -> Result<(), Fatal> {
    let parts =
        api::Parts { vaccine: Client::new(config.vaccine), booking: Client::new(config.booking) };
    let app = api::router(parts).merge(chassis::health::router("gateway", process.readiness()));
    Listener::bind(config.listen)?.serve("gateway", app, ANSWER_WITHIN, &process).await?;
    process.finish().await;
    Ok(())
}
