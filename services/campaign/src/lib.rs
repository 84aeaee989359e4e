#![doc = include_str!("../README.md")]

use std::time::Duration;

use platform_rest::{client::Client, runtime::Runtime};
use platform_service::{App, ConfigError, Configured, DataStore, Service, Settings};
use platform_telemetry::BoxError;

pub mod api;
pub mod availability;
pub mod config;
pub mod domain;
pub mod events;
mod planner;
pub mod store;

use crate::{
    availability::Availability,
    config::Config,
    domain::Campaigns,
    store::{MIGRATIONS, Queries},
};

/// Sites and campaigns.
pub const SERVICE: Service = Service {
    name: "campaign",
    summary: "sites and campaigns: where and when people can be vaccinated",
    port: 8085,
    consumes: &[],
    collections: api::COLLECTIONS.collections,
    routes: &[
        "/sites/{id}/exceptions/{date}",
        "/campaigns/{id}/status",
        "/campaigns/{id}/preview",
        "/slots",
        "/slots/{id}/alternatives",
        "/slots/{id}/next",
        "/days",
    ],
    recognises_attempts: false,
    migrations: MIGRATIONS,
    openapi: Some(api::openapi),
    configure,
};

/// How long a response may take.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(2_900);

fn configure(settings: &Settings<'_>) -> Result<Configured, ConfigError> {
    let config = Config::from_settings(settings)?;
    Ok(Configured::new(config.summary(), move |runtime| start(config, runtime)))
}

async fn start(config: Config, runtime: Runtime) -> Result<App, BoxError> {
    let store = DataStore::<Campaigns>::open(&SERVICE, &config.data, &runtime).await?;
    let vaccine = Client::guarded("vaccine", config.vaccine, &config.breaker, &runtime)?;
    let office = api::CampaignOffice {
        commands: store.commands.clone(),
        queries: Queries(store.reads.clone()),
        availability: Availability::new(vaccine, &runtime),
    };
    planner::start(&office, &runtime);
    Ok(store.app(api::router(office), RESPONSE_TIMEOUT, &runtime))
}
