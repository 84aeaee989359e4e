#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod api;
mod consumer;
mod event;
mod http_transport;
mod metrics;
mod nats_consumer;
mod nats_transport;
mod nats_url;
mod relay;
mod transport;

pub use contracts::ids::StoreId;

pub use {
    api::router,
    consumer::{ConsumeError, Consumer, DELIVERIES_MAX, EventHandler, ReceivedEvent},
    event::outbox_event,
    http_transport::HttpTransport,
    metrics::register,
    nats_transport::NatsTransport,
    nats_url::{NatsUrl, NatsUrlError},
    relay::{Relay, RelayPriority},
    transport::{Position, PublishError, Transport},
};
