#![doc = include_str!("../README.md")]

use std::time::Duration;

use platform_events::RelayPriority;
use platform_rest::runtime::Runtime;
use platform_service::{App, ConfigError, Configured, Consumes, DataStore, Service, Settings};
use platform_store::database;
use platform_telemetry::BoxError;
use tokio::task;
use tracing::info;

pub mod api;
pub mod config;
pub mod domain;
pub mod events;
pub mod store;

pub use config::Config;

use crate::{
    domain::Views,
    store::{MIGRATIONS, Queries},
};

/// The read model of citizens.
pub const SERVICE: Service = Service {
    name: "mypage",
    summary: "the read model: what citizens see of their bookings",
    port: 8083,
    consumes: &[
        Consumes { publisher: "booking", priority: RelayPriority::Background },
        Consumes { publisher: "injection", priority: RelayPriority::Background },
    ],
    collections: &["mypages"],
    items: &[],
    migrations: MIGRATIONS,
    openapi: Some(api::openapi),
    configure,
};

/// How long a response may take.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(2_900);

fn configure(settings: &Settings<'_>) -> Result<Configured, ConfigError> {
    let config = Config::from_settings(settings)?;
    Ok(Configured::new(config.data.summary(), move |runtime| start(config, runtime)))
}

async fn start(config: Config, runtime: Runtime) -> Result<App, BoxError> {
    let store = DataStore::<Views>::open(&SERVICE, &config.data, &runtime).await?;
    let queries = Queries(store.reads.clone());
    Ok(store.app(api::router(queries), RESPONSE_TIMEOUT, &runtime))
}

/// Deletes every view and the consumer offsets, so that all events are consumed again.
pub async fn rebuild(config: Config) -> Result<(), BoxError> {
    let (mut connection, _) =
        database::open(&config.data.database, SERVICE.name, MIGRATIONS).await?;
    task::spawn_blocking(move || store::delete_all(&mut connection)).await??;
    info!("all views are deleted; they are built again as soon as mypage runs");
    Ok(())
}
