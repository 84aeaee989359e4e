//! The store of a service that owns data: its writer runs, its events are published and consumed.

use std::time::Duration;

use axum::Router;
use platform_events::{
    Consumer, EventHandler, HttpTransport, NatsTransport, Relay, RelayPriority, StoreId,
};
use platform_rest::{client::Client, fault_injection::FaultInjection, runtime::Runtime};
use platform_store::{
    Aggregate, AggregateStore, Commands, DelayedStore, Notifier, ReadPool, database,
};
use platform_telemetry::BoxError;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::{
    app::{App, OpenStore},
    data_config::{DataConfig, EventsUrl, Subscriber},
    service::Service,
};

/// An open store.
#[derive(Debug)]
pub struct DataStore<A: Aggregate> {
    /// Submits commands to its writer.
    pub commands: Commands<A>,
    /// Reads the last commit.
    pub reads: ReadPool,
    /// Its id: the source of its events, and the owner of its holds.
    pub id: StoreId,
    consumer: Consumer<A>,
    writer: JoinHandle<()>,
}

impl<A: EventHandler> DataStore<A> {
    /// Opens the store, starts its writer, publishes its events, and consumes those of others.
    pub async fn open(
        service: &Service,
        config: &DataConfig,
        runtime: &Runtime,
    ) -> Result<Self, BoxError> {
        Self::open_as::<A>(service, config, runtime).await
    }

    /// [`DataStore::open`] with other decisions over the same commands: for tests that have to show that a
    /// check finds a broken decision.
    pub async fn open_as<B>(
        service: &Service,
        config: &DataConfig,
        runtime: &Runtime,
    ) -> Result<Self, BoxError>
    where
        B: Aggregate<Command = A::Command, Reply = A::Reply>,
    {
        let name = service.name;
        let (connection, reads) =
            database::open(&config.database, name, service.migrations).await?;
        let id = StoreId(connection.store_id);
        let new_events = Notifier::default();
        let delay_us = runtime.faults().map(FaultInjection::store_delay_us).unwrap_or_default();
        let store = AggregateStore::<B>::new(connection, new_events.clone());
        let (commands, ended) = Commands::<A>::start(name, DelayedStore::new(store, delay_us));
        let consumer = Consumer::new(commands.clone());
        let writer = TaskTracker::new().spawn(ended);
        let store = Self { commands, reads, id, consumer, writer };
        match &config.events {
            EventsUrl::Http => {
                for subscriber in &config.subscribers {
                    store.publish_over_http(name, subscriber, &new_events, runtime);
                }
            }
            EventsUrl::Nats(url) => {
                let nats = NatsTransport::connect(url, name).await?;
                for consumes in service.consumes {
                    let consumer = store.consumer.clone();
                    runtime.spawn_until_stop(nats.clone().consume(
                        consumes.publisher,
                        id,
                        consumer,
                    ));
                }
                let relay = store.relay(nats, RelayPriority::Foreground, &new_events);
                runtime.spawn_until_stop(relay.run());
            }
        }
        Ok(store)
    }

    fn publish_over_http(
        &self,
        name: &str,
        subscriber: &Subscriber,
        new_events: &Notifier,
        runtime: &Runtime,
    ) {
        info!("{name} publishes to {} at {}", subscriber.service, subscriber.url);
        let client = Client::new(subscriber.url.clone());
        let transport = HttpTransport { consumer: subscriber.service, client };
        let relay = self.relay(transport, subscriber.priority, new_events);
        runtime.spawn_until_stop(relay.run());
    }

    fn relay<T>(&self, transport: T, priority: RelayPriority, new_events: &Notifier) -> Relay<T> {
        Relay {
            transport,
            source: self.id,
            outbox: self.reads.clone(),
            new_events: new_events.subscribe(),
            priority,
        }
    }

    /// What is served: these routes, and those for publishers and operators.
    pub fn app(self, router: Router, response_timeout: Duration, runtime: &Runtime) -> App {
        let Self { commands, reads, consumer, writer, .. } = self;
        platform_events::register(runtime.metrics(), reads.clone());
        let router = router.merge(platform_events::router(consumer, reads.clone()));
        let close = Box::pin(async move { commands.close() });
        App {
            router,
            response_timeout,
            store: Some(OpenStore { reads, writer, close }),
            is_edge: false,
        }
    }
}
