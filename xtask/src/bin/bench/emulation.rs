//! Other ways to protect bookings from too many requests, to measure ours beside. They are written
//! here from published descriptions and are not those products.
//!
//! Each is a server like ours (the same HTTP library, allocator and kind of runtime) that asks the
//! same vaccine for a dose, once per booking, over kept connections. It keeps no bookings and tells
//! nobody, so it has less to do than ours. As in servers with a thread for each request, who has
//! gone is served all the same.

mod breaker;
mod front;

use std::{fmt, net::Ipv4Addr, sync::Arc};

use clap::{Args, ValueEnum};
use drill::Broken;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpSocket, TcpStream};

use self::front::Front;

/// The port, before the offset.
pub(crate) const PORT: u16 = 8091;

/// Connections that the kernel keeps until they are accepted; as many as our listeners ask for.
const BACKLOG_MAX: u32 = 4_096;

/// What `emulate` takes.
#[derive(Args)]
pub(crate) struct Options {
    policy: Policy,
    /// host:port of vaccine
    #[arg(long)]
    vaccine: String,
    #[arg(long)]
    port_offset: u16,
}

/// How it is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// Not at all: a queue without limit, and no deadline for what waits in it
    Unprotected,
    /// So many at a time, everybody else is refused
    Bulkhead,
    /// A circuit breaker alone, around the queue and the call
    Breaker,
}

/// As it is given on the command line.
impl fmt::Display for Policy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unprotected => "unprotected",
            Self::Bulkhead => "bulkhead",
            Self::Breaker => "breaker",
        })
    }
}

/// Serves until it is killed.
pub(crate) fn run(options: &Options) -> Result<(), Broken> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &Options) -> Result<(), Broken> {
    let front = Arc::new(Front::new(options.policy, &options.vaccine)?);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, PORT + options.port_offset).into())?;
    let listener = socket.listen(BACKLOG_MAX)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        detach(connection(stream, Arc::clone(&front)));
    }
}

async fn connection(stream: TcpStream, front: Arc<Front>) {
    let service = service_fn(move |request| answer(Arc::clone(&front), request));
    // A client that breaks off is nothing to speak of.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// The part of a booking request that matters here.
#[derive(Deserialize)]
struct Wish {
    #[serde(rename = "vaccineId")]
    vaccine: i64,
}

async fn answer(
    front: Arc<Front>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if (request.method(), request.uri().path()) != (&Method::POST, "/bookings") {
        return Ok(said(StatusCode::NOT_FOUND));
    }
    let body = request.into_body().collect().await?.to_bytes();
    let Ok(wish) = serde_json::from_slice::<Wish>(&body) else {
        return Ok(said(StatusCode::BAD_REQUEST));
    };
    let booking = detach(async move { front.book(wish.vaccine).await });
    Ok(said(booking.await.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)))
}

/// About as long as our answers.
fn said(status: StatusCode) -> Response<Full<Bytes>> {
    const BOOKED: &str = "{\"bookingId\":123456,\"vaccineId\":1,\"vcName\":\"FIZER\",\"userId\":5,\
        \"status\":\"BOOKED\",\"_links\":{\"self\":{\"href\":\
        \"http://127.0.0.1:8082/bookings/123456\"}}}";
    let body = if status == StatusCode::CREATED { BOOKED } else { "{\"title\":\"not booked\"}" };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[expect(clippy::disallowed_methods, reason = "it ends with the process, which nobody drains")]
fn detach<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(work)
}
