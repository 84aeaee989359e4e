//! Single requests, by hyper: setup, probes, faults, ledgers. Loads have a [`crate::HttpConnection`].

use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    request::Request,
    response::{RESPONSE_BYTES_MAX, RESPONSE_TIMEOUT, RequestError, Response},
    target::Target,
};

/// Sends one request on a connection of its own, to the addresses that were checked when the target was
/// parsed.
pub async fn send(target: &Target, request: &Request) -> Result<Response, RequestError> {
    let within = RESPONSE_TIMEOUT;
    let began = Instant::now();
    let response = timeout(within, exchange(target, request)).await;
    let response = response.unwrap_or(Err(RequestError::TimedOut { within }))?;
    Ok(Response { took: began.elapsed(), ..response })
}

async fn exchange(target: &Target, request: &Request) -> Result<Response, RequestError> {
    let mut outgoing = hyper::Request::builder()
        .method(&request.method)
        .uri(&request.path)
        .header(header::HOST, target.authority());
    for (name, value) in &request.headers {
        outgoing = outgoing.header(name, value);
    }
    let outgoing = outgoing
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(request.body.clone())))
        .map_err(RequestError::Request)?;
    let stream = TokioIo::new(connect(target).await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(RequestError::Http)?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(outgoing).await.map_err(RequestError::Http)?;
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, RESPONSE_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => {
            return Err(error
                .downcast()
                .map_or(RequestError::TooLarge, |error| RequestError::Http(*error)));
        }
    };
    let retry_after = head.headers.get(header::RETRY_AFTER);
    let retry_after_seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let status = head.status.as_u16();
    Ok(Response { status, retry_after_seconds, body, headers: head.headers, ..Response::default() })
}

pub(crate) async fn connect(target: &Target) -> Result<TcpStream, RequestError> {
    let failed = |source| RequestError::Connect { target: target.clone(), source };
    let stream = TcpStream::connect(target.addresses()).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(RequestError::Socket)?;
    Ok(stream)
}
