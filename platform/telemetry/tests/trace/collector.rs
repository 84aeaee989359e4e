//! An OpenTelemetry collector that keeps the spans that it accepts.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, status::StatusCode as Outcome},
};
use platform_telemetry::trace::{export::Exporter, settings::TraceSettings};
use prost::Message;
use servers::Identity;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// A span as the collector received it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExportedSpan {
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) kind: i32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) failed: bool,
    pub(crate) flags: u32,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl ExportedSpan {
    pub(crate) fn service(&self) -> &str {
        &self.resource["service.name"]
    }
}

pub(crate) struct Collector {
    pub(crate) settings: TraceSettings,
    received: Arc<Received>,
    _serving: JoinSet<io::Result<()>>,
}

#[derive(Default)]
struct Received {
    /// The statuses of the next responses; then 200.
    statuses: Mutex<Vec<StatusCode>>,
    heads: Mutex<Vec<HeaderMap>>,
    spans: Mutex<Vec<ExportedSpan>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::answering(vec![]).await
    }

    /// A collector whose first responses have these statuses.
    pub(crate) async fn answering(statuses: Vec<StatusCode>) -> Self {
        Self::listening(statuses, None).await
    }

    /// A collector at `https://localhost`.
    pub(crate) async fn over_tls(identity: &Identity) -> Self {
        Self::listening(vec![], Some(acceptor(identity))).await
    }

    async fn listening(statuses: Vec<StatusCode>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = if tls.is_some() { "https://localhost" } else { "http://127.0.0.1" };
        let endpoint = format!("{server}:{port}/v1/traces");
        let settings = TraceSettings::new(endpoint.parse().unwrap());
        let received = Arc::new(Received { statuses: Mutex::new(statuses), ..Received::default() });
        let mut serving = JoinSet::new();
        let accepting = Arc::clone(&received);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await?;
                let (received, tls) = (Arc::clone(&accepting), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, received).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, received).await,
                            Err(_) => Ok(()), // The client has refused the certificate.
                        },
                    }
                });
            }
        });
        Self { settings, received, _serving: serving }
    }

    pub(crate) fn exporter(&self) -> Exporter {
        Exporter::start(self.settings.clone()).unwrap()
    }

    /// All accepted spans, by their start.
    pub(crate) fn spans(&self) -> Vec<ExportedSpan> {
        let mut spans = self.received.spans.lock().unwrap().clone();
        spans.sort_by_key(|span| (span.start, u64::MAX - span.end));
        spans
    }

    /// The headers of all requests.
    pub(crate) fn heads(&self) -> Vec<HeaderMap> {
        self.received.heads.lock().unwrap().clone()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    received: Arc<Received>,
) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| accept(Arc::clone(&received), request));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
}

fn acceptor(identity: &Identity) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap()).into()
}

async fn accept(
    received: Arc<Received>,
    request: Request<Incoming>,
) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    assert_eq!(head.uri.path(), "/v1/traces");
    assert_eq!(head.headers["content-type"], "application/x-protobuf");
    received.heads.lock().unwrap().push(head.headers);
    let mut statuses = received.statuses.lock().unwrap();
    let status = if statuses.is_empty() { StatusCode::OK } else { statuses.remove(0) };
    if status.is_success() {
        received.spans.lock().unwrap().extend(spans(&body));
    }
    Ok(Response::builder().status(status).body(Body::empty()).unwrap())
}

fn spans(body: &[u8]) -> Vec<ExportedSpan> {
    let mut exported = Vec::new();
    for of_resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let resource = attributes(&of_resource.resource.unwrap().attributes);
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        exported.extend(spans.map(|span| exported_span(resource.clone(), span)));
    }
    exported
}

fn exported_span(resource: BTreeMap<String, String>, span: Span) -> ExportedSpan {
    ExportedSpan {
        resource,
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        state: span.trace_state,
        kind: span.kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        failed: span.status.is_some_and(|status| status.code() == Outcome::Error),
        flags: span.flags,
        attributes: attributes(&span.attributes),
    }
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
