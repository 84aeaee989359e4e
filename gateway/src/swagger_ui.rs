//! The interface as a page to try it on: Swagger UI, and the documents that it shows. All of it is
//! in the binary.

use axum::{
    Router,
    http::{HeaderName, header},
    response::Redirect,
    routing::get,
};
use serde_json::{Value, json};

/// How every part describes itself, in the order of the page. A new part is a new row.
const DOCUMENTS: [(&str, &str); 4] = [
    ("booking", include_str!("../../docs/openapi/booking.json")),
    ("injection", include_str!("../../docs/openapi/injection.json")),
    ("mypage", include_str!("../../docs/openapi/mypage.json")),
    ("vaccine", include_str!("../../docs/openapi/vaccine.json")),
];

/// How long a browser may keep a file without asking again.
const CACHE: &str = "public, max-age=3600";

/// The page takes nothing from other hosts, whatever a document says. Swagger UI writes styles
/// into its elements, and its icons are `data:`.
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

/// A file beside the page: its name, its type, and what is in it.
macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        ($name, $media_type, include_bytes!(concat!("../assets/swagger-ui/", $name)))
    };
}

/// What the page needs, and the licences: whoever gets the binary gets them too.
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

/// `/swagger-ui/…` and `/openapi/{part}.json`.
pub(crate) fn router() -> Router {
    let mut router = Router::new()
        .route("/swagger-ui", get(Redirect::permanent("/swagger-ui/")))
        .route("/swagger-ui/", get((headers(HTML), PAGE)))
        .route("/swagger-ui/config.json", get((headers(JSON), config().to_string())));
    for (name, media_type, bytes) in ASSETS {
        router = router.route(&format!("/swagger-ui/{name}"), get((headers(media_type), bytes)));
    }
    for (part, document) in DOCUMENTS {
        router = router.route(&address(part), get((headers(JSON), document)));
    }
    router
}

/// What the page offers to choose from.
fn config() -> Value {
    json!({"urls": DOCUMENTS.map(|(part, _)| json!({"url": address(part), "name": part}))})
}

fn address(part: &str) -> String {
    format!("/openapi/{part}.json")
}

fn headers(media_type: &'static str) -> [(HeaderName, &'static str); 4] {
    [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, CACHE),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}
