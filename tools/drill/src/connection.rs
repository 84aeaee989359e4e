//! One HTTP/1.1 connection of a load, cheap enough to share two cores with the server that it measures.
//!
//! A request costs two system calls, one write and one read, and two clock reads. A general client
//! (hyper, reqwest) adds a task, channels and header maps per request; that is several times the cost
//! of the server's own work for a small response, and the figures would be about the client.
//!
//! It reads what HTTP/1.1 servers send to such requests: one head, then a body with Content-Length or
//! in chunks without trailers. Anything else is [`RequestError::Malformed`].

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use self::{
    deadline::Deadline,
    head::{Body, Head},
};
use crate::{
    http::connect,
    request::{Prepared, Reconnect, Request},
    response::{RESPONSE_BYTES_MAX, RESPONSE_TIMEOUT, RequestError, Response},
    target::Target,
};

mod chunked;
mod deadline;
mod head;

/// The buffer of a read: one system call for every ordinary response.
const READ_BYTES: usize = 16 * 1024;

/// A connection that is kept while both sides want that, and reopened otherwise.
#[derive(Debug)]
pub struct HttpConnection {
    target: Target,
    /// None until the first request and whenever the last exchange did not leave it usable.
    stream: Option<TcpStream>,
    deadline: Deadline,
    /// The bytes of the current response, as received.
    received: Vec<u8>,
    response: Response,
}

impl HttpConnection {
    /// Connects with the first request, not here. Its timer needs a tokio runtime.
    pub fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            stream: None,
            deadline: Deadline::new(Instant::now(), RESPONSE_TIMEOUT),
            received: Vec::new(),
            response: Response::default(),
        }
    }

    /// The same with a shorter limit than [`RESPONSE_TIMEOUT`].
    #[must_use]
    pub fn response_timeout(self, within: Duration) -> Self {
        Self { deadline: Deadline::new(Instant::now(), within.min(RESPONSE_TIMEOUT)), ..self }
    }

    /// Sends a request and keeps the connection for the next one.
    pub async fn send(&mut self, request: &Request) -> Result<Response, RequestError> {
        let prepared = request.prepare(&self.target, Reconnect::Never);
        self.exchange(&prepared).await.cloned()
    }

    /// Sends a request whose bytes are ready; the response lives in a buffer that the next one reuses.
    ///
    /// It is sent once: after an error the next call opens a new connection, but nothing is
    /// repeated.
    pub async fn exchange(&mut self, request: &Prepared) -> Result<&Response, RequestError> {
        let began = Instant::now();
        self.deadline.restart(began);
        // Taken out, so that an error or a dropped future closes it.
        let (mut stream, connecting) = match self.stream.take() {
            Some(kept) => (kept, Duration::ZERO),
            None => (self.connect().await?, began.elapsed()),
        };
        match self.deadline.within(stream.write_all(&request.bytes)).await? {
            Ok(()) => {}
            // A server may refuse a large body before it has read all of it: its response, if there is
            // one, is still in the socket, and reading fails if there is none.
            Err(error) if is_closed(&error) => {}
            Err(error) => return Err(RequestError::Socket(error)),
        }
        let is_kept = self.receive(&mut stream).await?;
        self.response.took = began.elapsed();
        self.response.connecting = connecting;
        if is_kept && request.reconnect == Reconnect::Never {
            self.stream = Some(stream);
        }
        Ok(&self.response)
    }

    async fn connect(&mut self) -> Result<TcpStream, RequestError> {
        let connected = self.deadline.within(connect(&self.target)).await;
        connected.unwrap_or_else(|_| {
            let source = io::ErrorKind::TimedOut.into();
            Err(RequestError::Connect { target: self.target.clone(), source })
        })
    }

    /// Reads one response into `self.response`; whether the server keeps the connection.
    async fn receive(&mut self, stream: &mut TcpStream) -> Result<bool, RequestError> {
        self.received.clear();
        self.response.body.clear();
        let head = loop {
            match Head::parse(&self.received)? {
                Some(head) => break head,
                None => self.read_more(stream).await?,
            }
        };
        let end = match head.body {
            Body::Length(length) => self.receive_length(stream, head.length, length).await?,
            Body::Chunked => self.receive_chunks(stream, head.length).await?,
        };
        if self.received.len() > end {
            return Err(RequestError::Malformed("bytes after its end"));
        }
        self.response.status = head.status;
        self.response.retry_after_seconds = head.retry_after_seconds;
        Ok(head.is_kept)
    }

    async fn receive_length(
        &mut self,
        stream: &mut TcpStream,
        body_at: usize,
        length: usize,
    ) -> Result<usize, RequestError> {
        let end = body_at.saturating_add(length);
        if end > RESPONSE_BYTES_MAX {
            return Err(RequestError::TooLarge);
        }
        while self.received.len() < end {
            self.read_more(stream).await?;
        }
        self.response.body.extend_from_slice(&self.received[body_at..end]);
        Ok(end)
    }

    async fn receive_chunks(
        &mut self,
        stream: &mut TcpStream,
        mut at: usize,
    ) -> Result<usize, RequestError> {
        loop {
            let Some(chunk) = chunked::parse(&self.received[at..])? else {
                self.read_more(stream).await?;
                continue;
            };
            self.response.body.extend_from_slice(&self.received[at..][chunk.data.clone()]);
            at += chunk.length;
            if chunk.data.is_empty() {
                return Ok(at);
            }
        }
    }

    /// Reads at least one byte: the response is not complete yet.
    async fn read_more(&mut self, stream: &mut TcpStream) -> Result<(), RequestError> {
        self.received.reserve(READ_BYTES);
        match self.deadline.within(stream.read_buf(&mut self.received)).await? {
            Ok(1..) if self.received.len() > RESPONSE_BYTES_MAX => Err(RequestError::TooLarge),
            Ok(1..) => Ok(()),
            Err(error) if !is_closed(&error) => Err(RequestError::Socket(error)),
            Ok(0) | Err(_) if self.received.is_empty() => Err(RequestError::Closed),
            Ok(0) | Err(_) => Err(RequestError::CutShort),
        }
    }
}

/// Whether the other side has closed the connection, in order or by a reset.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}
