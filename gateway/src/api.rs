//! Which path belongs to which part, and how a request is passed on.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    response::Response,
    routing::{any, get},
};
use chassis::{
    client::{Call, CallError, Client, SHED},
    hal::{MEDIA_TYPE, Origin},
    json::{self, BODY_MAX},
    listen::Due,
    problem::Problem,
};
use resilience::deadline;
use serde_json::json;

use crate::swagger_ui;

/// When to come back after a part did not answer.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);

/// Headers that belong to one connection and not to the request (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whom requests are passed on to.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The stock ledger.
    pub vaccine: Client,
    /// Bookings.
    pub booking: Client,
    /// The injection desk, where there is one.
    pub injection: Option<Client>,
    /// What citizens see, where somebody keeps it.
    pub mypage: Option<Client>,
}

/// Every route of the edge. What is not listed stays inside.
pub fn router(parts: Parts) -> Router {
    Router::new()
        .route("/", get(index))
        .merge(collection("vaccines", Some(parts.vaccine)))
        .merge(items("tickets", parts.booking.clone()))
        .merge(collection("bookings", Some(parts.booking)))
        .merge(collection("injections", parts.injection.clone()))
        .merge(collection("cancellations", parts.injection))
        .merge(collection("mypages", parts.mypage))
        .route("/vaccines/checkAndBookStock", any(inside))
        .merge(swagger_ui::router())
}

/// A collection, its items and its searches; nothing where the part is not there.
fn collection(name: &str, part: Option<Client>) -> Router {
    let Some(part) = part else { return Router::new() };
    Router::new()
        .route(&format!("/{name}"), any(pass_on))
        .route(&format!("/{name}/search/{{search}}"), any(pass_on))
        .with_state(part.clone())
        .merge(items(name, part))
}

/// The items of a collection alone.
fn items(name: &str, part: Client) -> Router {
    Router::new().route(&format!("/{name}/{{id}}"), any(pass_on)).with_state(part)
}

/// Where to go from here.
async fn index(origin: Origin) -> Response {
    let link = |collection| json!({"href": origin.item(collection, "").trim_end_matches('/')});
    let links = json!({
        "vaccines": link("vaccines"),
        "bookings": link("bookings"),
        "injections": link("injections"),
        "cancellations": link("cancellations"),
        "mypages": link("mypages"),
        "service-doc": {"href": origin.item("swagger-ui", "")}, // RFC 8631
    });
    json::reply(StatusCode::OK, MEDIA_TYPE, &json!({"_links": links}))
}

async fn inside() -> Problem {
    Problem::not_found("only parts inside may ask this")
}

/// The same request to the part, and its answer back. The caller's `Host` goes along, so that links
/// lead back here. Both bodies are read whole: a slow caller must not hold a connection to the part,
/// and half an answer is no answer.
async fn pass_on(
    State(part): State<Client>,
    Due(due): Due,
    request: Request,
) -> Result<Response, Problem> {
    let (mut head, body) = request.into_parts();
    let body = json::read(body, BODY_MAX).await?;
    // A caller without a host gets links without one; our own address behind here is not for it.
    let host = head.headers.get(header::HOST).cloned().unwrap_or(HeaderValue::from_static(""));
    strip(&mut head.headers);
    head.headers.insert(header::HOST, host);
    head.headers.remove(header::CONTENT_LENGTH); // Set anew from the body.
    head.version = Version::HTTP_11;
    let call = Call::of(Request::from_parts(head, body));
    // A little earlier than our own answer is due: whoever is late must be seen to be late.
    let by = due.checked_sub(deadline::MARGIN).unwrap_or(due);
    let mut response = part.send(call, by).await.map_err(|error| unanswered(&error))?;
    strip(response.headers_mut());
    response.headers_mut().remove(SHED); // Between neighbours only; the edge says its own.
    Ok(response.map(Body::from))
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

fn unanswered(error: &CallError) -> Problem {
    let (after, detail) = match error {
        CallError::Unreachable(_) => {
            (COME_BACK_AFTER, "nothing has happened; the part behind cannot be reached")
        }
        CallError::Isolated { after } | CallError::Shed { after } => {
            (*after, "nothing has happened; the part behind is in trouble and left in peace")
        }
        CallError::Unanswered(_) | CallError::Status(_) => {
            (COME_BACK_AFTER, "it may or may not have happened; the part behind gave no answer")
        }
    };
    Problem::come_back(after, detail)
}
