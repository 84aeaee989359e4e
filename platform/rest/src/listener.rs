//! Accepting connections, and answering every request within its deadline.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{info, warn};

use crate::{
    connections::{Connection, Connections},
    counted_stream::CountedStream,
    forwarded::TrustedProxies,
    ingress::{CountItems, Ingress, IngressConfig},
    problem::Problem,
    request_head,
    runtime::Runtime,
    sockets,
};

/// Open connections of one listener at most; for a further one, another that waits for its client is
/// closed. Fewer if the system allows this process fewer open files.
pub const CONNECTIONS_MAX: usize = 10_000;

/// Keep-alive ends once this share of the connection slots is in use (1/2): a client learns from a
/// response that its connection ends, before it is closed because another needs the slot.
const KEEP_ALIVE_SHARE: usize = 2;

/// The share of the open files that one listener may use (1/8): services share a process, and stores
/// and clients need files too.
const OPEN_FILES_SHARE: u64 = 8;

/// How long a connection may stay idle, and how long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest head of a request of a client: cookies and all, as most servers and proxies allow.
const CLIENT_HEAD_MAX: usize = 16 * 1024;

/// The largest head of a request between services: that of a client and what the gateway adds.
const HEAD_MAX: usize = 64 * 1024;

/// How long open connections may still begin a request after draining has begun: what a client has just
/// sent, over a slow network or from a busy machine, is answered, with the request to close.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a refusal waits: a client that repeats wrong requests as fast as they are answered must not
/// take the time of others. "Sold out" (409) is no such refusal.
const REFUSAL_PAUSE: Duration = Duration::from_millis(10);

/// What a client gets whose connection is closed while its request arrives.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\n\
    retry-after: 2\r\n\
    connection: close\r\n\
    content-length: 144\r\n\
    \r\n\
    {\"type\":\"urn:anticorona:retry-later\",\"title\":\"Please retry later\",\"status\":503,\
    \"detail\":\"too many requests are arriving, and this one was late\"}";

/// Pause after accepting failed (no file handles left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}; --port-offset N moves every port by N")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// The bound sockets of one address, one per core.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<StdListener>,
    address: SocketAddr,
    connections_max: usize,
    trusted_proxies: Option<TrustedProxies>,
    count_items: CountItems,
}

impl Listener {
    /// Binds the address. Fails if another process listens there.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = sockets::bind(address);
        let (sockets, address) = bound.map_err(|source| ListenError { address, source })?;
        Ok(Self {
            sockets,
            address,
            connections_max: connections_max(),
            trusted_proxies: None,
            count_items: |_, _, _| 1,
        })
    }

    /// The bound address (for port 0, with the port that the system chose).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lowers the limit of open connections; at least one per core, since each has an accept loop.
    #[must_use]
    pub fn with_connections_max(self, max: usize) -> Self {
        let connections_max = max.max(self.sockets.len()).min(self.connections_max);
        Self { connections_max, ..self }
    }

    /// Its callers are clients, not services: it does not believe the time that they have left, and only these
    /// proxies what they say of their clients.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { trusted_proxies: Some(proxies), ..self }
    }

    /// Admits requests by the items in their bodies; without this, each counts as one.
    #[must_use]
    pub fn counting_items(self, count_items: CountItems) -> Self {
        Self { count_items, ..self }
    }

    /// Answers requests until the service stops; returns after the last response.
    ///
    /// A request that is not answered within `request_timeout` gets a 503 with `Retry-After`.
    pub async fn serve(
        self,
        service: &'static str,
        router: Router,
        request_timeout: Duration,
        runtime: &Runtime,
    ) -> io::Result<()> {
        info!("{service} listens on http://{}", self.address);
        let router = match &runtime.faults {
            Some(faults) => router.merge(faults.router(service)),
            None => router,
        };
        let router = router.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
        let router = runtime.tracer.record_routes(router);
        let router = with_trailing_slash(router);
        let (is_edge, count_items) = (self.trusted_proxies.is_some(), self.count_items);
        let config = IngressConfig { request_timeout, is_edge, count_items };
        let ingress = Ingress::new(router, config).map_err(io::Error::other)?;
        runtime.breakers.set_admission(ingress.admission());
        let server = Arc::new(Server {
            ingress,
            runtime: runtime.clone(),
            request_timeout,
            connections: Connections::new(self.connections_max),
            keep_alive_max: self.connections_max / KEEP_ALIVE_SHARE,
            head_max: if is_edge { CLIENT_HEAD_MAX } else { HEAD_MAX },
            trusted_proxies: self.trusted_proxies,
            tasks: TaskTracker::new(),
        });
        for socket in self.sockets {
            let listener = TcpListener::from_std(socket)?;
            server.tasks.spawn(Arc::clone(&server).accept(listener));
        }
        runtime.stop.cancelled().await;
        server.tasks.close();
        server.tasks.wait().await;
        Ok(())
    }
}

/// [`CONNECTIONS_MAX`], or this listener's share of the files that this process may open.
fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / OPEN_FILES_SHARE;
    usize::try_from(files).unwrap_or(usize::MAX).clamp(1, CONNECTIONS_MAX)
}

struct Server {
    ingress: Ingress,
    runtime: Runtime,
    request_timeout: Duration,
    connections: Arc<Connections>,
    /// With more open connections than this, each is closed after its response.
    keep_alive_max: usize,
    head_max: usize,
    /// None behind the edge, where callers are services.
    trusted_proxies: Option<TrustedProxies>,
    tasks: TaskTracker,
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut is_failing = false;
        while let Some(accepted) = self.runtime.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, client)) => {
                    is_failing = false;
                    self.start(stream, client.ip()).await;
                }
                Err(cause) => {
                    if !is_failing {
                        warn!(%cause, "cannot accept connections, retrying");
                    }
                    is_failing = true;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        self.accept_queued(listener).await;
    }

    /// Accepts the connections in the kernel's queue: closing the socket would reset them.
    async fn accept_queued(self: Arc<Self>, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, client)) = listener.accept() {
            if let Ok(stream) = from_std(stream) {
                self.start(stream, client.ip()).await;
            }
        }
    }

    async fn start(self: &Arc<Self>, stream: TcpStream, client: IpAddr) {
        let connection = self.connections.open(client).await;
        let server = Arc::clone(self);
        self.tasks.spawn(async move { server.connection(stream, client, &connection).await });
    }

    async fn connection(&self, stream: TcpStream, client: IpAddr, connection: &Connection) {
        drop(stream.set_nodelay(true)); // Without it, responses are only slower.
        let Runtime { stop, metrics, tracer, .. } = &self.runtime;
        let http = metrics.http();
        let _open = http.connection();
        let is_draining = AtomicBool::new(false);
        let answer = async |mut request| {
            if let Err(problem) = request_head::normalize(&mut request) {
                return problem.into_response();
            }
            if let Some(proxies) = &self.trusted_proxies {
                proxies.receive(request.headers_mut(), client);
            }
            tracer.serve(request, |it| self.answer(it, connection)).await
        };
        let service = service_fn(async |request| {
            let mut response = http.observe(request, answer).await;
            connection.response_ready();
            if response.status().is_client_error() && response.status() != StatusCode::CONFLICT {
                sleep(REFUSAL_PAUSE).await;
            }
            if is_draining.load(Ordering::Relaxed) || http.connections_open() > self.keep_alive_max
            {
                // Without it, the client's next request could meet a connection that is being closed.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        });
        let mut serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(self.head_max)
            .serve_connection(TokioIo::new(CountedStream { stream, connection }), service);
        let draining = async {
            stop.cancelled().await;
            is_draining.store(true, Ordering::Relaxed);
            sleep(LAST_REQUEST_TIMEOUT).await;
        };
        // Errors are caused by the client (reset, malformed HTTP, timeout) and need no action.
        select! {
            ended = &mut serving => drop(ended),
            is_arriving = connection.evicted() => if is_arriving {
                let stream = serving.into_parts().io.into_inner().stream;
                drop(stream.try_write(REFUSAL));
            },
            () = draining => {
                Pin::new(&mut serving).graceful_shutdown();
                // A request of which only half has arrived by then is not waited for any longer.
                drop(timeout(self.request_timeout, serving).await);
            }
        }
    }

    /// Faults are injected outermost: a request that fails on purpose must not be rejected or timed
    /// out by the guards.
    async fn answer(&self, request: Request<Incoming>, from: &Connection) -> Response<Body> {
        let answer = |request| self.ingress.answer(request, || from.request_arrived());
        let Some(faults) = &self.runtime.faults else { return answer(request).await };
        let path = request.uri().path().to_owned();
        faults.apply(&path, &self.runtime.stop, answer(request)).await
    }
}

fn from_std(stream: StdStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// A path with a slash at its end is the path without it, unless it has a route of its own.
fn with_trailing_slash(router: Router) -> Router {
    let exact = router.clone();
    router.fallback(async move |mut request: Request| match without_trailing_slash(request.uri()) {
        Some(uri) => {
            *request.uri_mut() = uri;
            exact.oneshot(request).await.into_response()
        }
        None => not_found(request).await.into_response(),
    })
}

fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path =
        uri.path().strip_suffix('/').filter(|path| !path.is_empty() && !path.ends_with('/'))?;
    match uri.query() {
        Some(query) => format!("{path}?{query}").parse().ok(),
        None => path.parse().ok(),
    }
}

async fn not_found(request: Request) -> Problem {
    Problem::not_found(format!("nothing at {}", request.uri().path()))
}

/// `OPTIONS` asks what is allowed; axum adds `Allow` to both responses.
async fn method_not_allowed(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "urn:anticorona:method-not-allowed",
        "This address does not take this method",
    )
    .detail(format!("{} is not possible here; see the Allow header", request.method()))
    .into_response()
}
