//! Values that somebody else keeps, as they were read for one scrape.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::{histogram::Buckets, stem};

/// One metric with all its values, as read for one scrape.
#[derive(Clone, Debug)]
pub struct Reading {
    name: &'static str,
    help: &'static str,
    r#type: MetricType,
    values: Vec<(Labels, Value)>,
}

type Labels = Vec<(&'static str, String)>;

/// A value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// Any number: a rate, seconds.
    Amount(f64),
    /// What a histogram has counted.
    Buckets(Buckets),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(amount: f64) -> Self {
        Self::Amount(amount)
    }
}

impl From<Buckets> for Value {
    fn from(buckets: Buckets) -> Self {
        Self::Buckets(buckets)
    }
}

impl Reading {
    /// How often something has happened; the name ends in `_total`, the help has no full stop.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, r#type: MetricType::Counter, values: Vec::new() }
    }

    /// How many there are now; the help has no full stop.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, r#type: MetricType::Gauge, values: Vec::new() }
    }

    /// How long something took; the name ends in `_seconds`, the help has no full stop.
    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, r#type: MetricType::Histogram, values: Vec::new() }
    }

    /// With one more value, under these labels.
    #[must_use]
    pub fn value<const N: usize>(
        mut self,
        labels: [(&'static str, &str); N],
        value: impl Into<Value>,
    ) -> Self {
        let labels = labels.map(|(key, label)| (key, label.to_owned())).into();
        self.values.push((labels, value.into()));
        self
    }
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, unit) = stem(self.name);
        let help = format!("{}.", self.help);
        let mut encoder = encoder.encode_descriptor(name, &help, unit.as_ref(), self.r#type)?;
        if let [(labels, value)] = &*self.values
            && labels.is_empty()
        {
            return self.encode_value(value, encoder); // As a family it would get empty braces.
        }
        for (labels, value) in &self.values {
            self.encode_value(value, encoder.encode_family(labels)?)?;
        }
        Ok(())
    }
}

impl Reading {
    fn encode_value(&self, value: &Value, encoder: MetricEncoder<'_>) -> fmt::Result {
        match (self.r#type, value) {
            (MetricType::Counter, Value::Count(count)) => ConstCounter::new(*count).encode(encoder),
            (MetricType::Counter, Value::Amount(amount)) => {
                ConstCounter::new(*amount).encode(encoder)
            }
            (_, Value::Count(count)) => gauge(*count, encoder),
            (_, Value::Amount(amount)) => gauge(*amount, encoder),
            (_, Value::Buckets(buckets)) => buckets.encode(encoder),
        }
    }
}

fn gauge(value: impl EncodeGaugeValue, encoder: MetricEncoder<'_>) -> fmt::Result {
    ConstGauge::new(value).encode(encoder)
}
