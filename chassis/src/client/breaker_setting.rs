//! How operators set a breaker: `BREAKER=open-for-ms=500,failure-rate-percent=30`.

use std::{fmt, str::FromStr, time::Duration};

use resilience::breaker::{BreakerConfig, InvalidConfig};
use thiserror::Error;

/// Changes to a breaker's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BreakerSetting(Vec<(Field, u32)>);

/// What can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    FailuresInARow,
    TimeoutsInARow,
    MinimumCalls,
    FailureRatePercent,
    SlowCallRatePercent,
    SlowAfterMs,
    WindowMs,
    OpenForMs,
    OpenMaxMs,
    HalfOpenCalls,
    HalfOpenMaxMs,
    RampMs,
}

const FIELDS: [(&str, Field); 12] = [
    ("failures-in-a-row", Field::FailuresInARow),
    ("timeouts-in-a-row", Field::TimeoutsInARow),
    ("minimum-calls", Field::MinimumCalls),
    ("failure-rate-percent", Field::FailureRatePercent),
    ("slow-call-rate-percent", Field::SlowCallRatePercent),
    ("slow-after-ms", Field::SlowAfterMs),
    ("window-ms", Field::WindowMs),
    ("open-for-ms", Field::OpenForMs),
    ("open-max-ms", Field::OpenMaxMs),
    ("half-open-calls", Field::HalfOpenCalls),
    ("half-open-max-ms", Field::HalfOpenMaxMs),
    ("ramp-ms", Field::RampMs),
];

/// Not a setting of a breaker.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotASetting {
    /// Not `name=number`.
    #[error("must be name=number, several of them with commas between, not {0:?}")]
    Form(String),
    /// No such name.
    #[error("there is no {0:?}; there are {names}", names = Names)]
    Unknown(String),
    /// A number that cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
}

struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&FIELDS.map(|(name, _)| name).join(", "))
    }
}

impl FromStr for BreakerSetting {
    type Err = NotASetting;

    fn from_str(text: &str) -> Result<Self, NotASetting> {
        let one = |pair: &str| {
            let form = || NotASetting::Form(pair.to_owned());
            let (name, number) = pair.trim().split_once('=').ok_or_else(form)?;
            let known = FIELDS.iter().find(|(known, _)| *known == name.trim());
            let (_, field) = known.ok_or_else(|| NotASetting::Unknown(name.trim().to_owned()))?;
            Ok((*field, number.trim().parse().map_err(|_| form())?))
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl BreakerSetting {
    /// The defaults with these changes, if a breaker can work so.
    pub fn over(&self, mut config: BreakerConfig) -> Result<BreakerConfig, NotASetting> {
        for (field, number) in &self.0 {
            set(&mut config, *field, *number);
        }
        config.validate()?;
        Ok(config)
    }
}

/// The whole of a breaker's settings, as an operator would write them.
impl From<&BreakerConfig> for BreakerSetting {
    fn from(config: &BreakerConfig) -> Self {
        Self(FIELDS.iter().map(|(_, field)| (*field, get(config, *field))).collect())
    }
}

/// As it is parsed.
impl fmt::Display for BreakerSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (field, number)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}={number}", field.name())?;
        }
        Ok(())
    }
}

impl Field {
    fn name(self) -> &'static str {
        FIELDS.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }
}

fn get(config: &BreakerConfig, field: Field) -> u32 {
    // A breaker's durations are an hour at most.
    let ms = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    match field {
        Field::FailuresInARow => config.failures_in_a_row,
        Field::TimeoutsInARow => config.timeouts_in_a_row,
        Field::MinimumCalls => config.minimum_calls,
        Field::FailureRatePercent => config.failure_rate_percent.into(),
        Field::SlowCallRatePercent => config.slow_call_rate_percent.into(),
        Field::SlowAfterMs => ms(config.slow_after),
        Field::WindowMs => ms(config.window),
        Field::OpenForMs => ms(config.open_for),
        Field::OpenMaxMs => ms(config.open_max),
        Field::HalfOpenCalls => config.half_open_calls.into(),
        Field::HalfOpenMaxMs => ms(config.half_open_max),
        Field::RampMs => ms(config.ramp),
    }
}

/// What is too large for its field stays too large, and is refused as that.
fn set(config: &mut BreakerConfig, field: Field, number: u32) {
    let ms = Duration::from_millis(number.into());
    let percent = u8::try_from(number).unwrap_or(u8::MAX);
    match field {
        Field::FailuresInARow => config.failures_in_a_row = number,
        Field::TimeoutsInARow => config.timeouts_in_a_row = number,
        Field::MinimumCalls => config.minimum_calls = number,
        Field::FailureRatePercent => config.failure_rate_percent = percent,
        Field::SlowCallRatePercent => config.slow_call_rate_percent = percent,
        Field::SlowAfterMs => config.slow_after = ms,
        Field::WindowMs => config.window = ms,
        Field::OpenForMs => config.open_for = ms,
        Field::OpenMaxMs => config.open_max = ms,
        Field::HalfOpenCalls => {
            config.half_open_calls = u16::try_from(number).unwrap_or(u16::MAX);
        }
        Field::HalfOpenMaxMs => config.half_open_max = ms,
        Field::RampMs => config.ramp = ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_default(text: &str) -> Result<BreakerConfig, String> {
        let setting: BreakerSetting = text.parse().map_err(|why: NotASetting| why.to_string())?;
        setting.over(BreakerConfig::default()).map_err(|why| why.to_string())
    }

    #[test]
    fn what_is_named_changes_and_the_rest_stays() {
        let config = over_default("open-for-ms=500, failure-rate-percent=30").unwrap();
        let expected = BreakerConfig {
            open_for: Duration::from_millis(500),
            failure_rate_percent: 30,
            ..BreakerConfig::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn every_name_changes_something() {
        for (name, _) in FIELDS {
            let number = if name == "open-max-ms" { 60_000 } else { 70 };
            let changed = over_default(&format!("{name}={number}")).unwrap();
            assert_ne!(changed, BreakerConfig::default(), "{name}");
        }
    }

    #[test]
    fn what_is_shown_of_a_breaker_sets_one_like_it() {
        for setting in ["ramp-ms=0", "half-open-calls=7,open-for-ms=1234", "failure-rate-percent=1"]
        {
            let config = over_default(setting).unwrap();
            let shown = BreakerSetting::from(&config).to_string();
            assert_eq!(over_default(&shown).unwrap(), config, "{shown}");
            for pair in setting.split(',') {
                assert!(shown.split(',').any(|shown| shown == pair), "{pair} is not in {shown}");
            }
        }
    }

    #[test]
    fn a_breaker_that_could_not_work_is_refused_by_name() {
        for (wrong, named) in [
            ("minimum-calls=4000000000", "minimum_calls"),
            ("failure-rate-percent=300", "failure_rate_percent"),
            ("open-for-ms=0", "open_for"),
            ("open-for-ms=9000,open-max-ms=1000", "open_max"),
            ("patience=1", "patience"),
            ("open-for-ms", "name=number"),
            ("open-for-ms=soon", "name=number"),
        ] {
            let refused = over_default(wrong).unwrap_err();
            assert!(refused.contains(named), "{wrong}: {refused}");
        }
    }
}
