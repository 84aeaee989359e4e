//! One HTTP/1.1 connection, cheap enough to share two cores with the server that it measures.
//!
//! What a request costs here is two system calls, one write and one read, and two looks at the
//! clock. A general client (hyper, reqwest) adds a task, channels and header maps per request; that
//! is several times the cost of the server's own work for a small answer, and the figures would
//! be about the client.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use self::{
    deadline::Deadline,
    head::{Framing, Head},
    reply::Reply,
    request::{Prepared, Reconnect, Request},
    target::Target,
};

mod chunked;
mod deadline;
mod head;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod target;

/// How long an answer may take, from connecting to its last byte, unless
/// [`Connection::answered_within`] says otherwise; then [`Error::TimedOut`].
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes an answer may have, head and framing included; then [`Error::TooLarge`].
pub const REPLY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How much room a read gets: one system call for every ordinary answer.
const READ_BYTES: usize = 16 * 1024;

/// Why there is no complete answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there, or the machine has no port left.
    #[error("cannot connect to {target}")]
    Connect {
        /// Where the connection was to go.
        target: Target,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server may or may not have seen the request: whether to send it again is the caller's
    /// decision.
    #[error("the connection was closed before any byte of the answer")]
    Closed,
    /// The answer had begun.
    #[error("the connection was closed in the middle of the answer")]
    CutShort,
    /// See [`ANSWER_TIMEOUT`].
    #[error("no complete answer within {} s", within.as_secs_f64())]
    TimedOut {
        /// How long the answer might have taken.
        within: Duration,
    },
    /// See [`REPLY_BYTES_MAX`].
    #[error("the answer is larger than {REPLY_BYTES_MAX} bytes")]
    TooLarge,
    /// What came is not HTTP/1.1, or breaks its rules.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    /// The socket failed in another way.
    #[error("the socket failed")]
    Socket(#[source] io::Error),
}

/// Sends one request on a connection of its own.
pub async fn send(target: &Target, request: &Request) -> Result<Reply, Error> {
    let mut connection = Connection::new(target);
    connection.exchange(&request.prepare(target, Reconnect::EachRequest)).await?;
    Ok(connection.reply)
}

/// A connection that is kept while both sides want that, and opened again when they do not.
#[derive(Debug)]
pub struct Connection {
    target: Target,
    /// None until the first request and whenever the last exchange did not leave it usable.
    stream: Option<TcpStream>,
    deadline: Deadline,
    /// The bytes of the current answer, as they came.
    received: Vec<u8>,
    reply: Reply,
}

impl Connection {
    /// Opens nothing yet; the first request does. Its timer needs a tokio runtime around it.
    pub fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            stream: None,
            deadline: Deadline::new(Instant::now(), ANSWER_TIMEOUT),
            received: Vec::new(),
            reply: Reply::default(),
        }
    }

    /// The same, but it gives an answer up after `within` instead of [`ANSWER_TIMEOUT`].
    #[must_use]
    pub fn answered_within(self, within: Duration) -> Self {
        Self { deadline: Deadline::new(Instant::now(), within.min(ANSWER_TIMEOUT)), ..self }
    }

    /// Closes it if it is open; the next request opens it again.
    pub fn close(&mut self) {
        self.stream = None;
    }

    /// Sends a request and keeps the connection for the next one.
    pub async fn send(&mut self, request: &Request) -> Result<Reply, Error> {
        let prepared = request.prepare(&self.target, Reconnect::Never);
        self.exchange(&prepared).await.cloned()
    }

    /// Sends a request whose bytes are ready; the reply lives in a buffer that the next one reuses.
    ///
    /// It is sent once: after an error the next call opens a new connection, but nothing is
    /// repeated.
    pub async fn exchange(&mut self, prepared: &Prepared) -> Result<&Reply, Error> {
        let began = Instant::now();
        self.deadline.restart(began);
        // Taken out, so that an error or a dropped future closes it.
        let mut stream = match self.stream.take() {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        self.write(&mut stream, &prepared.bytes).await?;
        let server_wants = self.receive(&mut stream).await?;
        self.reply.took = began.elapsed();
        match (prepared.reconnect, server_wants) {
            (Reconnect::Never, Reconnect::Never) => self.stream = Some(stream),
            (Reconnect::EachRequest, _) | (_, Reconnect::EachRequest) => {}
        }
        Ok(&self.reply)
    }

    async fn connect(&mut self) -> Result<TcpStream, Error> {
        let connecting = TcpStream::connect(self.target.addresses());
        match self.deadline.within(connecting).await? {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Error::Socket)?;
                Ok(stream)
            }
            Err(source) => Err(Error::Connect { target: self.target.clone(), source }),
        }
    }

    async fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Error> {
        match self.deadline.within(stream.write_all(bytes)).await? {
            Ok(()) => Ok(()),
            // A server may refuse a large body before it has read it all: its answer, if there is
            // one, is still in the socket, and reading says so if there is none.
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(Error::Socket(error)),
        }
    }

    /// Reads one answer into `self.reply`; says what the server wants with the connection.
    async fn receive(&mut self, stream: &mut TcpStream) -> Result<Reconnect, Error> {
        self.received.clear();
        let (head, body_at) = self.receive_head(stream).await?;
        let end = match head.framing {
            Framing::Length(length) => self.receive_length(stream, body_at, length).await?,
            Framing::Chunked => self.receive_chunks(stream, body_at).await?,
            Framing::UntilClosed => self.receive_rest(stream, body_at).await?,
        };
        if self.received.len() > end {
            return Err(Error::Malformed("bytes after its end"));
        }
        self.reply.status = head.status;
        self.reply.retry_after_seconds = head.retry_after_seconds;
        Ok(head.reconnect)
    }

    /// The final head and where its body begins; interim answers (1xx) are passed over.
    async fn receive_head(&mut self, stream: &mut TcpStream) -> Result<(Head, usize), Error> {
        let mut at = 0;
        loop {
            match Head::parse(&self.received[at..])? {
                Some(head) if head.is_interim() => at += head.length,
                Some(head) => {
                    let body_at = at + head.length;
                    self.reply.head.clear();
                    self.reply.head.extend_from_slice(&self.received[at..body_at]);
                    self.reply.body.clear();
                    return Ok((head, body_at));
                }
                None => self.read_more(stream).await?,
            }
        }
    }

    async fn receive_length(
        &mut self,
        stream: &mut TcpStream,
        body_at: usize,
        length: usize,
    ) -> Result<usize, Error> {
        let end = body_at.saturating_add(length);
        if end > REPLY_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        while self.received.len() < end {
            self.read_more(stream).await?;
        }
        self.reply.body.extend_from_slice(&self.received[body_at..end]);
        Ok(end)
    }

    async fn receive_chunks(
        &mut self,
        stream: &mut TcpStream,
        body_at: usize,
    ) -> Result<usize, Error> {
        let mut at = body_at;
        loop {
            match chunked::parse(&self.received[at..])? {
                Some(chunked::Part::Chunk { data, length }) => {
                    self.reply.body.extend_from_slice(&self.received[at..][data]);
                    at += length;
                }
                Some(chunked::Part::End { length }) => return Ok(at + length),
                None => self.read_more(stream).await?,
            }
        }
    }

    async fn receive_rest(
        &mut self,
        stream: &mut TcpStream,
        body_at: usize,
    ) -> Result<usize, Error> {
        while self.read(stream).await? > 0 {}
        self.reply.body.extend_from_slice(&self.received[body_at..]);
        Ok(self.received.len())
    }

    /// Reads at least one byte: the answer is not complete yet.
    async fn read_more(&mut self, stream: &mut TcpStream) -> Result<(), Error> {
        match self.read(stream).await? {
            0 => Err(self.gone()),
            _ => Ok(()),
        }
    }

    async fn read(&mut self, stream: &mut TcpStream) -> Result<usize, Error> {
        self.received.reserve(READ_BYTES);
        let read = match self.deadline.within(stream.read_buf(&mut self.received)).await? {
            Ok(read) => read,
            Err(error) if is_gone(&error) => return Err(self.gone()),
            Err(error) => return Err(Error::Socket(error)),
        };
        if self.received.len() > REPLY_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        Ok(read)
    }

    fn gone(&self) -> Error {
        if self.received.is_empty() { Error::Closed } else { Error::CutShort }
    }
}

/// The other side has closed, politely or not.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}
