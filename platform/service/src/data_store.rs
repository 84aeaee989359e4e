//! The store of a service that owns data: its writer runs, its events are published and consumed.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::Router;
use platform_events::{
    Consumer, EventHandler, HttpTransport, NatsTransport, NatsUrl, PublishError, Relay,
    RelayPriority, StoreId,
};
use platform_rest::{TrustedProxies, client::Client, runtime::Runtime};
use platform_store::{
    Aggregate, AggregateStore, Commands, DelayedStore, Notifier, OpenError, ReadPool, WriterHealth,
    database,
};
use platform_telemetry::BoxError;
use tokio::{select, task::JoinHandle};
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::{
    app::{App, OpenStore},
    config::{DataConfig, EventsUrl, Subscriber},
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
    consumer: Consumer,
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
        let (connection, reads) = select! {
            opened = database::open(&config.database, name, service.migrations) => opened?,
            () = runtime.stop.cancelled() => return Err(OpenError::ShuttingDown.into()),
        };
        let id = StoreId(connection.store_id);
        let new_events = Notifier::default();
        let delay_us =
            runtime.faults.as_ref().map(|it| Arc::clone(&it.store_delay_us)).unwrap_or_default();
        let store = AggregateStore::<B>::new(connection, new_events.clone());
        let (commands, ended) = Commands::<A>::start(name, DelayedStore::new(store, delay_us));
        let consumer = Consumer::new(commands.clone());
        let writer = TaskTracker::new().spawn(ended);
        let wiring = EventWiring {
            id,
            reads: reads.clone(),
            consumer: consumer.clone(),
            new_events,
            health: commands.health().clone(),
        };
        wiring.connect(service, config, runtime).await?;
        Ok(Self { commands, reads, id, consumer, writer })
    }

    /// What is served: these routes, and those for publishers and operators.
    pub fn app(self, router: Router, response_timeout: Duration, runtime: &Runtime) -> App {
        let Self { commands, reads, consumer, writer, .. } = self;
        platform_events::register(&runtime.metrics, reads.clone(), consumer.clone());
        let router = router.merge(platform_events::router(consumer, reads.clone()));
        let health = commands.health().clone();
        let close = Box::pin(async move { commands.close() });
        App {
            router,
            response_timeout,
            store: Some(OpenStore { reads, health, writer, close }),
            is_edge: false,
            trusted_proxies: TrustedProxies::default(),
            count_items: |_, _, _| 1,
        }
    }
}

/// The events of a store, in both directions.
struct EventWiring {
    id: StoreId,
    reads: ReadPool,
    consumer: Consumer,
    new_events: Notifier,
    health: WriterHealth,
}

impl EventWiring {
    /// Starts to publish, and to consume where the transport does not do that. Boxed, so that it is compiled
    /// here, and not again with each service.
    fn connect<'a>(
        self,
        service: &'a Service,
        config: &'a DataConfig,
        runtime: &'a Runtime,
    ) -> Pin<Box<dyn Future<Output = Result<(), PublishError>> + Send + 'a>> {
        Box::pin(async move {
            match &config.events {
                EventsUrl::Http => {
                    for subscriber in &config.subscribers {
                        self.publish_over_http(service.name, subscriber, runtime);
                    }
                }
                EventsUrl::Nats(url) => self.connect_nats(service, url, runtime).await?,
            }
            Ok(())
        })
    }

    fn publish_over_http(&self, name: &str, subscriber: &Subscriber, runtime: &Runtime) {
        info!("{name} publishes to {} at {}", subscriber.service, subscriber.url);
        let client = Client::new(subscriber.url.clone());
        let transport = HttpTransport { consumer: subscriber.service, client };
        runtime.spawn_until_stop(self.relay(transport, subscriber.priority).run());
    }

    async fn connect_nats(
        &self,
        service: &Service,
        url: &NatsUrl,
        runtime: &Runtime,
    ) -> Result<(), PublishError> {
        let nats = NatsTransport::connect(url, service.name).await?;
        for consumes in service.consumes {
            let consumer = self.consumer.clone();
            let consuming = nats.clone().consume(consumes.publisher, self.id, consumer);
            runtime.spawn_until_stop(consuming);
        }
        runtime.spawn_until_stop(self.relay(nats, RelayPriority::Foreground).run());
        Ok(())
    }

    fn relay<T>(&self, transport: T, priority: RelayPriority) -> Relay<T> {
        Relay {
            transport,
            source: self.id,
            outbox: self.reads.clone(),
            new_events: self.new_events.subscribe(),
            priority,
            fence: self.health.fence(),
        }
    }
}
