//! A running system for one test: processes on free ports, data in a temporary folder.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use drill::{Reply, Request, Target};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// How long a process may take to come up in a debug build on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(30);

/// How long the dust may take to settle after a crash.
const SETTLE_WITHIN: Duration = Duration::from_mins(1);

/// What can be started and killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything in one process.
    Together,
    /// One of several vaccine processes on one database.
    Vaccine(u16),
    /// One of several booking processes.
    Booking(u16),
    Injection,
    Mypage,
    Gateway,
}

impl Part {
    /// Which of several of its kind.
    fn number(self) -> u16 {
        match self {
            Self::Vaccine(n) | Self::Booking(n) => n,
            Self::Together | Self::Injection | Self::Mypage | Self::Gateway => 0,
        }
    }
}

/// What a town is built on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ground {
    settings: Vec<(&'static str, String)>,
    /// Whether each part has the switch that makes it fail.
    faults: bool,
}

impl Ground {
    /// SQLite, and nothing between the parts.
    pub(crate) fn embedded() -> Self {
        Self::default()
    }

    /// With one more setting.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// The same, but each part has the switch that makes it fail.
    pub(crate) fn with_faults(self) -> Self {
        Self { faults: true, ..self }
    }

    /// PostgreSQL for every part, and nothing between them.
    pub(crate) async fn postgres() -> Self {
        Self { settings: vec![("DATABASE_URL", new_database().await)], ..Self::default() }
    }

    /// What a setting says.
    pub(crate) fn setting(&self, name: &str) -> String {
        self.settings.iter().find(|(known, _)| *known == name).unwrap().1.clone()
    }

    /// PostgreSQL and NATS.
    pub(crate) async fn postgres_and_nats() -> Self {
        let Self { mut settings, .. } = Self::postgres().await;
        settings.push(("EVENTS_URL", new_stream()));
        Self { settings, ..Self::default() }
    }

    /// Polyglot: PostgreSQL for what must not be oversold, SQLite for what follows, and NATS.
    pub(crate) async fn mixed_postgres_and_nats() -> Self {
        let database = new_database().await;
        Self {
            settings: vec![
                ("VACCINE_DATABASE_URL", database.clone()),
                ("BOOKING_DATABASE_URL", database),
                ("EVENTS_URL", new_stream()),
            ],
            ..Self::default()
        }
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
pub(crate) struct Town {
    folder: TempDir,
    ground: Ground,
    /// One for each of several processes of a kind.
    offsets: Vec<u16>,
    /// Vaccine processes that bookings ask in turn.
    vaccines: u16,
    running: Vec<(Part, Child)>,
}

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
        let folder = tempfile::tempdir().unwrap();
        let most = parts.iter().map(|part| part.number()).max().unwrap_or(0);
        let offsets = (0..=most).map(|_| free_offset()).collect();
        let vaccines = parts.iter().filter(|part| matches!(part, Part::Vaccine(_))).count();
        let vaccines = u16::try_from(vaccines).unwrap().max(1);
        let mut town = Self { folder, ground, offsets, vaccines, running: Vec::new() };
        for part in parts {
            town.start(*part).await;
        }
        town
    }

    /// Starts a part and waits until it answers.
    pub(crate) async fn start(&mut self, part: Part) {
        let child = self.command(part).spawn().unwrap();
        self.running.push((part, child));
        let start = Instant::now();
        for target in self.targets(part) {
            while drill::send(&target, &Request::get("/actuator/health")).await.is_err() {
                let died = self.running.last_mut().unwrap().1.try_wait().unwrap();
                assert_eq!(died, None, "{part:?} did not start:\n{}", self.log(part));
                assert!(start.elapsed() < START_WITHIN, "{part:?} is silent:\n{}", self.log(part));
                tokio::time::sleep(Duration::from_millis(5)).await; // tidy: paced, looks until it is up
            }
        }
    }

    fn command(&self, part: Part) -> Command {
        let log = File::options().create(true).append(true).open(self.log_path(part)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_anticorona"));
        let offset = self.offsets[usize::from(part.number())];
        let subcommand = match part {
            Part::Together => "serve",
            Part::Vaccine(_) => "vaccine",
            Part::Booking(_) => "booking",
            Part::Injection => "injection",
            Part::Mypage => "mypage",
            Part::Gateway => "gateway",
        };
        command
            .arg(subcommand)
            .args(["--port-offset", &offset.to_string()])
            .arg("--data")
            .arg(self.folder.path().join(format!("{part:?}")))
            .env("VACCINE_URL", self.url(8081, part.number() % self.vaccines))
            .env("BOOKING_URL", self.url(8082, 0))
            .env("INJECTION_URL", self.url(8084, 0))
            .env("MYPAGE_URL", self.url(8083, 0))
            .envs(self.ground.settings.iter().map(|(name, value)| (name, value)))
            .args(self.ground.faults.then_some("--faults"))
            .stdout(Stdio::null())
            .stderr(log);
        command
    }

    /// `anticorona mypage rebuild`, on the data of this town's.
    pub(crate) fn rebuild_mypage(&self) {
        let done = Command::new(env!("CARGO_BIN_EXE_anticorona"))
            .args(["mypage", "rebuild", "--data"])
            .arg(self.data(Part::Mypage))
            .envs(self.ground.settings.iter().map(|(name, value)| (name, value)))
            .status();
        assert!(done.unwrap().success());
    }

    /// Ends a part at once, as a power cut would end it for everybody else.
    pub(crate) fn kill(&mut self, part: Part) {
        let (_, mut child) = self.take(part);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks a part to end; the exit code says how it did.
    pub(crate) async fn terminate(&mut self, part: Part) -> Option<i32> {
        let (_, mut child) = self.take(part);
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        tokio::task::spawn_blocking(move || child.wait().unwrap().code()).await.unwrap()
    }

    fn take(&mut self, part: Part) -> (Part, Child) {
        let place = self.running.iter().position(|(running, _)| *running == part).unwrap();
        self.running.remove(place)
    }

    pub(crate) fn vaccine(&self) -> Target {
        self.target(8081, 0)
    }

    pub(crate) fn booking(&self, n: u16) -> Target {
        self.target(8082, n)
    }

    /// Where the first of them listens.
    pub(crate) fn booking_port(&self) -> u16 {
        8082 + self.offsets[0]
    }

    pub(crate) fn gateway(&self) -> Target {
        self.target(8088, 0)
    }

    pub(crate) fn setting(&self, name: &str) -> String {
        self.ground.setting(name)
    }

    /// One more setting for whoever is started from now on.
    pub(crate) fn also_set(&mut self, name: &'static str, value: &str) {
        self.ground.settings.push((name, value.to_owned()));
    }

    pub(crate) fn offset(&self) -> u16 {
        self.offsets[0]
    }

    pub(crate) fn data(&self, part: Part) -> PathBuf {
        self.folder.path().join(format!("{part:?}"))
    }

    fn targets(&self, part: Part) -> Vec<Target> {
        match part {
            Part::Together => {
                vec![
                    self.vaccine(),
                    self.booking(0),
                    self.mypage(),
                    self.injection(),
                    self.gateway(),
                ]
            }
            Part::Vaccine(n) => vec![self.target(8081, n)],
            Part::Booking(n) => vec![self.booking(n)],
            Part::Injection => vec![self.injection()],
            Part::Mypage => vec![self.mypage()],
            Part::Gateway => vec![self.gateway()],
        }
    }

    pub(crate) fn mypage(&self) -> Target {
        self.target(8083, 0)
    }

    pub(crate) fn injection(&self) -> Target {
        self.target(8084, 0)
    }

    fn target(&self, port: u16, n: u16) -> Target {
        Target::parse(&self.url(port, n)).unwrap()
    }

    fn url(&self, port: u16, n: u16) -> String {
        format!("http://127.0.0.1:{}", port + self.offsets[usize::from(n)])
    }

    pub(crate) fn log(&self, part: Part) -> String {
        fs::read_to_string(self.log_path(part)).unwrap_or_default()
    }

    fn log_path(&self, part: Part) -> PathBuf {
        self.folder.path().join(format!("{part:?}.log"))
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for (part, mut child) in std::mem::take(&mut self.running) {
            drop(child.kill());
            drop(child.wait());
            if std::thread::panicking() {
                eprintln!("--- {part:?}\n{}", self.log(part));
            }
        }
    }
}

/// An offset at which every port of a town is free.
pub(crate) fn free_offset() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1_900).unwrap();
    loop {
        let step = (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 1_900;
        let offset = 1_000 + 10 * step;
        let ports = (8081..=8088).map(|port| port + offset);
        if ports.map(|port| TcpListener::bind(("127.0.0.1", port))).all(|bound| bound.is_ok()) {
            return offset;
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
