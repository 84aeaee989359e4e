//! TLS to PostgreSQL. The certificate of the server and its host name are verified, whatever `sslmode` is.
//!
//! `tokio-postgres` calls this only after the server has offered TLS. So a plain connection loads no
//! certificates, and one that is made after the trusted certificates were renewed sees the new ones.

use std::{
    cell::Cell,
    io,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use rustls_native_certs::load_native_certs;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{
    TlsConnector, client,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{InvalidDnsNameError, ServerName},
    },
};

/// The protocol in the handshake; needed for `sslnegotiation=direct`.
const ALPN: &[u8] = b"postgresql";

/// Why a server that offers TLS is not connected to.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    #[error(
        "no certificate authority is trusted ({0}); set SSL_CERT_FILE, or sslmode=disable in the URL"
    )]
    NoAuthority(String),
    #[error("the host of the URL is not a name that a certificate can have")]
    Host(#[from] InvalidDnsNameError),
    #[error(transparent)]
    Config(#[from] rustls::Error),
    #[error(
        "the certificate of {host} is not valid; SSL_CERT_FILE names the trusted authorities, and sslmode=disable in \
         the URL turns TLS off"
    )]
    Certificate {
        host: String,
        #[source]
        cause: io::Error,
    },
    #[error("the TLS handshake with {host} failed")]
    Handshake {
        host: String,
        #[source]
        cause: io::Error,
    },
}

impl TlsError {
    /// Whether a later try may succeed with the same settings.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Handshake { .. })
    }

    fn handshake(host: String, cause: io::Error) -> Self {
        let error = cause.get_ref().and_then(|inner| inner.downcast_ref());
        match error {
            Some(rustls::Error::InvalidCertificate(_)) => Self::Certificate { host, cause },
            _ => Self::Handshake { host, cause },
        }
    }
}

/// Whether a connection that is not encrypted may surprise: TLS is preferred, the server does not offer it,
/// and what is sent may leave this machine.
pub(super) fn is_downgrade(config: &Config, is_encrypted: bool) -> bool {
    !is_encrypted && config.get_ssl_mode() == SslMode::Prefer && !is_on_this_machine(config)
}

/// A name other than `localhost` is not resolved: it may be another machine tomorrow.
fn is_on_this_machine(config: &Config) -> bool {
    let is_local = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) if name == "localhost" => true,
        Host::Tcp(name) => name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_local),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

/// Makes the TLS connections of one [`Config::connect`].
#[derive(Default)]
pub(super) struct MakeTls {
    /// Whether the last connection is encrypted. A connection to each address of the URL may be tried.
    pub(super) is_encrypted: Rc<Cell<bool>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> MakeTlsConnect<S> for MakeTls {
    type Stream = Encrypted<S>;
    type TlsConnect = Handshake;
    type Error = TlsError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, TlsError> {
        self.is_encrypted.set(false);
        Ok(Handshake { host: host.to_owned(), is_encrypted: Rc::clone(&self.is_encrypted) })
    }
}

/// A handshake with this host, if it offers TLS.
pub(super) struct Handshake {
    host: String,
    is_encrypted: Rc<Cell<bool>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> TlsConnect<S> for Handshake {
    type Stream = Encrypted<S>;
    type Error = TlsError;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted<S>, TlsError>>>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from(self.host.clone())?;
            let connector = TlsConnector::from(Arc::new(client_config()?));
            let stream = connector.connect(name, stream).await;
            let stream = stream.map_err(|cause| TlsError::handshake(self.host, cause))?;
            self.is_encrypted.set(true);
            Ok(Encrypted(stream))
        })
    }
}

fn client_config() -> Result<ClientConfig, TlsError> {
    let found = load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let mut errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        if errors.is_empty() {
            errors.push("none was found".to_owned());
        }
        return Err(TlsError::NoAuthority(errors.join(", ")));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_owned()];
    Ok(config)
}

/// A connection over TLS.
pub(super) struct Encrypted<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    /// None: the certificate is verified to be that of the host.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_preferred_connection_that_may_leave_this_machine_is_a_downgrade() {
        let is_downgrade = |url: &str| is_downgrade(&url.parse().unwrap(), false);
        for url in [
            "postgres://u@db/d",
            "postgres://u@db/d?sslmode=prefer",
            "postgres://u@10.0.0.1/d",
            "postgres://u@localhost,db/d",
            "postgres://u@localhost/d?hostaddr=10.0.0.1",
        ] {
            assert!(is_downgrade(url), "{url}");
        }
        for url in [
            "postgres://u@db/d?sslmode=disable",
            "postgres://u@localhost/d",
            "postgres://u@127.0.0.2,[::1]/d",
            "postgres://u@db/d?hostaddr=127.0.0.1",
            "postgres://u@%2Frun%2Fpostgresql/d",
        ] {
            assert!(!is_downgrade(url), "{url}");
        }
    }
}
