//! Metrics of the outbox and of the consumer, for Prometheus.

use platform_store::{ReadError, ReadPool, consumer, outbox};
use platform_telemetry::metrics::{Metrics, family::MetricFamily};

/// Sources in one scrape.
const SOURCES_MAX: u32 = 1_000;

/// Adds the metrics of a store, which are read from it at every scrape.
pub fn register(metrics: &Metrics, reads: ReadPool) {
    metrics.collector("events", move || {
        let reads = reads.clone();
        async move { Ok(families(&reads).await?) }
    });
}

async fn families(reads: &ReadPool) -> Result<Vec<MetricFamily>, ReadError> {
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
    let mut consumed = MetricFamily::counter(
        "anticorona_events_consumed_total",
        "Events of a source that were consumed: the consumer offset, in events",
    );
    for (source, offset) in offsets {
        consumed = consumed.sample([("source", &source.to_string())], offset);
    }
    Ok(vec![published.sample([], head), dead_lettered.sample([], dead_letters), consumed])
}
