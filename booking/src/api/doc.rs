//! The OpenAPI document of bookings.

use utoipa::OpenApi;

#[derive(OpenApi)]
struct Doc;

/// The document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}
