//! NATS JetStream: the relay publishes, every listener follows at its own pace.
//!
//! One message is one batch, the same that would travel directly. So a message is taken whole or not
//! at all, the next is published only when the one before is kept, and batches of one source always
//! follow each other without a gap; pipelined single messages could not promise that. Two relays
//! of one store may publish side by side: what comes twice is heard once.
//!
//! Each listening store has one durable consumer per part that it follows, with one message under
//! way at a time, however many processes share the store. Works with servers from 2.9 on.

use std::{fmt, str::FromStr, time::Duration};

use async_nats::{
    ConnectOptions, HeaderMap, HeaderValue,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        stream::{self, LastRawMessageErrorKind, Stream},
    },
};
use chassis::telemetry::causes;
use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent},
    ids::HolderId,
};
use futures_util::StreamExt;
use thiserror::Error;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{Bus, NotTold};
use crate::hearing::{Hearing, Hears};

/// How long NATS may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long a listener may take over a message before it is delivered again.
const ACK_WITHIN: Duration = Duration::from_secs(10);

/// How long a request for the next message stands. The server answers one now and then with nothing
/// at all, not even when it ends; the client makes another 5 s after that. With the client's own 30 s
/// a listener heard nothing for 35.
const REQUEST_STANDS: Duration = Duration::from_secs(2);

/// How long until a message that could not be heard is delivered again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Pause after NATS could not be reached; also between two beginnings from the start.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause where even the beginning comes after a gap.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The stream, and the first word of every subject, unless the address names another.
const STREAM: &str = "anticorona";

/// Where NATS listens: `nats://HOST:PORT`, behind it optionally the name of the stream.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl {
    server: String,
    /// A user and a password, or a token alone.
    secret: Option<(String, Option<String>)>,
    stream: String,
}

/// Not the address of NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be nats://HOST:PORT or nats://HOST:PORT/STREAM (letters, digits, - and _)")]
pub struct NotANatsUrl;

impl FromStr for NatsUrl {
    type Err = NotANatsUrl;

    fn from_str(text: &str) -> Result<Self, NotANatsUrl> {
        let rest = text.strip_prefix("nats://").ok_or(NotANatsUrl)?;
        // A password may hold anything; behind the last @ there is only an address.
        let (secret, rest) = match rest.rsplit_once('@') {
            Some((secret, rest)) => (Some(secret), rest),
            None => (None, rest),
        };
        let secret = secret.map(|secret| match secret.split_once(':') {
            Some((user, password)) => (user.to_owned(), Some(password.to_owned())),
            None => (secret.to_owned(), None),
        });
        let (server, stream) = rest.split_once('/').unwrap_or((rest, ""));
        let stream = if stream.is_empty() { STREAM } else { stream };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if server.is_empty() || !stream.chars().all(is_name) {
            return Err(NotANatsUrl);
        }
        let (server, stream) = (format!("nats://{server}"), stream.to_owned());
        Ok(Self { server, secret, stream })
    }
}

/// Without what must stay secret.
impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NATS at {}, stream {}", self.server, self.stream)
    }
}

/// A connection to JetStream, on behalf of one part. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Nats {
    jetstream: jetstream::Context,
    stream: String,
    part: &'static str,
}

impl Nats {
    /// Connects, now or as soon as NATS is there.
    pub async fn connect(url: &NatsUrl, part: &'static str) -> Result<Self, NotTold> {
        let options = ConnectOptions::new().name(part).retry_on_initial_connect();
        let options = match url.secret.clone() {
            Some((user, Some(password))) => options.user_and_password(user, password),
            Some((token, None)) => options.token(token),
            None => options,
        };
        let client = options.connect(&url.server).await.map_err(nats)?;
        let mut jetstream = jetstream::new(client);
        jetstream.set_timeout(ANSWER_WITHIN);
        Ok(Self { jetstream, stream: url.stream.clone(), part })
    }

    /// What a source of ours says.
    fn subject(&self, source: HolderId) -> String {
        format!("{}.{}.{source}", self.stream, self.part)
    }

    async fn stream(&self) -> Result<Stream, NotTold> {
        let config = stream::Config {
            name: self.stream.clone(),
            subjects: vec![format!("{}.>", self.stream)],
            ..stream::Config::default()
        };
        self.jetstream.get_or_create_stream(config).await.map_err(nats)
    }

    /// Hears on behalf of a store what the stores of another part say, until dropped.
    pub async fn follow<M: Hears>(self, other: &'static str, by: HolderId, hearing: Hearing<M>) {
        let (mut beginnings, mut pause) = (0, PAUSE);
        loop {
            match self.follow_once(other, by, &hearing, &mut beginnings).await {
                Ok(()) if beginnings < 2 => {
                    info!("{} hears {other} from the beginning", self.part);
                    pause = PAUSE;
                }
                Ok(()) => {
                    error!("{} cannot hear {other}: NATS has lost what came first", self.part);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(error) => {
                    warn!(cause = %causes(&error), "{} cannot hear {other}", self.part);
                    pause = PAUSE;
                }
            }
            sleep(pause).await;
        }
    }

    /// Returns when it has to begin again: from the start, or after a failure.
    async fn follow_once<M: Hears>(
        &self,
        other: &'static str,
        by: HolderId,
        hearing: &Hearing<M>,
        beginnings: &mut u32,
    ) -> Result<(), NotTold> {
        let stream = self.stream().await?;
        let name = format!("{}-{by}-{other}", self.part);
        let consumer = self.consumer(&stream, &name, other).await?;
        if self.has_forgotten(&stream, &consumer, other, hearing).await? {
            *beginnings = 1;
            stream.delete_consumer(&name).await.map_err(nats)?;
            return Ok(());
        }
        let messages =
            consumer.stream().max_messages_per_batch(1).expires(REQUEST_STANDS).messages();
        let mut messages = messages.await.map_err(nats)?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(nats)?;
            match hear(hearing, &message.subject, &message.payload).await {
                Heard::All => {
                    *beginnings = 0;
                    message.ack().await.map_err(NotTold::Nats)?;
                }
                Heard::NotAll => {
                    let again = AckKind::Nak(Some(AGAIN_AFTER));
                    message.ack_with(again).await.map_err(NotTold::Nats)?;
                }
                Heard::Gap => {
                    *beginnings += 1;
                    stream.delete_consumer(&name).await.map_err(nats)?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the store lacks what it took over once. The next message would show it, but nobody
    /// may say anything for hours: so the last of each source that was taken over is heard again.
    async fn has_forgotten<M: Hears>(
        &self,
        stream: &Stream,
        consumer: &PullConsumer,
        other: &str,
        hearing: &Hearing<M>,
    ) -> Result<bool, NotTold> {
        let taken = consumer.cached_info().ack_floor.stream_sequence;
        if taken == 0 {
            return Ok(false);
        }
        let sources = stream.info_with_subjects(format!("{}.{other}.>", self.stream)).await;
        let mut sources = sources.map_err(nats)?;
        while let Some(source) = sources.next().await {
            let (subject, _) = source.map_err(nats)?;
            let last = stream.get_last_raw_message_by_subject(&subject).await.map_err(nats)?;
            if last.sequence > taken {
                continue; // That is still to come.
            }
            match hear(hearing, &subject, &last.payload).await {
                Heard::All => {}
                Heard::NotAll => return Err(NotTold::Nats("it cannot be heard now".into())),
                Heard::Gap => return Ok(true),
            }
        }
        Ok(false)
    }

    async fn consumer(
        &self,
        stream: &Stream,
        name: &str,
        other: &str,
    ) -> Result<PullConsumer, NotTold> {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WITHIN,
            max_ack_pending: 1,
            filter_subject: format!("{}.{other}.>", self.stream),
            ..pull::Config::default()
        };
        stream.get_or_create_consumer(name, config).await.map_err(nats)
    }
}

impl Bus for Nats {
    fn to(&self) -> &'static str {
        "NATS"
    }

    /// The last message of the source says how far it came: its id is the last event's.
    async fn heard(&self, source: HolderId) -> Result<u64, NotTold> {
        let stream = self.stream().await?;
        let last = match stream.get_last_raw_message_by_subject(&self.subject(source)).await {
            Ok(last) => last,
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                return Ok(0);
            }
            Err(error) => return Err(nats(error)),
        };
        // Whoever wrote something else there has not said how far we came: what is told again is
        // heard once.
        let id = last.headers.get(async_nats::header::NATS_MESSAGE_ID).map(HeaderValue::as_str);
        let sequence = id.and_then(|id| id.rsplit_once('/')?.1.parse().ok());
        if sequence.is_none() {
            error!(subject = %self.subject(source), "a message is not ours; telling all again");
        }
        Ok(sequence.unwrap_or(0))
    }

    async fn tell(&self, events: &[CloudEvent]) -> Result<u64, NotTold> {
        let Some(last) = events.last() else { return Ok(0) };
        let batch = serde_json::to_vec(events).map_err(|cause| NotTold::Nats(cause.into()))?;
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, last.id.as_str());
        headers.insert("Content-Type", BATCH_MEDIA_TYPE);
        let subject = self.subject(last.source);
        let kept = self.jetstream.publish_with_headers(subject, headers, batch.into()).await;
        let kept = kept.map_err(nats)?.await.map_err(nats)?;
        // Taken for something that came before: it is there, or was there and is lost.
        if kept.duplicate && self.heard(last.source).await? < last.sequence {
            return Err(NotTold::Nats("NATS has lost it and does not take it again yet".into()));
        }
        Ok(last.sequence)
    }
}

/// What became of a message.
enum Heard {
    All,
    NotAll,
    /// What came before is missing here: the listener has lost its data, or an older copy of it.
    Gap,
}

async fn hear<M: Hears>(hearing: &Hearing<M>, subject: &str, payload: &[u8]) -> Heard {
    let batch: Vec<CloudEvent> = match serde_json::from_slice(payload) {
        Ok(batch) => batch,
        Err(cause) => {
            error!(%cause, subject, "a message is no batch of events; left out");
            return Heard::All;
        }
    };
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Heard::All };
    if batch.iter().any(|event| event.source != first.source) {
        error!(subject, "a message mixes sources; left out");
        return Heard::All;
    }
    match hearing.hear(&batch).await {
        Ok(heard) if heard >= last.sequence => Heard::All,
        Ok(heard) if heard + 1 < first.sequence => Heard::Gap,
        Ok(_) => Heard::NotAll,
        Err(why) => {
            warn!("{why}; it is heard again later");
            Heard::NotAll
        }
    }
}

fn nats(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NotTold {
    NotTold::Nats(cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_name_the_stream() {
        let url: NatsUrl = "nats://user:secret@nats:4222/town-2".parse().unwrap();
        assert_eq!(format!("{url:?}"), "NATS at nats://nats:4222, stream town-2");
        let secret = Some(("user".to_owned(), Some("se@cret".to_owned())));
        let url: NatsUrl = "nats://user:se@cret@nats:4222".parse().unwrap();
        assert_eq!((url.server.as_str(), url.secret), ("nats://nats:4222", secret));
        let url: NatsUrl = "nats://127.0.0.1:4222".parse().unwrap();
        assert_eq!(url.stream, STREAM);
        for wrong in ["", "nats://", "http://nats:4222", "nats://nats:4222/a.b", "nats://nats/*"] {
            assert_eq!(wrong.parse::<NatsUrl>(), Err(NotANatsUrl), "{wrong}");
        }
    }
}
