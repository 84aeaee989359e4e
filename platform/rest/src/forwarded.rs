//! What a proxy in front of the public edge says of its client: `Forwarded` (RFC 7239), `X-Forwarded-Host`,
//! `X-Forwarded-Proto`, `X-Forwarded-Prefix` and the trace context.
//!
//! Anybody can send these headers. They are believed if the connection comes from a trusted proxy, and else
//! removed. Services behind the edge believe the edge.

use std::{fmt, net::IpAddr, str::FromStr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use platform_telemetry::trace;
use thiserror::Error;

use crate::{
    hal::{is_host, is_prefix},
    headers::{FORWARDED_PREFIX, FORWARDED_PROTO},
};

/// What begins the name of a header about the client of a proxy.
const X_FORWARDED: &str = "x-forwarded-";

/// The address of a client, for whom the proxy counts or logs it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose word about their clients is believed; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// The text is not a list of addresses and networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be IP addresses or networks, for example 10.0.0.0/8,192.0.2.7")]
pub struct TrustedProxiesError;

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl FromStr for TrustedProxies {
    type Err = TrustedProxiesError;

    fn from_str(text: &str) -> Result<Self, TrustedProxiesError> {
        text.split(',').map(|network| network.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let networks: Vec<_> = self.0.iter().map(Network::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

impl FromStr for Network {
    type Err = TrustedProxiesError;

    fn from_str(text: &str) -> Result<Self, TrustedProxiesError> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(it, bits)| (it, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| TrustedProxiesError)?;
        let (_, width) = bits_of(address);
        let prefix_bits = bits.map_or(Ok(width), str::parse).map_err(|_| TrustedProxiesError)?;
        if prefix_bits > width {
            return Err(TrustedProxiesError);
        }
        Ok(Self { address, prefix_bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let ((own, width), (other, other_width)) = (bits_of(self.address), bits_of(address));
        let differing = (own ^ other).checked_shr(width - self.prefix_bits).unwrap_or(0);
        width == other_width && differing == 0
    }
}

/// An address as a number, and how many bits it has.
fn bits_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), u32::BITS),
        IpAddr::V6(address) => (address.to_bits(), u128::BITS),
    }
}

impl TrustedProxies {
    /// Leaves in a request what is believed of its client, in the headers that services read.
    pub(crate) fn receive(&self, headers: &mut HeaderMap, peer: IpAddr) {
        // A socket of both families has IPv4 peers as `::ffff:192.0.2.1`.
        let peer = peer.to_canonical();
        let is_trusted = self.0.iter().any(|network| network.contains(peer));
        let client = if is_trusted { Client::read(headers) } else { Client::default() };
        let is_about_client = |name: &&HeaderName| {
            **name == header::FORWARDED
                || name.as_str().starts_with(X_FORWARDED)
                    && !(is_trusted && name.as_str() == FORWARDED_FOR)
        };
        let removed: Vec<_> = headers.keys().filter(is_about_client).cloned().collect();
        for name in removed {
            headers.remove(name);
        }
        if !is_trusted {
            trace::remove_context(headers);
        }
        client.write(headers);
    }
}

/// How a client reached a proxy.
#[derive(Default)]
struct Client {
    host: Option<HeaderValue>,
    is_https: bool,
    prefix: Option<HeaderValue>,
}

impl Client {
    /// `Forwarded` goes before the older headers.
    fn read(headers: &HeaderMap) -> Self {
        let forwarded = headers.get_all(header::FORWARDED).iter().next_back();
        let forwarded = forwarded.and_then(|value| value.to_str().ok());
        let stated = |parameter, name: &str| {
            let stated = forwarded.and_then(|it| parameter_of(it, parameter));
            stated.or_else(|| last_of(headers, name)).unwrap_or_default()
        };
        let host = stated("host", "x-forwarded-host");
        let prefix = last_of(headers, FORWARDED_PREFIX).unwrap_or_default();
        let prefix = prefix.trim_end_matches('/');
        Self {
            host: HeaderValue::from_str(host).ok().filter(|_| is_host(host)),
            is_https: stated("proto", FORWARDED_PROTO).eq_ignore_ascii_case("https"),
            prefix: HeaderValue::from_str(prefix).ok().filter(|_| is_prefix(prefix)),
        }
    }

    fn write(self, headers: &mut HeaderMap) {
        if let Some(host) = self.host {
            headers.insert(header::HOST, host);
        }
        if self.is_https {
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        if let Some(prefix) = self.prefix {
            headers.insert(FORWARDED_PREFIX, prefix);
        }
    }
}

/// The last element of a list, which the nearest proxy has added: it was sent the others.
fn last_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// A parameter in the last element of `Forwarded`.
fn parameter_of<'a>(forwarded: &'a str, name: &str) -> Option<&'a str> {
    let element = split_unquoted(forwarded, ',').last()?;
    let mut parameters = split_unquoted(element, ';').filter_map(|pair| pair.split_once('='));
    let (_, value) = parameters.find(|(it, _)| it.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// Splits at a separator outside of quoted strings (RFC 9110, section 5.6.4).
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |char| {
        let was_escaped = is_escaped;
        is_escaped = is_quoted && char == '\\' && !was_escaped;
        is_quoted ^= char == '"' && !was_escaped;
        char == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(proxies: &str, peer: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-host", HeaderValue::from_static("a"));
        let proxies: TrustedProxies = proxies.parse().unwrap();
        proxies.receive(&mut headers, peer.parse().unwrap());
        headers.contains_key("host")
    }

    #[test]
    fn a_network_is_the_addresses_with_its_first_bits() {
        for (proxies, peer, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("10.0.0.0/8, 2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ] {
            assert_eq!(trusts(proxies, peer), expected, "{peer} in {proxies}");
        }
        assert!(!trusts_by_default());
    }

    fn trusts_by_default() -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-host", HeaderValue::from_static("a"));
        TrustedProxies::default().receive(&mut headers, [127, 0, 0, 1].into());
        headers.contains_key("host")
    }

    #[test]
    fn a_list_is_printed_as_it_can_be_parsed() {
        let list: TrustedProxies = "10.0.0.0/8, ::1".parse().unwrap();
        assert_eq!(list.to_string(), "10.0.0.0/8,::1/128");
        assert_eq!(list.to_string().parse(), Ok(list));
        for wrong in
            ["proxy", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "10.0.0.1,", "*"]
        {
            assert_eq!(wrong.parse::<TrustedProxies>(), Err(TrustedProxiesError), "{wrong}");
        }
    }

    #[test]
    fn a_separator_in_a_quoted_string_separates_nothing() {
        let forwarded = r#"host=evil, for="a,b\";c";Host="a.test:1" ; proto=https"#;
        assert_eq!(parameter_of(forwarded, "host"), Some("a.test:1"));
        assert_eq!(parameter_of(forwarded, "proto"), Some("https"));
        assert_eq!(parameter_of(forwarded, "by"), None);
        assert_eq!(parameter_of(r#"host=a, for="b"#, "host"), None);
    }
}
