//! Events over NATS JetStream: the relay publishes, and every consumer reads at its own rate.
//!
//! One message is one batch, the same that HTTP carries. So a message is stored whole or not at all, the
//! next is published only when the one before is stored, and batches of one source follow each other
//! without a gap; pipelined single messages could not guarantee that. NATS stores a message only if the
//! last one of its source is the one that it follows. So of two relays of one store one publishes, and the
//! other continues behind it; and what NATS has lost at its end is published again. Works with servers from
//! 2.9 on.

use std::{fmt, future::ready, str::FromStr, time::Duration};

use async_nats::{
    ConnectOptions, Server,
    jetstream::{
        self,
        context::PublishErrorKind,
        message::PublishMessage,
        stream::{self, LastRawMessageErrorKind, Stream},
    },
};
use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent, SnapshotPart, SnapshotProgress},
    ids::StoreId,
};
use parking_lot::Mutex;
use platform_telemetry::BoxError;
use thiserror::Error;
use tracing::{error, warn};

use crate::transport::{Position, PublishError, Reached, Transport};

/// The stream, and the first token of every subject, unless the URL names another.
const STREAM: &str = "anticorona";

/// How long a response of NATS may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The header of a message with the sequence number of its last event. Not `Nats-Msg-Id`: for two minutes
/// NATS would reject a message that it has lost as a duplicate.
const OFFSET: &str = "Anticorona-Offset";

/// Where NATS listens: `nats://HOST:PORT`, or `tls://HOST:PORT` where TLS is required, optionally with the
/// name of the stream as path.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl {
    /// Without the path.
    server: String,
    /// Whether a server without TLS is refused.
    is_tls_required: bool,
    /// A user and a password, or a token alone.
    credentials: Option<(String, Option<String>)>,
    /// The name of the stream.
    stream: String,
}

/// The text is not the URL of NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "must be nats://HOST:PORT, or tls://HOST:PORT, and may end in /STREAM (letters, digits, - and _)"
)]
pub struct NatsUrlError;

impl FromStr for NatsUrl {
    type Err = NatsUrlError;

    fn from_str(text: &str) -> Result<Self, NatsUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(NatsUrlError)?;
        let is_tls_required = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(NatsUrlError),
        };
        // A password may contain any character; after the last @ there is only an address.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let credentials = credentials.map(|credentials| match credentials.split_once(':') {
            Some((user, password)) => (user.to_owned(), Some(password.to_owned())),
            None => (credentials.to_owned(), None),
        });
        let (server, stream) = rest.split_once('/').unwrap_or((rest, ""));
        let stream = if stream.is_empty() { STREAM } else { stream };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if server.is_empty() || !stream.chars().all(is_name) {
            return Err(NatsUrlError);
        }
        let (server, stream) = (format!("{scheme}://{server}"), stream.to_owned());
        Ok(Self { server, is_tls_required, credentials, stream })
    }
}

/// Shows everything but credentials.
impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NATS at {}, stream {}", self.server, self.stream)
    }
}

/// A connection of one service to JetStream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NatsTransport {
    jetstream: jetstream::Context,
    pub(crate) stream: String,
    pub(crate) service: &'static str,
}

impl NatsTransport {
    /// Connects, now or as soon as NATS is reachable.
    pub async fn connect(url: &NatsUrl, service: &'static str) -> Result<Self, PublishError> {
        let logged = Mutex::default();
        let options = ConnectOptions::new()
            .name(service)
            // Also of the other servers of a cluster, whose addresses come without a scheme.
            .require_tls(url.is_tls_required)
            .retry_on_initial_connect()
            .reconnect_to_server_callback(move |servers, _| {
                log_new_failures(&servers, &logged);
                ready(None) // The client chooses.
            });
        let options = match url.credentials.clone() {
            Some((user, Some(password))) => options.user_and_password(user, password),
            Some((token, None)) => options.token(token),
            None => options,
        };
        let client = options.connect(&url.server).await.map_err(nats)?;
        let mut jetstream = jetstream::new(client);
        jetstream.set_timeout(RESPONSE_TIMEOUT);
        Ok(Self { jetstream, stream: url.stream.clone(), service })
    }

    /// The subject of a source of this service.
    fn subject(&self, source: StoreId) -> String {
        format!("{}.{}.{source}", self.stream, self.service)
    }

    pub(crate) async fn stream(&self) -> Result<Stream, PublishError> {
        let config = stream::Config {
            name: self.stream.clone(),
            subjects: vec![format!("{}.>", self.stream)],
            ..stream::Config::default()
        };
        self.jetstream.get_or_create_stream(config).await.map_err(nats)
    }
}

impl Transport for NatsTransport {
    fn destination(&self) -> &'static str {
        "NATS"
    }

    /// That of the last message of the source.
    async fn position(&self, source: StoreId) -> Result<Reached, PublishError> {
        let stream = self.stream().await?;
        let last = match stream.get_last_raw_message_by_subject(&self.subject(source)).await {
            Ok(last) => last,
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                return Ok(Reached::default());
            }
            Err(error) => return Err(nats(error)),
        };
        // A message of another program does not carry an offset; repeats are skipped by the consumer.
        let offset = last.headers.get(OFFSET).and_then(|offset| offset.as_str().parse().ok());
        if offset.is_none() {
            let subject = self.subject(source);
            error!(subject, "the last message is not from a relay; publishing from the beginning");
        }
        let events = serde_json::from_slice::<Vec<CloudEvent>>(&last.payload);
        let last_event = events.ok().and_then(|events| events.into_iter().next_back());
        let (snapshot, at_ms) = match offset.and(last_event) {
            Some(CloudEvent {
                snapshot: Some(SnapshotPart::Row { key, .. }),
                sequence: up_to,
                ..
            }) => (Some(SnapshotProgress { up_to, key }), None),
            last_event => (None, last_event.map(|event| event.time.as_millisecond())),
        };
        let position = Position { offset: offset.unwrap_or(0), revision: last.sequence, snapshot };
        Ok(Reached { position, at_ms })
    }

    async fn publish(
        &self,
        after: Position,
        events: &[CloudEvent],
    ) -> Result<Position, PublishError> {
        let Some(last) = events.last() else { return Ok(after) };
        let (offset, snapshot) = match last.snapshot {
            Some(SnapshotPart::Row { key, .. }) => {
                (after.offset, Some(SnapshotProgress { up_to: last.sequence, key }))
            }
            Some(SnapshotPart::End { .. }) | None => (last.sequence, None),
        };
        let batch = serde_json::to_vec(events).map_err(|cause| PublishError::Nats(cause.into()))?;
        let message = PublishMessage::build()
            .header(OFFSET, offset.to_string().as_str())
            .header("Content-Type", BATCH_MEDIA_TYPE)
            .expected_last_subject_sequence(after.revision)
            .payload(batch.into());
        let stored = self.jetstream.send_publish(self.subject(last.source), message).await;
        match stored.map_err(nats)?.await {
            Ok(stored) => Ok(Position { offset, revision: stored.sequence, snapshot }),
            // Another relay was faster, or NATS has lost messages.
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                self.position(last.source).await.map(|reached| reached.position)
            }
            Err(error) => Err(nats(error)),
        }
    }
}

/// Logs why the last attempts to connect failed, unless that is `logged`: the client itself only tries again.
fn log_new_failures(servers: &[Server], logged: &Mutex<String>) {
    let failure = |server: &Server| Some(format!("{server}: {}", server.last_error.as_ref()?));
    let failures = servers.iter().filter_map(failure).collect::<Vec<_>>().join("; ");
    let mut logged = logged.lock();
    if *logged != failures && !failures.is_empty() {
        let is_about_trust = failures.contains("UnknownIssuer");
        let hint =
            if is_about_trust { "; SSL_CERT_FILE names the trusted authorities" } else { "" };
        warn!("cannot connect to NATS, retrying: {failures}{hint}");
    }
    *logged = failures;
}

pub(crate) fn nats(cause: impl Into<BoxError>) -> PublishError {
    PublishError::Nats(cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_name_the_stream_and_credentials() {
        let url: NatsUrl = "nats://user:secret@nats:4222/stream-2".parse().unwrap();
        assert_eq!(format!("{url:?}"), "NATS at nats://nats:4222, stream stream-2");
        let credentials = Some(("user".to_owned(), Some("se@cret".to_owned())));
        let url: NatsUrl = "nats://user:se@cret@nats:4222".parse().unwrap();
        assert_eq!((url.server.as_str(), url.credentials), ("nats://nats:4222", credentials));
        let url: NatsUrl = "nats://127.0.0.1:4222".parse().unwrap();
        assert_eq!((url.stream.as_str(), url.is_tls_required), (STREAM, false));
        let url: NatsUrl = "tls://user:secret@nats:4222".parse().unwrap();
        assert_eq!((url.server.as_str(), url.is_tls_required), ("tls://nats:4222", true));
        for wrong in [
            "",
            "nats://",
            "tls://",
            "nats:4222",
            "http://nats:4222",
            "nats://nats:4222/a.b",
            "nats://nats/*",
        ] {
            assert_eq!(wrong.parse::<NatsUrl>(), Err(NatsUrlError), "{wrong}");
        }
    }
}
