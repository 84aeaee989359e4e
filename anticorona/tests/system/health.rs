//! Alive and ready are two things: a database that is gone makes a part unready, and starting the
//! part anew would not bring it back.

use std::time::{Duration, Instant};

use drill::{Reply, Request, Target};
use tokio_postgres::{Client, NoTls};

use crate::{
    start::anticorona,
    town::{Ground, Part, Town, ask, book, register},
};

/// How soon a part must have noticed. It looks once a second, when asked.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

const LIVENESS: &str = "/actuator/health/liveness";

const READINESS: &str = "/actuator/health/readiness";

/// A database that can be taken away, and given back.
struct Outage {
    server: Client,
    database: String,
}

impl Outage {
    async fn of(ground: &Ground) -> Self {
        let address = ground.setting("DATABASE_URL");
        let (host, database) = address.rsplit_once('/').unwrap();
        let server = format!("{host}/postgres");
        let (server, traffic) = tokio_postgres::connect(&server, NoTls).await.unwrap();
        tokio::spawn(traffic);
        Self { server, database: database.to_owned() }
    }

    async fn begins(&self) {
        self.allow_connections(false).await;
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        self.server.query(ended, &[&self.database]).await.unwrap();
    }

    async fn ends(&self) {
        self.allow_connections(true).await;
    }

    async fn allow_connections(&self, allowed: bool) {
        let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", self.database);
        self.server.batch_execute(&sql).await.unwrap();
    }
}

async fn becomes(target: &Target, path: &str, status: u16) -> Reply {
    let start = Instant::now();
    loop {
        let reply = ask(target, Request::get(path)).await;
        if reply.status == status {
            return reply;
        }
        assert!(start.elapsed() < NOTICED_WITHIN, "GET {path} stays {}", reply.status);
        tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, looks until it is noticed
    }
}

#[tokio::test]
async fn without_its_postgres_a_part_is_alive_but_not_ready_and_says_when_to_come_back() {
    let ground = Ground::postgres().await;
    let outage = Outage::of(&ground).await;
    let town = Town::on(ground, &[Part::Vaccine(0), Part::Booking(0)]).await;
    let id = register(&town.vaccine(), "FIZER", 10).await;
    let booking = town.booking(0);
    assert_eq!(ask(&booking, Request::get(READINESS)).await.status, 200);

    outage.begins().await;
    let unready = becomes(&booking, READINESS, 503).await;
    assert_eq!(unready.json().unwrap()["components"]["db"]["status"], "DOWN");
    assert_eq!(ask(&booking, Request::get(LIVENESS)).await.status, 200);
    assert_eq!(ask(&booking, Request::get("/actuator/health")).await.status, 503);
    let refused = ask(&booking, book(id)).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "a citizen is told when to come back");

    outage.ends().await;
    becomes(&booking, READINESS, 200).await;
    becomes(&town.vaccine(), READINESS, 200).await;
}

#[tokio::test]
async fn readiness_is_answered_in_time_though_the_store_of_postgres_is_silent() {
    let ground = Ground::postgres().await;
    let outage = Outage::of(&ground).await;
    let town = Town::on(ground, &[Part::Vaccine(0)]).await;
    let silence = "BEGIN; LOCK TABLE vaccine.store IN ACCESS EXCLUSIVE MODE";
    let address = town.setting("DATABASE_URL");
    let (holder, traffic) = tokio_postgres::connect(&address, NoTls).await.unwrap();
    tokio::spawn(traffic);
    holder.batch_execute(silence).await.unwrap();

    let asked = Instant::now();
    becomes(&town.vaccine(), READINESS, 503).await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!(ask(&town.vaccine(), Request::get(LIVENESS)).await.status, 200);

    holder.batch_execute("ROLLBACK").await.unwrap();
    becomes(&town.vaccine(), READINESS, 200).await;
    outage.ends().await;
}

#[tokio::test]
async fn the_health_command_answers_with_its_exit_code() {
    let town = Town::together().await;
    let offset = town.offset().to_string();
    let all = anticorona(&["health", "--port-offset", &offset]);
    let said = String::from_utf8_lossy(&all.stdout).into_owned();
    assert_eq!(all.status.code(), Some(0), "{}", String::from_utf8_lossy(&all.stderr));
    assert_eq!(said.lines().filter(|line| line.ends_with(" is up")).count(), 5, "{said}");
    let gateway = anticorona(&["health", "gateway", "--alive", "--port-offset", &offset]);
    assert_eq!(gateway.status.code(), Some(0));

    drop(town);
    let gone = anticorona(&["health", "booking", "--port-offset", &offset]);
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert_eq!(gone.status.code(), Some(1), "{said}");
    assert!(said.contains("booking: not reachable"), "{said}");
}
