//! A histogram of durations made of atomics only.

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

/// Durations by upper bound. An observation is two atomic additions, without a lock. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: &'static [Duration],
    /// One per bound, and a last one for durations above all bounds.
    counts: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Bounds are ascending and inclusive.
    pub fn new(bounds: &'static [Duration]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum_nanos: AtomicU64::new(0) }))
    }

    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let Inner { bounds, counts, sum_nanos } = &*self.0;
        let bucket = bounds.iter().position(|bound| duration <= *bound).unwrap_or(bounds.len());
        if let Some(count) = counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        sum_nanos.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The current counts.
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

/// The counts of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// The sum of all durations.
    pub sum: Duration,
    /// The upper bound in seconds, ascending, and the count of that bucket alone; the last bound is
    /// infinite.
    pub counts: Vec<(f64, u64)>,
}

impl Buckets {
    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let sum = self.sum.as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, self.count(), &self.counts, None)
    }
}
