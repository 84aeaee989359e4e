//! The settings that several services have, and what is shown of them.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use platform_events::RelayPriority;
use platform_resilience::breaker::BreakerConfig;
use platform_service::{
    ConfigError, Configured, Consumes, Env, EventsUrl, ListenArgs, Service, ServiceArgs, Settings,
};
use platform_telemetry::logs::LogFormat;

const PUBLISHER: Service = service("publisher", 8001, &[]);

const SERVICES: &[&Service] = &[
    &PUBLISHER,
    &service(
        "foreground",
        8002,
        &[
            Consumes { publisher: "other", priority: RelayPriority::Background },
            Consumes { publisher: "publisher", priority: RelayPriority::Foreground },
        ],
    ),
    &service(
        "background",
        8003,
        &[Consumes { publisher: "publisher", priority: RelayPriority::Background }],
    ),
    &service(
        "unrelated",
        8004,
        &[Consumes { publisher: "foreground", priority: RelayPriority::Foreground }],
    ),
];

const fn service(name: &'static str, port: u16, consumes: &'static [Consumes]) -> Service {
    Service {
        name,
        summary: "a service of a test",
        port,
        consumes,
        collections: &[],
        routes: &[],
        recognises_attempts: false,
        migrations: &[],
        openapi: None,
        configure: |settings| {
            let data = settings.data()?;
            Ok(Configured::new(data.summary(), async |_| Err("not started here".into())))
        },
    }
}

/// What a test does with the settings of the publisher.
fn with_env<T>(env: &[(&str, &str)], test: impl FnOnce(&Settings<'_>) -> T) -> T {
    let owned = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let env = Env::of(owned.collect());
    let args = ServiceArgs {
        data: "data".into(),
        listen: ListenArgs {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port_offset: 10,
            log: LogFormat::Pretty,
            faults: false,
        },
    };
    test(&Settings { service: &PUBLISHER, services: SERVICES, args: &args, env: &env })
}

fn summary(env: &[(&str, &str)]) -> Result<Vec<(&'static str, String)>, ConfigError> {
    with_env(env, |settings| (PUBLISHER.configure)(settings)).map(|configured| configured.summary)
}

#[test]
fn the_port_is_moved_by_the_offset() {
    let address = with_env(&[], |settings| settings.address().to_string());
    assert_eq!(address, "127.0.0.1:8011");
}

#[test]
fn the_database_is_that_of_the_service_else_the_common_one_else_a_file() {
    let own = ("PUBLISHER_DATABASE_URL", "sqlite:own.sqlite");
    let common = ("DATABASE_URL", "postgres://user@common/db");
    let database = |env: &[_]| summary(env).unwrap()[0].clone();
    assert_eq!(database(&[own, common]), ("data", "own.sqlite".to_owned()));
    let postgres = "PostgreSQL at common, database db, sslmode=prefer".to_owned();
    assert_eq!(database(&[("PUBLISHER_DATABASE_URL", ""), common]), ("data", postgres));
    assert_eq!(database(&[]), ("data", "data/publisher.sqlite".to_owned()));
}

#[test]
fn subscribers_are_the_consumers_whose_url_is_set() {
    let subscribers = |env: &[_]| with_env(env, |settings| settings.data().unwrap().subscribers);
    assert!(subscribers(&[]).is_empty());
    let (foreground, background, unrelated) = (
        ("FOREGROUND_URL", "http://foreground:1"),
        ("BACKGROUND_URL", "http://background:2"),
        ("UNRELATED_URL", "http://unrelated:3"),
    );
    let both = subscribers(&[unrelated, background, foreground]);
    let shown: Vec<_> =
        both.iter().map(|it| (it.service, it.url.to_string(), it.priority)).collect();
    assert_eq!(
        shown,
        [
            ("foreground", "http://foreground:1".to_owned(), RelayPriority::Foreground),
            ("background", "http://background:2".to_owned(), RelayPriority::Background),
        ]
    );
    let one = subscribers(&[background, unrelated]);
    assert_eq!(one.iter().map(|it| it.service).collect::<Vec<_>>(), ["background"]);
}

#[test]
fn the_url_of_a_subscriber_must_be_valid() {
    let error = summary(&[("BACKGROUND_URL", "background:2")]).unwrap_err();
    assert!(
        error.to_string().starts_with("BACKGROUND_URL is \"background:2\": must be http://"),
        "{error}"
    );
}

#[test]
fn a_missing_url_is_named_with_an_example() {
    let url = |name: &str| with_env(&[], |settings| settings.url(name)).unwrap_err().to_string();
    assert_eq!(
        url("foreground"),
        "FOREGROUND_URL is not set: where foreground listens, for example FOREGROUND_URL=http://127.0.0.1:8002"
    );
    assert!(url("elsewhere").contains("ELSEWHERE_URL=http://127.0.0.1:80"));
    let env = [("FOREGROUND_URL", "http://foreground:1")];
    let set = with_env(&env, |settings| settings.url("foreground")).unwrap();
    assert_eq!(set.to_string(), "http://foreground:1");
}

#[test]
fn the_breaker_is_the_default_with_changes() {
    let breaker = |text: &str| {
        with_env(&[("BREAKER", text)], |settings| settings.breaker(BreakerConfig::default()))
    };
    assert_eq!(breaker("").unwrap(), BreakerConfig::default());
    let open_for = Duration::from_millis(70);
    let changed = BreakerConfig { open_for, ..BreakerConfig::default() };
    assert_eq!(breaker("open-for-ms=70").unwrap(), changed);
    let (name, shown) = Settings::show_breaker(&changed);
    assert_eq!((name, breaker(&shown).unwrap()), ("breaker", changed));
    let error = breaker("open-for-ms=soon").unwrap_err().to_string();
    let expected = "BREAKER is \"open-for-ms=soon\": open-for-ms must be a number in range";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn events_travel_over_http_or_nats() {
    let events =
        |text: &str| with_env(&[("EVENTS_URL", text)], |it| it.data().map(|data| data.events));
    assert_eq!(events("").unwrap(), EventsUrl::Http);
    assert_eq!(events("http").unwrap(), EventsUrl::Http);
    let nats = events("nats://nats:4222").unwrap();
    assert_eq!(nats, EventsUrl::Nats("nats://nats:4222".parse().unwrap()));
    let error = events("kafka://kafka").unwrap_err().to_string();
    let expected = "EVENTS_URL is \"kafka://kafka\": must be nats://HOST:PORT";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn the_retention_is_a_number_of_days() {
    let retention = |text: &str| {
        let set = |it: &Settings<'_>| it.data().map(|data| data.retention.as_secs() / 86_400);
        with_env(&[("RETENTION_DAYS", text)], set).map_err(|error| error.to_string())
    };
    assert_eq!((retention(""), retention("7"), retention("3650")), (Ok(30), Ok(7), Ok(3_650)));
    for wrong in ["6", "3651", "soon"] {
        let expected =
            format!("RETENTION_DAYS is \"{wrong}\": must be a number of days, from 7 to 3650");
        assert_eq!(retention(wrong), Err(expected));
    }
}

#[test]
fn the_summary_shows_no_password() {
    let database = ("DATABASE_URL", "postgres://user:hunter2@db.test:5432/doses");
    let nats = ("EVENTS_URL", "nats://user:hunter2@nats.test:4222");
    let foreground = ("FOREGROUND_URL", "http://foreground:1");
    let shown = summary(&[database, nats, foreground]).unwrap();
    assert_eq!(
        shown,
        [
            ("data", "PostgreSQL at db.test, database doses, sslmode=prefer".to_owned()),
            ("events", "NATS at nats://nats.test:4222, stream anticorona".to_owned()),
            ("retention", "30 days".to_owned()),
        ]
    );
    let over_http = summary(&[foreground]).unwrap();
    assert_eq!(over_http[1].1, "over HTTP to foreground at http://foreground:1");
    assert_eq!(summary(&[]).unwrap()[1].1, "to no service");
}

#[test]
fn an_error_shows_no_password() {
    for env in [
        ("DATABASE_URL", "postgres://user:hunter2@db.test:port/doses"),
        ("EVENTS_URL", "nats:/user:hunter2@nats.test"),
        ("FOREGROUND_URL", "http://user:hunter2@foreground"),
    ] {
        let error = summary(&[env]).unwrap_err().to_string();
        assert!(error.starts_with(env.0) && !error.contains("hunter2"), "{error}");
    }
}
