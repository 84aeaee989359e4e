//! The trace of a request: received with it, sent with the calls that it makes (W3C Trace Context),
//! and exported to an OpenTelemetry collector if one is configured.
//!
//! Without a collector the trace headers of a request are forwarded unchanged, which costs a request
//! without them one header lookup. With one, every request that is answered and every attempt of a
//! call is a span. Spans have the method, the route and the status. They do not have the path and
//! the query, which may identify people.

use std::sync::Arc;

use axum::{Router, extract::MatchedPath};
use http::{HeaderMap, Method, Request, Response};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{Span as _, SpanContext, SpanKind, TraceContextExt, TraceFlags, Tracer as _},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracer};
use tower::util::MapRequestLayer;
use tracing::{Instrument, info_span};

pub mod export;
mod headers;
pub mod queue;
pub mod settings;
pub mod span;

use self::{queue::SpanCounts, span::OpenSpan};
use crate::metrics::family::MetricFamily;

/// Values of `http.request.method`; any other method is `_OTHER`, as the semantic conventions ask.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

tokio::task_local! {
    static CURRENT: Option<TraceContext>;
}

/// Makes the spans of one service. Cheap to clone; the default tracer makes none.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Recorder>);

#[derive(Clone, Debug)]
struct Recorder {
    tracer: SdkTracer,
    counts: Arc<SpanCounts>,
}

impl Tracer {
    /// How many spans were exported and dropped; empty without a collector.
    pub fn metric_families(&self) -> Vec<MetricFamily> {
        self.0.as_ref().map_or_else(Vec::new, |recorder| recorder.counts.metric_families())
    }

    /// Adds a layer that writes the matched route to the spans of [`Tracer::serve`].
    pub fn record_routes(&self, router: Router) -> Router {
        match self.0 {
            Some(_) => router.layer(MapRequestLayer::new(record_route)),
            None => router,
        }
    }

    /// Answers a request as part of the trace that its headers name, with a span if it is sampled.
    pub async fn serve<B, R, F>(
        &self,
        mut request: Request<B>,
        next: impl FnOnce(Request<B>) -> F,
    ) -> Response<R>
    where
        F: Future<Output = Response<R>>,
    {
        let received = headers::received(request.headers());
        let (context, span) = match &self.0 {
            None => (received.map(TraceContext::Forwarded), OpenSpan::default()),
            Some(recorder) => recorder.start_server_span(received, &mut request),
        };
        let log = context.as_ref().map_or_else(
            tracing::Span::none,
            |context| info_span!("request", trace_id = %context.trace_id()),
        );
        let response = CURRENT.scope(context, next(request)).instrument(log).await;
        span.answered(response.status());
        response
    }
}

impl Recorder {
    fn start_server_span<B>(
        &self,
        received: Option<HeaderMap>,
        request: &mut Request<B>,
    ) -> (Option<TraceContext>, OpenSpan) {
        let received = received.unwrap_or_default();
        let parent = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(&received));
        let method = known_method(request.method());
        let span = self
            .tracer
            .span_builder(method)
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", method),
                KeyValue::new("url.scheme", "http"),
            ])
            .start_with_context(&self.tracer, &parent);
        if !span.is_recording() {
            let headers = unsampled(parent.span().span_context(), span.span_context());
            return (Some(TraceContext::Forwarded(headers)), OpenSpan::default());
        }
        let span = parent.with_span(span);
        request.extensions_mut().insert(span.clone()); // For `record_route`.
        let open = OpenSpan::server(span.clone());
        (Some(TraceContext::Recorded { tracer: self.tracer.clone(), span }), open)
    }
}

/// The headers of calls whose request has no span: their parent is the caller's span, or this one.
fn unsampled(caller: &SpanContext, own: &SpanContext) -> HeaderMap {
    let span = if caller.is_valid() { caller } else { own };
    let state = span.trace_state().clone();
    let (trace, id) = (span.trace_id(), span.span_id());
    let parent = SpanContext::new(trace, id, TraceFlags::NOT_SAMPLED, true, state);
    let mut headers = HeaderMap::new();
    headers::inject(&Context::new().with_remote_span_context(parent), &mut headers);
    headers
}

fn known_method(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| known == &method.as_str()).unwrap_or("_OTHER")
}

fn record_route<B>(request: Request<B>) -> Request<B> {
    let extensions = request.extensions();
    if let (Some(span), Some(route)) =
        (extensions.get::<Context>(), extensions.get::<MatchedPath>())
    {
        let span = span.span();
        span.update_name(format!("{} {}", known_method(request.method()), route.as_str()));
        span.set_attribute(KeyValue::new("http.route", route.as_str().to_owned()));
    }
    request
}

/// The trace of the request that a task answers.
#[derive(Clone, Debug)]
enum TraceContext {
    /// Calls have no spans and carry these headers.
    Forwarded(HeaderMap),
    /// Calls have spans that are children of this one.
    Recorded { tracer: SdkTracer, span: Context },
}

/// Removes the trace headers from a request whose sender does not decide about traces: a new trace begins.
pub fn remove_context(headers: &mut HeaderMap) {
    headers::remove(headers);
}

/// Sets the trace headers of an attempt of a call, and starts its span. To be called right before
/// each attempt, with the absolute URI in the request.
pub fn outgoing<B>(request: &mut Request<B>) -> OpenSpan {
    let started = CURRENT.try_with(|current| current.as_ref().map(|it| it.outgoing(request)));
    started.ok().flatten().unwrap_or_default()
}

impl TraceContext {
    fn trace_id(&self) -> String {
        match self {
            Self::Forwarded(received) => headers::trace_id(received).to_owned(),
            Self::Recorded { span, .. } => span.span().span_context().trace_id().to_string(),
        }
    }

    fn outgoing<B>(&self, request: &mut Request<B>) -> OpenSpan {
        let (tracer, parent) = match self {
            Self::Forwarded(received) => {
                request.headers_mut().extend(received.clone());
                return OpenSpan::default();
            }
            Self::Recorded { tracer, span } => (tracer, span),
        };
        let method = known_method(request.method());
        let host = request.uri().host().unwrap_or_default().to_owned();
        let port = request.uri().port_u16();
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("server.address", host),
        ];
        attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
        let span = tracer
            .span_builder(method)
            .with_kind(SpanKind::Client)
            .with_attributes(attributes)
            .start_with_context(tracer, parent);
        let span = parent.with_span(span);
        headers::inject(&span, request.headers_mut());
        OpenSpan::client(span)
    }
}
