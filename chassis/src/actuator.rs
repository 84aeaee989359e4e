//! What operators ask of every part, at the addresses that Spring's operators know.

use std::future::ready;

use axum::Router;

use crate::{health, metrics, process::Process};

/// Everything below `/actuator` of a part. None of it is for the outside: the gateway passes on
/// only what it lists.
pub fn router(part: &'static str, process: &Process) -> Router {
    let tracer = process.tracer().clone();
    process.metrics().source("traces", move || ready(Ok(tracer.readings())));
    health::router(part, process.readiness()).merge(metrics::router(process.metrics().clone()))
}
