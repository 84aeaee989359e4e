//! Settings of `gateway`.

use std::time::Duration;

use platform_resilience::breaker::BreakerConfig;
use platform_rest::client::BaseUrl;
use platform_service::{ConfigError, Service, Settings};

/// The settings of `gateway`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The services that requests are forwarded to, all that have collections, and where they listen:
    /// `NAME_URL`, no default.
    pub upstreams: Vec<(&'static Service, BaseUrl)>,
    /// The circuit breakers of the upstreams: `BREAKER`, for example `open-for-ms=500`; the default is
    /// [`upstream_breaker`].
    pub breaker: BreakerConfig,
}

impl Config {
    /// Reads the arguments and the environment.
    pub fn from_settings(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        let services = settings.services.iter().filter(|service| !service.collections.is_empty());
        let upstream = |service: &&'static Service| Ok((*service, settings.url(service.name)?));
        Ok(Self {
            upstreams: services.map(upstream).collect::<Result<_, _>>()?,
            breaker: settings.breaker(upstream_breaker())?,
        })
    }

    /// The settings, line by line.
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let upstreams = self.upstreams.iter();
        let mut summary: Vec<_> =
            upstreams.map(|(service, url)| (service.name, url.to_string())).collect();
        summary.push(Settings::show_breaker(&self.breaker));
        summary
    }
}

/// The circuit breaker of an upstream.
///
/// Clients wait here: an upstream that is back must be found within a second, however often the circuit has
/// opened before, and however long an upstream asks to be left alone.
pub fn upstream_breaker() -> BreakerConfig {
    BreakerConfig { open_max: Duration::from_secs(1), ..BreakerConfig::default() }
}
