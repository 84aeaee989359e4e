//! The endpoints for operators of every service, at the paths of Spring Boot's actuator.

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
    let (registry, tracer) = (runtime.breakers().clone(), runtime.tracer().clone());
    runtime.metrics().collector("traces", move || {
        let families = tracer.metric_families();
        async move { Ok(families) }
    });
    runtime.metrics().collector("breakers", move || {
        let families = families::of(&registry);
        async move { Ok(families) }
    });
    let registry = runtime.breakers().clone();
    let router = health::router(service, runtime, store)
        .merge(metrics::router(runtime.metrics().clone()))
        .merge(breakers::read_routes(registry.clone()));
    if read_only { router } else { router.merge(breakers::write_routes(registry)) }
}
