//! Settings of `booking`.

use std::time::Duration;

use platform_resilience::breaker::BreakerConfig;
use platform_rest::client::BaseUrl;
use platform_service::{ConfigError, DataConfig, Settings};

/// The settings of `booking`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its store and the transport of its events.
    pub data: DataConfig,
    /// Where `vaccine` listens: `VACCINE_URL`, no default.
    pub vaccine: BaseUrl,
    /// Where `campaign` listens, which knows what is free instead of a slot that is full: `CAMPAIGN_URL`; unless it is set,
    /// a refusal does not say.
    pub campaign: Option<BaseUrl>,
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
            campaign: settings.url_if_set("campaign")?,
            breaker: settings.breaker(vaccine_breaker())?,
        })
    }

    /// The settings, line by line.
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let mut summary = self.data.summary();
        summary.push(("vaccine", self.vaccine.to_string()));
        let campaign =
            self.campaign.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        summary.push(("campaign", campaign));
        summary.push(Settings::show_breaker(&self.breaker));
        summary
    }
}

/// The circuit breaker for `vaccine`.
///
/// `vaccine` answers within milliseconds or is overloaded. An open circuit is probed every second with a few
/// bookings: longer pauses would relieve `vaccine` little and delay all bookings after its recovery.
pub fn vaccine_breaker() -> BreakerConfig {
    BreakerConfig {
        slow_after: Duration::from_millis(800),
        open_for: Duration::from_millis(500),
        open_max: Duration::from_secs(1),
        // One call at a time: attempts that join while it is under way would wait for it.
        half_open_calls: 1,
        ramp: Duration::from_millis(200),
        ..BreakerConfig::default()
    }
}
