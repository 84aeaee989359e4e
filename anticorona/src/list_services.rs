//! `anticorona services`: the services of this program, for people and for tools.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;
use serde_json::json;

use crate::services::SERVICES;

#[derive(Args)]
pub(crate) struct ServicesArgs {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ServicesArgs) -> ExitCode {
    let printed = if args.json { print_json() } else { print() };
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for service in SERVICES {
        writeln!(out, "{:<10} {:>5}  {}", service.name, service.port, service.summary)?;
    }
    Ok(())
}

fn print_json() -> io::Result<()> {
    let services = SERVICES.iter().map(|service| {
        let publishers: Vec<_> =
            service.consumes.iter().map(|consumes| consumes.publisher).collect();
        json!({
            "name": service.name,
            "port": service.port,
            "ownsData": service.owns_data(),
            "hasOpenapi": service.openapi.is_some(),
            "consumes": publishers,
        })
    });
    let services: Vec<_> = services.collect();
    writeln!(io::stdout(), "{:#}", json!(services))
}
