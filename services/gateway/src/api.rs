//! The routes of the edge: each collection of a service is forwarded to it, everything else stays inside.

use axum::{Router, routing::any};
use platform_rest::{
    client::Client,
    index::{self, ServiceCollections},
    problem::Problem,
};
use platform_service::Service;

use crate::{
    cors::CorsOrigins,
    forward::{Upstream, forward},
    swagger_ui,
};

/// Takes a dose by GET, for old clients inside; from outside every prefetch would take one.
const INTERNAL: &str = "/vaccines/checkAndBookStock";

pub(crate) fn router(upstreams: Vec<(&'static Service, Client)>, cors: CorsOrigins) -> Router {
    let services: Vec<_> = upstreams.iter().map(|(service, _)| *service).collect();
    let collections = services.iter().map(|service| ServiceCollections {
        service: service.name,
        collections: service.collections,
    });
    let collections: Vec<_> = collections.collect();
    let mut router = Router::from(index::routes(&collections, Some("swagger-ui/")))
        .route(INTERNAL, any(internal))
        .merge(swagger_ui::router(&services));
    for (service, client) in upstreams {
        let upstream = Upstream { client, recognises_attempts: service.recognises_attempts };
        for collection in service.collections {
            router = router.merge(list(collection.plural, upstream.clone()));
            let items = format!("/{}/{{id}}", collection.plural);
            router = router.merge(route(&items, upstream.clone()));
        }
        for path in service.routes {
            router = router.merge(route(path, upstream.clone()));
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

fn route(path: &str, upstream: Upstream) -> Router {
    Router::new().route(path, any(forward)).with_state(upstream)
}

async fn internal() -> Problem {
    Problem::not_found("only services inside may request this")
}
