//! The index of a service and the profiles of its collections: where a client begins.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
};
use insta::assert_snapshot;
use platform_rest::{
    hal::Collection,
    index::{self, ServiceCollections},
};
use serde_json::Value;
use tower::Service;
use utoipa_axum::router::OpenApiRouter;

const BEANS: Collection =
    Collection { plural: "beans", singular: "bean", is_personal: false, searches: &[] };

const PEAS: Collection = Collection { plural: "peas", singular: "pea", ..BEANS };

const GARDEN: ServiceCollections =
    ServiceCollections { service: "garden", collections: &[BEANS, PEAS] };

fn garden() -> Router {
    let routes: OpenApiRouter = index::routes(&[GARDEN], None);
    index::with_document(GARDEN.service, routes)
}

/// The status and the body of a response.
async fn get(mut router: Router, path: &str) -> String {
    let request = Request::get(path).header("host", "h").header("x-forwarded-prefix", "/p");
    let response = router.call(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    format!("{status} {}", String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_index_has_a_template_for_every_list_and_leads_to_the_profiles() {
    assert_snapshot!(get(garden(), "/").await, @r#"200 {"_links":{"beans":{"href":"http://h/p/beans{?page,size,sort}","templated":true},"peas":{"href":"http://h/p/peas{?page,size,sort}","templated":true},"profile":{"href":"http://h/p/profile"}}}"#);
    assert_snapshot!(get(garden(), "/profile").await, @r#"200 {"_links":{"beans":{"href":"http://h/p/profile/beans"},"peas":{"href":"http://h/p/profile/peas"},"self":{"href":"http://h/p/profile"}}}"#);
}

#[tokio::test]
async fn the_index_leads_to_a_documentation_for_people_where_there_is_one() {
    let edge = Router::from(index::routes(&[GARDEN], Some("manual/")));
    let links = get(edge, "/").await;
    assert!(links.contains(r#""service-doc":{"href":"http://h/p/manual/"}"#), "{links}");
}

#[tokio::test]
async fn a_profile_leads_to_its_collection_and_to_the_document_that_is_served() {
    assert_snapshot!(get(garden(), "/profile/peas").await, @r#"200 {"_links":{"describes":{"href":"http://h/p/peas{?page,size,sort}","templated":true},"self":{"href":"http://h/p/profile/peas"},"service-desc":{"href":"http://h/p/openapi/garden.json"}}}"#);
    let document = get(garden(), "/openapi/garden.json").await;
    let document: Value = serde_json::from_str(document.strip_prefix("200 ").unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/", "/profile", "/profile/{collection}"]);
}

#[tokio::test]
async fn only_a_collection_has_a_profile() {
    for path in ["/profile/pea", "/profile/PEAS", "/profile/%70eas", "/profile/01"] {
        let response = get(garden(), path).await;
        assert!(response.starts_with("404 "), "{path}: {response}");
    }
}
