//! Requests of the reference, the published class project whose operations chapter the drills implement.

use serde_json::{Value, json};

use crate::{error::DrillError, http::send, request::Request, target::Target};

/// Registers a vaccine; its id.
pub async fn register_vaccine(vaccine: &Target, stock: i64) -> Result<i64, DrillError> {
    let body = json!({"vcName": "FIZER", "stock": stock});
    let response = send(vaccine, &Request::post_json("/vaccines", &body)).await?;
    let id = response.json().ok().and_then(|body| body["vaccineId"].as_i64());
    id.ok_or_else(|| {
        let (status, text) = (response.status, response.text());
        format!("{vaccine} did not register a vaccine: {status} {text}").into()
    })
}

/// The reference's booking request, its spelling included.
pub fn booking_request(vaccine: i64) -> Request {
    let body = json!({"vaccineId": vaccine, "vcName": "FIZER", "userId": 5, "status": "BOOCKED"});
    Request::post_json("/bookings", &body)
}

/// Sets the faults of a service that was started with `--faults`.
pub async fn set_faults(service: &Target, faults: &Value) -> Result<(), DrillError> {
    match send(service, &Request::post_json("/actuator/faults", faults)).await?.status {
        200 => Ok(()),
        status => Err(format!(
            "POST {service}/actuator/faults returned {status}: start that service with --faults"
        )
        .into()),
    }
}
