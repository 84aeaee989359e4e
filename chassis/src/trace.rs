//! Which trace a request belongs to, carried from who asks to whom is asked (W3C Trace Context),
//! and told to a collector of traces if there is one.
//!
//! Without a collector a request's `traceparent` is passed on as it came: whoever traces before
//! and behind us stays connected, and it costs a look at one header. With one
//! (`OTEL_EXPORTER_OTLP_ENDPOINT`), every served request and every call that it makes is a span.
//! Spans name the method, the route and the status. Paths and queries are left out: they may name
//! people.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use axum::{
    Router,
    extract::MatchedPath,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode},
    response::Response,
};
use tokio::sync::mpsc::Sender;
use tower::util::MapRequestLayer;
use tracing::{Instrument, info_span};

pub mod export;
mod ids;
mod otlp;
pub mod parent;
mod protobuf;
pub mod settings;

use self::{
    ids::Ids,
    otlp::{Kind, Span},
    parent::TraceParent,
    settings::{Sampler, Settings},
};
use crate::{clock, metrics::reading::Reading};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest `tracestate` that is passed on; the standard asks for at least this (section 3.3.1.5).
const STATE_MAX: usize = 512;

/// Methods that are told apart; any other is `_OTHER`, as the semantic conventions have it.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

tokio::task_local! {
    static CURRENT: Option<Context>;
}

/// Who makes spans. Cheap to clone; without a collector it makes none.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    queue: Sender<Span>,
    ids: Ids,
    sampler: Sampler,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// The tracer of this process, once it has started.
static OF_PROCESS: OnceLock<Tracer> = OnceLock::new();

impl Tracer {
    /// The one that the process was started with; none if it was not.
    pub fn of_process() -> Self {
        OF_PROCESS.get().cloned().unwrap_or_default()
    }

    /// Makes it the one of this process. The first one stays.
    pub(crate) fn install(&self) {
        OF_PROCESS.set(self.clone()).ok();
    }

    fn new(queue: Sender<Span>, settings: &Settings, counts: Arc<Counts>) -> Self {
        let sampler = settings.sampler;
        Self(Some(Arc::new(Recorder { queue, ids: Ids::seeded(), sampler, counts })))
    }

    /// What became of spans, for Prometheus; nothing without a collector.
    pub fn readings(&self) -> Vec<Reading> {
        let Some(recorder) = &self.0 else { return Vec::new() };
        let exported = Reading::counter(
            "anticorona_trace_spans_exported_total",
            "Spans of this process that the collector of traces has taken, in spans",
        );
        let dropped = Reading::counter(
            "anticorona_trace_spans_dropped_total",
            "Spans of this process that were dropped because the collector did not keep up or did \
             not answer, in spans",
        );
        let Counts { exported: taken, dropped: lost } = &*recorder.counts;
        vec![exported.value([], taken.load(Relaxed)), dropped.value([], lost.load(Relaxed))]
    }

    /// The router, so that spans learn which of its routes was taken.
    pub(crate) fn naming_routes(&self, router: Router) -> Router {
        match self.0 {
            Some(_) => router.layer(MapRequestLayer::new(note_route)),
            None => router,
        }
    }

    /// Answers a request of a part within the trace that it belongs to.
    pub(crate) async fn serve<B, F>(
        &self,
        part: &'static str,
        mut request: Request<B>,
        answer: impl FnOnce(Request<B>) -> F,
    ) -> Response
    where
        F: Future<Output = Response>,
    {
        let came = Came::with(request.headers());
        let (context, pending) = match &self.0 {
            None => (came.map(|came| came.context(None)), Pending::default()),
            Some(recorder) => recorder.serving(part, came, &mut request),
        };
        let log = context.as_ref().map_or_else(
            tracing::Span::none,
            |context| info_span!("request", trace_id = %context.parent.trace()),
        );
        let response = CURRENT.scope(context, answer(request)).instrument(log).await;
        pending.answered(response.status());
        response
    }
}

/// What a caller said of the trace.
struct Came {
    parent: TraceParent,
    state: Option<HeaderValue>,
}

impl Came {
    fn with(headers: &HeaderMap) -> Option<Self> {
        let mut said = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (said.next(), said.next()) else { return None };
        let parent = parent.to_str().ok()?.parse().ok()?;
        let mut states = headers.get_all(TRACESTATE).iter();
        let state = match (states.next(), states.next()) {
            (Some(state), None) if state.len() <= STATE_MAX => Some(state.clone()),
            _ => None, // None is always right; half of it would not be.
        };
        Some(Self { parent, state })
    }

    fn context(self, recording: Option<Recording>) -> Context {
        Context { parent: self.parent, state: self.state, links: None, recording }
    }
}

/// The trace that work is done for, to be kept where the work leaves its task. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// What a call made now is a child of.
    parent: TraceParent,
    state: Option<HeaderValue>,
    /// Whom a call made now is made for too.
    links: Option<Arc<[TraceParent]>>,
    recording: Option<Recording>,
}

#[derive(Clone, Debug)]
struct Recording {
    recorder: Arc<Recorder>,
    part: &'static str,
}

/// The trace that this task works for.
pub fn current() -> Option<Context> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Works for several requests at once: calls are made in the trace of the first (a recorded one,
/// if there is one), and linked to the others.
pub async fn on_behalf_of<F: Future>(contexts: Vec<Context>, work: F) -> F::Output {
    CURRENT.scope(together(contexts), work).await
}

fn together(mut contexts: Vec<Context>) -> Option<Context> {
    let first = contexts.iter().position(|context| context.recording.is_some()).unwrap_or(0);
    if contexts.is_empty() {
        return None;
    }
    let first = contexts.swap_remove(first);
    let recorded = contexts.iter().filter(|other| other.recording.is_some());
    Some(Context { links: Some(recorded.map(|other| other.parent).collect()), ..first })
}

/// Puts a call into the trace that this task works for; to be called right before every try is
/// sent, with the whole address in the request.
pub fn outgoing<B>(request: &mut Request<B>) -> Call {
    let called = CURRENT.try_with(|current| current.as_ref().map(|context| context.call(request)));
    Call(called.ok().flatten().unwrap_or_default())
}

/// A call that is under way. Dropped without a word, it counts as given up.
#[derive(Debug)]
#[must_use]
pub struct Call(Pending);

impl Call {
    /// It was answered with that status.
    pub fn answered(self, status: StatusCode) {
        self.0.answered(status);
    }

    /// It brought no answer: why, in one word that is one of few (`timeout`, `unreachable`).
    pub fn failed(mut self, why: &'static str) {
        self.0.error = Some(why);
    }
}

impl Context {
    fn call<B>(&self, request: &mut Request<B>) -> Pending {
        let Some(Recording { recorder, part }) = &self.recording else {
            let headers = request.headers_mut();
            headers.entry(TRACEPARENT).or_insert_with(|| self.parent.header());
            if let Some(state) = &self.state {
                headers.insert(TRACESTATE, state.clone());
            }
            return Pending::default();
        };
        let own = self.parent.child(recorder.ids.span());
        let uri = request.uri();
        let kind =
            Kind::Client { host: uri.host().unwrap_or_default().to_owned(), port: uri.port_u16() };
        let mut span = Span::new(part, kind, own, known(request.method()));
        span.parent = Some(self.parent.span());
        span.links.clone_from(&self.links);
        let headers = request.headers_mut();
        headers.insert(TRACEPARENT, own.header());
        match &self.state {
            Some(state) => headers.insert(TRACESTATE, state.clone()),
            None => headers.remove(TRACESTATE),
        };
        Pending::of(span, recorder)
    }
}

impl Recorder {
    /// The context that a request is served in, and its span if it has one.
    fn serving<B>(
        self: &Arc<Self>,
        part: &'static str,
        came: Option<Came>,
        request: &mut Request<B>,
    ) -> (Option<Context>, Pending) {
        let parent = came.as_ref().map(|came| came.parent);
        let trace = parent.map_or_else(|| self.ids.trace(), TraceParent::trace);
        let sampled = self.sampler.takes(parent, trace);
        let flags = parent.map_or(0, TraceParent::flags);
        let own = TraceParent::new(trace, self.ids.span(), flags).sampled(sampled);
        let state = came.and_then(|came| came.state);
        let recording = sampled.then(|| Recording { recorder: Arc::clone(self), part });
        let context = Context { parent: own, state, links: None, recording };
        if !sampled {
            // Without a span of ours, those behind us are children of who is before us.
            return (
                Some(Context { parent: parent.map_or(own, |it| it.sampled(false)), ..context }),
                Pending::default(),
            );
        }
        let route = Arc::new(OnceLock::new());
        request.extensions_mut().insert(RouteTaken(Arc::clone(&route)));
        let mut span = Span::new(part, Kind::Server { route }, own, known(request.method()));
        span.parent = parent.map(TraceParent::span);
        span.state.clone_from(&context.state);
        (Some(context), Pending::of(span, self))
    }
}

fn known(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| known == &method.as_str()).unwrap_or("_OTHER")
}

/// Where a request leaves word which route it took.
#[derive(Clone)]
struct RouteTaken(Arc<OnceLock<MatchedPath>>);

fn note_route<B>(request: Request<B>) -> Request<B> {
    let extensions = request.extensions();
    if let (Some(taken), Some(path)) =
        (extensions.get::<RouteTaken>(), extensions.get::<MatchedPath>())
    {
        taken.0.set(path.clone()).ok();
    }
    request
}

/// A span that has not ended, if there is one; it ends when this is dropped.
#[derive(Debug, Default)]
struct Pending {
    open: Option<Box<OpenSpan>>,
    status: Option<StatusCode>,
    error: Option<&'static str>,
}

#[derive(Debug)]
struct OpenSpan {
    span: Span,
    since: Instant,
    recorder: Arc<Recorder>,
}

impl Pending {
    fn of(mut span: Span, recorder: &Arc<Recorder>) -> Self {
        span.start_nanos = u64::try_from(clock::now().as_nanosecond()).unwrap_or(0);
        let open = OpenSpan { span, since: Instant::now(), recorder: Arc::clone(recorder) };
        Self { open: Some(Box::new(open)), status: None, error: None }
    }

    fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        let OpenSpan { mut span, since, recorder } = *open;
        let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        span.end_nanos = span.start_nanos.saturating_add(took);
        span.status = self.status;
        span.error = self.error.or_else(|| self.status.is_none().then_some("cancelled"));
        // A collector that does not keep up must not slow down anything: the span is lost.
        if recorder.queue.try_send(span).is_err() {
            recorder.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}
