//! What leads to the collections: an index at `/`, and a profile of each, which links to the OpenAPI document.

use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::Response, routing::get};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    hal::{Collection, Link, Links, Origin},
    json::Id,
    openapi::{Linked, NotAcceptable, PathProblem, Unavailable},
    problem::Problem,
};

/// The collections of a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCollections {
    /// The name of the service.
    pub service: &'static str,
    /// Its collections.
    pub collections: &'static [Collection],
}

#[derive(OpenApi)]
#[openapi(components(schemas(Links)))]
struct Document;

#[derive(Clone, Debug)]
struct Index {
    /// Each collection with the name of its service.
    entries: Arc<[(&'static str, Collection)]>,
    page: Option<&'static str>,
}

/// The index of these services, and the profiles of their collections. `page` is the path of a documentation for
/// people, if there is one.
pub fn routes<S>(services: &[ServiceCollections], page: Option<&'static str>) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let entries = services.iter().flat_map(|ServiceCollections { service, collections }| {
        collections.iter().map(|collection| (*service, *collection))
    });
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(index))
        .routes(routes!(profiles))
        .routes(routes!(profile))
        .with_state(Index { entries: entries.collect(), page })
}

/// The routes of a service with their OpenAPI document, to which the profiles link.
pub fn with_document(service: &str, routes: OpenApiRouter) -> Router {
    let (served, document) = routes.split_for_parts();
    let json = document.to_json().unwrap_or_default(); // Only text and numbers: cannot fail.
    let headers = [(header::CONTENT_TYPE, "application/json")];
    served.route(&format!("/openapi/{}", document_name(service)), get((headers, json)))
}

fn document_name(service: &str) -> String {
    format!("{service}.json")
}

/// Links to every collection
#[utoipa::path(get, path = "/", tag = "index", responses(Linked, NotAcceptable, Unavailable))]
async fn index(State(Index { entries, page }): State<Index>, origin: Origin) -> Response {
    let collections = entries.iter().map(|(_, each)| (each.plural, each.list(&origin)));
    let profile = ("profile", Link::to(origin.collection("profile")));
    let page = page.map(|page| ("service-doc", Link::to(origin.collection(page)))); // RFC 8631
    origin.links(collections.chain([profile]).chain(page))
}

/// Links to the profile of every collection
#[utoipa::path(
    get,
    path = "/profile",
    tag = "index",
    responses(Linked, NotAcceptable, Unavailable)
)]
async fn profiles(State(index): State<Index>, origin: Origin) -> Response {
    let profiles = index.entries.iter().map(|(_, each)| (each.plural, each.profile(&origin)));
    let this = ("self", Link::to(origin.collection("profile")));
    origin.links(profiles.chain([this]))
}

/// Links to what describes a collection: the OpenAPI document of its service
#[utoipa::path(
    get, path = "/profile/{collection}", tag = "index",
    params(("collection" = String, Path, description = "The name of the collection", pattern = "^[a-z]+$")),
    responses(Linked, PathProblem, NoSuchCollection, NotAcceptable, Unavailable)
)]
async fn profile(
    State(index): State<Index>,
    origin: Origin,
    Id(name): Id<String>,
) -> Result<Response, Problem> {
    let found = index.entries.iter().find(|(_, each)| each.plural == name);
    let (service, collection) =
        found.ok_or_else(|| Problem::not_found("there is no such collection"))?;
    let document = origin.item("openapi", document_name(service));
    Ok(origin.links([
        ("self", collection.profile(&origin)),
        ("describes", collection.list(&origin)),
        ("service-desc", Link::to(document)), // RFC 8631
    ]))
}

crate::problem_responses! {
    /// There is no such collection
    NoSuchCollection = 404;
}
