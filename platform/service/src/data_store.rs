//! The store of a service that owns data: its writer runs, its events are published and consumed.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::Router;
use platform_events::{
    Consumer, EventHandler, HttpTransport, NatsTransport, NatsUrl, PublishError, Published,
    ReadSnapshot, Relay, RelayPriority, StoreId, Transport,
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
    retention,
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
            snapshot: B::snapshot,
        };
        let destinations = wiring.connect(service, config, runtime).await?;
        let pruning = retention::run(commands.clone(), destinations, config.retention);
        runtime.spawn_until_stop(pruning);
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
    snapshot: ReadSnapshot,
}

impl EventWiring {
    /// Starts to publish, and to consume where the transport does not do that; how far each destination of
    /// the events is. Boxed, so that it is compiled here, and not again with each service.
    fn connect<'a>(
        self,
        service: &'a Service,
        config: &'a DataConfig,
        runtime: &'a Runtime,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Published>, PublishError>> + Send + 'a>> {
        Box::pin(async move {
            Ok(match &config.events {
                EventsUrl::Http => {
                    let subscribers = config.subscribers.iter();
                    let publish = |it| self.publish_over_http(service.name, it, runtime);
                    subscribers.map(publish).collect()
                }
                EventsUrl::Nats(url) => vec![self.connect_nats(service, url, runtime).await?],
            })
        })
    }

    fn publish_over_http(
        &self,
        name: &str,
        subscriber: &Subscriber,
        runtime: &Runtime,
    ) -> Published {
        info!("{name} publishes to {} at {}", subscriber.service, subscriber.url);
        let client = Client::new(subscriber.url.clone());
        let transport = HttpTransport { consumer: subscriber.service, client };
        self.publish(transport, subscriber.priority, runtime)
    }

    async fn connect_nats(
        &self,
        service: &Service,
        url: &NatsUrl,
        runtime: &Runtime,
    ) -> Result<Published, PublishError> {
        let nats = NatsTransport::connect(url, service.name).await?;
        for consumes in service.consumes {
            let consumer = self.consumer.clone();
            let consuming = nats.clone().consume(consumes.publisher, self.id, consumer);
            runtime.spawn_until_stop(consuming);
        }
        Ok(self.publish(nats, RelayPriority::Foreground, runtime))
    }

    fn publish<T: Transport>(
        &self,
        transport: T,
        priority: RelayPriority,
        runtime: &Runtime,
    ) -> Published {
        let published = Published::default();
        let relay = Relay {
            transport,
            source: self.id,
            outbox: self.reads.clone(),
            new_events: self.new_events.subscribe(),
            priority,
            fence: self.health.fence(),
            snapshot: self.snapshot,
            published: published.clone(),
        };
        runtime.spawn_until_stop(relay.run());
        published
    }
}
