//! `anticorona config check`: what a service would do with its settings, before it is started.

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

/// What is printed about booking with valid settings.
fn valid(settings: &[(&str, &str)], lines: &[&str]) {
    let vaccine = ("VACCINE_URL", "http://vaccine:8081");
    let checked = check(&["booking", "--bind", "0.0.0.0"], &[&[vaccine], settings].concat());
    let printed = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    for line in lines {
        assert!(printed.contains(line), "{line:?} is missing:\n{printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn valid_settings_are_printed_without_passwords() {
    let settings = [
        ("BOOKING_DATABASE_URL", "postgres://b:hunter2@db:5432/bookings"),
        ("EVENTS_URL", "nats://n:hunter2@nats:4222"),
        ("BREAKER", "timeouts-in-a-row=3"),
    ];
    valid(
        &settings,
        &[
            "listens on 0.0.0.0:8082",
            "data       PostgreSQL at db, database bookings, sslmode=prefer",
            "events     NATS at nats://nats:4222, stream anticorona",
            "vaccine    http://vaccine:8081",
            "breaker    failures-in-a-row=5,timeouts-in-a-row=3,minimum-calls=20,",
        ],
    );
}

#[test]
fn over_http_the_consumers_with_a_url_are_printed() {
    let settings = [("INJECTION_URL", "http://injection:8084")];
    let events = "events     over HTTP to vaccine at http://vaccine:8081, \
                  injection at http://injection:8084\n";
    valid(&settings, &[events]);
}

#[test]
fn the_proxies_and_origins_of_the_gateway_are_printed_and_checked() {
    let gateway = |settings: &[(&str, &str)]| check(&["--data", "none"], settings);
    let defaults = text(&gateway(&[]).stdout);
    let proxies = ("TRUSTED_PROXIES", "10.0.0.0/8, ::1");
    let set = text(&gateway(&[proxies, ("CORS_ORIGINS", "https://app.test")]).stdout);
    for (printed, proxies, origins) in
        [(defaults, "none", "none"), (set, "10.0.0.0/8,::1/128", "https://app.test")]
    {
        assert!(printed.contains(&format!("proxies    {proxies}\n")), "{printed}");
        assert!(printed.contains(&format!("origins    {origins}\n")), "{printed}");
    }
    for (name, wrong, reason) in [
        ("TRUSTED_PROXIES", "10.0.0.0/33", "must be IP addresses or networks"),
        ("CORS_ORIGINS", "*", "must be origins"),
    ] {
        let checked = gateway(&[(name, wrong)]);
        let printed = text(&checked.stderr);
        let line = format!("gateway cannot start: {name} is \"{wrong}\": {reason}");
        assert_eq!(checked.status.code(), Some(64));
        assert!(printed.contains(&line), "{printed}");
    }
}

#[test]
fn invalid_settings_are_named_for_every_service_and_the_exit_code_is_64() {
    let settings = [("DATABASE_URL", "mysql://a:hunter2@b")];
    let checked = check(&["booking", "gateway", "vaccine"], &settings);
    let printed = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(64));
    for line in [
        "vaccine cannot start: DATABASE_URL is \"(not shown)\"",
        "gateway cannot start: VACCINE_URL is not set: where vaccine listens",
        "booking cannot start:",
    ] {
        assert!(printed.contains(line), "{line:?} is missing:\n{printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn without_arguments_all_services_are_checked_as_serve_runs_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let checked = check(&["--data", data.to_str().unwrap(), "--port-offset", "1000"], &[]);
    let printed = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(printed.contains("vaccine    http://127.0.0.1:9081"), "{printed}");
    assert!(printed.contains(&format!("{}/booking.sqlite", data.display())), "{printed}");
    assert!(!data.exists(), "a check creates no files");
}
