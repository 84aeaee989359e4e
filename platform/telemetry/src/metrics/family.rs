//! Metrics whose values live elsewhere, as they were collected for one scrape.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::{histogram::Buckets, register::stem};

/// One metric with all its samples.
#[derive(Clone, Debug)]
pub struct MetricFamily {
    name: &'static str,
    help: &'static str,
    r#type: MetricType,
    samples: Vec<(Labels, SampleValue)>,
}

type Labels = Vec<(&'static str, String)>;

/// The value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A whole number.
    Count(u64),
    /// Any number: a rate, seconds.
    Amount(f64),
    /// The buckets of a histogram.
    Buckets(Buckets),
}

impl From<u64> for SampleValue {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for SampleValue {
    fn from(amount: f64) -> Self {
        Self::Amount(amount)
    }
}

impl From<Buckets> for SampleValue {
    fn from(buckets: Buckets) -> Self {
        Self::Buckets(buckets)
    }
}

impl MetricFamily {
    /// The name ends in `_total`; the help names the unit and has no full stop.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, r#type: MetricType::Counter, samples: Vec::new() }
    }

    /// The help names the unit and has no full stop.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, r#type: MetricType::Gauge, samples: Vec::new() }
    }

    /// The name ends in `_seconds`; the help names the unit and has no full stop.
    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, r#type: MetricType::Histogram, samples: Vec::new() }
    }

    /// Adds a sample with these labels.
    #[must_use]
    pub fn sample<const N: usize>(
        mut self,
        labels: [(&'static str, &str); N],
        value: impl Into<SampleValue>,
    ) -> Self {
        let labels = labels.map(|(key, label)| (key, label.to_owned())).into();
        self.samples.push((labels, value.into()));
        self
    }

    fn encode_value(&self, value: &SampleValue, encoder: MetricEncoder<'_>) -> fmt::Result {
        match (self.r#type, value) {
            (MetricType::Counter, SampleValue::Count(count)) => {
                ConstCounter::new(*count).encode(encoder)
            }
            (MetricType::Counter, SampleValue::Amount(amount)) => {
                ConstCounter::new(*amount).encode(encoder)
            }
            (_, SampleValue::Count(count)) => ConstGauge::new(*count).encode(encoder),
            (_, SampleValue::Amount(amount)) => ConstGauge::new(*amount).encode(encoder),
            (_, SampleValue::Buckets(buckets)) => buckets.encode(encoder),
        }
    }
}

impl Collector for MetricFamily {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, unit) = stem(self.name);
        let help = format!("{}.", self.help);
        let mut encoder = encoder.encode_descriptor(name, &help, unit.as_ref(), self.r#type)?;
        if let [(labels, value)] = &*self.samples
            && labels.is_empty()
        {
            return self.encode_value(value, encoder); // As a family it would get empty braces.
        }
        for (labels, value) in &self.samples {
            self.encode_value(value, encoder.encode_family(labels)?)?;
        }
        Ok(())
    }
}
