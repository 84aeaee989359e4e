//! Where a part listens.

use std::{fmt, net::SocketAddr, str::FromStr};

use axum::http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use thiserror::Error;

/// Where a part listens: `http://host:port`, nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Authority);

/// Not the address of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be http://host:port, with no path behind it")]
pub struct NotABaseUrl;

impl FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        let uri: Uri = text.parse().map_err(|_| NotABaseUrl)?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        match uri.into_parts().authority {
            Some(authority) if plain && !authority.as_str().contains('@') => Ok(Self(authority)),
            _ => Err(NotABaseUrl),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl BaseUrl {
    /// The address of a path (with its query) on that part.
    pub fn join(&self, path_and_query: &str) -> Result<Uri, axum::http::Error> {
        let path: PathAndQuery = path_and_query.parse()?;
        address(self.0.clone(), path)
    }

    /// What `Host` says, whichever address is asked.
    pub(super) fn host_header(&self) -> HeaderValue {
        HeaderValue::from_str(self.0.as_str()).unwrap_or(HeaderValue::from_static(""))
    }

    /// The address, if it is one and not a name.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        let port = self.port().unwrap_or(super::endpoints::PORT);
        Some(SocketAddr::new(host.parse().ok()?, port))
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.0
    }

    pub(super) fn host(&self) -> &str {
        self.0.host()
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.0.port_u16()
    }
}

/// The same path and query at one of a part's addresses.
pub(super) fn at(authority: &Authority, uri: &Uri) -> Result<Uri, axum::http::Error> {
    let path = uri.path_and_query().cloned();
    address(authority.clone(), path.unwrap_or(PathAndQuery::from_static("/")))
}

fn address(authority: Authority, path: PathAndQuery) -> Result<Uri, axum::http::Error> {
    Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path).build()
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
            assert_eq!(wrong.parse::<BaseUrl>(), Err(NotABaseUrl), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_told_from_a_name() {
        let address = |text: &str| text.parse::<BaseUrl>().unwrap().address();
        assert_eq!(address("http://127.0.0.1:8081"), Some("127.0.0.1:8081".parse().unwrap()));
        assert_eq!(address("http://[::1]:8081"), Some("[::1]:8081".parse().unwrap()));
        assert_eq!(address("http://vaccine:8081"), None);
    }
}
