#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use platform_events::RelayPriority;
use platform_rest::{client::Client, runtime::Runtime};
use platform_service::{App, ConfigError, Configured, Consumes, DataStore, Service, Settings};
use platform_store::Notifier;
use platform_telemetry::BoxError;

pub mod aborts;
pub mod alternatives;
pub mod api;
mod batch_limit;
mod block_ids;
pub mod config;
pub mod domain;
pub mod doses;
pub mod events;
pub mod hand;
pub mod holds;
mod kept;
mod lost;
pub mod protocol;
pub mod resolver;
mod sold_out;
pub mod store;
pub mod ticket_queue;
pub mod under_way;

pub use {batch_limit::BATCH_LIMIT_MIN, config::Config};

use crate::{
    aborts::Aborts,
    alternatives::{Alternatives, campaign_breaker},
    domain::Bookings,
    doses::DoseQueue,
    holds::HoldClient,
    protocol::BookingProtocol,
    store::{MIGRATIONS, Queries},
    under_way::UnderWay,
};

/// Takes, cancels and queues bookings.
pub const SERVICE: Service = Service {
    name: "booking",
    summary: "takes and cancels bookings",
    port: 8082,
    consumes: &[Consumes { publisher: "injection", priority: RelayPriority::Background }],
    collections: api::COLLECTIONS.collections,
    routes: &["/tickets/{id}"],
    recognises_attempts: true,
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
    let store = DataStore::<Bookings>::open(&SERVICE, &config.data, &runtime).await?;
    let vaccine = Client::guarded("vaccine", config.vaccine, &config.breaker, &runtime)?;
    let alternatives = match config.campaign {
        None => Alternatives::default(),
        Some(url) => {
            let campaign = Client::guarded("campaign", url, &campaign_breaker(), &runtime)?;
            Alternatives::new(campaign, vaccine.clone())
        }
    };
    let aborts = Aborts::start(vaccine.clone(), store.id, store.commands.clone(), &runtime);
    let (outbox, stop) = (store.reads.clone(), runtime.stop.clone());
    let holds = HoldClient::new(vaccine.clone(), store.id, outbox, aborts.clone(), stop);
    let holds = Arc::new(holds);
    let protocol = Arc::new(BookingProtocol {
        commands: store.commands.clone(),
        queries: Queries(store.reads.clone()),
        doses: DoseQueue::start(Arc::clone(&holds), store.commands.health().clone(), &runtime),
        holds: Arc::clone(&holds),
        aborts,
        alternatives,
        owner: store.id,
        under_way: UnderWay::default(),
        enqueued: Notifier::default(),
        runtime: runtime.clone(),
    });
    resolver::start(&protocol, &vaccine);
    ticket_queue::start(&protocol, holds);
    Ok(store.app(api::router(protocol), RESPONSE_TIMEOUT, &runtime))
}
