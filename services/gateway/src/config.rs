//! Settings of `gateway`.

use std::time::Duration;

use platform_resilience::breaker::BreakerConfig;
use platform_rest::{TrustedProxies, client::BaseUrl};
use platform_service::{ConfigError, Service, Settings};

use crate::cors::CorsOrigins;

/// The settings of `gateway`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The services that requests are forwarded to, all that have collections, and where they listen:
    /// `NAME_URL`, no default.
    pub upstreams: Vec<(&'static Service, BaseUrl)>,
    /// The circuit breakers of the upstreams: `BREAKER`, for example `open-for-ms=500`; the default is
    /// [`upstream_breaker`].
    pub breaker: BreakerConfig,
    /// The proxies whose `Forwarded`, `X-Forwarded-…` and `traceparent` are believed. `TRUSTED_PROXIES`, for
    /// example `10.0.0.0/8,192.0.2.7`; none by default.
    pub trusted_proxies: TrustedProxies,
    /// The origins whose scripts may use the edge. `CORS_ORIGINS`, for example `https://app.example`; none by
    /// default.
    pub cors_origins: CorsOrigins,
}

impl Config {
    /// Reads the arguments and the environment.
    pub fn from_settings(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        let services = settings.services.iter().filter(|service| !service.collections.is_empty());
        let upstream = |service: &&'static Service| Ok((*service, settings.url(service.name)?));
        Ok(Self {
            upstreams: services.map(upstream).collect::<Result<_, _>>()?,
            breaker: settings.breaker(upstream_breaker())?,
            trusted_proxies: settings.env.first(&["TRUSTED_PROXIES"])?.unwrap_or_default(),
            cors_origins: settings.env.first(&["CORS_ORIGINS"])?.unwrap_or_default(),
        })
    }

    /// The settings, line by line.
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let upstreams = self.upstreams.iter();
        let mut summary: Vec<_> =
            upstreams.map(|(service, url)| (service.name, url.to_string())).collect();
        summary.push(Settings::show_breaker(&self.breaker));
        summary.push(("proxies", self.trusted_proxies.to_string()));
        summary.push(("origins", self.cors_origins.to_string()));
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
