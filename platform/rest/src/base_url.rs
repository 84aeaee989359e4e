//! The base URL of a service.

use std::{fmt, net::SocketAddr, str::FromStr};

use axum::http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use thiserror::Error;

/// The port of `http` URLs that name none.
const DEFAULT_PORT: u16 = 80;

/// The base URL of a service: `http://host:port`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Authority);

/// The text is not the base URL of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be http://host:port, with no path behind it")]
pub struct BaseUrlError;

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let uri: Uri = text.parse().map_err(|_| BaseUrlError)?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        match uri.into_parts().authority {
            Some(authority) if plain && !authority.as_str().contains('@') => Ok(Self(authority)),
            Some(_) | None => Err(BaseUrlError),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl BaseUrl {
    /// The `Host` of requests to any endpoint of the service.
    pub(crate) fn host_header(&self) -> HeaderValue {
        HeaderValue::from_str(self.0.as_str()).unwrap_or(HeaderValue::from_static(""))
    }

    /// The only address of the service, if its host is an IP address and not a name.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        Some(SocketAddr::new(host.parse().ok()?, self.port()))
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.0
    }

    pub(crate) fn host(&self) -> &str {
        self.0.host()
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(DEFAULT_PORT)
    }
}

/// The URI of the same path and query at an endpoint.
pub(crate) fn with_authority(
    original: &Uri,
    authority: &Authority,
) -> Result<Uri, axum::http::Error> {
    let path = original.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Uri::builder().scheme(Scheme::HTTP).authority(authority.clone()).path_and_query(path).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_a_host_and_a_port() {
        assert!("http://127.0.0.1:8081".parse::<BaseUrl>().is_ok());
        assert!("http://vaccine:8081/".parse::<BaseUrl>().is_ok());
        for wrong in
            ["vaccine:8081", "https://vaccine", "http://vaccine/x", "http://u:p@vaccine", ""]
        {
            assert_eq!(wrong.parse::<BaseUrl>(), Err(BaseUrlError), "{wrong}");
        }
    }

    #[test]
    fn only_a_host_that_is_an_ip_address_has_an_address() {
        let address = |text: &str| text.parse::<BaseUrl>().unwrap().address();
        assert_eq!(address("http://127.0.0.1:8081"), Some("127.0.0.1:8081".parse().unwrap()));
        assert_eq!(address("http://[::1]:8081"), Some("[::1]:8081".parse().unwrap()));
        assert_eq!(address("http://127.0.0.1"), Some("127.0.0.1:80".parse().unwrap()));
        assert_eq!(address("http://vaccine:8081"), None);
    }
}
