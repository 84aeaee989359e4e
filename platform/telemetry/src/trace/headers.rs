//! The headers `traceparent` and `tracestate` (W3C Trace Context, section 3).

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{Context, propagation::TextMapPropagator};
use opentelemetry_http::HeaderInjector;
use opentelemetry_sdk::propagation::TraceContextPropagator;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest header that is forwarded; the standard asks for at least this (section 3.3.1.5).
const LENGTH_MAX: usize = 512;

/// The length of `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.
const TRACEPARENT_LENGTH: usize = 55;

/// The trace headers of a request, without its other headers; `None` without exactly one valid
/// `traceparent`.
pub(super) fn received(headers: &HeaderMap) -> Option<HeaderMap> {
    let parent = single(headers, &TRACEPARENT).filter(|value| is_traceparent(value.as_bytes()))?;
    // Forwarding no state is always allowed; forwarding part of it is not.
    let state = single(headers, &TRACESTATE).map(|state| (TRACESTATE.clone(), state.clone()));
    Some([(TRACEPARENT.clone(), parent.clone())].into_iter().chain(state).collect())
}

/// The trace id in headers that were [`received`].
pub(super) fn trace_id(received: &HeaderMap) -> &str {
    let traceparent = received.get(&TRACEPARENT).and_then(|value| value.to_str().ok());
    traceparent.and_then(|value| value.get(3..35)).unwrap_or_default()
}

/// Replaces the trace headers with those of the context's span.
pub(super) fn inject(context: &Context, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(context, &mut HeaderInjector(headers));
    if headers.get(&TRACESTATE).is_some_and(HeaderValue::is_empty) {
        headers.remove(&TRACESTATE);
    }
}

/// Removes the trace headers.
pub(super) fn remove(headers: &mut HeaderMap) {
    headers.remove(&TRACEPARENT);
    headers.remove(&TRACESTATE);
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
    use opentelemetry_http::HeaderExtractor;

    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn received_with(traceparent: &str) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(&TRACEPARENT, HeaderValue::from_bytes(traceparent.as_bytes()).unwrap());
        received(&headers)
    }

    #[test]
    fn a_later_version_is_read_like_version_0() {
        let given = Context::new();
        for later in [GIVEN.replace("00-4", "01-4"), GIVEN.replace("00-4", "cc-4") + "-more"] {
            let headers = received_with(&later).unwrap();
            assert_eq!(trace_id(&headers), "4bf92f3577b34da6a3ce929d0e0e4736");
            let propagator = TraceContextPropagator::new();
            let context = propagator.extract_with_context(&given, &HeaderExtractor(&headers));
            let mut sent = HeaderMap::new();
            inject(&context, &mut sent);
            assert_eq!(sent[&TRACEPARENT], GIVEN, "{later}");
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
            assert!(received_with(wrong).is_none(), "{wrong}");
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
            received(&headers).unwrap().remove(&TRACESTATE)
        };
        let longest = format!("them={}", "1".repeat(LENGTH_MAX - 5));
        assert_eq!(with_states(&[&longest]).unwrap(), longest);
        assert_eq!(with_states(&[&format!("{longest}1")]), None);
        assert_eq!(with_states(&["them=1", "us=2"]), None);
    }
}
