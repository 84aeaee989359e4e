//! Reading settings from the environment. Which settings there are stands in each part's `config.rs`.

use std::{fmt, str::FromStr};

use resilience::breaker::BreakerConfig;
use thiserror::Error;

use crate::client::breaker_setting::BreakerSetting;

use crate::trace::settings::{Endpoint, Pairs, Protocol, Sampler, SamplerName, Settings, Share};

/// Where settings come from: the process environment, or a test's own table.
pub struct Env(Lookup);

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send>;

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env") // Never the values: there may be secrets among them.
    }
}

/// A setting is missing or wrong. The message names the variable and says what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// It is not set, and there is no sensible default.
    #[error("{name} is not set: {meaning}, for instance {name}={example}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it says.
        meaning: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// It is set to something else than it should be.
    #[error("{name} is {value:?}: {reason}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        reason: String,
    },
}

impl Env {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
    pub fn of_process() -> Self {
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// A table, for tests and for parts that share a process.
    pub fn of(settings: Vec<(&'static str, String)>) -> Self {
        Self(Box::new(move |name| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        }))
    }

    /// The same, with these settings in front.
    #[must_use]
    pub fn with(self, settings: Vec<(&'static str, String)>) -> Self {
        let front = Self::of(settings);
        Self(Box::new(move |name| (front.0)(name).or_else(|| (self.0)(name))))
    }

    /// The first of these settings that is there.
    pub fn first<T: FromStr<Err: fmt::Display>, const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<Option<T>, ConfigError> {
        let find =
            |name| (self.0)(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        let Some((name, value)) = names.into_iter().find_map(find) else { return Ok(None) };
        value.parse().map(Some).map_err(|reason: T::Err| ConfigError::Invalid {
            name,
            reason: reason.to_string(),
            value: without_secrets(&value),
        })
    }

    /// How breakers work: `BREAKER`, changes to the part's own defaults.
    pub fn breaker(&self, default: BreakerConfig) -> Result<BreakerConfig, ConfigError> {
        const NAME: &str = "BREAKER";
        let setting = self.first::<BreakerSetting, 1>([NAME])?.unwrap_or_default();
        setting.over(default).map_err(|reason| ConfigError::Invalid {
            name: NAME,
            value: (self.0)(NAME).unwrap_or_default(),
            reason: reason.to_string(),
        })
    }

    /// A setting that must be there.
    pub fn required<T: FromStr<Err: fmt::Display>>(
        &self,
        name: &'static str,
        meaning: &'static str,
        example: &'static str,
    ) -> Result<T, ConfigError> {
        let missing = ConfigError::Missing { name, meaning, example };
        let value = (self.0)(name).filter(|value| !value.is_empty()).ok_or(missing)?;
        value.parse().map_err(|reason: T::Err| ConfigError::Invalid {
            name,
            reason: reason.to_string(),
            value: without_secrets(&value),
        })
    }
}

/// A value as it may be shown: whatever looks as if it held a password is not.
fn without_secrets(value: &str) -> String {
    let is_plain = !value.contains(['@', '=', ' ']) && !value.to_lowercase().contains("pass");
    if is_plain { value.to_owned() } else { "(not shown)".to_owned() }
}

/// What the log shows: `RUST_LOG`, default `info`, without what NATS' client says of itself.
pub fn log_filter(env: &Env) -> String {
    (env.0)("RUST_LOG").unwrap_or_else(|| "info,async_nats=warn".to_owned())
}

/// Where traces go, from OpenTelemetry's standard variables; nowhere unless
/// `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) says where a collector is.
pub fn traces(env: &Env) -> Result<Option<Settings>, ConfigError> {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let is = |name, word| env.first([name]).map(|set: Option<String>| set.as_deref() == Some(word));
    if is("OTEL_SDK_DISABLED", "true")? || is("OTEL_TRACES_EXPORTER", "none")? {
        return Ok(None);
    }
    let endpoint = match env.first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])? {
        Some(whole) => Some(whole),
        None => env.first::<Endpoint, 1>([ENDPOINT])?.map(Endpoint::for_traces),
    };
    let Some(endpoint) = endpoint else { return Ok(None) };
    let headers = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    env.first::<Protocol, 2>([
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ])?;
    let share = env.first(["OTEL_TRACES_SAMPLER_ARG"])?.map_or(1.0, |Share(share)| share);
    let sampler = env.first(["OTEL_TRACES_SAMPLER"])?;
    let sampler = sampler.map_or_else(Sampler::default, |named: SamplerName| Sampler {
        parent_based: named.parent_based,
        ratio: named.ratio.unwrap_or(share),
    });
    let attributes = env.first(["OTEL_RESOURCE_ATTRIBUTES"])?;
    Ok(Some(Settings {
        headers: env.first(headers)?.unwrap_or_default(),
        service_name: env.first(["OTEL_SERVICE_NAME"])?,
        attributes: attributes.map_or_else(Vec::new, |Pairs(pairs)| pairs),
        sampler,
        ..Settings::new(endpoint)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_says_what_to_write() {
        let error = Env::of(vec![])
            .required::<u16>("VACCINE_PORT", "where vaccine listens", "8081")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "VACCINE_PORT is not set: where vaccine listens, for instance VACCINE_PORT=8081"
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        for value in ["postgres:/a:hunter2@h/db", "host=h password=hunter2", "http://u:hunter2@h"] {
            let env = || Env::of(vec![("DATABASE_URL", value.to_owned())]);
            let wrong = env().first::<u16, 1>(["DATABASE_URL"]).unwrap_err();
            assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
            let wrong = env().required::<u16>("DATABASE_URL", "", "").unwrap_err();
            assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
        }
    }

    fn collected(settings: &[(&'static str, &str)]) -> Result<Option<Settings>, ConfigError> {
        let owned = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        traces(&Env::of(owned.collect()))
    }

    #[test]
    fn traces_go_nowhere_unless_told() {
        assert!(collected(&[]).unwrap().is_none());
        assert!(collected(&[("OTEL_SERVICE_NAME", "x")]).unwrap().is_none());
        let there = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert!(collected(&[there, off]).unwrap().is_none(), "{off:?}");
        }
    }

    #[test]
    fn the_address_of_a_collector_is_its_base_or_the_whole_address() {
        let to = |name, value| collected(&[(name, value)]).unwrap().unwrap().endpoint.to_string();
        for base in ["http://c:4318", "http://c:4318/"] {
            assert_eq!(to("OTEL_EXPORTER_OTLP_ENDPOINT", base), "http://c:4318/v1/traces");
        }
        assert_eq!(to("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/x/"), "http://c/x/v1/traces");
        assert_eq!(to("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/x"), "http://c/x");
        for wrong in ["https://c:4318", "c:4318", "http://u:p@c", "http://c/?a", "/v1/traces"] {
            let refused = collected(&[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]).unwrap_err();
            assert!(refused.to_string().contains("http://host:port"), "{refused}");
        }
    }

    #[test]
    fn the_other_variables_of_opentelemetry_hold() {
        let settings = collected(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2, x-tenant=a"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_SERVICE_NAME", "town"),
            ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=p-1,a=b%2Cc"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let settings = settings.unwrap().unwrap();
        let [(name, value), _] = &settings.headers.0[..] else { panic!("two headers") };
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.service_name.as_deref(), Some("town"));
        assert_eq!(settings.attributes[1], ("a".to_owned(), "b,c".to_owned()));
        assert_eq!(settings.sampler, Sampler { parent_based: true, ratio: 0.25 });
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for wrong in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ] {
            let refused = collected(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), wrong]);
            assert!(refused.unwrap_err().to_string().starts_with(wrong.0), "{wrong:?}");
        }
    }

    #[test]
    fn a_wrong_setting_names_itself_and_its_value() {
        let error = Env::of(vec![("VACCINE_PORT", "many".to_owned())])
            .required::<u16>("VACCINE_PORT", "where vaccine listens", "8081")
            .unwrap_err();
        assert_eq!(error.to_string(), "VACCINE_PORT is \"many\": invalid digit found in string");
    }
}
