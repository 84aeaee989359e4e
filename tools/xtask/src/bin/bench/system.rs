//! The system under measurement, as it is shipped, and the echo server beside it.

use std::{
    fs, io,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use drill::{DrillError, Request, ServiceList, ServiceProcess, System, Target, TestEnvironment};
use serde_json::{Value, json};
use xtask::{child, services};

use crate::machine;

/// The example server of `platform-service`, and its port.
const ECHO: ServiceProcess = ServiceProcess::new("echo", 0);
const ECHO_SERVICES: ServiceList = &[("echo", 8090)];

/// The services that are asked while bookings are measured; an earlier build may lack others.
const ASKED: [&str; 4] = ["vaccine", "booking", "injection", "mypage"];

/// What cargo builds.
pub(crate) const PROGRAM: [&str; 2] = ["anticorona", "--bins"];
pub(crate) const ECHO_PROGRAM: [&str; 3] = ["platform-service", "--example", "echo"];

/// More doses than any measurement books.
pub(crate) const STOCK: i64 = 1_000_000_000;

/// The interval at which a service is asked whether its work is done.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// One or more services, running.
pub(crate) struct TestSystem {
    pub(crate) system: System,
    /// The service that takes bookings, or the only one that runs.
    pub(crate) entry: Target,
    /// From the start to the first healthy response on every port.
    pub(crate) ready_after: Duration,
    pids: Vec<u32>,
}

/// Builds a program as it is shipped.
pub(crate) fn build(arguments: &[&str]) -> Result<(), DrillError> {
    let mut build = child::cargo(["build", "--quiet", "--profile", child::DIST, "--package"]);
    Ok(child::succeed(build.args(arguments), "read what cargo printed above")?)
}

/// A program of the profile that this one was built with.
fn program(name: &str) -> Result<PathBuf, DrillError> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

impl TestSystem {
    /// All services in one process, on SQLite.
    pub(crate) async fn serve() -> Result<Self, DrillError> {
        let environment = environment(program("anticorona")?)?;
        Self::start(environment, &[ServiceProcess::ALL], ServiceProcess::booking(0)).await
    }

    /// The same by an earlier build.
    pub(crate) async fn serve_by(earlier: PathBuf) -> Result<Self, DrillError> {
        let asked = service_list()?.iter().filter(|(name, _)| ASKED.contains(name)).copied();
        let environment = TestEnvironment::new(earlier, asked.collect::<Vec<_>>().leak());
        let environment = environment.with_setting("RUST_LOG", "warn");
        Self::start(environment, &[ServiceProcess::ALL], ServiceProcess::booking(0)).await
    }

    /// One process per service, all on one PostgreSQL. Events are published over HTTP, as by `serve`.
    pub(crate) async fn on_postgres(url: &str) -> Result<Self, DrillError> {
        let names = service_list()?.iter().map(|(name, _)| ServiceProcess::new(name, 0));
        let environment = environment(program("anticorona")?)?.with_setting("DATABASE_URL", url);
        Self::start(environment, &names.collect::<Vec<_>>(), ServiceProcess::booking(0)).await
    }

    /// Booking, and the vaccine that it calls, whose store is delayed so that it limits the rate.
    pub(crate) async fn pair(store_delay_us: u32) -> Result<(Self, Self), DrillError> {
        let vaccine = Self::vaccine().await?;
        drill::set_faults(&vaccine.entry, &json!({"storeDelayUs": store_delay_us})).await?;
        Ok((Self::booking(&vaccine.entry.to_string()).await?, vaccine))
    }

    /// Vaccine alone, with fault injection.
    pub(crate) async fn vaccine() -> Result<Self, DrillError> {
        let vaccine = ServiceProcess::vaccine(0);
        let environment = environment(program("anticorona")?)?.with_faults();
        Self::start(environment, &[vaccine], vaccine).await
    }

    /// Booking alone.
    pub(crate) async fn booking(vaccine_url: &str) -> Result<Self, DrillError> {
        let booking = ServiceProcess::booking(0);
        let environment = environment(program("anticorona")?)?;
        let environment = environment.with_setting("VACCINE_URL", vaccine_url);
        Self::start(environment, &[booking], booking).await
    }

    /// A server with a constant response, on the HTTP stack of the services.
    pub(crate) async fn echo() -> Result<Self, DrillError> {
        let environment = TestEnvironment::new(program("examples/echo")?, ECHO_SERVICES);
        Self::start(environment.with_setting("RUST_LOG", "warn"), &[ECHO], ECHO).await
    }

    async fn start(
        environment: TestEnvironment,
        services: &[ServiceProcess],
        entry: ServiceProcess,
    ) -> Result<Self, DrillError> {
        let start = Instant::now();
        let mut system = System::start(environment, services).await?;
        let ready_after = start.elapsed();
        let pids = services.iter().map(|service| system.pid(*service)).collect::<Result<_, _>>()?;
        let entry = system.target(entry)?;
        Ok(Self { system, entry, ready_after, pids })
    }

    pub(crate) fn target(&self, name: &'static str) -> Result<Target, DrillError> {
        self.system.target(ServiceProcess::new(name, 0))
    }

    /// Registers a vaccine; its id.
    pub(crate) async fn register(&self, stock: i64) -> Result<i64, DrillError> {
        drill::register_vaccine(&self.target("vaccine")?, stock).await
    }

    /// Resident memory of all processes.
    pub(crate) fn memory_mib(&self) -> Result<f64, DrillError> {
        self.pids.iter().copied().map(machine::memory_mib).sum()
    }

    /// The size of all files of the process that runs everything.
    pub(crate) fn stored_bytes(&self) -> Result<u64, DrillError> {
        let files = fs::read_dir(self.system.data(ServiceProcess::ALL))?;
        Ok(files.map(|file| Ok(file?.metadata()?.len())).sum::<io::Result<u64>>()?)
    }

    pub(crate) async fn stored_bookings(&self) -> Result<u64, DrillError> {
        let list = get(&self.entry, "/bookings?size=1").await?;
        list["page"]["totalElements"].as_u64().ok_or_else(|| "a list without a total".into())
    }

    /// How long it takes until the consumers have caught up. Then all bookings must be of this vaccine: an error
    /// if the ledger counts other than booking.
    pub(crate) async fn caught_up(
        &self,
        vaccine: i64,
        within: Duration,
    ) -> Result<Duration, DrillError> {
        let took = self.consumers_caught_up(within).await?;
        let booked = self.stored_bookings().await?;
        let ledger = get(&self.target("vaccine")?, &format!("/vaccines/{vaccine}")).await?;
        if ledger["bookQty"].as_u64() != Some(booked) {
            return Err(format!("{booked} bookings, but the ledger counts {ledger}").into());
        }
        Ok(took)
    }

    /// How long it takes until injection and mypage have consumed the events of all bookings; then it waits until
    /// no hold is open, which takes as long as doses are kept in hand. An error after `within`.
    pub(crate) async fn consumers_caught_up(
        &self,
        within: Duration,
    ) -> Result<Duration, DrillError> {
        let start = Instant::now();
        let booked = self.stored_bookings().await?;
        let all = |list: &Value| list["page"]["totalElements"] == booked;
        wait_until(&self.target("injection")?, "/injections?size=1", within, all).await?;
        // Lists of mypage have no total; it consumes bookings in their order.
        let path = format!("/bookings?size=1&cursor=before-{}", i64::MAX);
        let newest = get(&self.entry, &path).await?["_embedded"]["bookings"][0]["bookingId"].take();
        if !newest.is_null() {
            let path = format!("/mypages/{newest}");
            let is_known = |mypage: &Value| mypage["bookId"] == newest;
            wait_until(&self.target("mypage")?, &path, within, is_known).await?;
        }
        let took = start.elapsed();
        self.no_open_holds(within).await?;
        Ok(took)
    }

    /// Waits until vaccine has consumed the outcome of every hold.
    pub(crate) async fn no_open_holds(&self, within: Duration) -> Result<(), DrillError> {
        let none = |holds: &Value| holds["reservationIds"].as_array().is_some_and(Vec::is_empty);
        wait_until(&self.target("vaccine")?, "/holds?heldForMs=0", within, none).await
    }
}

fn environment(program: PathBuf) -> Result<TestEnvironment, DrillError> {
    let environment = TestEnvironment::new(program, service_list()?);
    Ok(environment.with_setting("RUST_LOG", "warn"))
}

/// Leaked, since drills know their services at compile time: some bytes for each system.
fn service_list() -> Result<ServiceList, DrillError> {
    let listed = services::list(&mut Command::new(program("anticorona")?))?;
    let services = listed.into_iter().map(|service| (&*service.name.leak(), service.port));
    Ok(services.collect::<Vec<_>>().leak())
}

async fn wait_until(
    target: &Target,
    path: &str,
    within: Duration,
    condition: impl Fn(&Value) -> bool,
) -> Result<(), DrillError> {
    let start = Instant::now();
    loop {
        let body = get(target, path).await?;
        if condition(&body) {
            return Ok(());
        }
        if start.elapsed() > within {
            let seconds = within.as_secs();
            return Err(format!("after {seconds} s {target}{path} still returns {body}").into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn get(target: &Target, path: &str) -> Result<Value, DrillError> {
    Ok(drill::send(target, &Request::get(path)).await?.json()?)
}
