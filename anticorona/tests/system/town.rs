//! A running system for one test: processes on free ports, data in a temporary folder.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use drill::{Reply, Request, System, Target};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use drill::Part;

/// How long the dust may take to settle after a crash.
const SETTLE_WITHIN: Duration = Duration::from_mins(1);

/// What a town is built on.
#[derive(Clone, Debug)]
pub(crate) struct Ground(drill::Ground);

impl Ground {
    /// SQLite, and nothing between the parts.
    pub(crate) fn embedded() -> Self {
        Self(drill::Ground::of(env!("CARGO_BIN_EXE_anticorona")))
    }

    /// With one more setting.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        Self(self.0.with(name, value))
    }

    /// The same, but each part has the switch that makes it fail.
    pub(crate) fn with_faults(self) -> Self {
        Self(self.0.with_faults())
    }

    /// PostgreSQL for every part, and nothing between them.
    pub(crate) async fn postgres() -> Self {
        Self::embedded().with("DATABASE_URL", &new_database().await)
    }

    /// What a setting says.
    pub(crate) fn setting(&self, name: &str) -> String {
        self.0.setting(name).unwrap().to_owned()
    }

    /// PostgreSQL and NATS.
    pub(crate) async fn postgres_and_nats() -> Self {
        Self::postgres().await.with("EVENTS_URL", &new_stream())
    }

    /// Polyglot: PostgreSQL for what must not be oversold, SQLite for what follows, and NATS.
    pub(crate) async fn mixed_postgres_and_nats() -> Self {
        let database = new_database().await;
        Self::embedded()
            .with("VACCINE_DATABASE_URL", &database)
            .with("BOOKING_DATABASE_URL", &database)
            .with("EVENTS_URL", &new_stream())
    }
}

fn service(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: `cargo xtask test` starts the server, `--embedded-only` does without"))
}

/// A database of one's own on the throw-away server.
pub(crate) async fn new_database() -> String {
    let server = service("ANTICORONA_TEST_POSTGRES");
    let (client, traffic) = tokio_postgres::connect(&server, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(traffic);
    let name = format!("system_{}", Uuid::now_v7().simple());
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

/// A stream of one's own on the throw-away server.
pub(crate) fn new_stream() -> String {
    format!("{}/{}", service("ANTICORONA_TEST_NATS"), Uuid::now_v7().simple())
}

/// A running system. Whatever still runs is killed when it goes.
pub(crate) struct Town(System);

impl Town {
    /// Everything in one process.
    pub(crate) async fn together() -> Self {
        Self::on(Ground::embedded(), &[Part::Together]).await
    }

    /// Every part in its own process, with several bookings.
    pub(crate) async fn apart(bookings: u16) -> Self {
        Self::apart_on(Ground::embedded(), 1, bookings).await
    }

    /// The same, with several vaccines too, which then need one database.
    pub(crate) async fn apart_on(ground: Ground, vaccines: u16, bookings: u16) -> Self {
        let mut parts: Vec<Part> = (0..vaccines).map(Part::Vaccine).collect();
        parts.extend((0..bookings).map(Part::Booking));
        parts.extend([Part::Injection, Part::Mypage, Part::Gateway]);
        Self::on(ground, &parts).await
    }

    pub(crate) async fn on(ground: Ground, parts: &[Part]) -> Self {
        Self(System::start(ground.0, parts).await.unwrap())
    }

    /// Starts a part and waits until it answers.
    pub(crate) async fn start(&mut self, part: Part) {
        self.0.start_part(part).await.unwrap();
    }

    /// `anticorona mypage rebuild`, on the data of this town's.
    pub(crate) fn rebuild_mypage(&self) {
        let mut rebuild = self.0.program(&["mypage", "rebuild", "--data"]);
        assert!(rebuild.arg(self.data(Part::Mypage)).status().unwrap().success());
    }

    /// Ends a part at once, as a power cut would end it for everybody else.
    pub(crate) fn kill(&mut self, part: Part) {
        self.0.kill(part).unwrap();
    }

    /// Asks a part to end; the exit code says how it did.
    pub(crate) async fn terminate(&mut self, part: Part) -> Option<i32> {
        self.0.terminate(part).await.unwrap()
    }

    pub(crate) fn vaccine(&self) -> Target {
        self.0.vaccine(0).unwrap()
    }

    pub(crate) fn booking(&self, n: u16) -> Target {
        self.0.booking(n).unwrap()
    }

    pub(crate) fn gateway(&self) -> Target {
        self.0.gateway().unwrap()
    }

    pub(crate) fn mypage(&self) -> Target {
        self.0.mypage().unwrap()
    }

    pub(crate) fn injection(&self) -> Target {
        self.0.injection().unwrap()
    }

    pub(crate) fn setting(&self, name: &str) -> String {
        self.0.ground().setting(name).unwrap().to_owned()
    }

    /// One more setting for whoever is started from now on.
    pub(crate) fn also_set(&mut self, name: &str, value: &str) {
        self.0.set(name, value);
    }

    pub(crate) fn offset(&self) -> u16 {
        self.0.offset()
    }

    pub(crate) fn data(&self, part: Part) -> PathBuf {
        self.0.data(part)
    }

    pub(crate) fn log(&self, part: Part) -> String {
        self.0.log(part)
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for part in self.0.running() {
                eprintln!("--- {part:?}\n{}", self.log(part));
            }
        }
    }
}

/// Asks, and expects an answer.
pub(crate) async fn ask(target: &Target, request: Request) -> Reply {
    let what = format!("{} {}", request.method.name(), request.path);
    drill::send(target, &request).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Reads JSON.
pub(crate) async fn read(target: &Target, path: &str) -> Value {
    let reply = ask(target, Request::get(path)).await;
    assert_eq!(reply.status, 200, "GET {path}: {}", reply.text());
    reply.json().unwrap()
}

/// Registers a vaccine; its id.
pub(crate) async fn register(vaccine: &Target, name: &str, stock: i64) -> i64 {
    let body = json!({"vcName": name, "stock": stock});
    let reply = ask(vaccine, Request::post_json("/vaccines", &body)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json().unwrap()["vaccineId"].as_i64().unwrap()
}

/// A booking request.
pub(crate) fn book(vaccine: i64) -> Request {
    Request::post_json("/bookings", &json!({"vaccineId": vaccine, "userId": 5}))
}

/// A cancellation.
pub(crate) fn cancel(booking: i64) -> Request {
    let body = json!({"status": "BOOKING_CANCELLED"});
    Request::patch_json(&format!("/bookings/{booking}"), &body)
}

/// Every booking that a booking part knows: its id and whether it stands.
pub(crate) async fn bookings(booking: &Target) -> Vec<(i64, bool)> {
    let mut all = Vec::new();
    for page in 0.. {
        let list = read(booking, &format!("/bookings?size=1000&page={page}")).await;
        let items = list["_embedded"]["bookings"].as_array().unwrap().clone();
        if items.is_empty() {
            break;
        }
        all.extend(
            items
                .iter()
                .map(|item| (item["bookingId"].as_i64().unwrap(), item["status"] == "BOOKED")),
        );
    }
    all
}

/// Doses held or booked, and doses that exist.
pub(crate) async fn taken_and_stock(vaccine: &Target, id: i64) -> (i64, i64) {
    let vaccine = read(vaccine, &format!("/vaccines/{id}")).await;
    (vaccine["bookQty"].as_i64().unwrap(), vaccine["stock"].as_i64().unwrap())
}

/// Reads until it is as it should be: what follows from events comes a moment later.
pub(crate) async fn eventually(
    target: &Target,
    path: &str,
    is_right: impl Fn(&Value) -> bool,
) -> Value {
    let start = Instant::now();
    loop {
        let reply = ask(target, Request::get(path)).await;
        let body = reply.json().unwrap();
        if reply.status == 200 && is_right(&body) {
            return body;
        }
        assert!(start.elapsed() < SETTLE_WITHIN, "GET {path} stays {} {body}", reply.status);
        tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, looks until it is right
    }
}

/// Waits until exactly that many doses are taken: a dose that nobody settles is leaked.
pub(crate) async fn settled(vaccine: &Target, id: i64, booked: i64) -> Duration {
    let start = Instant::now();
    loop {
        let (taken, stock) = taken_and_stock(vaccine, id).await;
        assert!(taken <= stock, "oversold: {taken} of {stock}");
        if taken == booked {
            return start.elapsed();
        }
        assert!(start.elapsed() < SETTLE_WITHIN, "{taken} doses taken, but {booked} bookings");
        tokio::time::sleep(Duration::from_millis(100)).await; // tidy: paced, looks until it is settled
    }
}
