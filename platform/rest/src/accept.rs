//! The media type of a HAL body: `application/hal+json`, or `application/json` for a client that prefers it
//! (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{problem::Problem, retry_page};

/// The media type of HAL bodies, unless the client prefers `application/json`.
pub const MEDIA_TYPE: &str = "application/hal+json";

const JSON: &str = "application/json";

/// The media type that a client gets; an error if it accepts none.
pub(crate) fn negotiate(headers: &HeaderMap) -> Result<&'static str, Problem> {
    let values = headers.get_all(header::ACCEPT).iter().map(HeaderValue::to_str);
    let ranges: Vec<_> =
        values.flat_map(|value| value.unwrap_or_default().split(',')).map(range).collect();
    // A browser without `*/*` gets HAL, as one with it does.
    if ranges.is_empty() || retry_page::is_accepted(headers) {
        return Ok(MEDIA_TYPE);
    }
    let (hal, json) = (weight(&ranges, MEDIA_TYPE), weight(&ranges, JSON));
    match hal.max(json) {
        0 => Err(not_acceptable()),
        max if max == hal => Ok(MEDIA_TYPE),
        _ => Ok(JSON),
    }
}

/// A media range without its parameters, and its weight in thousandths.
fn range(text: &str) -> (&str, u16) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let weight = parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse::<f32>().ok());
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "from 0 to 1000")]
    #[expect(clippy::cast_sign_loss, reason = "from 0 to 1000")]
    let weight = weight.map_or(1_000, |weight| (weight.clamp(0.0, 1.0) * 1_000.0) as u16);
    (range, weight)
}

/// The weight of the most specific range that has the type.
fn weight(ranges: &[(&str, u16)], media_type: &str) -> u16 {
    let of = |wanted: &str| {
        let found = ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(wanted));
        found.map(|(_, weight)| *weight)
    };
    of(media_type).or_else(|| of("application/*")).or_else(|| of("*/*")).unwrap_or(0)
}

fn not_acceptable() -> Problem {
    let title = "No media type fits";
    Problem::new(StatusCode::NOT_ACCEPTABLE, "urn:anticorona:not-acceptable", title)
        .field("Accept")
        .detail(format!("there are {MEDIA_TYPE} and {JSON}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &str) -> Option<&'static str> {
        let accept = (header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        negotiate(&HeaderMap::from_iter([accept])).ok()
    }

    #[test]
    fn a_client_gets_the_media_type_that_it_prefers_and_hal_if_it_has_no_preference() {
        assert_eq!(negotiate(&HeaderMap::new()), Ok(MEDIA_TYPE));
        for hal in [
            "*/*",
            "application/*",
            "application/hal+json",
            "application/json, application/hal+json",
            "application/json;q=0.5, */*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
        ] {
            assert_eq!(negotiated(hal), Some(MEDIA_TYPE), "{hal}");
        }
        for json in [
            "application/json",
            "APPLICATION/JSON",
            "application/json, application/hal+json;q=0.9",
            "application/json; charset=utf-8, text/plain, */*;q=0.1",
            "application/hal+json;q=0, */*",
        ] {
            assert_eq!(negotiated(json), Some(JSON), "{json}");
        }
        for none in ["text/plain", "application/xml", "", "*/*;q=0", "application/json;q=0"] {
            assert_eq!(negotiated(none), None, "{none}");
        }
    }
}
