#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod api;
mod consumer;
mod dead_letters;
mod envelope;
mod handler;
mod metrics;
mod nats_consumer;
mod nats_transport;
mod relay;
mod transport;

pub use contracts::ids::StoreId;

pub use {
    api::router,
    consumer::{ConsumeError, Consumer, DELIVERIES_MAX, GAP_TOLERATED},
    dead_letters::DeadLetterError,
    handler::{EventHandler, ReceivedEvent},
    metrics::register,
    nats_transport::{NatsTransport, NatsUrl, NatsUrlError},
    relay::{Published, ReadSnapshot, Relay, RelayPriority, outbox_event},
    transport::{HttpTransport, Position, PublishError, Reached, Transport},
};
