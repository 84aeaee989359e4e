#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod api;
mod consumer;
mod metrics;
mod nats_consumer;
mod nats_transport;
mod relay;
mod transport;

pub use contracts::ids::StoreId;

pub use {
    api::router,
    consumer::{
        ConsumeError, Consumer, DELIVERIES_MAX, EventHandler, GAP_TOLERATED, ReceivedEvent,
    },
    metrics::register,
    nats_transport::{NatsTransport, NatsUrl, NatsUrlError},
    relay::{Relay, RelayPriority, outbox_event},
    transport::{HttpTransport, Position, PublishError, Transport},
};
