//! What drills ask of a system besides their load.

use serde_json::{Value, json};

use crate::{
    client::{request::Request, send, target::Target},
    system::Broken,
};

/// Registers a vaccine; its id.
pub async fn register(vaccine: &Target, stock: i64) -> Result<i64, Broken> {
    let body = json!({"vcName": "FIZER", "stock": stock});
    let reply = send(vaccine, &Request::post_json("/vaccines", &body)).await?;
    let id = reply.json().ok().and_then(|body| body["vaccineId"].as_i64());
    id.ok_or_else(|| {
        format!("{vaccine} registers no vaccine: {} {}", reply.status, reply.text()).into()
    })
}

/// The seed's request for a booking.
pub fn book(vaccine: i64) -> Request {
    let body = json!({"vaccineId": vaccine, "vcName": "FIZER", "userId": 5, "status": "BOOCKED"});
    Request::post_json("/bookings", &body)
}

/// Sets the faults of a part that was started with its switch.
pub async fn set_faults(part: &Target, faults: &Value) -> Result<(), Broken> {
    let reply = send(part, &Request::post_json("/actuator/faults", faults)).await?;
    match reply.status {
        200 => Ok(()),
        status => Err(format!(
            "the fault switch of {part} answers {status}: start that part with --faults"
        )
        .into()),
    }
}
