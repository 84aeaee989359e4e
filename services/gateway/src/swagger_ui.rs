//! Swagger UI, and the OpenAPI documents that it shows. All files are in the binary.

use axum::{
    Router,
    http::{HeaderName, header},
    response::Redirect,
    routing::get,
};
use platform_service::Service;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

/// How long a browser may cache a file.
const CACHE: &str = "public, max-age=3600";

/// The page loads nothing from other hosts, whatever a document says. Swagger UI writes styles into its
/// elements, and its icons are `data:`.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const PNG: &str = "image/png";
const TEXT: &str = "text/plain; charset=utf-8";

const PAGE: &str = include_str!("../assets/swagger-ui/index.html");

/// A file of the page: its name, its media type, and its bytes.
macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        ($name, $media_type, include_bytes!(concat!("../assets/swagger-ui/", $name)))
    };
}

/// The files of the page, and their licences.
const ASSETS: [(&str, &str, &[u8]); 9] = [
    asset!("initializer.js", JAVASCRIPT),
    asset!("swagger-ui.css", CSS),
    asset!("swagger-ui-bundle.js", JAVASCRIPT),
    asset!("swagger-ui-bundle.js.LICENSE.txt", TEXT),
    asset!("swagger-ui-standalone-preset.js", JAVASCRIPT),
    asset!("swagger-ui-standalone-preset.js.LICENSE.txt", TEXT),
    asset!("favicon-32x32.png", PNG),
    asset!("LICENSE", TEXT),
    asset!("NOTICE", TEXT),
];

/// `/swagger-ui/…`, and `/openapi/NAME.json` of every service that has a document.
pub(crate) fn router(services: &[&'static Service]) -> Router {
    let documents: Vec<(&str, OpenApi)> =
        services.iter().filter_map(|service| Some((service.name, (service.openapi?)()))).collect();
    let names: Vec<_> = documents.iter().map(|(name, _)| *name).collect();
    let mut router = Router::new()
        .route("/swagger-ui", get(Redirect::permanent("/swagger-ui/")))
        .route("/swagger-ui/", get((headers(HTML), PAGE)))
        .route("/swagger-ui/config.json", get((headers(JSON), config(&names).to_string())));
    for (name, media_type, bytes) in ASSETS {
        router = router.route(&format!("/swagger-ui/{name}"), get((headers(media_type), bytes)));
    }
    for (name, document) in documents {
        let json = document.to_json().unwrap_or_default(); // Only text and numbers: cannot fail.
        router = router.route(&path(name), get((headers(JSON), json)));
    }
    router
}

/// The documents that the page offers.
fn config(names: &[&str]) -> Value {
    let urls: Vec<_> = names.iter().map(|name| json!({"url": path(name), "name": name})).collect();
    json!({"urls": urls})
}

fn path(name: &str) -> String {
    format!("/openapi/{name}.json")
}

fn headers(media_type: &'static str) -> [(HeaderName, &'static str); 4] {
    [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, CACHE),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}
