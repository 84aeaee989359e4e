//! Events from the outbox of a publisher to the store of a consumer.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "events/api.rs"]
mod api;
#[path = "events/consumer.rs"]
mod consumer;
#[path = "events/nats.rs"]
mod nats;
#[path = "events/nats_tls.rs"]
mod nats_tls;
#[path = "events/notes.rs"]
mod notes;
#[path = "events/relay.rs"]
mod relay;
