//! Health, at the addresses that Spring's operators know.

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use serde_json::json;

use crate::{json, process::Readiness};

/// Spring's media type for actuator answers.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.spring-boot.actuator.v3+json";

/// `/actuator/health`, `/actuator/health/{liveness,readiness}` and `/actuator/info` of a part.
pub fn router(part: &'static str, readiness: Readiness) -> Router {
    Router::new()
        .route("/actuator/health", get(ready))
        .route("/actuator/health/readiness", get(ready))
        .route("/actuator/health/liveness", get(live))
        .route("/actuator/info", get(move || async move { info(part) }))
        .with_state(readiness)
}

/// Up while it takes requests; out of service from the moment that it drains.
async fn ready(State(readiness): State<Readiness>) -> Response {
    if readiness.is_ready() {
        json::reply(StatusCode::OK, MEDIA_TYPE, &json!({"status": "UP"}))
    } else {
        let status = json!({"status": "OUT_OF_SERVICE"});
        json::reply(StatusCode::SERVICE_UNAVAILABLE, MEDIA_TYPE, &status)
    }
}

/// Up while it can answer at all.
async fn live() -> Response {
    json::reply(StatusCode::OK, MEDIA_TYPE, &json!({"status": "UP"}))
}

fn info(part: &'static str) -> Response {
    let info = json!({"app": {"name": part, "version": env!("CARGO_PKG_VERSION")}});
    json::reply(StatusCode::OK, MEDIA_TYPE, &info)
}
