//! Settings of `vaccine`.

use platform_service::{ConfigError, DataConfig, Settings};

/// The settings of `vaccine`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its store and the transport of its events.
    pub data: DataConfig,
}

impl Config {
    /// Reads the arguments and the environment.
    pub fn from_settings(settings: &Settings<'_>) -> Result<Self, ConfigError> {
        Ok(Self { data: settings.data()? })
    }
}
