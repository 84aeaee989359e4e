//! Liveness and readiness differ: without its database a service is not ready, and a restart would not help.

use std::time::{Duration, Instant};

use drill::{Request, Response, Target, TestEnvironment};
use tokio_postgres::Client;

use crate::{
    environment,
    requests::{book, register_vaccine, send},
    start::anticorona,
    test_system::{BOOKING, TestSystem, VACCINE},
};

/// When a service must have noticed a change of its database.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

const LIVENESS: &str = "/actuator/health/liveness";

const READINESS: &str = "/actuator/health/readiness";

/// A database that can be made unavailable.
struct DatabaseOutage {
    server: Client,
    database: String,
}

impl DatabaseOutage {
    async fn of(environment: &TestEnvironment) -> Self {
        let url = environment.setting("DATABASE_URL").unwrap();
        let (server, database) = url.rsplit_once('/').unwrap();
        let server = environment::connect(&format!("{server}/postgres")).await;
        Self { server, database: database.to_owned() }
    }

    async fn begin(&self) {
        self.allow_connections(false).await;
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        self.server.query(sql, &[&self.database]).await.unwrap();
    }

    async fn end(&self) {
        self.allow_connections(true).await;
    }

    async fn allow_connections(&self, allowed: bool) {
        let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", self.database);
        self.server.batch_execute(&sql).await.unwrap();
    }
}

async fn wait_for_status(target: &Target, path: &str, status: u16) -> Response {
    let start = Instant::now();
    loop {
        let response = send(target, Request::get(path)).await;
        if response.status == status {
            return response;
        }
        assert!(start.elapsed() < NOTICED_WITHIN, "GET {path} still returns {}", response.status);
        tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, polls until it is noticed
    }
}

#[tokio::test]
async fn without_its_postgres_a_service_is_alive_but_not_ready_and_refuses_with_retry_after() {
    let environment = environment::postgres().await;
    let outage = DatabaseOutage::of(&environment).await;
    let system = TestSystem::start(environment, &[VACCINE, BOOKING]).await;
    let id = register_vaccine(&system.vaccine(), 10).await;
    let booking = system.booking(0);
    assert_eq!(send(&booking, Request::get(READINESS)).await.status, 200);

    outage.begin().await;
    let not_ready = wait_for_status(&booking, READINESS, 503).await;
    assert_eq!(not_ready.json().unwrap()["components"]["db"]["status"], "DOWN");
    assert_eq!(send(&booking, Request::get(LIVENESS)).await.status, 200);
    assert_eq!(send(&booking, Request::get("/actuator/health")).await.status, 503);
    let refused = send(&booking, book(id)).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "503 has Retry-After");

    outage.end().await;
    wait_for_status(&booking, READINESS, 200).await;
    wait_for_status(&system.vaccine(), READINESS, 200).await;
}

#[tokio::test]
async fn readiness_is_answered_in_time_while_postgres_does_not_respond() {
    let system = TestSystem::start(environment::postgres().await, &[VACCINE]).await;
    let lock_owner = environment::connect(system.setting("DATABASE_URL")).await;
    let lock = "BEGIN; LOCK TABLE vaccine.outbox IN ACCESS EXCLUSIVE MODE";
    lock_owner.batch_execute(lock).await.unwrap();

    let start = Instant::now();
    wait_for_status(&system.vaccine(), READINESS, 503).await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(send(&system.vaccine(), Request::get(LIVENESS)).await.status, 200);

    lock_owner.batch_execute("ROLLBACK").await.unwrap();
    wait_for_status(&system.vaccine(), READINESS, 200).await;
}

#[tokio::test]
async fn the_exit_code_of_the_health_command_is_1_for_a_service_that_is_not_reachable() {
    let system = TestSystem::in_one_process().await;
    let offset = system.port_offset().to_string();
    let all = anticorona(&["health", "--port-offset", &offset]);
    let printed = String::from_utf8_lossy(&all.stdout).into_owned();
    assert_eq!(all.status.code(), Some(0), "{}", String::from_utf8_lossy(&all.stderr));
    assert_eq!(printed.lines().filter(|line| line.ends_with(" is up")).count(), 6, "{printed}");
    let gateway = anticorona(&["health", "gateway", "--alive", "--port-offset", &offset]);
    assert_eq!(gateway.status.code(), Some(0));
    let dead_letters = anticorona(&["events", "dead-letters", "--port-offset", &offset]);
    assert_eq!(dead_letters.stdout, b"0 dead letters\n");
    for asked in [all, gateway, dead_letters] {
        assert_eq!(String::from_utf8_lossy(&asked.stderr), "", "it is no service and has no log");
    }

    drop(system);
    let stopped = anticorona(&["health", "booking", "--port-offset", &offset]);
    let printed = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert_eq!(stopped.status.code(), Some(1), "{printed}");
    assert!(printed.starts_with("booking: not reachable"), "{printed}");
}
