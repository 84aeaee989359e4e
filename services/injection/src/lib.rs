#![doc = include_str!("../README.md")]

use std::time::Duration;

use platform_events::RelayPriority;
use platform_rest::runtime::Runtime;
use platform_service::{
    App, ConfigError, Configured, Consumes, DataConfig, DataStore, Service, Settings,
};
use platform_telemetry::BoxError;

pub mod api;
pub mod domain;
pub mod events;
pub mod store;

use crate::{
    domain::Appointments,
    store::{MIGRATIONS, Queries},
};

/// The injection desk.
pub const SERVICE: Service = Service {
    name: "injection",
    summary: "the injection desk: who is expected, who was vaccinated",
    port: 8084,
    consumes: &[Consumes { publisher: "booking", priority: RelayPriority::Background }],
    collections: api::COLLECTIONS.collections,
    routes: &[],
    recognises_attempts: false,
    migrations: MIGRATIONS,
    openapi: Some(api::openapi),
    configure,
};

/// How long a response may take.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(2_900);

fn configure(settings: &Settings<'_>) -> Result<Configured, ConfigError> {
    let config = settings.data()?;
    Ok(Configured::new(config.summary(), move |runtime| start(config, runtime)))
}

async fn start(config: DataConfig, runtime: Runtime) -> Result<App, BoxError> {
    let store = DataStore::<Appointments>::open(&SERVICE, &config, &runtime).await?;
    let desk = api::InjectionDesk {
        commands: store.commands.clone(),
        queries: Queries(store.reads.clone()),
    };
    Ok(store.app(api::router(desk), RESPONSE_TIMEOUT, &runtime))
}
