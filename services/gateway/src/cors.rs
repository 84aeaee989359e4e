//! Which scripts of other origins may use the edge (CORS, Fetch standard, section 3.3).

use std::{fmt, str::FromStr, time::Duration};

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use thiserror::Error;
use tower_http::cors::CorsLayer;

/// How long a browser may keep the answer to a preflight.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_mins(10);

/// The methods of the public routes. A browser sends HEAD without asking.
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The headers that a script may send, besides those that need no permission.
const REQUEST_HEADERS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("prefer"),
];

/// The headers that a script may read, besides those that need no permission.
const RESPONSE_HEADERS: [HeaderName; 3] =
    [header::LOCATION, header::RETRY_AFTER, HeaderName::from_static("preference-applied")];

/// The origins whose scripts may use the edge; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsOrigins(Vec<HeaderValue>);

/// The text is not a list of origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "must be origins as browsers send them, for example https://app.example,http://localhost:3000"
)]
pub struct CorsOriginsError;

impl FromStr for CorsOrigins {
    type Err = CorsOriginsError;

    fn from_str(text: &str) -> Result<Self, CorsOriginsError> {
        let origins = text.split(',').map(|origin| parse(origin.trim()).ok_or(CorsOriginsError));
        origins.collect::<Result<_, _>>().map(Self)
    }
}

/// An origin as a browser sends it, so that it can be compared byte by byte.
fn parse(origin: &str) -> Option<HeaderValue> {
    let uri: Uri = origin.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let is_serialized = origin == format!("{scheme}://{authority}").to_ascii_lowercase()
        && !authority.as_str().contains(['@', '*'])
        && authority.port_u16() != Some(default_port);
    HeaderValue::from_str(origin).ok().filter(|_| is_serialized)
}

impl fmt::Display for CorsOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let origins: Vec<_> = self.0.iter().filter_map(|origin| origin.to_str().ok()).collect();
        f.write_str(&origins.join(","))
    }
}

impl CorsOrigins {
    /// Answers preflights and adds the permission to responses; nothing without origins.
    pub(crate) fn layer(self) -> Option<CorsLayer> {
        (!self.0.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(self.0)
                .allow_methods(METHODS)
                .allow_headers(REQUEST_HEADERS)
                .expose_headers(RESPONSE_HEADERS)
                .max_age(PREFLIGHT_MAX_AGE)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_set_as_browsers_send_it() {
        let origins: CorsOrigins = "https://app.test, http://localhost:3000".parse().unwrap();
        assert_eq!(origins.to_string(), "https://app.test,http://localhost:3000");
        assert_eq!(CorsOrigins::default().to_string(), "none");
        for wrong in [
            "*",
            "null",
            "app.test",
            "https://app.test/",
            "https://App.test",
            "https://app.test:443",
            "http://app.test:80",
            "https://*.test",
            "https://a@app.test",
            "ftp://app.test",
            "https://app.test,",
        ] {
            assert_eq!(wrong.parse::<CorsOrigins>(), Err(CorsOriginsError), "{wrong}");
        }
    }
}
