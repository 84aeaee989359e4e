//! How operators set a circuit breaker: `BREAKER=open-for-ms=500,failure-rate-percent=30`.

use std::{collections::BTreeSet, num::ParseIntError, time::Duration};

use platform_resilience::breaker::BreakerConfig;

/// A number in the configuration of a breaker.
enum Setting<'a> {
    Count(&'a mut u32),
    Calls(&'a mut u16),
    Percent(&'a mut u8),
    Ms(&'a mut Duration),
}

/// What operators may change, by its name with the unit.
fn settings(config: &mut BreakerConfig) -> [(&'static str, Setting<'_>); 12] {
    [
        ("failures-in-a-row", Setting::Count(&mut config.failures_in_a_row)),
        ("timeouts-in-a-row", Setting::Count(&mut config.timeouts_in_a_row)),
        ("minimum-calls", Setting::Count(&mut config.minimum_calls)),
        ("failure-rate-percent", Setting::Percent(&mut config.failure_rate_percent)),
        ("slow-call-rate-percent", Setting::Percent(&mut config.slow_call_rate_percent)),
        ("slow-after-ms", Setting::Ms(&mut config.slow_after)),
        ("window-ms", Setting::Ms(&mut config.window)),
        ("open-for-ms", Setting::Ms(&mut config.open_for)),
        ("open-max-ms", Setting::Ms(&mut config.open_max)),
        ("half-open-calls", Setting::Calls(&mut config.half_open_calls)),
        ("half-open-max-ms", Setting::Ms(&mut config.half_open_max)),
        ("ramp-ms", Setting::Ms(&mut config.ramp)),
    ]
}

/// The defaults with the changes of a text, if a breaker can work with them.
pub(crate) fn parse(text: &str, default: BreakerConfig) -> Result<BreakerConfig, String> {
    let (mut config, mut changed) = (default, BTreeSet::new());
    for pair in text.split(',') {
        let Some((name, number)) = pair.split_once('=') else {
            return Err("must be name=number, several of them separated by commas".to_owned());
        };
        let name = name.trim();
        let Some((_, setting)) = settings(&mut config).into_iter().find(|it| it.0 == name) else {
            return Err(format!("{name} is not a setting; these are: {}", show(&default)));
        };
        let set = setting.set(number.trim());
        set.map_err(|cause| format!("{name} must be a number in range: {cause}"))?;
        if !changed.insert(name) {
            return Err(format!("{name} is set twice"));
        }
    }
    config.validate().map_err(|error| error.to_string())?;
    Ok(config)
}

/// All settings of a breaker, as [`parse`] reads them.
pub(crate) fn show(config: &BreakerConfig) -> String {
    let mut config = *config;
    settings(&mut config).map(|(name, setting)| format!("{name}={}", setting.number())).join(",")
}

impl Setting<'_> {
    fn set(self, text: &str) -> Result<(), ParseIntError> {
        match self {
            Self::Count(count) => *count = text.parse()?,
            Self::Calls(calls) => *calls = text.parse()?,
            Self::Percent(percent) => *percent = text.parse()?,
            Self::Ms(duration) => *duration = Duration::from_millis(text.parse::<u32>()?.into()),
        }
        Ok(())
    }

    fn number(&self) -> u128 {
        match self {
            Self::Count(count) => (**count).into(),
            Self::Calls(calls) => (**calls).into(),
            Self::Percent(percent) => (**percent).into(),
            Self::Ms(duration) => duration.as_millis(),
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
            ("ramp-ms=1,ramp-ms=2", "ramp-ms is set twice"),
            ("open-for-ms", "name=number"),
            ("open-for-ms=soon", "open-for-ms"),
        ] {
            let refused = over_default(wrong).unwrap_err();
            assert!(refused.contains(named), "{wrong}: {refused}");
        }
    }
}
