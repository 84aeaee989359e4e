//! The queue of spans in front of an exporter, with counts of what was exported and dropped.
//!
//! The SDK's batch processor drops spans too when its queue is full, but does not show how many.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use tracing::warn;

use crate::metrics::family::MetricFamily;

/// Spans that wait for their export or are being exported; further ones are dropped.
pub const QUEUE_MAX: usize = 2_048;

/// Spans in one request to the collector.
const BATCH_MAX: usize = 512;

/// How long a span may wait for a batch to fill.
const BATCH_DELAY: Duration = Duration::from_secs(2);

/// Spans of one service, by outcome.
#[derive(Debug, Default)]
pub(super) struct SpanCounts {
    queued: AtomicUsize,
    exported: AtomicU64,
    dropped: AtomicU64,
    is_export_failing: AtomicBool,
}

impl SpanCounts {
    pub(super) fn metric_families(&self) -> Vec<MetricFamily> {
        let exported = MetricFamily::counter(
            "anticorona_trace_spans_exported_total",
            "Spans that the OpenTelemetry collector accepted, in spans",
        );
        let dropped = MetricFamily::counter(
            "anticorona_trace_spans_dropped_total",
            "Spans that were lost because the queue was full or an export failed, in spans",
        );
        vec![
            exported.sample([], self.exported.load(Relaxed)),
            dropped.sample([], self.dropped.load(Relaxed)),
        ]
    }
}

/// Queues spans for an exporter, up to [`QUEUE_MAX`].
#[derive(Debug)]
pub(super) struct SpanQueue {
    batches: BatchSpanProcessor,
    counts: Arc<SpanCounts>,
}

impl SpanQueue {
    pub(super) fn new<E: SpanExporter + 'static>(exporter: E, counts: Arc<SpanCounts>) -> Self {
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let exporter = CountedExporter { exporter, counts: Arc::clone(&counts) };
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        Self { batches, counts }
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.counts.queued.fetch_add(1, Relaxed) < QUEUE_MAX {
            self.batches.on_end(span);
        } else {
            self.counts.queued.fetch_sub(1, Relaxed);
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

#[derive(Debug)]
struct CountedExporter<E> {
    exporter: E,
    counts: Arc<SpanCounts>,
}

impl<E: SpanExporter> SpanExporter for CountedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        let counts = &*self.counts;
        counts.queued.fetch_sub(spans, Relaxed);
        let outcome = if exported.is_ok() { &counts.exported } else { &counts.dropped };
        outcome.fetch_add(u64::try_from(spans).unwrap_or(u64::MAX), Relaxed);
        let was_failing = counts.is_export_failing.swap(exported.is_err(), Relaxed);
        if let Err(error) = &exported
            && !was_failing
        {
            warn!("export of spans failed, further failures are not logged: {error}");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
