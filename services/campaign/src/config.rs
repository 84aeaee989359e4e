//! Settings of `campaign`.

use std::time::Duration;

use platform_resilience::breaker::BreakerConfig;
use platform_rest::client::BaseUrl;
use platform_service::{ConfigError, DataConfig, Settings};

/// The settings of `campaign`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its store and the transport of its events.
    pub data: DataConfig,
    /// Where `vaccine` listens, which knows what is free: `VACCINE_URL`, no default.
    pub vaccine: BaseUrl,
    /// The circuit breaker for `vaccine`: `BREAKER`, for instance `open-for-ms=500`; the default is
    /// [`vaccine_breaker`].
    pub breaker: BreakerConfig,
}

impl Config {
    /// Reads the arguments and the environment.
    pub fn from_settings(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            data: settings.data()?,
            vaccine: settings.url("vaccine")?,
            breaker: settings.breaker(vaccine_breaker())?,
        })
    }

    /// The settings, line by line.
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let mut summary = self.data.summary();
        summary.push(("vaccine", self.vaccine.to_string()));
        summary.push(Settings::show_breaker(&self.breaker));
        summary
    }
}

/// The circuit breaker for `vaccine`. A kept answer is given while the circuit is open, so that it may be open for
/// longer than that of booking, and `vaccine` is left to those who book.
pub fn vaccine_breaker() -> BreakerConfig {
    BreakerConfig {
        slow_after: Duration::from_millis(400),
        open_for: Duration::from_secs(1),
        open_max: Duration::from_secs(5),
        half_open_calls: 1,
        ..BreakerConfig::default()
    }
}
