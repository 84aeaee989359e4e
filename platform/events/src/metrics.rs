//! Metrics of the outbox and of the consumer, for Prometheus.

use platform_store::{ReadError, ReadPool, consumer, outbox};
use platform_telemetry::metrics::{Metrics, family::MetricFamily};

use crate::consumer::{Consumer, GAP_TOLERATED};

/// Sources in one scrape.
const SOURCES_MAX: u32 = 1_000;

/// Adds the metrics of a store, which are read from it at every scrape.
pub fn register(metrics: &Metrics, reads: ReadPool, consumer: Consumer) {
    metrics.collector("events", move || {
        let (reads, stalled) = (reads.clone(), consumer.stalled_sources(GAP_TOLERATED));
        async move { Ok(families(&reads, stalled).await?) }
    });
}

async fn families(reads: &ReadPool, stalled: usize) -> Result<Vec<MetricFamily>, ReadError> {
    let read = reads.read(|tx| {
        let head = outbox::head(tx)?;
        Ok((head, consumer::count_dead_letters(tx)?, consumer::offsets(tx, SOURCES_MAX)?))
    });
    let (head, dead_letters, offsets) = read.await?;
    let published = MetricFamily::counter(
        "anticorona_outbox_events_total",
        "Events that this store has written to its outbox, in events",
    );
    let dead_lettered = MetricFamily::gauge(
        "anticorona_events_dead_lettered",
        "Events that could not be applied and are stored as dead letters, in events",
    );
    let stalled_sources = MetricFamily::gauge(
        "anticorona_events_stalled_sources",
        "Sources of which nothing is consumed, since events are missing, in sources",
    );
    let mut consumed = MetricFamily::counter(
        "anticorona_events_consumed_total",
        "Events of a source that were consumed: the consumer offset, in events",
    );
    for (source, offset) in offsets {
        consumed = consumed.sample([("source", &source.to_string())], offset);
    }
    Ok(vec![
        published.sample([], head),
        dead_lettered.sample([], dead_letters),
        stalled_sources.sample([], stalled),
        consumed,
    ])
}
