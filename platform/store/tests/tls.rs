//! TLS to a PostgreSQL server whose certificate is signed by an authority of the test.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use platform_store::{
    Database, SqlError, Tx,
    database::{open, open_blocking},
};
use platform_telemetry::{
    error_chain,
    logs::{self, LogFormat},
};
use servers::{Authority, Durability, ThrowAwayServer, postgres, postgres_with_tls};

const URL: &str = "TEST_URL";

const IS_ENCRYPTED: &str = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// A server with a certificate for `localhost`, and the authority that signed it.
fn server() -> (Authority, ThrowAwayServer) {
    let authority = Authority::named("own");
    let identity = authority.issue("localhost");
    let server = postgres_with_tls(&identity).expect("it starts");
    (authority, server)
}

/// Opens a store at this address, by the name `host`, in a process that trusts this authority. What that prints:
/// whether the connection is encrypted, or why there is none; and its log.
fn open_at(authority: &Authority, address: &str, host: &str, parameters: &str) -> String {
    run("open_in_this_process", authority, &(address.replace("127.0.0.1", host) + parameters))
}

fn run(test: &str, authority: &Authority, url: &str) -> String {
    let output = authority.trusted_by(test).env(URL, url).output().expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The other tests start it, with a URL and the authority to trust; by itself it does nothing.
#[test]
#[expect(clippy::disallowed_methods, reason = "the address comes from the test that starts this")]
fn open_in_this_process() {
    let Ok(url) = std::env::var(URL) else { return };
    logs::start(LogFormat::Pretty);
    let database: Database = url.parse().expect("a URL");
    match open_blocking(&database, "notes", &[]) {
        Ok((mut store, _reads)) => {
            let read = |tx: &Tx<'_>| -> Result<_, SqlError> {
                tx.find(IS_ENCRYPTED, &[], |row| row.text(0).map(str::to_owned))
            };
            println!("encrypted: {:?}", store.transaction(read).expect("reads"));
        }
        Err(error) => println!("{}", error_chain(&error)),
    }
}

#[test]
fn a_connection_to_postgres_is_encrypted_if_it_is_required_or_the_server_offers_it() {
    let (authority, server) = server();
    for parameters in ["?sslmode=require", "?sslmode=prefer", ""] {
        let printed = open_at(&authority, server.address(), "localhost", parameters);
        assert!(printed.contains("encrypted: Some(\"true\")"), "{parameters}: {printed}");
    }
    let printed = open_at(&authority, server.address(), "localhost", "?sslmode=disable");
    assert!(printed.contains("encrypted: Some(\"false\")"), "{printed}");
}

#[test]
fn postgres_with_a_certificate_of_another_authority_or_host_is_refused_and_the_error_says_why() {
    let (authority, server) = server();
    let other = Authority::named("other");
    for mode in ["require", "prefer"] {
        let parameters = format!("?sslmode={mode}");
        let printed = open_at(&other, server.address(), "localhost", &parameters);
        assert!(printed.contains("the certificate of localhost is not valid"), "{printed}");
        assert!(printed.contains("UnknownIssuer"), "{printed}");
        assert!(printed.contains("SSL_CERT_FILE"), "{printed}");
        let printed = open_at(&authority, server.address(), "127.0.0.1", &parameters);
        assert!(printed.contains("the certificate of 127.0.0.1 is not valid"), "{printed}");
        assert!(printed.contains("not valid for name"), "{printed}");
    }
}

/// Another test starts it, with a URL and the authority to trust; by itself it does nothing.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the address comes from the test that starts this")]
async fn wait_in_this_process() {
    let Ok(url) = std::env::var(URL) else { return };
    logs::start(LogFormat::Pretty);
    let error = open(&url.parse().expect("a URL"), "notes", &[]).await.expect_err("it opens");
    println!("{}", error_chain(&error));
}

#[test]
fn a_certificate_that_is_not_valid_is_not_waited_for() {
    let (_, server) = server();
    let url = server.address().replace("127.0.0.1", "localhost");
    let printed = run("wait_in_this_process", &Authority::named("other"), &url);
    assert!(printed.contains("the certificate of localhost is not valid"), "{printed}");
    assert!(!printed.contains("waits for its database"), "{printed}");
}

#[test]
fn if_no_authority_is_trusted_the_error_says_so() {
    let (_, server) = server();
    let printed = open_at(&Authority::untrusted(), server.address(), "localhost", "");
    assert!(printed.contains("no certificate authority is trusted"), "{printed}");
    assert!(printed.contains("set SSL_CERT_FILE"), "{printed}");
}

#[test]
fn postgres_without_tls_is_refused_if_it_is_required_and_otherwise_warned_of_once() {
    let authority = Authority::named("own");
    let server = postgres(Durability::None).expect("it starts");
    let printed = open_at(&authority, server.address(), "127.0.0.1", "?sslmode=require");
    assert!(printed.contains("server does not support TLS"), "{printed}");
    // 0.0.0.0 reaches this machine, but is not a loopback address.
    for (host, parameters, warnings) in
        [("0.0.0.0", "", 1), ("0.0.0.0", "?sslmode=disable", 0), ("127.0.0.1", "", 0)]
    {
        let printed = open_at(&authority, server.address(), host, parameters);
        assert!(printed.contains("encrypted: Some(\"false\")"), "{printed}");
        assert_eq!(printed.matches("is not encrypted").count(), warnings, "{host}: {printed}");
    }
}

#[test]
fn a_connection_to_the_second_host_is_not_taken_for_encrypted_because_that_to_the_first_was() {
    let (authority, encrypted) = server();
    let plain = postgres(Durability::None).expect("it starts");
    // The first refuses this user, over TLS.
    let database = plain.address().parse().expect("a URL");
    let (mut store, _reads) = open_blocking(&database, "notes", &[]).expect("it opens");
    let create = |tx: &Tx<'_>| tx.execute("CREATE ROLE other LOGIN SUPERUSER", &[]);
    store.transaction(create).expect("a role");
    let address = |server: &ThrowAwayServer, host: &str| {
        let (_user, address) = server.address().split_once('@').expect("a user");
        address.replace("127.0.0.1", host)
    };
    let (first, second) = (address(&encrypted, "localhost"), address(&plain, "0.0.0.0"));
    let first = first.trim_end_matches("/postgres");
    let url = format!("postgres://other@{first},{second}");
    let printed = open_at(&authority, &url, "", "");
    assert!(printed.contains("encrypted: Some(\"false\")"), "{printed}");
    assert!(printed.contains("is not encrypted"), "{printed}");
}
