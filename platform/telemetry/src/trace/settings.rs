//! Where spans are exported and which: the standard variables of OpenTelemetry, checked at start.
//!
//! The SDK reads most of them itself, but ignores wrong values and knows one service per process.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use thiserror::Error;

const ENDPOINT: &str =
    "must be http://host:port, without a query; for https, run a collector beside this process";

const HEADERS: &str = "must be name=value,name=value, values percent-encoded";

const SAMPLER: &str =
    "must be always_on, always_off or traceidratio, or parentbased_ and one of these";

/// The settings of an exporter.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// Where the collector accepts spans.
    pub endpoint: Uri,
    /// Added to each request to the collector. The values are marked as secrets.
    pub headers: HeaderMap,
    /// Replaces the names of the services.
    pub service_name: Option<String>,
    /// Attributes of the process.
    pub attributes: Vec<KeyValue>,
    /// Selects the traces that are recorded.
    pub sampler: Sampler,
}

/// A variable has a value that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{name} {expected}")]
pub struct SettingError {
    /// The variable.
    pub name: &'static str,
    /// What it should be. The value is left out, as it may be a secret.
    pub expected: &'static str,
}

impl TraceSettings {
    /// Exports every trace that its caller records or that has no caller: OpenTelemetry's default.
    pub fn new(endpoint: Uri) -> Self {
        Self {
            endpoint,
            headers: HeaderMap::new(),
            service_name: None,
            attributes: Vec::new(),
            sampler: Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
        }
    }

    /// Reads the variables; `None` if they name no collector.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingError> {
        let env = Env(variable);
        let is = |name, word| env.first([name], |value| Some(value == word), "");
        if is("OTEL_SDK_DISABLED", "true")? == Some(true)
            || is("OTEL_TRACES_EXPORTER", "none")? == Some(true)
        {
            return Ok(None);
        }
        let traces = env.first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], endpoint, ENDPOINT)?;
        let base = env.first(["OTEL_EXPORTER_OTLP_ENDPOINT"], traces_endpoint, ENDPOINT)?;
        let Some(endpoint) = traces.or(base) else { return Ok(None) };
        let names = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
        let is_protobuf = |value: &str| (value == "http/protobuf").then_some(());
        env.first(names, is_protobuf, "must be http/protobuf, the only supported protocol")?;
        let names = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
        let headers = env.first(names, headers, HEADERS)?;
        let ratio =
            env.first(["OTEL_TRACES_SAMPLER_ARG"], ratio, "must be a number from 0 to 1")?;
        let sampler = |name: &str| sampler(name, ratio.unwrap_or(1.0));
        let sampler = env.first(["OTEL_TRACES_SAMPLER"], sampler, SAMPLER)?;
        let attributes = env.first(["OTEL_RESOURCE_ATTRIBUTES"], pairs, HEADERS)?;
        let default = Self::new(endpoint);
        Ok(Some(Self {
            headers: headers.unwrap_or_default(),
            service_name: env.first(["OTEL_SERVICE_NAME"], |name| Some(name.to_owned()), "")?,
            attributes: attributes
                .into_iter()
                .flatten()
                .map(|(name, value)| KeyValue::new(name, value))
                .collect(),
            sampler: sampler.unwrap_or_else(|| default.sampler.clone()),
            ..default
        }))
    }
}

struct Env<F>(F);

impl<F: Fn(&str) -> Option<String>> Env<F> {
    /// The first of these variables that is set.
    fn first<T, const N: usize>(
        &self,
        names: [&'static str; N],
        parse: impl Fn(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<T>, SettingError> {
        let set =
            |name| (self.0)(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        let Some((name, value)) = names.into_iter().find_map(set) else { return Ok(None) };
        parse(&value).map(Some).ok_or(SettingError { name, expected })
    }
}

fn endpoint(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let is_http = uri.scheme_str() == Some("http") && uri.query().is_none();
    let has_user = uri.authority()?.as_str().contains('@');
    (is_http && !has_user).then_some(uri)
}

/// The endpoint for spans of a collector with this base address.
fn traces_endpoint(text: &str) -> Option<Uri> {
    endpoint(&format!("{}/v1/traces", endpoint(text)?.to_string().trim_end_matches('/')))
}

fn headers(text: &str) -> Option<HeaderMap> {
    let header = |(name, value): (String, String)| {
        let name: HeaderName = name.parse().ok()?;
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    pairs(text)?.into_iter().map(header).collect()
}

/// `name=value,name=value`, as OpenTelemetry writes attributes and headers.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), percent_decoded(value.trim())?))
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(pair).collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let is_hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_encoded = text.split('%').skip(1).all(|rest| rest.get(..2).is_some_and(is_hex));
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    is_encoded.then(|| decoded.into_owned())
}

fn ratio(text: &str) -> Option<f64> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
}

fn sampler(name: &str, ratio: f64) -> Option<Sampler> {
    if let Some(root) = name.strip_prefix("parentbased_") {
        return root_sampler(root, ratio).map(|root| Sampler::ParentBased(Box::new(root)));
    }
    root_sampler(name, ratio)
}

fn root_sampler(name: &str, ratio: f64) -> Option<Sampler> {
    match name {
        "always_on" => Some(Sampler::AlwaysOn),
        "always_off" => Some(Sampler::AlwaysOff),
        "traceidratio" => Some(Sampler::TraceIdRatioBased(ratio)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, SettingError> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        TraceSettings::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_exported_unless_a_collector_is_named() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("OTEL_SERVICE_NAME", "x")]).unwrap().is_none());
        let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert!(read(&[collector, off]).unwrap().is_none(), "{off:?}");
        }
    }

    #[test]
    fn the_endpoint_is_the_base_of_the_collector_or_the_whole_address() {
        let to = |name, value| read(&[(name, value)]).unwrap().unwrap().endpoint.to_string();
        for base in ["http://c:4318", "http://c:4318/"] {
            assert_eq!(to("OTEL_EXPORTER_OTLP_ENDPOINT", base), "http://c:4318/v1/traces");
        }
        assert_eq!(to("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/x/"), "http://c/x/v1/traces");
        assert_eq!(to("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/x"), "http://c/x");
        for wrong in ["https://c:4318", "c:4318", "http://u:p@c", "http://c/?a", "/v1/traces"] {
            let error = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]).unwrap_err();
            assert!(error.to_string().contains("http://host:port"), "{error}");
        }
    }

    #[test]
    fn headers_names_attributes_and_the_sampler_are_read() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2, x-tenant=a"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_SERVICE_NAME", "anticorona"),
            ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=p-1,a=b%2Cc"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.headers["authorization"], "Bearer hunter2");
        assert_eq!(settings.headers["x-tenant"], "a");
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.service_name.as_deref(), Some("anticorona"));
        assert_eq!(settings.attributes[1], KeyValue::new("a", "b,c"));
        assert_eq!(format!("{:?}", settings.sampler), "ParentBased(TraceIdRatioBased(0.25))");
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_name_of_its_variable_and_without_the_value() {
        for wrong in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_RESOURCE_ATTRIBUTES", "city"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ] {
            let error = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), wrong]).unwrap_err();
            assert_eq!(error.name, wrong.0);
            assert!(error.to_string().starts_with(&format!("{} must be ", wrong.0)), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
