//! One metric with all its samples, in Prometheus' text format 0.0.4, which every scraper reads.

use std::{
    fmt::{Debug, Write},
    time::Duration,
};

/// One metric with all its samples.
#[derive(Clone, Debug)]
pub struct MetricFamily {
    name: &'static str,
    pub(super) text: String,
}

impl MetricFamily {
    /// The name ends in `_total`; the help names the unit and has no full stop.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, "counter")
    }

    /// The help names the unit and has no full stop.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, "gauge")
    }

    /// The name ends in `_seconds`; the help names the unit and has no full stop.
    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, "histogram")
    }

    fn new(name: &'static str, help: &'static str, kind: &'static str) -> Self {
        Self { name, text: format!("# HELP {name} {help}.\n# TYPE {name} {kind}\n") }
    }

    /// Adds a sample with these labels; its value is a number.
    #[must_use]
    pub fn sample<const N: usize>(
        mut self,
        labels: [(&'static str, &str); N],
        value: impl Debug,
    ) -> Self {
        self.write("", &labels, value);
        self
    }

    /// Adds a histogram with these labels: how many durations are at most as long as each bound and
    /// longer than the one before, how many are longer than all of them, and the sum of all.
    #[must_use]
    pub fn buckets<const N: usize>(
        mut self,
        labels: [(&'static str, &str); N],
        bounds: &[Duration],
        counts: &[u64],
        sum: Duration,
    ) -> Self {
        let bounds = bounds.iter().map(|bound| format!("{:?}", bound.as_secs_f64()));
        let mut total = 0;
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
            total += count;
            self.write("_bucket", &[&labels[..], &[("le", &bound)]].concat(), total);
        }
        self.write("_sum", &labels, sum.as_secs_f64());
        self.write("_count", &labels, total);
        self
    }

    /// Writes a sample. `Debug` of a float has a decimal point, as the bounds of buckets need it: other
    /// text would be another label.
    fn write(&mut self, suffix: &str, labels: &[(&'static str, &str)], value: impl Debug) {
        let escaped =
            |label: &str| label.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let labels = labels.iter().map(|(name, label)| format!("{name}=\"{}\"", escaped(label)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        // Writing to a String does not fail.
        writeln!(self.text, "{}{suffix}{labels} {value:?}", self.name).ok();
    }
}
