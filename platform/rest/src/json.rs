//! Bodies, paths and queries, parsed into types; an error names the field that is wrong.

use std::fmt::Display;

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequest, FromRequestParts, Path, RawPathParams, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Frame;
use serde::{Serialize, de::DeserializeOwned};

use crate::problem::Problem;

/// The largest body of a client's request: 64 KiB.
pub const BODY_MAX: usize = 64 * 1024;

/// The largest body of a response that another service reads: 1 MiB.
pub const RESPONSE_MAX: usize = 1024 * 1024;

/// A JSON body of at most `MAX` bytes.
#[derive(Clone, Debug)]
pub struct Json<T, const MAX: usize = BODY_MAX>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for Json<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = read_json(request, MAX).await?;
        // serde would accept a list for an object, field by field.
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Ok(Self(parse(&body)?)),
            Some(_) | None => Err(Problem::malformed("the body must be a JSON object")),
        }
    }
}

/// A JSON body that is a list, of at most `MAX` bytes.
#[derive(Clone, Debug)]
pub struct JsonList<T, const MAX: usize = BODY_MAX>(pub Vec<T>);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for JsonList<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(parse(&read_json(request, MAX).await?)?))
    }
}

async fn read_json(request: Request, limit: usize) -> Result<Bytes, Problem> {
    if is_json(media_type(request.headers())) {
        return read(request.into_body(), limit).await;
    }
    Err(unsupported("The body must be JSON", "application/json"))
}

/// A body of CSV, of at most [`BODY_MAX`] bytes.
#[derive(Clone, Debug)]
pub struct Csv(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Csv {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if media_type(request.headers()).eq_ignore_ascii_case("text/csv") {
            return read(request.into_body(), BODY_MAX).await.map(Self);
        }
        Err(unsupported("The body must be CSV", "text/csv"))
    }
}

fn unsupported(title: &'static str, expected: &str) -> Problem {
    let (status, r#type) =
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "urn:anticorona:unsupported-media-type");
    let detail = format!("send Content-Type: {expected}");
    Problem::new(status, r#type, title).field("Content-Type").detail(detail)
}

/// Reads a body to its end, at most `limit` bytes. One whose stated length is larger is not read.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    if !usize::try_from(body.size_hint().lower()).is_ok_and(|length| length <= limit) {
        return Err(too_large(limit));
    }
    let mut body = Limited::new(body, limit);
    // Copied: each frame, however short, keeps the whole buffer that it was read into.
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.extend_from_slice(&data),
            Ok(Err(_trailers)) => {}
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large(limit)),
            Err(_) => return Err(Problem::malformed("the body ended early")),
        }
    }
    Ok(read.into())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "urn:anticorona:body-too-large",
        "The body is too large",
    )
    .detail(format!("at most {limit} bytes"))
}

/// Parses JSON; an error names the field.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Tracking the field costs as much as parsing, so it is done after a failure only.
    serde_json::from_slice(body).or_else(|_| parse_naming_fields(body))
}

fn parse_naming_fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let not_json = |cause: &serde_json::Error| Problem::malformed(format!("not JSON: {cause}"));
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() { invalid(&error) } else { not_json(error.inner()) }
    })?;
    json.end().map_err(|cause| not_json(&cause))?;
    Ok(value)
}

/// Names the field that is wrong: where parsing stopped, and the field that is missing, duplicate or
/// unknown there.
fn invalid<E: Display>(error: &serde_path_to_error::Error<E>) -> Problem {
    let (path, cause) = (error.path().to_string(), error.inner().to_string());
    let named = ["missing field `", "duplicate field `", "unknown field `"]
        .iter()
        .find_map(|kind| cause.strip_prefix(kind)?.split('`').next());
    let field = match (path.trim_start_matches('.'), named) {
        ("", named) => named.map(str::to_owned),
        (path, Some(named)) if !path.ends_with(named) => Some(format!("{path}.{named}")),
        (path, _) => Some(path.to_owned()),
    };
    Problem::invalid(field.as_deref(), cause)
}

/// The media type of a body, without its parameters; empty if there is none.
fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split(';').next()).unwrap_or_default().trim()
}

/// `application/json`, or a media type with the suffix `+json`.
fn is_json(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("application/json")
        || media_type.to_ascii_lowercase().ends_with("+json")
}

/// The variables of a path, one or a struct of them; a value that cannot be parsed is a 404, and so is one
/// that is spelled otherwise than in links: `+1`, `01` or `%31` for 1; and so is a negative number.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let raw = RawPathParams::from_request_parts(parts, state).await;
        let is_canonical = raw.is_ok_and(|raw| raw.iter().all(|(_, value)| is_canonical(value)));
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) if is_canonical && !parts.uri.path().contains('%') => Ok(Self(id)),
            Ok(_) | Err(_) => Err(Problem::not_found(format!("nothing at {}", parts.uri.path()))),
        }
    }
}

/// Whether a number is spelled as it is printed; negative ones number nothing.
fn is_canonical(value: &str) -> bool {
    value.parse::<i64>().map_or(true, |number| number >= 0 && number.to_string() == value)
}

/// A query string.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| invalid(&error))
    }
}

/// The number in a query parameter, from 0, which is text here so that a missing one and a wrong one are the
/// same problem; `of` says what it numbers.
pub fn number(field: &'static str, text: Option<&str>, of: &str) -> Result<i64, Problem> {
    let number = text.unwrap_or_default().trim().parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| Problem::invalid(field, format!("must be the number of a {of}")))
}

/// A JSON response.
pub fn reply<T: Serialize>(status: StatusCode, media_type: &'static str, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, media_type)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // Plain data cannot fail.
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        reply(StatusCode::OK, "application/json", &self.0)
    }
}
