#![doc = include_str!("../README.md")]

use std::time::Duration;

use platform_rest::{client::Client, runtime::Runtime};
use platform_service::{App, ConfigError, Configured, Service, Settings};
use platform_telemetry::BoxError;

mod api;
pub mod config;
mod cors;
mod forward;
mod swagger_ui;

pub use config::Config;
pub use cors::{CorsOrigins, CorsOriginsError};

/// The public edge.
pub const SERVICE: Service = Service {
    name: "gateway",
    summary: "the public edge: one address for all services",
    port: 8088,
    consumes: &[],
    collections: &[],
    routes: &[],
    recognises_attempts: false,
    migrations: &[],
    openapi: None,
    configure,
};

/// How long a response may take: what the citizen was promised.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

fn configure(settings: &Settings<'_>) -> Result<Configured, ConfigError> {
    let config = Config::from_settings(settings)?;
    Ok(Configured::new(config.summary(), async move |runtime| start(config, &runtime)))
}

fn start(config: Config, runtime: &Runtime) -> Result<App, BoxError> {
    let mut upstreams = Vec::new();
    for (service, url) in config.upstreams {
        upstreams.push((service, Client::guarded(service.name, url, &config.breaker, runtime)?));
    }
    let router = api::router(upstreams, config.cors_origins);
    Ok(App::edge(router, RESPONSE_TIMEOUT).behind(config.trusted_proxies))
}
