//! The databases and transports that systems are tested with.

use drill::{ServiceList, TestEnvironment};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// In the order in which they start.
const SERVICES: ServiceList = &[
    (vaccine::SERVICE.name, vaccine::SERVICE.port),
    (campaign::SERVICE.name, campaign::SERVICE.port),
    (mypage::SERVICE.name, mypage::SERVICE.port),
    (injection::SERVICE.name, injection::SERVICE.port),
    (booking::SERVICE.name, booking::SERVICE.port),
    (gateway::SERVICE.name, gateway::SERVICE.port),
];

/// SQLite, and events over HTTP.
pub(crate) fn sqlite() -> TestEnvironment {
    TestEnvironment::new(env!("CARGO_BIN_EXE_anticorona"), SERVICES)
}

/// One PostgreSQL database for all services, and events over HTTP.
pub(crate) async fn postgres() -> TestEnvironment {
    sqlite().with_setting("DATABASE_URL", &new_database().await)
}

/// One PostgreSQL database for all services, and NATS.
pub(crate) async fn postgres_and_nats() -> TestEnvironment {
    postgres().await.with_setting("EVENTS_URL", &new_stream())
}

/// PostgreSQL for vaccine and booking, SQLite for the services that follow them, and NATS.
pub(crate) async fn mixed_stores_and_nats() -> TestEnvironment {
    let database = new_database().await;
    sqlite()
        .with_setting("VACCINE_DATABASE_URL", &database)
        .with_setting("BOOKING_DATABASE_URL", &database)
        .with_setting("EVENTS_URL", &new_stream())
}

/// A new database on the throw-away server.
pub(crate) async fn new_database() -> String {
    let server = server_url("ANTICORONA_TEST_POSTGRES");
    let client = connect(&server).await;
    let name = format!("system_{}", Uuid::now_v7().simple());
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

/// A connection to PostgreSQL.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A new stream on the throw-away server.
pub(crate) fn new_stream() -> String {
    format!("{}/{}", server_url("ANTICORONA_TEST_NATS"), Uuid::now_v7().simple())
}

fn server_url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: `cargo xtask test` starts the server; `--embedded-only` skips this test"
        )
    })
}
