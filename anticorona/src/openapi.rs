//! `anticorona openapi`: prints the OpenAPI document of a service, for docs/openapi/.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use platform_service::{EXIT_USAGE, Service};

pub(crate) fn print(service: &Service) -> ExitCode {
    let Some(openapi) = service.openapi else {
        let _ = writeln!(io::stderr(), "{} has no OpenAPI document", service.name);
        return ExitCode::from(EXIT_USAGE);
    };
    let printed = openapi()
        .to_pretty_json()
        .map_err(io::Error::other)
        .and_then(|json| writeln!(io::stdout(), "{json}"));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
