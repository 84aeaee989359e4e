//! A server that does nothing: a constant JSON answer on the same chassis. The yardstick of every
//! benchmark; `cargo xtask bench` starts it.

use std::{process::ExitCode, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::post,
};
use chassis::{
    config::{ConfigError, Env},
    hal,
    listen::Listener,
    process::{self, Fatal, PartArgs, Process},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The port, before the offset.
const PORT: u16 = 8090;

/// As long as the answer to a booking.
const ANSWER: &str = "{\"bookingId\":123456,\"vaccineId\":1,\"vcName\":\"FIZER\",\"userId\":5,\
    \"status\":\"BOOKED\",\"_links\":{\"self\":{\"href\":\"http://127.0.0.1:8082/bookings/123456\"},\
    \"booking\":{\"href\":\"http://127.0.0.1:8082/bookings/123456\"}}}";

fn main() -> ExitCode {
    process::main("echo", config, serve)
}

#[expect(clippy::unnecessary_wraps, reason = "the chassis expects a config that can be wrong")]
fn config(args: &PartArgs, _: &Env) -> Result<PartArgs, ConfigError> {
    Ok(args.clone())
}

async fn serve(args: PartArgs, process: Process) -> Result<(), Fatal> {
    let app = Router::new().route("/bookings", post(answer));
    let listener = Listener::bind(args.net.listen(PORT))?;
    listener.serve("echo", app, Duration::from_secs(3), &process).await?;
    Ok(())
}

async fn answer(_body: Bytes) -> Response {
    let media_type = HeaderValue::from_static(hal::MEDIA_TYPE);
    ([(header::CONTENT_TYPE, media_type)], ANSWER).into_response()
}
