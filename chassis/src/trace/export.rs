//! Sending spans to a collector, in batches, without ever holding up what they tell of.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, StatusCode, header},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use thiserror::Error;
use tokio::{
    select,
    sync::mpsc::{self, Receiver},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{
    Counts, Tracer,
    otlp::{self, Span},
    settings::Settings,
};
use crate::telemetry;

/// Spans that wait to be sent (as many as OpenTelemetry's own); further ones are dropped.
pub const QUEUE_MAX: usize = 2_048;

/// Spans in one request to the collector.
pub const BATCH_MAX: usize = 512;

/// How long a span may wait for others.
const BATCH_EVERY: Duration = Duration::from_secs(2);

/// How long the collector may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How often a batch is sent to a collector that cannot take it just now.
const TRIES_MAX: u32 = 3;

/// Pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the last spans may take when the process ends: within its time to drain.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Sends spans until it is finished.
#[derive(Debug)]
pub struct Exporter {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Exporter {
    /// Starts sending what the tracer makes; needs the runtime to be there.
    pub fn start(settings: Settings) -> (Tracer, Self) {
        info!("traces go to {}", settings.endpoint);
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        let tracer = Tracer::new(queue, &settings, Arc::clone(&counts));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(ANSWER_WITHIN));
        let http =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let stopping = stop.clone();
        let sending = Sending { http, settings, counts, stopping, failing: false };
        tasks.spawn(sending.run(spans));
        (tracer, Self { stop, tasks })
    }

    /// Sends what is left, for at most two seconds.
    pub async fn finish(self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(FLUSH_WITHIN, self.tasks.wait()).await.is_err() {
            warn!("the collector of traces did not take the last spans in time");
        }
    }
}

/// Why a batch was not taken.
#[derive(Debug, Error)]
enum NotTaken {
    #[error("the collector does not answer")]
    NoAnswer(#[source] hyper_util::client::legacy::Error),
    #[error("the collector does not answer in time")]
    Late,
    #[error("the collector answers {0}")]
    Refused(StatusCode),
    #[error("the request cannot be made")]
    Unsendable(#[source] axum::http::Error),
}

impl NotTaken {
    /// Another try may succeed (OTLP 1.8, "Retryable Response Codes").
    fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Late => true,
            Self::Refused(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Unsendable(_) => false,
        }
    }
}

struct Sending {
    http: Client<HttpConnector, Body>,
    settings: Settings,
    counts: Arc<Counts>,
    stopping: CancellationToken,
    failing: bool,
}

impl Sending {
    async fn run(mut self, mut spans: Receiver<Span>) {
        while !self.stopping.is_cancelled() {
            let batch = self.collect(&mut spans).await;
            self.send(batch).await;
        }
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH_MAX
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.send(batch).await;
        }
    }

    /// As many as there are after a while; fewer when the end comes, or when a batch is full.
    async fn collect(&self, spans: &mut Receiver<Span>) -> Vec<Span> {
        let mut batch = Vec::new();
        let full = async {
            while batch.len() < BATCH_MAX
                && let Some(span) = spans.recv().await
            {
                batch.push(span);
            }
        };
        select! {
            () = self.stopping.cancelled() => {}
            _ = timeout(BATCH_EVERY, full) => {}
        }
        batch
    }

    async fn send(&mut self, batch: Vec<Span>) {
        let Ok(count) = u64::try_from(batch.len()) else { return };
        if count == 0 {
            return;
        }
        match self.try_to_send(otlp::request(&batch, &self.settings)).await {
            Ok(()) => {
                self.failing = false;
                self.counts.exported.fetch_add(count, Relaxed);
            }
            Err(cause) => {
                if !self.failing {
                    warn!("spans are lost: {}", telemetry::causes(&cause));
                }
                self.failing = true; // Said once until it is over.
                self.counts.dropped.fetch_add(count, Relaxed);
            }
        }
    }

    async fn try_to_send(&self, body: Vec<u8>) -> Result<(), NotTaken> {
        let body = axum::body::Bytes::from(body);
        let mut tries = 1;
        loop {
            match self.post(body.clone()).await {
                Err(cause) if cause.may_pass() && tries < TRIES_MAX => {
                    tries += 1;
                    select! {
                        () = self.stopping.cancelled() => return Err(cause),
                        () = sleep(PAUSE) => {}
                    }
                }
                sent => return sent,
            }
        }
    }

    async fn post(&self, body: axum::body::Bytes) -> Result<(), NotTaken> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.settings.endpoint.clone())
            .body(Body::from(body));
        let mut request = request.map_err(NotTaken::Unsendable)?;
        let headers = request.headers_mut();
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(header::CONTENT_TYPE, protobuf);
        for (name, value) in &self.settings.headers.0 {
            headers.insert(name, value.clone());
        }
        let answer = timeout(ANSWER_WITHIN, self.http.request(request));
        let response = answer.await.map_err(|_| NotTaken::Late)?.map_err(NotTaken::NoAnswer)?;
        // What it says besides is not read; then the connection is not used again.
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(NotTaken::Refused(status)),
        }
    }
}
