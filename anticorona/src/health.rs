//! Whether parts take requests: for container images, which hold nothing else that could ask.

use std::{
    io::{self, Write},
    time::Duration,
};

use chassis::{
    client::{BaseUrl, Client},
    process::{self, Fatal},
    telemetry::{self, LogFormat},
};
use clap::Args;
use serde_json::Value;

use crate::part::Part;

/// How long a part may take to answer; whoever runs this gives it 3 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(crate) struct HealthArgs {
    /// The parts to ask; all of them unless named
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// As the system was started with
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=50_000))]
    port_offset: u16,
    /// Ask here instead, for instance <http://booking:8082>
    #[arg(long, value_name = "URL", conflicts_with = "parts")]
    url: Vec<BaseUrl>,
    /// Ask whether they live, whether or not they take requests now
    #[arg(long)]
    alive: bool,
}

pub(crate) fn run(args: HealthArgs) -> std::process::ExitCode {
    telemetry::start(LogFormat::Pretty);
    process::run(|_| ask(args))
}

async fn ask(args: HealthArgs) -> Result<(), Fatal> {
    let path = if args.alive { "/actuator/health/liveness" } else { "/actuator/health/readiness" };
    let mut not_up = Vec::new();
    for (name, url) in args.targets()? {
        let asked = Client::new(url).get::<Value>(path, ANSWER_WITHIN).await;
        match asked.map(|health| health["status"] == "UP") {
            Ok(true) => writeln!(io::stdout(), "{name} is up")?,
            Ok(false) => not_up.push(format!("{name} is not up")),
            Err(cause) => not_up.push(format!("{name}: {}", telemetry::causes(&cause))),
        }
    }
    if not_up.is_empty() { Ok(()) } else { Err(not_up.join("; ").into()) }
}

impl HealthArgs {
    fn targets(self) -> Result<Vec<(String, BaseUrl)>, Fatal> {
        if !self.url.is_empty() {
            return Ok(self.url.into_iter().map(|url| (url.to_string(), url)).collect());
        }
        let parts = if self.parts.is_empty() { Part::ALL.to_vec() } else { self.parts };
        let here = |part: Part| {
            let port = part.port().saturating_add(self.port_offset);
            Ok((part.name().to_owned(), format!("http://127.0.0.1:{port}").parse()?))
        };
        parts.into_iter().map(here).collect()
    }
}
