//! Registering a metric under the name that Prometheus shows.

use prometheus_client::registry::{Metric, Registry, Unit};

/// Registers a metric. The encoder appends a full stop to the help.
pub(super) fn register(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    match stem(name) {
        (stem, Some(unit)) => registry.register_with_unit(stem, help, unit, metric),
        (stem, None) => registry.register(stem, help, metric),
    }
}

/// The name without what the encoder appends: `_total` of a counter, and the unit.
pub(super) fn stem(name: &str) -> (&str, Option<Unit>) {
    let stem = name.strip_suffix("_total").unwrap_or(name);
    match stem.strip_suffix("_seconds") {
        Some(stem) => (stem, Some(Unit::Seconds)),
        None => (stem, None),
    }
}
