#![doc = include_str!("../README.md")]

use std::time::Duration;

use chassis::{
    client::Client,
    listen::Listener,
    process::{Fatal, Process},
};

pub mod api;
pub mod config;
mod swagger_ui;

pub use config::Config;

/// How long a request may take in all: what the citizen was promised.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Answers requests; returns when everything is drained.
pub async fn serve(config: Config, process: Process) -> Result<(), Fatal> {
    serve_on(Listener::bind(config.listen)?, config, process).await
}

/// The same on a listener of one's own; `config.listen` does not matter.
pub async fn serve_on(listener: Listener, config: Config, process: Process) -> Result<(), Fatal> {
    let part = |name, url| Client::guarded(name, url, &config.breaker, &process);
    let parts = api::Parts {
        vaccine: part("vaccine", config.vaccine)?,
        booking: part("booking", config.booking)?,
        injection: config.injection.map(|url| part("injection", url)).transpose()?,
        mypage: config.mypage.map(|url| part("mypage", url)).transpose()?,
    };
    let app = api::router(parts).merge(chassis::actuator::read_only("gateway", &process));
    listener.serve("gateway", app, ANSWER_WITHIN, &process).await?;
    process.finish().await;
    Ok(())
}
