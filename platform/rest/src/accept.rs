//! The media type of a response (RFC 9110, section 12.5.1): of a HAL body `application/hal+json`, or `application/json`
//! for a client that prefers it; of others the only one that there is. And its language (section 12.5.4).

use std::cmp::Reverse;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{problem::Problem, retry_page};

/// The media type of HAL bodies, unless the client prefers `application/json`.
pub const MEDIA_TYPE: &str = "application/hal+json";

const JSON: &str = "application/json";

/// The media type that a client gets; an error if it accepts none.
pub(crate) fn negotiate(headers: &HeaderMap) -> Result<&'static str, Problem> {
    let ranges = ranges(headers, header::ACCEPT);
    // A browser without `*/*` gets HAL, as one with it does.
    if ranges.is_empty() || retry_page::is_accepted(headers) {
        return Ok(MEDIA_TYPE);
    }
    let (hal, json) = (weight(&ranges, MEDIA_TYPE), weight(&ranges, JSON));
    match hal.max(json) {
        0 => Err(not_acceptable(format!("there are {MEDIA_TYPE} and {JSON}"))),
        max if max == hal => Ok(MEDIA_TYPE),
        _ => Ok(JSON),
    }
}

/// Refuses a request whose client does not accept the only media type that there is.
pub fn require(headers: &HeaderMap, media_type: &str) -> Result<(), Problem> {
    let ranges = ranges(headers, header::ACCEPT);
    // A browser without `*/*` gets it, as one with it does.
    let is_accepted =
        ranges.is_empty() || retry_page::is_accepted(headers) || weight(&ranges, media_type) > 0;
    if is_accepted { Ok(()) } else { Err(not_acceptable(format!("there is {media_type}"))) }
}

/// The language that a client prefers among these; the first one if it accepts any, or none of them.
///
/// A language is meant by each range that begins with it, as `en-GB` does with `en` (RFC 4647, section 3.4).
pub fn language(headers: &HeaderMap, languages: &[&'static str]) -> &'static str {
    let mut ranges = ranges(headers, header::ACCEPT_LANGUAGE);
    ranges.retain(|(_, weight)| *weight > 0);
    ranges.sort_by_key(|(_, weight)| Reverse(*weight));
    let preferred = ranges.into_iter().find_map(|(range, _)| {
        let primary = range.split_once('-').map_or(range, |(primary, _)| primary);
        let is_meant = |language: &&&str| primary == "*" || language.eq_ignore_ascii_case(primary);
        languages.iter().find(is_meant)
    });
    preferred.or(languages.first()).copied().unwrap_or_default()
}

fn ranges(headers: &HeaderMap, name: HeaderName) -> Vec<(&str, u16)> {
    let values = headers.get_all(name).iter().map(HeaderValue::to_str);
    values.flat_map(|value| value.unwrap_or_default().split(',')).map(range).collect()
}

/// A range without its parameters, and its weight in thousandths.
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
    let kind = media_type.split_once('/').map_or(media_type, |(kind, _)| kind);
    let any_subtype = of(&format!("{kind}/*"));
    of(media_type).or(any_subtype).or_else(|| of("*/*")).unwrap_or(0)
}

fn not_acceptable(detail: String) -> Problem {
    let title = "No media type fits";
    Problem::new(StatusCode::NOT_ACCEPTABLE, "urn:anticorona:not-acceptable", title)
        .field("Accept")
        .detail(detail)
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

    #[test]
    fn a_client_that_does_not_accept_the_only_media_type_is_refused() {
        let is_accepted = |accept: &str| {
            let accept = (header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            require(&HeaderMap::from_iter([accept]), "text/calendar").is_ok()
        };
        assert!(require(&HeaderMap::new(), "text/calendar").is_ok());
        for accepted in ["text/calendar", "TEXT/calendar;q=0.1", "text/*", "*/*", "text/html"] {
            assert!(is_accepted(accepted), "{accepted}");
        }
        for refused in ["application/json", "text/plain", "application/*", "text/*;q=0, */*", ""] {
            assert!(!is_accepted(refused), "{refused}");
        }
    }

    #[test]
    fn a_client_gets_the_language_that_it_prefers_of_those_that_there_are() {
        let language = |accept: &str| {
            let accept = (header::ACCEPT_LANGUAGE, HeaderValue::from_str(accept).unwrap());
            language(&HeaderMap::from_iter([accept]), &["ko", "en"])
        };
        for korean in ["", "ko", "ko-KR", "fr", "*", "en;q=0", "en;q=0.5, ko", "fr, *;q=0.1", "-"] {
            assert_eq!(language(korean), "ko", "{korean}");
        }
        for english in ["en", "EN-gb", "fr, en;q=0.1", "en, ko", "ko;q=0.8, en-US;q=0.9"] {
            assert_eq!(language(english), "en", "{english}");
        }
        assert_eq!(super::language(&HeaderMap::new(), &["ko", "en"]), "ko");
    }
}
