//! The configuration of a store: its database, and the transport of its events.

use std::str::FromStr;

use platform_events::{NatsUrl, NatsUrlError, RelayPriority};
use platform_rest::client::BaseUrl;
use platform_store::Database;

/// Where a store is kept, and how its events travel.
#[derive(Clone, Debug)]
pub struct DataConfig {
    /// Where it is kept.
    pub database: Database,
    /// The transport of events.
    pub events: EventsUrl,
    /// The consumers of its events, where events travel over HTTP.
    pub subscribers: Vec<Subscriber>,
}

/// A service that consumes the events of this one.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Its name.
    pub service: &'static str,
    /// Where it listens.
    pub url: BaseUrl,
    /// Whether requests depend on these events.
    pub priority: RelayPriority,
}

impl DataConfig {
    /// Its settings, without secrets.
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let subscribers: Vec<_> = self
            .subscribers
            .iter()
            .map(|subscriber| format!("{} at {}", subscriber.service, subscriber.url))
            .collect();
        let events = match &self.events {
            EventsUrl::Nats(url) => format!("{url:?}"),
            EventsUrl::Http if subscribers.is_empty() => "to no service".to_owned(),
            EventsUrl::Http => format!("over HTTP to {}", subscribers.join(", ")),
        };
        vec![("data", self.database.to_string()), ("events", events)]
    }
}

/// The transport of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EventsUrl {
    /// HTTP, directly to each consumer: `http`, the default.
    #[default]
    Http,
    /// NATS JetStream: `nats://…`.
    Nats(NatsUrl),
}

impl FromStr for EventsUrl {
    type Err = NatsUrlError;

    fn from_str(text: &str) -> Result<Self, NatsUrlError> {
        match text {
            "http" => Ok(Self::Http),
            nats => nats.parse().map(Self::Nats),
        }
    }
}
