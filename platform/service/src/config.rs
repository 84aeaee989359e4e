//! Where settings come from, and those that several services have.

use std::{collections::BTreeMap, env, ffi::OsString, fmt, str::FromStr, time::Duration};

use platform_events::{NatsUrl, NatsUrlError, RelayPriority};
use platform_rest::client::BaseUrl;
use platform_store::Database;
use thiserror::Error;

/// Where settings come from: the environment of the process, or a table.
pub struct Env(BTreeMap<String, String>);

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env") // Never the values: they may contain secrets.
    }
}

/// A setting is missing or wrong. The message names the variable and says what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

impl ConfigError {
    /// A value that may contain a password is not shown.
    pub(crate) fn invalid(name: &str, value: &str, reason: impl fmt::Display) -> Self {
        let is_plain = !value.contains(['@', ' ']) && !value.to_lowercase().contains("pass");
        let shown = if is_plain { value } else { "(not shown)" };
        Self(format!("{name} is {shown:?}: {reason}"))
    }
}

impl Env {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(env::vars_os().filter_map(text).collect())
    }

    /// A table.
    pub fn of(settings: Vec<(String, String)>) -> Self {
        Self(settings.into_iter().collect())
    }

    /// With these settings taking precedence.
    #[must_use]
    pub fn with(mut self, settings: Vec<(String, String)>) -> Self {
        self.0.extend(settings);
        self
    }

    /// The value of a variable; none, if it is empty.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The first of these variables that is set.
    pub fn first<T: FromStr<Err: fmt::Display>>(
        &self,
        names: &[&str],
    ) -> Result<Option<T>, ConfigError> {
        let set = names.iter().find_map(|name| Some((name, self.get(name)?)));
        let Some((name, value)) = set else { return Ok(None) };
        value.parse().map(Some).map_err(|reason| ConfigError::invalid(name, &value, reason))
    }
}

/// Where a store is kept, and how its events travel.
#[derive(Clone, Debug)]
pub struct DataConfig {
    /// Where it is kept.
    pub database: Database,
    /// The transport of events.
    pub events: EventsUrl,
    /// The consumers of its events, where events travel over HTTP.
    pub subscribers: Vec<Subscriber>,
    /// How long it keeps what nobody needs any more.
    pub retention: Duration,
}

/// How long a store keeps what nobody needs any more, in days: `RETENTION_DAYS`. At least a week:
/// a client may repeat a request, a message may be late, and a ticket may wait as long as an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetentionDays(u32);

impl RetentionDays {
    /// As a time.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_hours(u64::from(self.0) * 24)
    }
}

impl Default for RetentionDays {
    fn default() -> Self {
        Self(30)
    }
}

/// The text is not a number of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a number of days, from 7 to 3650")]
pub(crate) struct RetentionError;

impl FromStr for RetentionDays {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Self, RetentionError> {
        let days = text.parse().ok().filter(|days| (7..=3_650).contains(days));
        days.map(Self).ok_or(RetentionError)
    }
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
        let days = self.retention.as_secs() / (24 * 60 * 60);
        vec![
            ("data", self.database.to_string()),
            ("events", events),
            ("retention", format!("{days} days")),
        ]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str, value: &str) -> Env {
        Env::of(vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_value() {
        let error = env("VACCINE_PORT", "many").first::<u16>(&["VACCINE_PORT"]);
        let expected = "VACCINE_PORT is \"many\": invalid digit found in string";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_password_is_not_shown() {
        for value in ["postgres:/a:hunter2@h/db", "host=h password=hunter2", "http://u:hunter2@h"] {
            let wrong = env("DATABASE_URL", value).first::<u16>(&["DATABASE_URL"]).unwrap_err();
            assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
        }
    }
}
