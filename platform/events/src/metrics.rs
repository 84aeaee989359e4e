//! Metrics of the outbox and of the consumer, for Prometheus.

use platform_store::{ReadError, ReadPool, consumer, dead_letter, outbox};
use platform_telemetry::metrics::{Metrics, family::MetricFamily};

use crate::consumer::{Consumer, GAP_TOLERATED};

/// Sources in one scrape.
const SOURCES_MAX: u32 = 1_000;

/// Adds the metrics of a store, which are read from it at every scrape, and those of its consumer in this
/// process.
pub fn register(metrics: &Metrics, reads: ReadPool, consumer: Consumer) {
    metrics.collector("events", move || {
        let (reads, consumer) = (reads.clone(), consumer.clone());
        async move { Ok(families(&reads, &consumer).await?) }
    });
}

async fn families(reads: &ReadPool, consumer: &Consumer) -> Result<Vec<MetricFamily>, ReadError> {
    let read = reads.read(|tx| {
        let head = outbox::head(tx)?;
        Ok((head, dead_letter::count_open(tx)?, consumer::offsets(tx, SOURCES_MAX)?))
    });
    let (head, dead_letters, offsets) = read.await?;
    let published = MetricFamily::counter(
        "anticorona_outbox_events_total",
        "Events that this store has written to its outbox, in events",
    );
    let dead_lettered = MetricFamily::gauge(
        "anticorona_events_dead_lettered",
        "Events that could not be applied and are stored as open dead letters, in events",
    );
    let retried = MetricFamily::counter(
        "anticorona_events_retried_total",
        "Dead letters that were retried and applied, in events",
    );
    let dismissed = MetricFamily::counter(
        "anticorona_events_dismissed_total",
        "Dead letters that were dismissed and will not be applied, in events",
    );
    let stalled_sources = MetricFamily::gauge(
        "anticorona_events_stalled_sources",
        "Sources of which nothing is consumed, since events are missing, in sources",
    );
    let mut consumed_total = MetricFamily::counter(
        "anticorona_events_consumed_total",
        "Events of a source that were consumed: the consumer offset, in events",
    );
    for (source, offset) in offsets {
        consumed_total = consumed_total.sample([("source", &source.to_string())], offset);
    }
    Ok(vec![
        published.sample([], head),
        dead_lettered.sample([], dead_letters),
        retried.sample([], consumer.retried()),
        dismissed.sample([], consumer.dismissed()),
        stalled_sources.sample([], consumer.stalled_sources(GAP_TOLERATED)),
        consumed_total,
    ])
}
