//! `anticorona config check`: what a part would do with its settings, before it is started.

use std::process::{Command, Output};

fn check(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anticorona"))
        .args(["config", "check"])
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_part_that_could_start_is_described_without_passwords() {
    let settings = [
        ("VACCINE_URL", "http://vaccine:8081"),
        ("BOOKING_DATABASE_URL", "postgres://b:hunter2@db:5432/town"),
        ("EVENTS_URL", "nats://n:hunter2@nats:4222"),
        ("BREAKER", "timeouts-in-a-row=3"),
    ];
    let checked = check(&["booking", "--bind", "0.0.0.0"], &settings);
    let said = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    for line in [
        "listens on 0.0.0.0:8082",
        "data       PostgreSQL at db, database town",
        "events     Nats(NATS at nats://nats:4222, stream anticorona)",
        "vaccine    http://vaccine:8081",
        "injection  not set",
        "breaker    failures-in-a-row=5,timeouts-in-a-row=3,minimum-calls=20,",
    ] {
        assert!(said.contains(line), "{line:?} is missing:\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn whatever_is_wrong_is_named_for_every_part_and_the_exit_code_is_64() {
    let checked =
        check(&["booking", "gateway", "vaccine"], &[("DATABASE_URL", "mysql://a:hunter2@b")]);
    let said = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(64));
    assert!(said.contains("vaccine cannot start: DATABASE_URL is \"(not shown)\""), "{said}");
    assert!(
        said.contains("gateway cannot start: VACCINE_URL is not set: where vaccine listens"),
        "{said}"
    );
    assert!(said.contains("booking cannot start:"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn without_a_part_everything_is_checked_as_serve_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let checked = check(&["--data", data, "--port-offset", "1000"], &[]);
    let said = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(said.contains("vaccine    http://127.0.0.1:9081"), "{said}");
    assert!(said.contains(&format!("{data}/booking.sqlite")), "{said}");
    assert!(!folder.path().join("data").exists(), "looking makes nothing");
}
