//! Reading the settings that several services have.

use std::{net::SocketAddr, time::Duration};

use platform_resilience::breaker::BreakerConfig;
use platform_rest::client::BaseUrl;
use platform_store::Database;

use crate::{
    breaker_settings,
    config::{ConfigError, DataConfig, RetentionDays, Subscriber},
    service::Settings,
};

impl Settings<'_> {
    /// Where the service listens.
    pub fn address(&self) -> SocketAddr {
        self.args.listen.address(self.service.port)
    }

    /// The URL of another service: `NAME_URL`, no default.
    pub fn url(&self, name: &str) -> Result<BaseUrl, ConfigError> {
        let variable = format!("{}_URL", name.to_uppercase());
        self.env.first(&[&variable])?.ok_or_else(|| {
            let service = self.services.iter().find(|service| service.name == name);
            let port = service.map_or(80, |service| service.port);
            ConfigError(format!(
                "{variable} is not set: where {name} listens, for example \
                 {variable}=http://127.0.0.1:{port}"
            ))
        })
    }

    /// As [`Self::url`], where the service can do without the other one.
    pub fn url_if_set(&self, name: &str) -> Result<Option<BaseUrl>, ConfigError> {
        self.env.first(&[&format!("{}_URL", name.to_uppercase())])
    }

    /// The circuit breakers of the service: `BREAKER`, changes to `default`.
    pub fn breaker(&self, default: BreakerConfig) -> Result<BreakerConfig, ConfigError> {
        const NAME: &str = "BREAKER";
        let Some(text) = self.env.get(NAME) else { return Ok(default) };
        breaker_settings::parse(&text, default)
            .map_err(|reason| ConfigError::invalid(NAME, &text, reason))
    }

    /// A breaker's settings for [`crate::Configured`].
    pub fn show_breaker(config: &BreakerConfig) -> (&'static str, String) {
        ("breaker", breaker_settings::show(config))
    }

    /// The store of a service that owns data, and the transport of its events: `NAME_DATABASE_URL`, else
    /// `DATABASE_URL`, else the file `DIR/NAME.sqlite`; `EVENTS_URL`, else HTTP to the services that
    /// consume from this one and whose `NAME_URL` is set; `RETENTION_DAYS`, else 30.
    pub fn data(&self) -> Result<DataConfig, ConfigError> {
        let name = self.service.name;
        let own = format!("{}_DATABASE_URL", name.to_uppercase());
        let file = || Database::Sqlite(self.args.data.join(format!("{name}.sqlite")));
        Ok(DataConfig {
            database: self.env.first(&[&own, "DATABASE_URL"])?.unwrap_or_else(file),
            events: self.env.first(&["EVENTS_URL"])?.unwrap_or_default(),
            subscribers: self.subscribers()?,
            retention: self.retention()?,
        })
    }

    fn retention(&self) -> Result<Duration, ConfigError> {
        let days: Option<RetentionDays> = self.env.first(&["RETENTION_DAYS"])?;
        Ok(days.unwrap_or_default().duration())
    }

    fn subscribers(&self) -> Result<Vec<Subscriber>, ConfigError> {
        let mut subscribers = Vec::new();
        for service in self.services {
            let mut consumes = service.consumes.iter();
            let consumes = consumes.find(|consumes| consumes.publisher == self.service.name);
            let url = self.env.first(&[&service.url_variable()])?;
            if let (Some(consumes), Some(url)) = (consumes, url) {
                let (service, priority) = (service.name, consumes.priority);
                subscribers.push(Subscriber { service, url, priority });
            }
        }
        Ok(subscribers)
    }
}
