//! The endpoints for operators of every service, at the paths of Spring Boot's actuator.

use std::future::ready;

use axum::Router;
use platform_rest::runtime::Runtime;
use platform_telemetry::metrics;

use crate::health::{self, StoreHealth};

mod breakers;
mod families;

/// Every route below `/actuator`; with `read_only`, none that changes anything.
pub fn router(
    service: &'static str,
    runtime: &Runtime,
    store: Option<StoreHealth>,
    read_only: bool,
) -> Router {
    let (registry, tracer) = (runtime.breakers.clone(), runtime.tracer.clone());
    runtime.metrics.collector("traces", move || ready(Ok(tracer.metric_families())));
    runtime.metrics.collector("breakers", move || ready(Ok(families::of(&registry))));
    health::router(service, runtime, store)
        .merge(metrics::router(runtime.metrics.clone()))
        .merge(breakers::router(runtime.breakers.clone(), read_only))
}
