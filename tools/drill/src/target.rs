//! The address that a drill loads: loopback only, unless the operator declares that the target is theirs.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};

/// A resolved loopback address, read from `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    authority: Arc<str>,
    addresses: Arc<[SocketAddr]>,
}

/// Why an address is not a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Another scheme, no port, or a path after it.
    #[error("a target reads http://host:port, not \"{url}\"")]
    Invalid {
        /// As given.
        url: String,
    },
    /// DNS lookup failed.
    #[error("cannot resolve {authority}")]
    Unresolved {
        /// The name that was looked up.
        authority: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// Load on a machine whose owner did not ask for it is an attack.
    #[error(
        "{authority} is {address}, which is not a loopback address: \
         a drill puts load and faults on its target, so it goes to this machine only"
    )]
    NotLoopback {
        /// The name that was looked up.
        authority: String,
        /// Its address that is not loopback.
        address: SocketAddr,
    },
}

impl Target {
    /// Reads and resolves `http://host:port`; refuses a host of which any address is not loopback.
    ///
    /// A name is resolved once, by a blocking call; a numeric address needs no lookup.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let target = Self::anywhere(url)?;
        let elsewhere =
            target.addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        match elsewhere.copied() {
            None => Ok(target),
            Some(address) => {
                Err(TargetError::NotLoopback { authority: target.authority().to_owned(), address })
            }
        }
    }

    /// Reads and resolves `http://host:port` of any machine: for read-only access, or after the operator
    /// has declared that the target is theirs.
    pub fn anywhere(url: &str) -> Result<Self, TargetError> {
        let authority = authority(url).ok_or(TargetError::Invalid { url: url.to_owned() })?;
        let addresses: Arc<[SocketAddr]> = match authority.to_socket_addrs() {
            Ok(found) => found.collect(),
            Err(source) => {
                return Err(TargetError::Unresolved { authority: authority.to_owned(), source });
            }
        };
        Ok(Self { authority: authority.into(), addresses })
    }

    /// "host:port", the value of the Host header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http://{}", self.authority)
    }
}

/// The "host:port" of a URL that has nothing else, except an optional final slash.
fn authority(url: &str) -> Option<&str> {
    let authority = url.strip_prefix("http://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = authority.rsplit_once(':')?;
    let is_plain = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
    (is_plain && port.parse::<u16>().is_ok()).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_a_target_in_each_of_its_spellings() {
        for url in [
            "http://127.0.0.1:8081",
            "http://127.8.9.1:8081/",
            "http://[::1]:8081",
            "http://[::ffff:127.0.0.1]:8081",
            "http://localhost:8081",
        ] {
            let target = Target::parse(url).expect("loopback");
            assert_eq!(target.to_string(), url.trim_end_matches('/'));
        }
    }

    #[test]
    fn any_other_machine_is_refused_with_the_reason() {
        for host in ["192.0.2.7:80", "0.0.0.0:80", "[2001:db8::1]:80", "[::ffff:192.0.2.7]:80"] {
            let refusal = Target::parse(&format!("http://{host}")).expect_err("not loopback");
            assert!(matches!(refusal, TargetError::NotLoopback { .. }));
            assert!(refusal.to_string().contains("is not a loopback address: a drill puts load"));
        }
    }

    #[test]
    fn a_url_that_is_not_a_host_and_a_port_is_refused() {
        for url in [
            "https://127.0.0.1:1",
            "127.0.0.1:1",
            "http://127.0.0.1",
            "http://:80",
            "http://127.0.0.1:1/x",
            "http://me@127.0.0.1:1",
        ] {
            let refusal = Target::parse(url).expect_err("invalid");
            assert_eq!(
                refusal.to_string(),
                format!("a target reads http://host:port, not \"{url}\"")
            );
        }
    }
}
