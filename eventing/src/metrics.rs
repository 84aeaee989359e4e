//! What is told, heard and put aside, for Prometheus.

use chassis::metrics::{Metrics, reading::Reading};
use storage::{
    database::{Readers, Unreadable},
    inbox, outbox,
};

/// Sources in one answer to a collector.
const SOURCES_MAX: u32 = 1_000;

/// Reads from the store how far events are, whenever a collector asks.
pub fn register(metrics: &Metrics, reads: Readers) {
    metrics.source("events", move || {
        let reads = reads.clone();
        async move { Ok(events(&reads).await?) }
    });
}

async fn events(reads: &Readers) -> Result<Vec<Reading>, Unreadable> {
    let read = reads.read(|tx| {
        Ok((outbox::last(tx)?, inbox::count_parked(tx)?, inbox::all_heard(tx, SOURCES_MAX)?))
    });
    let (last, aside, sources) = read.await?;
    let told = Reading::counter(
        "anticorona_events_told_total",
        "Events that this store has written, in events",
    );
    let parked = Reading::gauge(
        "anticorona_events_parked",
        "Events that could not be heard and were put aside, in events",
    );
    let mut heard = Reading::counter(
        "anticorona_events_heard_total",
        "Events of a source that had their effect, in events",
    );
    for (source, sequence) in sources {
        heard = heard.value([("source", &source.to_string())], sequence);
    }
    Ok(vec![told.value([], last), parked.value([], aside), heard])
}
