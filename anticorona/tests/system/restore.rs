//! The commands of docs/runbooks/restore.md: a backup of all services at one moment can be restored.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use drill::{CONVERGE_WITHIN, Load, Reconnect, Request, ServiceProcess, Stop, TestEnvironment};
use tempfile::TempDir;

use crate::{
    environment::{self, new_database, new_stream},
    requests::{
        book, bookings, eventually, get, items, register_vaccine, send, taken_and_stock,
        wait_until_taken,
    },
    test_system::{BOOKING, INJECTION, MYPAGE, TestSystem, VACCINE},
};

const SERVICES: [ServiceProcess; 4] = [VACCINE, BOOKING, INJECTION, MYPAGE];

/// What a publisher logs that is older than its consumers.
const OLDER: &str = "is newer than this store";

fn run(program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).output().unwrap();
    let printed = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{program} {}: {printed}", arguments.join(" "));
}

fn copy(from: &Path, to: &Path) {
    run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
}

/// Bookings are made and followed, and doses and bookings agree.
async fn assert_works(system: &TestSystem, id: i64) {
    let booking = system.booking(0);
    let booked = send(&booking, book(id)).await;
    assert_eq!(booked.status, 201, "{}", booked.text());
    let number = booked.json().unwrap()["bookingId"].as_i64().unwrap();
    let all = i64::try_from(bookings(&booking).await.len()).unwrap();
    wait_until_taken(&system.vaccine(), id, all).await;
    let path = format!("/injections/search/findByBookingId?bookingId={number}");
    eventually(&system.injection(), &path, |page| items(page, "injections").len() == 1).await;
    let shows_all = |page: &serde_json::Value| page["page"]["totalElements"] == all;
    eventually(&system.mypage(), "/mypages?size=1", shows_all).await;
    for service in SERVICES {
        assert!(!system.log(service).contains(OLDER), "{}", system.log(service));
        let dead_letters = get(&system.target(service), "/events/dead-letters").await;
        assert_eq!(dead_letters["total"], 0, "{service}");
    }
}

/// A copy of the data of all services at one moment.
struct Backup(TempDir);

impl Backup {
    fn of(&self, service: ServiceProcess) -> PathBuf {
        self.0.path().join(service.to_string())
    }

    /// These services lose their data, and are restored.
    async fn restore(&self, system: &mut TestSystem, lost: &[ServiceProcess]) {
        for service in lost {
            system.kill(*service);
            std::fs::remove_dir_all(system.data(*service)).unwrap();
            copy(&self.of(*service), &system.data(*service));
        }
        for service in lost {
            system.start_service(*service).await;
        }
    }
}

/// Stopped, copied, restarted, and used; then these services lose their data, and are restored.
async fn restored(lost: &[ServiceProcess]) -> (TestSystem, i64, Backup) {
    let mut system = TestSystem::start(environment::sqlite(), &SERVICES).await;
    let id = register_vaccine(&system.vaccine(), 1_000).await;
    for _ in 0..5 {
        assert_eq!(send(&system.booking(0), book(id)).await.status, 201);
    }
    let backup = Backup(TempDir::new().unwrap());
    for service in SERVICES {
        assert_eq!(system.terminate(service).await, Some(0));
    }
    for service in SERVICES {
        copy(&system.data(service), &backup.of(service));
        system.start_service(service).await;
    }
    for _ in 0..3 {
        assert_eq!(send(&system.booking(0), book(id)).await.status, 201);
    }
    wait_until_taken(&system.vaccine(), id, 8).await;
    backup.restore(&mut system, lost).await;
    (system, id, backup)
}

#[tokio::test]
async fn sqlite_folders_that_were_copied_at_one_moment_can_be_restored() {
    let (system, id, _) = restored(&SERVICES).await;
    let kept = bookings(&system.booking(0)).await.len();
    assert_eq!(kept, 5, "bookings after the backup are lost");
    assert_works(&system, id).await;
}

/// This is why all services are restored from one backup.
#[tokio::test]
async fn a_service_that_alone_was_restored_takes_no_bookings_before_the_others_are_restored_too() {
    let (mut system, id, backup) = restored(&[BOOKING]).await;
    until(&system, 503, || book(id)).await;
    assert!(system.log(BOOKING).contains(OLDER), "{}", system.log(BOOKING));
    let ready = || Request::get("/actuator/health/readiness");
    until(&system, 503, ready).await;
    backup.restore(&mut system, &[VACCINE, INJECTION, MYPAGE]).await;
    until(&system, 201, || book(id)).await;
}

/// Sends requests to booking until one has this status.
async fn until(system: &TestSystem, status: u16, request: impl Fn() -> Request) {
    let start = Instant::now();
    loop {
        let response = send(&system.booking(0), request()).await;
        if response.status == status {
            return;
        }
        assert!(start.elapsed() < CONVERGE_WITHIN, "{}", response.text());
        tokio::time::sleep(Duration::from_millis(100)).await; // tidy: paced, polls until it is so
    }
}

/// Dumped under load, killed, and started with the restored dump and these settings.
async fn dumped_and_restored(environment: TestEnvironment, new_settings: &[(&str, String)]) {
    let source = environment.setting("DATABASE_URL").unwrap().to_owned();
    let mut system = TestSystem::start(environment, &SERVICES).await;
    let id = register_vaccine(&system.vaccine(), 1_000_000).await;
    let load = Load {
        users: 20,
        reconnect: Reconnect::Never,
        stop: Stop::after(Duration::from_secs(3)),
        request: book(id).into(),
    };
    let folder = TempDir::new().unwrap();
    let dump = folder.path().join("anticorona.dump").to_str().unwrap().to_owned();
    let dumped = async {
        tokio::time::sleep(Duration::from_secs(1)).await; // tidy: paced, the load runs meanwhile
        let dump = dump.clone();
        let pg_dump = move || run("pg_dump", &["--format=custom", "--file", &dump, &source]);
        tokio::task::spawn_blocking(pg_dump).await.unwrap();
    };
    let booking = system.booking(0);
    let (summary, ()) = tokio::join!(load.run(&booking), dumped);
    assert!(summary.count(201) > 0, "{summary}");
    for service in SERVICES {
        system.kill(service);
    }

    let restored = new_database().await;
    run("pg_restore", &["--exit-on-error", "--no-owner", "--dbname", &restored, &dump]);
    system.set("DATABASE_URL", &restored);
    for (name, value) in new_settings {
        system.set(name, value);
    }
    for service in SERVICES {
        system.start_service(service).await;
    }
    let kept = u64::try_from(bookings(&system.booking(0)).await.len()).unwrap();
    assert!(0 < kept && kept < summary.count(201), "{kept} of {} bookings", summary.count(201));
    assert_works(&system, id).await;
    let (taken, _) = taken_and_stock(&system.vaccine(), id).await;
    let list = get(&system.booking(0), "/bookings?size=1").await;
    assert_eq!(list["page"]["totalElements"], taken, "as the runbook compares them");
}

#[tokio::test]
async fn one_dump_of_postgres_under_load_can_be_restored() {
    dumped_and_restored(environment::postgres().await, &[]).await;
}

/// The stream is newer than the dump, so the restored system has another one.
#[tokio::test]
async fn one_dump_of_postgres_can_be_restored_without_the_stream_of_nats() {
    let environment = environment::postgres_and_nats().await;
    dumped_and_restored(environment, &[("EVENTS_URL", new_stream())]).await;
}
