//! Exporting spans to an OpenTelemetry collector, without ever delaying a request.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::{runtime::Handle, time::timeout};
use tokio_rustls::rustls::crypto::ring;
use tracing::{debug, info, warn};

use super::{
    Recorder, Tracer,
    queue::{SpanCounts, SpanQueue},
    settings::TraceSettings,
};
use crate::error::error_chain;

/// The time limit of one request to the collector.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// No retry starts after this time; the batch is dropped.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit of the last exports: less than the time that a process has to drain.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest response of a collector.
const RESPONSE_MAX: usize = 64 * 1024;

/// The exporter of this process, once installed.
static OF_PROCESS: OnceLock<Exporter> = OnceLock::new();

/// The tracer of a service of this process; it makes no spans if no exporter is installed.
pub fn tracer(service: &'static str) -> Tracer {
    OF_PROCESS.get().map_or_else(Tracer::default, |exporter| exporter.tracer(service))
}

/// No collector can be verified over https.
#[derive(Debug, Error)]
#[error("no certificate authority is trusted, so none for {endpoint}; set SSL_CERT_FILE")]
pub struct NoAuthority {
    endpoint: Uri,
    #[source]
    cause: io::Error,
}

/// Exports the spans of all services of a process.
#[derive(Debug)]
pub struct Exporter {
    settings: TraceSettings,
    client: CollectorClient,
    services: Mutex<Vec<(&'static str, SdkTracerProvider)>>,
}

impl Exporter {
    /// To be called within the runtime that sends the requests to the collector.
    pub fn start(settings: TraceSettings) -> Result<Self, NoAuthority> {
        let client = CollectorClient::new(&settings.endpoint, settings.headers.clone())?;
        info!("spans are exported to {}", settings.endpoint);
        Ok(Self { settings, client, services: Mutex::default() })
    }

    /// Makes this the exporter of the process, for [`tracer`]. The first one stays.
    pub fn install(self) -> &'static Self {
        OF_PROCESS.get_or_init(|| self)
    }

    /// A tracer of a service, with a queue and an export thread of its own.
    pub fn tracer(&self, service: &'static str) -> Tracer {
        let TraceSettings { endpoint, attributes, sampler, .. } = &self.settings;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(self.client.clone())
            .with_endpoint(endpoint.to_string())
            .with_timeout(EXPORT_TIMEOUT)
            .build();
        let exporter = match exporter {
            Ok(exporter) => exporter,
            Err(error) => {
                warn!("no spans of {service} are exported: {error}");
                return Tracer::default();
            }
        };
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attributes(attributes.clone())
            .build();
        let counts = Arc::new(SpanCounts::default());
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler.clone())
            .with_resource(resource)
            .with_span_processor(SpanQueue::new(exporter, Arc::clone(&counts)))
            .build();
        let tracer = provider.tracer(service);
        self.services.lock().push((service, provider));
        Tracer(Some(Recorder { tracer, counts }))
    }

    /// Exports the queued spans of all services, for at most two seconds. Later spans are dropped.
    pub async fn shutdown(&self) {
        let services = self.services.lock().clone();
        // The provider blocks its caller while its own thread exports.
        let shutdowns = services.into_iter().map(async |(service, provider)| {
            let shutdown = move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
            if let Ok(Err(error)) = Handle::current().spawn_blocking(shutdown).await {
                warn!("the last spans of {service} were not exported: {error}");
            }
        });
        join_all(shutdowns).await;
    }
}

/// Sends requests from the runtime: the SDK calls it on the export threads, which have none.
#[derive(Clone, Debug)]
struct CollectorClient {
    client: SchemeClient,
    runtime: Handle,
    headers: HeaderMap,
    /// Whether the last request failed.
    is_failing: Arc<AtomicBool>,
}

/// A client for the scheme of the endpoint: certificates are loaded only for https.
#[derive(Clone, Debug)]
enum SchemeClient {
    Http(Client<HttpConnector, Full<Bytes>>),
    Https(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl CollectorClient {
    fn new(endpoint: &Uri, headers: HeaderMap) -> Result<Self, NoAuthority> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(ANSWER_TIMEOUT));
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        let client = if endpoint.scheme_str() == Some("https") {
            connector.enforce_http(false);
            let tls = HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(ring::default_provider())
                .map_err(|cause| NoAuthority { endpoint: endpoint.clone(), cause })?
                .https_only()
                .enable_http1();
            SchemeClient::Https(builder.build(tls.wrap_connector(connector)))
        } else {
            SchemeClient::Http(builder.build(connector))
        };
        Ok(Self { client, runtime: Handle::current(), headers, is_failing: Arc::default() })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = request.map(Full::new);
        let response = match self.client {
            SchemeClient::Http(client) => client.request(request),
            SchemeClient::Https(client) => client.request(request),
        };
        let (head, body) = response.await?.into_parts();
        let body = Limited::new(body, RESPONSE_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        request.headers_mut().extend(self.headers.clone());
        let client = self.clone();
        let sent = async { timeout(ANSWER_TIMEOUT, client.send(request)).await? };
        let response = self.runtime.spawn(sent).await.map_err(HttpError::from).flatten();
        // The SDK reduces any failure to "network error". The cause is logged once per outage.
        let was_failing = self.is_failing.swap(response.is_err(), Relaxed);
        response.inspect_err(|error| {
            let cause = error_chain(&**error);
            if was_failing {
                debug!("request to the OpenTelemetry collector failed: {cause}");
            } else {
                warn!("request to the OpenTelemetry collector failed: {cause}");
            }
        })
    }
}
