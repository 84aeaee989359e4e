//! Where spans are exported and which: the standard variables of OpenTelemetry, checked at start.
//!
//! The SDK reads most of them itself, but ignores wrong values and knows one service per process.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use thiserror::Error;

const ENDPOINT: &str = "must be http://host:port or https://host:port, without a query";

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
    /// Attributes of the process; `service.name` among them replaces the names of the services.
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
            attributes: Vec::new(),
            sampler: Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
        }
    }

    /// Reads the variables; `None` if they name no collector.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is = |name, word| set(name).as_deref() == Some(word);
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let traces = first(&set, ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], endpoint, ENDPOINT)?;
        let base = first(&set, ["OTEL_EXPORTER_OTLP_ENDPOINT"], traces_endpoint, ENDPOINT)?;
        let Some(endpoint) = traces.or(base) else { return Ok(None) };
        let names = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
        let is_protobuf = |value: &str| (value == "http/protobuf").then_some(());
        first(&set, names, is_protobuf, "must be http/protobuf, the only supported protocol")?;
        let names = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
        let headers = first(&set, names, headers, HEADERS)?;
        let ratio =
            first(&set, ["OTEL_TRACES_SAMPLER_ARG"], ratio, "must be a number from 0 to 1")?;
        let sampler = |name: &str| sampler(name, ratio.unwrap_or(1.0));
        let sampler = first(&set, ["OTEL_TRACES_SAMPLER"], sampler, SAMPLER)?;
        let attributes = first(&set, ["OTEL_RESOURCE_ATTRIBUTES"], pairs, HEADERS)?;
        let service_name = set("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name));
        let attributes = attributes.into_iter().flatten().chain(service_name);
        let default = Self::new(endpoint);
        Ok(Some(Self {
            headers: headers.unwrap_or_default(),
            attributes: attributes.map(|(name, value)| KeyValue::new(name, value)).collect(),
            sampler: sampler.unwrap_or(default.sampler),
            ..default
        }))
    }
}

/// The first of these variables that is set.
fn first<T, const N: usize>(
    set: &impl Fn(&str) -> Option<String>,
    names: [&'static str; N],
    parse: impl Fn(&str) -> Option<T>,
    expected: &'static str,
) -> Result<Option<T>, SettingError> {
    let found = names.into_iter().find_map(|name| Some((name, set(name)?)));
    let Some((name, value)) = found else { return Ok(None) };
    parse(&value).map(Some).ok_or(SettingError { name, expected })
}

fn endpoint(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
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
    let root = match name.strip_prefix("parentbased_").unwrap_or(name) {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio),
        _ => return None,
    };
    let is_root = !name.starts_with("parentbased_");
    Some(if is_root { root } else { Sampler::ParentBased(Box::new(root)) })
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
        assert_eq!(to("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c"), "https://c/v1/traces");
        for wrong in ["ftp://c:4318", "c:4318", "http://u:p@c", "http://c/?a", "/v1/traces"] {
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
        assert_eq!(settings.attributes[1], KeyValue::new("a", "b,c"));
        assert_eq!(settings.attributes[2], KeyValue::new("service.name", "anticorona"));
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
