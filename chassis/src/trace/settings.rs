//! Where traces go and which: the standard variables of OpenTelemetry, each as a type.

use std::{fmt, str::FromStr};

use axum::http::{HeaderName, HeaderValue, Uri, uri::PathAndQuery};
use thiserror::Error;

use super::parent::{TraceId, TraceParent};

/// Where a collector takes spans, behind its base address.
const TRACES_PATH: &str = "/v1/traces";

/// Where traces go, and which of them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the collector takes spans.
    pub endpoint: Uri,
    /// Sent along with every request to it.
    pub headers: Headers,
    /// What all parts of this process are called; each has its own name otherwise.
    pub service_name: Option<String>,
    /// What else is to be known of this process.
    pub attributes: Vec<(String, String)>,
    /// Which traces are recorded.
    pub sampler: Sampler,
}

impl Settings {
    /// Everything goes there.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint: endpoint.0,
            headers: Headers::default(),
            service_name: None,
            attributes: Vec::new(),
            sampler: Sampler::default(),
        }
    }
}

/// The address of a collector: `http://host:port/…`.
#[derive(Clone, Debug)]
pub struct Endpoint(Uri);

/// Not the address of a collector.
#[derive(Clone, Copy, Debug, Error)]
#[error(
    "must be http://host:port, without a query; for https, put a collector beside this process"
)]
pub struct NotAnEndpoint;

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let uri: Uri = text.parse().map_err(|_| NotAnEndpoint)?;
        let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
        let authority = uri.authority().filter(|it| is_plain && !it.as_str().contains('@'));
        authority.map(|_| Self(uri.clone())).ok_or(NotAnEndpoint)
    }
}

impl Endpoint {
    /// Where spans go at a collector with this base address.
    #[must_use]
    pub fn for_traces(self) -> Self {
        let path = format!("{}{TRACES_PATH}", self.0.path().trim_end_matches('/'));
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(path).ok();
        Self(Uri::from_parts(parts).unwrap_or(self.0)) // A longer path is a path.
    }
}

/// Headers that a collector wants; their values may be secrets.
#[derive(Clone, Default)]
pub struct Headers(pub Vec<(HeaderName, HeaderValue)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Not a list of pairs, or not of headers.
#[derive(Clone, Copy, Debug, Error)]
#[error("must be name=value,name=value, values percent-encoded")]
pub struct NotPairs;

impl FromStr for Headers {
    type Err = NotPairs;

    fn from_str(text: &str) -> Result<Self, NotPairs> {
        let header = |(name, value): (String, String)| {
            let name: HeaderName = name.parse().map_err(|_| NotPairs)?;
            let mut value = HeaderValue::try_from(value).map_err(|_| NotPairs)?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        let Pairs(pairs) = text.parse()?;
        pairs.into_iter().map(header).collect::<Result<_, _>>().map(Self)
    }
}

/// `name=value,name=value`, as OpenTelemetry writes attributes and headers.
#[derive(Clone, Debug)]
pub struct Pairs(pub Vec<(String, String)>);

impl FromStr for Pairs {
    type Err = NotPairs;

    fn from_str(text: &str) -> Result<Self, NotPairs> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').ok_or(NotPairs)?;
            let value = percent_decoded(value.trim()).ok_or(NotPairs)?;
            Ok((name.trim().to_owned(), value))
        };
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs.map(pair).collect::<Result<_, _>>().map(Self)
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return String::from_utf8(decoded).ok(),
            [b'%', high, low, after @ ..] => {
                let digits = [*high, *low];
                decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = after;
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
}

/// How many chances there are: 2^32.
const CHANCES: f64 = 4_294_967_296.0;

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whether who calls decides.
    pub parent_based: bool,
    /// Otherwise, or where nobody has called: this share of traces, from 0 to 1.
    pub ratio: f64,
}

impl Default for Sampler {
    /// What the caller records, and everything that has no caller: OpenTelemetry's default.
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// Whether a trace is recorded. Everybody who samples by the same share takes the same ones.
    pub fn takes(self, parent: Option<TraceParent>, trace: TraceId) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.is_sampled(),
            _ => f64::from(trace.chance()) / CHANCES < self.ratio,
        }
    }
}

/// A name of a sampler.
#[derive(Clone, Copy, Debug)]
pub struct SamplerName {
    /// Whether who calls decides.
    pub parent_based: bool,
    /// The share, where it is not the argument's.
    pub ratio: Option<f64>,
}

/// Not the name of a sampler.
#[derive(Clone, Copy, Debug, Error)]
#[error("must be always_on, always_off or traceidratio, or parentbased_ and one of these")]
pub struct NotASampler;

impl FromStr for SamplerName {
    type Err = NotASampler;

    fn from_str(text: &str) -> Result<Self, NotASampler> {
        let (parent_based, root) = match text.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, text),
        };
        let ratio = match root {
            "always_on" => Some(1.0),
            "always_off" => Some(0.0),
            "traceidratio" => None,
            _ => return Err(NotASampler),
        };
        Ok(Self { parent_based, ratio })
    }
}

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Share(pub f64);

/// Not a share.
#[derive(Clone, Copy, Debug, Error)]
#[error("must be a number from 0 to 1")]
pub struct NotAShare;

impl FromStr for Share {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, NotAShare> {
        let share: f64 = text.parse().map_err(|_| NotAShare)?;
        (0.0..=1.0).contains(&share).then_some(Self(share)).ok_or(NotAShare)
    }
}

/// How spans are sent; there is one way.
#[derive(Clone, Copy, Debug)]
pub struct Protocol;

/// Another way.
#[derive(Clone, Copy, Debug, Error)]
#[error("must be http/protobuf: other protocols are not spoken")]
pub struct NotSpoken;

impl FromStr for Protocol {
    type Err = NotSpoken;

    fn from_str(text: &str) -> Result<Self, NotSpoken> {
        if text == "http/protobuf" { Ok(Self) } else { Err(NotSpoken) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_share_of_traces_is_taken_the_same_one_by_everybody() {
        // The bits that count are 0xa3ce929d: 0.6399 of what there is.
        let parent: TraceParent = GIVEN.parse().unwrap();
        let takes = |ratio, parent_based| Sampler { parent_based, ratio };
        for (ratio, taken) in [(0.0, false), (0.63, false), (0.65, true), (1.0, true)] {
            assert_eq!(takes(ratio, true).takes(None, parent.trace()), taken, "{ratio}");
            assert_eq!(takes(ratio, false).takes(Some(parent), parent.trace()), taken, "{ratio}");
        }
    }

    #[test]
    fn who_calls_decides_if_it_may() {
        let parent: TraceParent = GIVEN.parse().unwrap();
        let never = Sampler { parent_based: true, ratio: 0.0 };
        assert!(never.takes(Some(parent), parent.trace()));
        let always = Sampler::default();
        assert!(!always.takes(Some(parent.sampled(false)), parent.trace()));
    }
}
