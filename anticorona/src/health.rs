//! `anticorona health`: whether services accept requests; for images, which contain no other client.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use platform_rest::client::{BaseUrl, Client};
use platform_service::Service;
use platform_telemetry::{BoxError, error_chain};
use serde_json::Value;

use crate::{
    command,
    services::{SERVICES, named},
};

/// How long a service may take to answer; below the 3 s of container health checks.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(crate) struct HealthArgs {
    /// The services to ask; without any, all of them
    #[arg(value_parser = named, value_name = "SERVICE")]
    services: Vec<&'static Service>,
    /// As the system was started with
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=50_000))]
    port_offset: u16,
    /// Ask this URL instead, for example <http://booking:8082>
    #[arg(long, value_name = "URL", conflicts_with = "services")]
    url: Vec<BaseUrl>,
    /// Ask for liveness: whether they run, whether or not they accept requests now
    #[arg(long)]
    alive: bool,
}

pub(crate) fn run(args: HealthArgs) -> ExitCode {
    command::run(check(args))
}

async fn check(args: HealthArgs) -> Result<(), BoxError> {
    let path = if args.alive { "/actuator/health/liveness" } else { "/actuator/health/readiness" };
    let mut failures = Vec::new();
    for (name, url) in args.targets()? {
        let health = Client::new(url).get::<Value>(path, RESPONSE_TIMEOUT).await;
        match health.map(|health| health["status"] == "UP") {
            Ok(true) => writeln!(io::stdout(), "{name} is up")?,
            Ok(false) => failures.push(format!("{name} is not up")),
            Err(error) => failures.push(format!("{name}: {}", error_chain(&error))),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}

impl HealthArgs {
    fn targets(self) -> Result<Vec<(String, BaseUrl)>, BoxError> {
        if !self.url.is_empty() {
            return Ok(self.url.into_iter().map(|url| (url.to_string(), url)).collect());
        }
        let services = if self.services.is_empty() { SERVICES } else { &self.services };
        let local = |service: &&Service| {
            let port = service.port.saturating_add(self.port_offset);
            Ok((service.name.to_owned(), format!("http://127.0.0.1:{port}").parse()?))
        };
        services.iter().map(local).collect()
    }
}
