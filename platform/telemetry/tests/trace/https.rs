//! Spans are exported over https to a collector whose certificate is signed by an authority of the test.

use platform_telemetry::{
    error_chain,
    logs::{self, LogFormat},
    trace::{export::Exporter, settings::TraceSettings},
};
use servers::Authority;
use tokio::task::spawn_blocking;

use crate::{Service, collector::Collector};

const ENDPOINT: &str = "TEST_ENDPOINT";

/// The other tests start it, with an endpoint and the authority to trust; by itself it does nothing.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the address comes from the test that starts this")]
async fn export_in_this_process() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return };
    logs::start(LogFormat::Pretty);
    let settings =
        TraceSettings::read(|name| (name.ends_with("TRACES_ENDPOINT")).then(|| endpoint.clone()));
    let exporter = match Exporter::start(settings.unwrap().unwrap()) {
        Ok(exporter) => exporter,
        Err(error) => return println!("{}", error_chain(&error)),
    };
    Service::back(exporter.tracer("back")).get("/doses", &[]).await;
    exporter.shutdown().await;
}

/// Exports a span in a process that trusts this authority. What that prints.
async fn export(authority: &Authority, collector: &Collector) -> String {
    let mut program = authority.trusted_by("https::export_in_this_process");
    program.env(ENDPOINT, collector.settings.endpoint.to_string());
    let output = spawn_blocking(move || program.output()).await.unwrap().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn spans_are_exported_over_https() {
    let authority = Authority::named("own");
    let collector = Collector::over_tls(&authority.issue("localhost")).await;
    let printed = export(&authority, &collector).await;
    assert_eq!(collector.spans().len(), 1, "{printed}");
}

#[tokio::test]
async fn a_collector_with_a_certificate_of_another_authority_or_host_gets_nothing_and_the_log_says_why()
 {
    let (authority, other) = (Authority::named("own"), Authority::named("other"));
    for (name, cause) in [("localhost", "UnknownIssuer"), ("other.test", "not valid for name")] {
        let collector = Collector::over_tls(&authority.issue(name)).await;
        let trusted = if name == "localhost" { &other } else { &authority };
        let printed = export(trusted, &collector).await;
        assert_eq!(collector.spans(), [], "{printed}");
        assert!(printed.contains(cause), "{printed}");
    }
}

#[tokio::test]
async fn if_no_authority_is_trusted_the_error_says_so() {
    let authority = Authority::untrusted();
    let collector = Collector::over_tls(&authority.issue("localhost")).await;
    let printed = export(&authority, &collector).await;
    assert!(printed.contains("no certificate authority is trusted"), "{printed}");
    assert!(printed.contains("set SSL_CERT_FILE"), "{printed}");
}
