//! Spans, and how they are written for a collector: OTLP 1 in Protocol Buffers, with OpenTelemetry's
//! semantic conventions for HTTP.
//!
//! Written by hand, since the official crates bring a second and third version of several others
//! and an executor of their own, and know one service to a process where we have several. The
//! format is stable; the numbers below are those of opentelemetry-proto's `trace.proto`.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::MatchedPath,
    http::{HeaderValue, StatusCode},
};

use super::{
    parent::{SpanId, TraceParent},
    protobuf::Message,
    settings::Settings,
};

const KIND_SERVER: u64 = 2;
const KIND_CLIENT: u64 = 3;

const STATUS_ERROR: u64 = 2;

/// It is known whether the parent is in another process (bit 8), and it is (bit 9).
const PARENT_IS_REMOTE: u32 = 0x300;

/// It is known, and it is here.
const PARENT_IS_HERE: u32 = 0x100;

/// Something that took its time: a served request, or a call.
#[derive(Debug)]
pub(super) struct Span {
    pub part: &'static str,
    pub kind: Kind,
    pub own: TraceParent,
    pub parent: Option<SpanId>,
    pub state: Option<HeaderValue>,
    pub links: Option<Arc<[TraceParent]>>,
    pub method: &'static str,
    pub status: Option<StatusCode>,
    /// Why there was no status, in one word.
    pub error: Option<&'static str>,
    /// Nanoseconds since 1970.
    pub start_nanos: u64,
    pub end_nanos: u64,
}

#[derive(Debug)]
pub(super) enum Kind {
    Server { route: Arc<OnceLock<MatchedPath>> },
    Client { host: String, port: Option<u16> },
}

impl Span {
    pub(super) fn new(
        part: &'static str,
        kind: Kind,
        own: TraceParent,
        method: &'static str,
    ) -> Self {
        let (parent, state, links) = (None, None, None);
        let (status, error, start_nanos, end_nanos) = (None, None, 0, 0);
        Self {
            part,
            kind,
            own,
            parent,
            state,
            links,
            method,
            status,
            error,
            start_nanos,
            end_nanos,
        }
    }
}

/// An `ExportTraceServiceRequest`: every part is a service of its own.
pub(super) fn request(spans: &[Span], settings: &Settings) -> Vec<u8> {
    let mut by_part: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        by_part.entry(span.part).or_default().push(span);
    }
    let mut request = Message::default();
    for (part, spans) in by_part {
        request.message(1, |resource_spans| {
            resource_spans.message(1, |resource| {
                let service = settings.service_name.as_deref().unwrap_or(part);
                attribute(resource, 1, "service.name", Value::Text(service));
                attribute(resource, 1, "service.version", Value::Text(env!("CARGO_PKG_VERSION")));
                for (key, value) in &settings.attributes {
                    attribute(resource, 1, key, Value::Text(value));
                }
            });
            resource_spans.message(2, |scope_spans| {
                scope_spans.message(1, |scope| scope.string(1, part));
                for span in spans {
                    scope_spans.message(2, |message| write(span, message));
                }
            });
        });
    }
    request.finish()
}

fn write(span: &Span, message: &mut Message) {
    message.bytes(1, &span.own.trace().bytes());
    message.bytes(2, &span.own.span().bytes());
    if let Some(state) = span.state.as_ref().and_then(|state| state.to_str().ok()) {
        message.string(3, state);
    }
    if let Some(parent) = span.parent {
        message.bytes(4, &parent.bytes());
    }
    let (kind, place) = match &span.kind {
        Kind::Server { route } => (KIND_SERVER, route.get().map(MatchedPath::as_str)),
        Kind::Client { .. } => (KIND_CLIENT, None),
    };
    match place {
        Some(route) => message.string(5, &format!("{} {route}", span.method)),
        None => message.string(5, span.method),
    }
    message.varint(6, kind);
    message.fixed64(7, span.start_nanos);
    message.fixed64(8, span.end_nanos);
    attributes(span, message);
    for link in span.links.iter().flat_map(|links| &**links) {
        message.message(13, |message| {
            message.bytes(1, &link.trace().bytes());
            message.bytes(2, &link.span().bytes());
            message.fixed32(6, u32::from(link.flags()));
        });
    }
    if failed(span) {
        message.message(15, |status| status.varint(3, STATUS_ERROR));
    }
    let remote = if kind == KIND_SERVER { PARENT_IS_REMOTE } else { PARENT_IS_HERE };
    message.fixed32(16, u32::from(span.own.flags()) | remote);
}

fn attributes(span: &Span, message: &mut Message) {
    attribute(message, 9, "http.request.method", Value::Text(span.method));
    match &span.kind {
        Kind::Server { route } => {
            attribute(message, 9, "url.scheme", Value::Text("http"));
            if let Some(route) = route.get() {
                attribute(message, 9, "http.route", Value::Text(route.as_str()));
            }
        }
        Kind::Client { host, port } => {
            attribute(message, 9, "server.address", Value::Text(host));
            if let Some(port) = port {
                attribute(message, 9, "server.port", Value::Number(u64::from(*port)));
            }
        }
    }
    if let Some(status) = span.status {
        let code = Value::Number(u64::from(status.as_u16()));
        attribute(message, 9, "http.response.status_code", code);
    }
    match (span.error, span.status) {
        (Some(error), _) => attribute(message, 9, "error.type", Value::Text(error)),
        (None, Some(status)) if failed(span) => {
            attribute(message, 9, "error.type", Value::Text(status.as_str()));
        }
        (None, _) => {}
    }
}

/// A caller's mistake is the caller's failure, not the server's.
fn failed(span: &Span) -> bool {
    let is_failure = |status: StatusCode| match span.kind {
        Kind::Server { .. } => status.is_server_error(),
        Kind::Client { .. } => status.is_server_error() || status.is_client_error(),
    };
    span.error.is_some() || span.status.is_some_and(is_failure)
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    Number(u64),
}

fn attribute(message: &mut Message, field: u32, key: &str, value: Value<'_>) {
    message.message(field, |pair| {
        pair.string(1, key);
        pair.message(2, |any| match value {
            Value::Text(text) => any.string(1, text),
            Value::Number(number) => any.varint(3, number),
        });
    });
}
