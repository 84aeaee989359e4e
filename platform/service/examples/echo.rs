//! A service that does nothing: a constant response on the HTTP stack of all services. `cargo xtask
//! bench` measures the others beside it.

use std::{process::ExitCode, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Parser;
use platform_rest::hal;
use platform_service::{App, ConfigError, Configured, Service, ServiceArgs, Settings, run_service};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICE: Service = Service {
    name: "echo",
    summary: "a constant response",
    port: 8090,
    consumes: &[],
    collections: &[],
    routes: &[],
    recognises_attempts: false,
    migrations: &[],
    openapi: None,
    configure,
};

/// As long as the response to a booking.
const BODY: &str = "{\"bookingId\":123456,\"vaccineId\":1,\"vcName\":\"FIZER\",\"userId\":5,\
    \"status\":\"BOOKED\",\"_links\":{\"self\":{\"href\":\"http://127.0.0.1:8082/bookings/123456\"},\
    \"booking\":{\"href\":\"http://127.0.0.1:8082/bookings/123456\"}}}";

#[derive(Parser)]
enum Cli {
    /// Runs it, as every service is run by its name
    Echo(ServiceArgs),
}

fn main() -> ExitCode {
    let Cli::Echo(args) = Cli::parse();
    run_service(&SERVICE, &[&SERVICE], &args)
}

#[expect(clippy::unnecessary_wraps, reason = "the settings of other services may be wrong")]
fn configure(_: &Settings<'_>) -> Result<Configured, ConfigError> {
    let start = |_| async {
        let router = Router::new().route("/bookings", post(respond));
        Ok(App::edge(router, Duration::from_secs(3)))
    };
    Ok(Configured::new(Vec::new(), start))
}

async fn respond(_body: Bytes) -> Response {
    let media_type = HeaderValue::from_static(hal::MEDIA_TYPE);
    ([(header::CONTENT_TYPE, media_type)], BODY).into_response()
}
