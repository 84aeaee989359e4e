//! How operators set a circuit breaker: `BREAKER=open-for-ms=500,failure-rate-percent=30`.

use std::time::Duration;

use platform_resilience::breaker::BreakerConfig;
use serde::{Deserialize, Serialize};

/// The settings of a breaker that are changed; numbers, with the unit in the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct BreakerSettings {
    failures_in_a_row: Option<u32>,
    timeouts_in_a_row: Option<u32>,
    minimum_calls: Option<u32>,
    failure_rate_percent: Option<u8>,
    slow_call_rate_percent: Option<u8>,
    slow_after_ms: Option<u32>,
    window_ms: Option<u32>,
    open_for_ms: Option<u32>,
    open_max_ms: Option<u32>,
    half_open_calls: Option<u16>,
    half_open_max_ms: Option<u32>,
    ramp_ms: Option<u32>,
}

/// The defaults with the changes of a text, if a breaker can work with them.
pub(crate) fn parse(text: &str, default: BreakerConfig) -> Result<BreakerConfig, String> {
    let pairs = text.split(',').map(|pair| {
        let (name, number) = pair.split_once('=')?;
        Some(format!("{}={}", name.trim(), number.trim()))
    });
    let form = || "must be name=number, several of them separated by commas".to_owned();
    let query = pairs.collect::<Option<Vec<_>>>().ok_or_else(form)?.join("&");
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    let settings: BreakerSettings = serde_path_to_error::deserialize(pairs).map_err(|error| {
        match error.path().to_string().as_str() {
            "." => error.inner().to_string(),
            name => format!("{name} must be a number in range: {}", error.inner()),
        }
    })?;
    let config = settings.over(default);
    config.validate().map_err(|error| error.to_string())?;
    Ok(config)
}

/// All settings of a breaker, as [`parse`] reads them.
pub(crate) fn show(config: &BreakerConfig) -> String {
    let shown = serde_urlencoded::to_string(BreakerSettings::from(config));
    shown.unwrap_or_default().replace('&', ",")
}

impl BreakerSettings {
    fn over(&self, default: BreakerConfig) -> BreakerConfig {
        let ms = |setting: Option<u32>, default| {
            setting.map_or(default, |ms| Duration::from_millis(ms.into()))
        };
        BreakerConfig {
            failures_in_a_row: self.failures_in_a_row.unwrap_or(default.failures_in_a_row),
            timeouts_in_a_row: self.timeouts_in_a_row.unwrap_or(default.timeouts_in_a_row),
            minimum_calls: self.minimum_calls.unwrap_or(default.minimum_calls),
            failure_rate_percent: self.failure_rate_percent.unwrap_or(default.failure_rate_percent),
            slow_call_rate_percent: self
                .slow_call_rate_percent
                .unwrap_or(default.slow_call_rate_percent),
            slow_after: ms(self.slow_after_ms, default.slow_after),
            window: ms(self.window_ms, default.window),
            open_for: ms(self.open_for_ms, default.open_for),
            open_max: ms(self.open_max_ms, default.open_max),
            half_open_calls: self.half_open_calls.unwrap_or(default.half_open_calls),
            half_open_max: ms(self.half_open_max_ms, default.half_open_max),
            ramp: ms(self.ramp_ms, default.ramp),
            ..default
        }
    }
}

impl From<&BreakerConfig> for BreakerSettings {
    fn from(config: &BreakerConfig) -> Self {
        // The durations of a breaker are an hour at most.
        let ms = |duration: Duration| u32::try_from(duration.as_millis()).ok();
        Self {
            failures_in_a_row: Some(config.failures_in_a_row),
            timeouts_in_a_row: Some(config.timeouts_in_a_row),
            minimum_calls: Some(config.minimum_calls),
            failure_rate_percent: Some(config.failure_rate_percent),
            slow_call_rate_percent: Some(config.slow_call_rate_percent),
            slow_after_ms: ms(config.slow_after),
            window_ms: ms(config.window),
            open_for_ms: ms(config.open_for),
            open_max_ms: ms(config.open_max),
            half_open_calls: Some(config.half_open_calls),
            half_open_max_ms: ms(config.half_open_max),
            ramp_ms: ms(config.ramp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_default(text: &str) -> Result<BreakerConfig, String> {
        parse(text, BreakerConfig::default())
    }

    #[test]
    fn a_named_setting_changes_and_the_others_stay() {
        let config = over_default("open-for-ms=500, failure-rate-percent=30").unwrap();
        let expected = BreakerConfig {
            open_for: Duration::from_millis(500),
            failure_rate_percent: 30,
            ..BreakerConfig::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn every_setting_changes_something_and_is_shown_as_it_is_parsed() {
        let all = show(&BreakerConfig::default());
        assert_eq!(all.split(',').count(), 12);
        for (name, _) in all.split(',').filter_map(|pair| pair.split_once('=')) {
            let number = if name == "open-max-ms" { 60_000 } else { 70 };
            let pair = format!("{name}={number}");
            let changed = over_default(&pair).unwrap();
            assert_ne!(changed, BreakerConfig::default(), "{name}");
            assert!(show(&changed).split(',').any(|shown| shown == pair), "{pair}");
            assert_eq!(over_default(&show(&changed)).unwrap(), changed, "{name}");
        }
        let no_ramp = over_default("ramp-ms=0").unwrap();
        assert_eq!(over_default(&show(&no_ramp)).unwrap(), no_ramp);
    }

    #[test]
    fn an_impossible_breaker_is_refused_by_the_name_of_its_setting() {
        for (wrong, named) in [
            ("minimum-calls=4000000000", "minimum_calls"),
            ("failure-rate-percent=300", "failure-rate-percent"),
            ("failure-rate-percent=101", "failure_rate_percent"),
            ("open-for-ms=0", "open_for"),
            ("open-for-ms=9000,open-max-ms=1000", "open_max"),
            ("patience=1", "patience"),
            ("open-for-ms", "name=number"),
            ("open-for-ms=soon", "open-for-ms"),
        ] {
            let refused = over_default(wrong).unwrap_err();
            assert!(refused.contains(named), "{wrong}: {refused}");
        }
    }
}
