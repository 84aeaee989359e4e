//! The headers `traceparent` and `tracestate` (W3C Trace Context, section 3).

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_http::HeaderInjector;
use opentelemetry_sdk::propagation::TraceContextPropagator;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest header that is forwarded; the standard asks for at least this (section 3.3.1.5).
const LENGTH_MAX: usize = 512;

/// The length of `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.
const TRACEPARENT_LENGTH: usize = 55;

/// The trace headers of one request.
#[derive(Clone, Debug)]
pub(super) struct TraceHeaders {
    traceparent: HeaderValue,
    tracestate: Option<HeaderValue>,
}

impl TraceHeaders {
    /// `None` without exactly one valid `traceparent`.
    pub(super) fn received(headers: &HeaderMap) -> Option<Self> {
        let traceparent = single(headers, &TRACEPARENT)?;
        // Forwarding no state is always allowed; forwarding part of it is not.
        is_traceparent(traceparent.as_bytes()).then(|| Self {
            traceparent: traceparent.clone(),
            tracestate: single(headers, &TRACESTATE).cloned(),
        })
    }

    /// The headers of a call that is a child of this span.
    pub(super) fn of(parent: SpanContext) -> Option<Self> {
        let mut headers = HeaderMap::new();
        inject(&Context::new().with_remote_span_context(parent), &mut headers);
        Self::received(&headers)
    }

    /// Adds the headers to a request; its own `traceparent` stays.
    pub(super) fn forward(&self, headers: &mut HeaderMap) {
        headers.entry(&TRACEPARENT).or_insert_with(|| self.traceparent.clone());
        if let Some(tracestate) = &self.tracestate {
            headers.insert(&TRACESTATE, tracestate.clone());
        }
    }

    pub(super) fn trace_id(&self) -> &str {
        let traceparent = self.traceparent.to_str().unwrap_or_default();
        traceparent.get(3..35).unwrap_or_default()
    }
}

/// What the propagator reads.
impl Extractor for TraceHeaders {
    fn get(&self, key: &str) -> Option<&str> {
        let is_parent = TRACEPARENT == key;
        let value = if is_parent { Some(&self.traceparent) } else { self.tracestate.as_ref() };
        value?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT.as_str(), TRACESTATE.as_str()]
    }
}

/// Replaces the trace headers with those of the context's span.
pub(super) fn inject(context: &Context, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(context, &mut HeaderInjector(headers));
    if headers.get(&TRACESTATE).is_some_and(HeaderValue::is_empty) {
        headers.remove(&TRACESTATE);
    }
}

/// The only value of a header, unless it is too long.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().filter(|value| value.len() <= LENGTH_MAX)?;
    values.next().is_none().then_some(first)
}

/// Later versions may append fields. The SDK's own parser takes shorter fields and signs too.
fn is_traceparent(value: &[u8]) -> bool {
    let Some((known, appended)) = value.split_at_checked(TRACEPARENT_LENGTH) else { return false };
    let is_shaped = known.iter().enumerate().all(|(at, byte)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    let is_version_0 = known.starts_with(b"00");
    let mut fields = known.split(|byte| *byte == b'-').skip(1);
    let mut is_nonzero = || fields.next().is_some_and(|id| id.iter().any(|digit| *digit != b'0'));
    is_shaped
        && !known.starts_with(b"ff")
        && (appended.is_empty() || !is_version_0 && appended.starts_with(b"-"))
        && is_nonzero()
        && is_nonzero()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn received(traceparent: &str) -> Option<TraceHeaders> {
        let mut headers = HeaderMap::new();
        headers.insert(&TRACEPARENT, HeaderValue::from_bytes(traceparent.as_bytes()).unwrap());
        TraceHeaders::received(&headers)
    }

    #[test]
    fn a_later_version_is_read_like_version_0() {
        let given = Context::new();
        for later in [GIVEN.replace("00-4", "01-4"), GIVEN.replace("00-4", "cc-4") + "-more"] {
            let headers = received(&later).unwrap();
            assert_eq!(headers.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
            let context = TraceContextPropagator::new().extract_with_context(&given, &headers);
            let sent = TraceHeaders::of(context.span().span_context().clone()).unwrap();
            assert_eq!(sent.traceparent, GIVEN, "{later}");
        }
    }

    #[test]
    fn a_malformed_traceparent_is_ignored() {
        for wrong in [
            "",
            "00",
            &"x".repeat(TRACEPARENT_LENGTH),
            &"é".repeat(TRACEPARENT_LENGTH),
            &GIVEN[..54],
            &format!("{GIVEN}-more"),
            &format!("{GIVEN}0"),
            &GIVEN.to_uppercase(),
            &GIVEN.replace('-', "_"),
            &GIVEN.replace("00-4", "ff-4"),
            &(GIVEN.replace("00-4", "01-4") + "0"),
            &(GIVEN.replace("00-4", "01-4") + "-" + &"0".repeat(LENGTH_MAX)),
            &GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GIVEN.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GIVEN.replace("4bf9", "+bf9"),
        ] {
            assert!(received(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_tracestate_that_is_too_long_or_doubled_is_not_forwarded() {
        let with_states = |states: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(&TRACEPARENT, HeaderValue::from_static(GIVEN));
            for state in states {
                headers.append(&TRACESTATE, HeaderValue::from_str(state).unwrap());
            }
            TraceHeaders::received(&headers).unwrap().tracestate
        };
        let longest = format!("them={}", "1".repeat(LENGTH_MAX - 5));
        assert_eq!(with_states(&[&longest]).unwrap(), longest);
        assert_eq!(with_states(&[&format!("{longest}1")]), None);
        assert_eq!(with_states(&["them=1", "us=2"]), None);
    }
}
