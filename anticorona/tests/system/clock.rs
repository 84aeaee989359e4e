//! No wall clock decides anything: it may be set back while the system runs, and before a service starts again.

use std::{fs, path::PathBuf, process::Command};

use drill::{Request, TestEnvironment};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    environment,
    requests::{
        active_bookings, book, cancel, eventually, get, register_vaccine, send, wait_until_taken,
    },
    test_system::{BOOKING, GATEWAY, INJECTION, MYPAGE, TestSystem, VACCINE},
};

/// The wall clock of processes, but not their monotonic clock, by libfaketime.
struct WallClock {
    folder: TempDir,
}

impl WallClock {
    fn new() -> Self {
        let clock = Self { folder: TempDir::new().unwrap() };
        clock.set("+0");
        clock
    }

    /// Beside the real one: `-1h`.
    fn set(&self, offset: &str) {
        fs::write(self.file(), offset).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    fn of(&self, environment: TestEnvironment) -> TestEnvironment {
        let library =
            Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let library = String::from_utf8(library.unwrap().stdout).unwrap();
        environment
            .with_setting("LD_PRELOAD", library.trim())
            .with_setting("FAKETIME_TIMESTAMP_FILE", self.file().to_str().unwrap())
            .with_setting("FAKETIME_NO_CACHE", "1")
            .with_setting("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}

/// A booking; with the same key the same one.
fn book_with_key(vaccine: i64) -> Request {
    book(vaccine).header("idempotency-key", "one")
}

fn take_ticket(vaccine: i64) -> Request {
    let body = json!({"vaccineId": vaccine, "userId": 7});
    Request::post_json("/bookings", &body)
        .header("idempotency-key", "ticket")
        .header("prefer", "respond-async")
}

fn is(status: &'static str) -> impl Fn(&Value) -> bool {
    move |body| body["status"] == status
}

#[tokio::test]
async fn faketime_setting_the_clock_back_by_an_hour_changes_nothing() {
    let clock = WallClock::new();
    let services = [VACCINE, BOOKING, INJECTION, MYPAGE, GATEWAY];
    let mut system = TestSystem::start(clock.of(environment::sqlite()), &services).await;
    let gateway = system.gateway();
    let id = register_vaccine(&system.vaccine(), 20).await;
    for _ in 0..3 {
        assert_eq!(send(&gateway, book(id)).await.status, 201);
    }
    let kept = send(&gateway, book_with_key(id)).await.json().unwrap();
    system.kill(VACCINE);
    assert_eq!(send(&gateway, take_ticket(id)).await.status, 202);

    clock.set("-1h");
    for service in [BOOKING, INJECTION] {
        system.kill(service);
        system.start_service(service).await;
    }
    system.start_service(VACCINE).await;
    let ticket = |it: &Value| it["bookingId"].is_i64();
    eventually(&system.booking(0), "/bookings/5", ticket).await;
    assert_eq!(send(&gateway, book_with_key(id)).await.json().unwrap(), kept);
    assert_eq!(send(&gateway, book(id)).await.status, 201);
    assert_eq!(send(&gateway, cancel(1)).await.status, 200);
    eventually(&system.injection(), "/injections/2", is("INJECTION_READY")).await;
    let complete = json!({"status": "INJECTION_COMPLETED"});
    let complete = Request::patch_json("/injections/2", &complete);
    assert_eq!(send(&gateway, complete).await.status, 200);

    eventually(&system.mypage(), "/mypages/1", is("BOOKING_CANCELLED")).await;
    eventually(&system.mypage(), "/mypages/2", is("INJECTION_COMPLETED")).await;
    eventually(&system.mypage(), "/mypages/6", is("BOOKED")).await;
    wait_until_taken(&system.vaccine(), id, 4).await;
    assert_eq!(active_bookings(&system.booking(0)).await, 4);
    // The clock was set back indeed.
    let since = |view: Value| view["asOf"].as_str().unwrap().to_owned();
    let before = since(get(&system.mypage(), "/mypages/3").await);
    let after = since(get(&system.mypage(), "/mypages/6").await);
    assert!(after < before, "{after} is after {before}");
}
