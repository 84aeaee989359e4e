//! The routes of the edge: each collection of a service is forwarded to it, everything else stays inside.

use axum::{
    Router,
    http::StatusCode,
    response::Response,
    routing::{any, get},
};
use platform_rest::{client::Client, hal::Origin, problem::Problem};
use platform_service::Service;
use serde_json::{Map, Value, json};

use crate::{
    cors::CorsOrigins,
    forward::{Upstream, forward},
    swagger_ui,
};

/// Takes a dose by GET, for old clients inside; from outside every prefetch would take one.
const INTERNAL: &str = "/vaccines/checkAndBookStock";

pub(crate) fn router(upstreams: Vec<(&'static Service, Client)>, cors: CorsOrigins) -> Router {
    let services: Vec<_> = upstreams.iter().map(|(service, _)| *service).collect();
    let collections: Vec<_> =
        services.iter().flat_map(|service| service.collections).copied().collect();
    let mut router = Router::new()
        .route("/", get(move |origin| async move { index(&origin, &collections) }))
        .route(INTERNAL, any(internal))
        .merge(swagger_ui::router(&services));
    for (service, client) in upstreams {
        let upstream = Upstream { client, recognises_attempts: service.recognises_attempts };
        for name in service.collections {
            router = router.merge(list(name, upstream.clone()));
        }
        for name in service.collections.iter().chain(service.items) {
            router = router.merge(items(name, upstream.clone()));
        }
    }
    match cors.layer() {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// A collection and its searches.
fn list(name: &str, upstream: Upstream) -> Router {
    Router::new()
        .route(&format!("/{name}"), any(forward))
        .route(&format!("/{name}/search/{{search}}"), any(forward))
        .with_state(upstream)
}

fn items(name: &str, upstream: Upstream) -> Router {
    Router::new().route(&format!("/{name}/{{id}}"), any(forward)).with_state(upstream)
}

/// Links to every collection.
fn index(origin: &Origin, collections: &[&'static str]) -> Response {
    let mut links = Map::new();
    for name in collections {
        links.insert((*name).to_owned(), json!({"href": origin.collection(name)}));
    }
    let page = origin.item("swagger-ui", "");
    links.insert("service-doc".to_owned(), json!({"href": page})); // RFC 8631
    origin.reply(StatusCode::OK, &json!({"_links": Value::Object(links)}))
}

async fn internal() -> Problem {
    Problem::not_found("only services inside may request this")
}
