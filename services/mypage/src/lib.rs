#![doc = include_str!("../README.md")]

use std::time::Duration;

use platform_events::RelayPriority;
use platform_rest::runtime::Runtime;
use platform_service::{
    App, ConfigError, Configured, Consumes, DataConfig, DataStore, Service, Settings,
};
use platform_store::database;
use platform_telemetry::BoxError;
use tokio::task;
use tracing::info;

pub mod api;
pub mod calendar;
pub mod domain;
pub mod events;
pub mod store;

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
        Consumes { publisher: "campaign", priority: RelayPriority::Background },
    ],
    collections: api::COLLECTIONS.collections,
    routes: &["/mypages/{id}/calendar"],
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
    let store = DataStore::<Views>::open(&SERVICE, &config, &runtime).await?;
    let queries = Queries(store.reads.clone());
    Ok(store.app(api::router(queries), RESPONSE_TIMEOUT, &runtime))
}

/// Deletes every view and site, and the consumer offsets, so that all events are consumed again.
pub async fn rebuild(config: DataConfig) -> Result<(), BoxError> {
    let (mut connection, _) = database::open(&config.database, SERVICE.name, MIGRATIONS).await?;
    task::spawn_blocking(move || store::delete_all(&mut connection)).await??;
    info!("all views are deleted; they are built again as soon as mypage runs");
    Ok(())
}
