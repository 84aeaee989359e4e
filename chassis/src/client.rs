//! One part calling another: JSON over kept connections, every call with its time.

use std::{error::Error, str::FromStr, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, uri::Authority},
};
use http_body_util::{BodyExt, Limited};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::time::timeout;

/// The largest answer that is read.
const ANSWER_MAX: usize = 1024 * 1024;

/// How long a connection may take to come about. The other side is near or it is down.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How long an unused connection is kept; shorter than any part waits for the next request.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Where a part listens: `http://host:port`, nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Authority);

/// Not the address of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be http://host:port, with no path behind it")]
pub struct NotABaseUrl;

impl FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        let uri: Uri = text.parse().map_err(|_| NotABaseUrl)?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        match uri.into_parts().authority {
            Some(authority) if plain && !authority.as_str().contains('@') => Ok(Self(authority)),
            _ => Err(NotABaseUrl),
        }
    }
}

impl BaseUrl {
    /// The address of a path (with its query) on that part.
    pub fn join(&self, path_and_query: &str) -> Result<Uri, axum::http::Error> {
        Uri::builder()
            .scheme("http")
            .authority(self.0.clone())
            .path_and_query(path_and_query)
            .build()
    }
}

/// Why a call brought no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// It was never sent: nothing has happened over there.
    #[error("not reachable")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// It was sent, but the answer is missing or unreadable: it may or may not have happened.
    #[error("no answer")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
    /// It was answered, with another status than the one that means yes.
    #[error("answered {0}")]
    Status(StatusCode),
}

/// Connections to one other part. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    base: BaseUrl,
    pool: Pool<HttpConnector, Body>,
}

impl Client {
    /// A client of the part that listens there. Nothing is connected yet.
    pub fn new(base: BaseUrl) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        Self { base, pool }
    }

    /// Posts JSON and reads JSON, all within the given time.
    pub async fn post<T: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: &T,
        within: Duration,
    ) -> Result<R, CallError> {
        self.call(self.posting(path, media_type, body)?, StatusCode::OK, within).await
    }

    /// Posts JSON that makes something new (201) and reads it, all within the given time.
    pub async fn create<T: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &T,
        within: Duration,
    ) -> Result<R, CallError> {
        let request = self.posting(path, "application/json", body)?;
        self.call(request, StatusCode::CREATED, within).await
    }

    /// Gets JSON, all within the given time.
    pub async fn get<R: DeserializeOwned>(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<R, CallError> {
        let request = self.request(Method::GET, path, Body::empty()).map_err(unreachable)?;
        self.call(request, StatusCode::OK, within).await
    }

    /// Passes a request on as it is, and reads the whole answer; the address must come from
    /// [`Client::base`].
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Bytes>, CallError> {
        let (head, body) = match self.pool.request(request).await {
            Ok(response) => response.into_parts(),
            Err(error) if error.is_connect() => return Err(CallError::Unreachable(error.into())),
            Err(error) => return Err(CallError::Unanswered(error.into())),
        };
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(CallError::Unanswered)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// Whom it calls.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Request<Body>, axum::http::Error> {
        Request::builder().method(method).uri(self.base.join(path)?).body(body)
    }

    fn posting<T: Serialize>(
        &self,
        path: &str,
        media_type: &'static str,
        body: &T,
    ) -> Result<Request<Body>, CallError> {
        let body = serde_json::to_vec(body).map_err(unreachable)?;
        let request = self.request(Method::POST, path, Body::from(body));
        let mut request = request.map_err(unreachable)?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        Ok(request)
    }

    async fn call<R: DeserializeOwned>(
        &self,
        request: Request<Body>,
        expected: StatusCode,
        within: Duration,
    ) -> Result<R, CallError> {
        match timeout(within, self.exchange(request, expected)).await {
            Ok(answer) => serde_json::from_slice(&answer?).map_err(unanswered),
            Err(elapsed) => Err(unanswered(elapsed)),
        }
    }

    async fn exchange(
        &self,
        request: Request<Body>,
        expected: StatusCode,
    ) -> Result<Bytes, CallError> {
        let response = self.send(request).await?;
        if response.status() != expected {
            return Err(CallError::Status(response.status()));
        }
        Ok(response.into_body())
    }
}

fn unreachable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> CallError {
    CallError::Unreachable(cause.into())
}

fn unanswered(cause: impl Into<Box<dyn Error + Send + Sync>>) -> CallError {
    CallError::Unanswered(cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_a_host_and_a_port() {
        assert!("http://127.0.0.1:8081".parse::<BaseUrl>().is_ok());
        assert!("http://vaccine:8081/".parse::<BaseUrl>().is_ok());
        for wrong in
            ["vaccine:8081", "https://vaccine", "http://vaccine/x", "http://u:p@vaccine", ""]
        {
            assert_eq!(wrong.parse::<BaseUrl>(), Err(NotABaseUrl), "{wrong}");
        }
    }
}
