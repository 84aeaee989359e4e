//! TLS to a NATS server whose certificate is signed by an authority of the test.

use contracts::ids::StoreId;
use platform_events::{NatsTransport, NatsUrl, Transport};
use platform_telemetry::{
    error_chain,
    logs::{self, LogFormat},
};
use servers::{Authority, nats, nats_with_tls};
use uuid::Uuid;

const URL: &str = "TEST_URL";

/// Queries a position in a process that trusts this authority. What that prints.
fn query(authority: &Authority, url: &str) -> String {
    let mut program = authority.trusted_by("nats_tls::query_in_this_process");
    let output = program.env(URL, url).output().expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The other tests start it, with a URL and the authority to trust; by itself it does nothing.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the address comes from the test that starts this")]
async fn query_in_this_process() {
    let Ok(url) = std::env::var(URL) else { return };
    logs::start(LogFormat::Pretty);
    let url: NatsUrl = url.parse().unwrap();
    let nats = NatsTransport::connect(&url, "test").await.unwrap();
    match nats.position(StoreId(Uuid::now_v7())).await {
        Ok(reached) => println!("answered: {}", reached.position.offset),
        Err(error) => println!("{}", error_chain(&error)),
    }
}

#[test]
fn nats_is_connected_to_over_tls() {
    let authority = Authority::named("own");
    let server = nats_with_tls(&authority.issue("localhost")).unwrap();
    let printed = query(&authority, &server.address().replace("127.0.0.1", "localhost"));
    assert!(printed.contains("answered: 0"), "{printed}");
}

#[test]
fn nats_with_a_certificate_of_another_authority_or_host_is_refused_and_the_log_says_why() {
    let authority = Authority::named("own");
    let server = nats_with_tls(&authority.issue("localhost")).unwrap();
    let localhost = server.address().replace("127.0.0.1", "localhost");
    for trusted in [Authority::named("other"), Authority::untrusted()] {
        let printed = query(&trusted, &localhost);
        assert!(printed.contains("UnknownIssuer") && !printed.contains("answered"), "{printed}");
        assert!(printed.contains("SSL_CERT_FILE"), "{printed}");
    }
    let printed = query(&authority, server.address());
    assert!(printed.contains("not valid for name") && !printed.contains("answered"), "{printed}");
}

#[test]
fn nats_without_tls_is_refused_if_the_url_requires_it() {
    let server = nats().unwrap();
    let url = server.address().replace("nats://", "tls://");
    let printed = query(&Authority::named("other"), &url);
    assert!(printed.contains("cannot connect to NATS"), "{printed}");
    assert!(!printed.contains("answered"), "{printed}");
}
