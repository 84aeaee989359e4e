//! Accepting connections, and answering every request within its time.
//!
//! Accepting has its own loops, one socket per core, because clients that reconnect for every
//! request make accepting the bottleneck, and a single accept loop uses a single core.
//! The kernel spreads new connections over the sockets (`SO_REUSEPORT`).

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    pin, select,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    fault::Faults, ingress::Ingress, metrics::http::Http, problem::Problem, process::Process,
    trace::Tracer,
};

pub use crate::ingress::Due;

/// Connections of one listener at the same time; further ones wait in the kernel's queue.
/// Fewer where the system allows this process fewer open files.
pub const CONNECTIONS_MAX: usize = 10_000;

/// Once more than this part of its places is taken, a listener keeps no connection after an answer:
/// those who have one and are silent must not leave others in the kernel's queue.
const KEPT_SHARE: usize = 2;

/// One listener may use up this part of the open files: several share a process, and stores and
/// calls to neighbours need some too.
const FILES_SHARE: u64 = 8;

/// How long a client may leave unread what it asked for.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// Connections that the kernel keeps for us until they are accepted, per socket.
const BACKLOG_MAX: i32 = 4_096;

/// How long a connection may stay silent, and how long a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// The largest head of a request.
const HEAD_MAX: usize = 64 * 1024;

/// How long open connections may still send a request after draining has begun: who connected
/// just before must not be sent away unheard.
const LAST_REQUESTS_WITHIN: Duration = Duration::from_millis(100);

/// How often a socket is bound before the address counts as taken.
const BIND_TRIES: u32 = 10;

/// Pause between two tries.
const BIND_PAUSE: Duration = Duration::from_millis(1);

/// Pause after the system could not accept (no file handles left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}; --port-offset N moves every port by N")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Sockets that listen, one per core, on one address.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<StdListener>,
    address: SocketAddr,
    places: usize,
}

impl Listener {
    /// Listens. Fails when another process listens there already.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        Self::bind_all(address).map_err(|source| ListenError { address, source })
    }

    fn bind_all(address: SocketAddr) -> io::Result<Self> {
        // With SO_REUSEPORT two processes could share a port without noticing, and each would
        // answer half of the requests. So one socket listens for itself alone first: of two
        // processes only one can. Then it lets its siblings in, who do the work, and goes.
        let guard = insisting(|| {
            let guard = socket(address)?;
            guard.bind(&address.into())?;
            guard.listen(1)?;
            Ok(guard)
        })?;
        guard.set_reuse_port(true)?;
        let address = guard.local_addr()?.as_socket().unwrap_or(address);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let sibling = |_| {
            let sibling = socket(address)?;
            sibling.set_reuse_port(true)?;
            // Connections inherit it; without it, who never reads keeps its connection for ever.
            sibling.set_tcp_user_timeout(Some(READ_WITHIN))?;
            insisting(|| sibling.bind(&address.into()))?;
            sibling.listen(BACKLOG_MAX)?;
            Ok(sibling.into())
        };
        let sockets = (0..cores).map(sibling).collect::<io::Result<_>>()?;
        Ok(Self { sockets, address, places: connections_max() })
    }

    /// Where it listens (with port 0, the port that the system chose).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Keeps at most so many connections open, and not as many as the system would let it; one for
    /// each core all the same, since each accepts.
    #[must_use]
    pub fn at_most(self, places: usize) -> Self {
        Self { places: places.max(self.sockets.len()).min(self.places), ..self }
    }

    /// Answers requests until the process stops; returns when the last answer is out.
    ///
    /// A request that is not answered within `answer_within` gets 503 with `Retry-After`.
    pub async fn serve(
        self,
        part: &'static str,
        router: Router,
        answer_within: Duration,
        process: &Process,
    ) -> io::Result<()> {
        info!("{part} listens on http://{}", self.address);
        let router = match process.faults() {
            Some(faults) => router.merge(faults.router(part)),
            None => router,
        };
        let router = router.fallback(nothing_here).method_not_allowed_fallback(wrong_method);
        let router = process.tracer().naming_routes(router);
        let ingress = Ingress::new(router, answer_within);
        let ingress = ingress.map_err(io::Error::other)?;
        process.isolation().set_admission(ingress.admission());
        let server = Arc::new(Server {
            ingress,
            faults: process.faults().cloned(),
            part,
            tracer: process.tracer().clone(),
            answer_within,
            connections: Arc::new(Semaphore::new(self.places)),
            places: self.places,
            process: Process::new(process.stop_token()),
            http: process.metrics().http().clone(),
        });
        for socket in self.sockets {
            let listener = TcpListener::from_std(socket)?;
            server.process.spawn(Arc::clone(&server).accept(listener));
        }
        process.stopping().await;
        server.process.finish().await;
        Ok(())
    }
}

/// [`CONNECTIONS_MAX`], or what one listener may have of the files that this process may open.
fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / FILES_SHARE;
    usize::try_from(files).unwrap_or(usize::MAX).clamp(1, CONNECTIONS_MAX)
}

/// Tries again where an address is in use: of two processes that want it at the same moment, the
/// system may refuse both, and who is about to learn that it cannot have it is still in the way.
fn insisting<T>(mut bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tries = 1;
    loop {
        match bind() {
            Err(cause) if cause.kind() == ErrorKind::AddrInUse && tries < BIND_TRIES => {
                tries += 1;
                thread::sleep(BIND_PAUSE);
            }
            bound => return bound,
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

struct Server {
    part: &'static str,
    tracer: Tracer,
    ingress: Ingress,
    faults: Option<Faults>,
    answer_within: Duration,
    connections: Arc<Semaphore>,
    places: usize,
    process: Process,
    http: Http,
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut failing = false;
        while let Some(permit) = self.permit().await {
            select! {
                biased;
                () = self.process.stopping() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        failing = false;
                        self.start(stream, permit);
                    }
                    Err(cause) => {
                        if !failing {
                            warn!(%cause, "cannot accept connections; trying again and again");
                        }
                        failing = true;
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        self.accept_rest(listener).await;
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        select! {
            biased;
            () = self.process.stopping() => None,
            permit = Arc::clone(&self.connections).acquire_owned() => permit.ok(),
        }
    }

    /// Whoever the kernel has let in already is still served: closing the socket would reset them.
    async fn accept_rest(self: Arc<Self>, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, _)) = listener.accept() {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
            if let Ok(stream) = from_std(stream) {
                self.start(stream, permit);
            }
        }
    }

    fn start(self: &Arc<Self>, stream: TcpStream, permit: OwnedSemaphorePermit) {
        let server = Arc::clone(self);
        self.process.spawn(async move {
            server.connection(stream).await;
            drop(permit);
        });
    }

    fn is_crowded(&self) -> bool {
        self.http.connections_open() > self.places / KEPT_SHARE
    }

    async fn connection(&self, stream: TcpStream) {
        drop(stream.set_nodelay(true)); // Only slower without.
        let _open = self.http.connection();
        let is_last = AtomicBool::new(false);
        let answer = |request| self.tracer.serve(self.part, request, |it| self.answer(it));
        let service = service_fn(async |request| {
            let mut answered = self.http.observe(request, answer).await;
            if is_last.load(Ordering::Relaxed) || self.is_crowded() {
                // Told, a client sends its next request elsewhere, and not into a connection that is
                // being closed.
                answered
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answered)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service);
        pin!(connection);
        let stopping = async {
            self.process.stopping().await;
            is_last.store(true, Ordering::Relaxed);
            sleep(LAST_REQUESTS_WITHIN).await;
        };
        // Errors here are the client's doing (reset, nonsense, silence); nobody needs to act.
        select! {
            ended = connection.as_mut() => drop(ended),
            () = stopping => {
                connection.as_mut().graceful_shutdown();
                // Whoever has sent only half a request by then is not waited for any longer.
                drop(timeout(self.answer_within, connection).await);
            }
        }
    }
}

impl Server {
    /// Faults on purpose come first: what follows must not refuse or end a request that fails.
    async fn answer(&self, request: hyper::Request<Incoming>) -> Response {
        let Some(faults) = &self.faults else { return self.ingress.answer(request).await };
        let path = request.uri().path().to_owned();
        faults.around(&path, &self.process, self.ingress.answer(request)).await
    }
}

fn from_std(stream: StdStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

async fn nothing_here(request: Request) -> Problem {
    Problem::not_found(format!("nothing at {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "urn:anticorona:method-not-allowed",
        "This address does not take this method",
    )
    .detail(format!("{} is not possible here; see the Allow header", request.method()))
}
