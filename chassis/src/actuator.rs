//! What operators ask of every part, at the addresses that Spring's operators know.

use axum::Router;

use crate::{health, metrics, process::Process};

mod breakers;
mod readings;

/// Everything below `/actuator` of a part, also what changes it. None of it is for the outside.
pub fn router(part: &'static str, process: &Process) -> Router {
    read_only(part, process).merge(breakers::steering(process.isolation().clone()))
}

/// The same for a part that the outside can reach: to look at, nothing that changes it.
pub fn read_only(part: &'static str, process: &Process) -> Router {
    let (isolation, tracer) = (process.isolation().clone(), process.tracer().clone());
    process.metrics().source("traces", move || {
        let read = tracer.readings();
        async move { Ok(read) }
    });
    process.metrics().source("isolation", move || {
        let read = readings::of(&isolation);
        async move { Ok(read) }
    });
    health::router(part, process.readiness())
        .merge(metrics::router(process.metrics().clone()))
        .merge(breakers::watching(process.isolation().clone()))
}
