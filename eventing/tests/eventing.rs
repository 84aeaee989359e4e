//! Events from outbox to listener: what a listener does with them, and how a teller tells.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "eventing/toy.rs"]
mod toy;

#[path = "eventing/api.rs"]
mod api;
#[path = "eventing/death.rs"]
mod death;
#[path = "eventing/hearing.rs"]
mod hearing;
#[path = "eventing/nats.rs"]
mod nats;
#[path = "eventing/relay.rs"]
mod relay;
