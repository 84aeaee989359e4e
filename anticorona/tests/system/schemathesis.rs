//! Every service does what its OpenAPI document says, directly and through the gateway: valid requests are
//! accepted, invalid ones are rejected, and every response is documented.

use std::{
    fmt::Write,
    fs,
    path::Path,
    process::{Command, Output},
};

use drill::ServiceProcess;
use platform_service::Service;

use crate::{
    overlay::deploy,
    requests::{book, cancel, eventually, items, register_vaccine, send},
    slots::open_campaign,
    test_system::{CAMPAIGN, TestSystem},
};

/// Requests that are made for each operation by chance, besides those at the limits of its schemas.
const EXAMPLES_MAX: u32 = 10;

/// The same requests in every run.
const SEED: u32 = 1;

/// Not `unsupported_method`: axum answers it. Not the checks that follow one item over several requests: a
/// cancelled booking is still found, and events need a moment.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,\
                      negative_data_rejection,positive_data_acceptance,missing_required_header";

/// Sends requests that are made from a document; what the gateway keeps inside is not sent through it.
fn schemathesis(document: &Path, url: &str, is_gateway: bool) -> Output {
    let mut command = Command::new("schemathesis");
    command
        .arg("--config-file")
        .arg(deploy("check/schemathesis.toml"))
        .arg("run")
        .arg(document)
        .args(["--url", url, "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", &EXAMPLES_MAX.to_string(), "--seed", &SEED.to_string()])
        .args(["--no-shrink", "--no-color", "--continue-on-failure"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", deploy("check"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(document.parent().unwrap());
    if is_gateway {
        command.args(["--exclude-tag", "internal", "--exclude-deprecated"]);
    }
    command.output().unwrap()
}

/// The line with the number of requests: `Test cases:`, then `911 generated, 911 passed`.
fn cases(report: &str) -> &str {
    let mut lines = report.lines().skip_while(|line| *line != "Test cases:").skip(1);
    lines.next().unwrap_or_default().trim()
}

/// A vaccine, a booking, a cancelled one, and what follows from them; and an open campaign, whose site no request can
/// delete.
async fn sample(system: &TestSystem) {
    let vaccine = register_vaccine(&system.vaccine(), 1_000).await;
    for _ in 0..2 {
        assert_eq!(send(&system.booking(0), book(vaccine)).await.status, 201);
    }
    assert_eq!(send(&system.booking(0), cancel(2)).await.status, 200);
    eventually(&system.mypage(), "/mypages", |page| items(page, "mypages").len() == 2).await;
    open_campaign(&system.target(CAMPAIGN), vaccine).await;
    let cancelled = |page: &_| items(page, "cancellations").len() == 1;
    eventually(&system.injection(), "/cancellations", cancelled).await;
}

#[tokio::test]
async fn schemathesis_finds_no_difference_between_the_documents_and_the_services() {
    let system = TestSystem::in_processes(1).await;
    sample(&system).await;
    let folder = tempfile::tempdir().unwrap();
    let mut differences = String::new();
    let services: [&Service; 5] = [
        &vaccine::SERVICE,
        &booking::SERVICE,
        &injection::SERVICE,
        &mypage::SERVICE,
        &campaign::SERVICE,
    ];
    for service in services {
        let document = folder.path().join(format!("{}.json", service.name));
        let openapi = (service.openapi.unwrap())();
        fs::write(&document, openapi.to_json().unwrap()).unwrap();
        let direct = system.target(ServiceProcess::new(service.name, 0));
        for (target, is_gateway) in [(direct, false), (system.gateway(), true)] {
            let url = format!("http://{}", target.authority());
            let run = schemathesis(&document, &url, is_gateway);
            let report = String::from_utf8_lossy(&run.stdout);
            println!("{} at {url}: {}", service.name, cases(&report));
            if !run.status.success() {
                let errors = String::from_utf8_lossy(&run.stderr);
                writeln!(differences, "--- {} at {url}\n{report}{errors}", service.name).unwrap();
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
