#![doc = include_str!("../README.md")]

use std::time::Duration;

use platform_events::RelayPriority;
use platform_rest::runtime::Runtime;
use platform_service::{
    App, ConfigError, Configured, Consumes, DataConfig, DataStore, Service, Settings,
};
use platform_store::Aggregate;
use platform_telemetry::{BoxError, metrics::family::MetricFamily};

pub mod api;
pub mod domain;
pub mod events;
pub mod holds;
pub mod store;

use crate::{
    domain::{Command, Ledger, Reply},
    holds::Holds,
    store::{MIGRATIONS, Queries},
};

/// The stock ledger.
pub const SERVICE: Service = Service {
    name: "vaccine",
    summary: "the stock ledger: how many doses there are, held and booked",
    port: 8081,
    consumes: &[
        // What booking confirms and returns decides about the next hold.
        Consumes { publisher: "booking", priority: RelayPriority::Foreground },
        Consumes { publisher: "injection", priority: RelayPriority::Foreground },
        // A site that is closed takes no more bookings from then on.
        Consumes { publisher: "campaign", priority: RelayPriority::Foreground },
    ],
    collections: api::COLLECTIONS.collections,
    routes: &["/vaccines/{id}/product", "/lots/{id}/changes", "/stocks/{siteId}/{vaccineId}"],
    recognises_attempts: false,
    migrations: MIGRATIONS,
    openapi: Some(api::openapi),
    configure,
};

/// How long a response may take. Shorter than what booking gives a citizen, who waits for it.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(2_800);

fn configure(settings: &Settings<'_>) -> Result<Configured, ConfigError> {
    let config = settings.data()?;
    Ok(Configured::new(config.summary(), move |runtime| start_as::<Ledger>(config, runtime)))
}

/// Starts the ledger with the decisions of `A`: [`Ledger`] itself, or one without its guard, for tests that
/// have to show that a check finds an oversold vaccine.
pub async fn start_as<A>(config: DataConfig, runtime: Runtime) -> Result<App, BoxError>
where
    A: Aggregate<Command = Command, Reply = Reply>,
{
    let store = DataStore::<Ledger>::open_as::<A>(&SERVICE, &config, &runtime).await?;
    let queries = Queries(store.reads.clone());
    export_overcommitted(&runtime, queries.clone());
    let stock = api::Stock {
        commands: store.commands.clone(),
        holds: Holds::new(store.commands.clone(), queries.clone()),
        queries,
        runtime: runtime.clone(),
    };
    let app = store.app(api::router(stock), RESPONSE_TIMEOUT, &runtime);
    Ok(app.counting_items(api::count_items))
}

fn export_overcommitted(runtime: &Runtime, queries: Queries) {
    runtime.metrics.collector("stock", move || {
        let queries = queries.clone();
        async move {
            let [doses, places] = queries.overcommitted().await?;
            let of_doses = MetricFamily::gauge(
                "anticorona_overcommitted_doses",
                "Doses that were used or booked although every dose was taken, in doses",
            );
            let of_places = MetricFamily::gauge(
                "anticorona_overcommitted_places",
                "Bookings of slots that have no place any more, and have to move",
            );
            Ok(vec![of_doses.sample([], doses), of_places.sample([], places)])
        }
    });
}
