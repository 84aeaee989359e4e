//! How long things take, counted by upper bounds with nothing but atomics.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

/// Durations by upper bound. Two atomic additions to observe one; no lock. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: &'static [Duration],
    /// One for each bound, and the last for what is longer.
    counts: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Nothing observed yet. Bounds ascend; each includes itself.
    pub fn new(bounds: &'static [Duration]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum_nanos: AtomicU64::new(0) }))
    }

    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let Inner { bounds, counts, sum_nanos } = &*self.0;
        let place = bounds.iter().position(|bound| took <= *bound).unwrap_or(bounds.len());
        if let Some(count) = counts.get(place) {
            count.fetch_add(1, Relaxed);
        }
        sum_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What was counted so far.
    pub fn buckets(&self) -> Buckets {
        let Inner { bounds, counts, sum_nanos } = &*self.0;
        let bounds = bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let counts = counts.iter().map(|count| count.load(Relaxed));
        let sum = Duration::from_nanos(sum_nanos.load(Relaxed));
        Buckets { sum, counts: bounds.zip(counts).collect() }
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.buckets().encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// What a histogram has counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// All durations together.
    pub sum: Duration,
    /// The upper bound in seconds, ascending, and how many are in that bucket alone; the last
    /// bound is infinite.
    pub counts: Vec<(f64, u64)>,
}

impl Buckets {
    /// How many there are in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let sum = self.sum.as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, self.count(), &self.counts, None)
    }
}
