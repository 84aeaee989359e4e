//! docs/runbooks/restore.md, as it is typed: a copy of all parts of one moment can be gone on with.

use std::{path::Path, process::Command, time::Duration};

use drill::{Load, Reconnect, Stop};

use crate::town::{
    Ground, Part, Town, ask, book, bookings, eventually, new_database, new_stream, read, register,
    settled, taken_and_stock,
};

const PARTS: [Part; 4] = [Part::Vaccine(0), Part::Booking(0), Part::Injection, Part::Mypage];

/// What a part says that is older than those who heard it.
const OLDER: &str = "is our store an older copy?";

fn run(program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{program} {}: {said}", arguments.join(" "));
}

fn copy(from: &Path, to: &Path) {
    run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
}

/// Everybody can book again, everybody hears of it, and doses and bookings agree.
async fn goes_on(town: &Town, id: i64) {
    let booking = town.booking(0);
    let booked = ask(&booking, book(id)).await;
    assert_eq!(booked.status, 201, "{}", booked.text());
    let number = booked.json().unwrap()["bookingId"].as_i64().unwrap();
    let all = i64::try_from(bookings(&booking).await.len()).unwrap();
    settled(&town.vaccine(), id, all).await;
    let path = format!("/injections/search/findByBookingId?bookingId={number}");
    eventually(&town.injection(), &path, |page| page["page"]["totalElements"] == 1).await;
    let seen = |page: &serde_json::Value| page["page"]["totalElements"] == all;
    eventually(&town.mypage(), "/mypages/search/findByUserId?userId=5", seen).await;
    for part in PARTS {
        assert!(!town.log(part).contains(OLDER), "{}", town.log(part));
    }
    for part in [town.vaccine(), booking, town.injection(), town.mypage()] {
        assert_eq!(read(&part, "/events/parked").await["total"], 0);
    }
}

/// Stopped, copied, gone on; then lost, put back, and gone on with.
async fn restored(parts: &[Part]) -> (Town, i64) {
    let mut town = Town::on(Ground::embedded(), &PARTS).await;
    let id = register(&town.vaccine(), "FIZER", 1_000).await;
    for _ in 0..5 {
        assert_eq!(ask(&town.booking(0), book(id)).await.status, 201);
    }
    let backup = tempfile::tempdir().unwrap();
    for part in PARTS {
        assert_eq!(town.terminate(part).await, Some(0));
    }
    for part in PARTS {
        copy(&town.data(part), &backup.path().join(format!("{part:?}")));
        town.start(part).await;
    }
    for _ in 0..3 {
        assert_eq!(ask(&town.booking(0), book(id)).await.status, 201);
    }
    settled(&town.vaccine(), id, 8).await;
    for part in parts {
        town.kill(*part);
        std::fs::remove_dir_all(town.data(*part)).unwrap();
        copy(&backup.path().join(format!("{part:?}")), &town.data(*part));
    }
    for part in parts {
        town.start(*part).await;
    }
    (town, id)
}

#[tokio::test]
async fn folders_of_sqlite_that_were_copied_together_are_gone_on_with() {
    let (town, id) = restored(&PARTS).await;
    assert_eq!(bookings(&town.booking(0)).await.len(), 5, "what came after the copy is gone");
    goes_on(&town, id).await;
}

/// That is why all are put back: the part says so itself.
#[tokio::test]
async fn a_part_that_alone_is_older_says_so() {
    let (town, _) = restored(&[Part::Booking(0)]).await;
    let says_so = || town.log(Part::Booking(0)).contains(OLDER);
    let start = std::time::Instant::now();
    while !says_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", town.log(Part::Booking(0)));
        tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, looks until it is said
    }
}

/// Dumped under load, lost, and gone on with from the dump.
async fn dumped_and_restored(ground: Ground, new_settings: &[(&'static str, String)]) {
    let source = ground.setting("DATABASE_URL");
    let mut town = Town::on(ground, &PARTS).await;
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    let load = Load {
        users: 20,
        reconnect: Reconnect::Never,
        stop: Stop::after(Duration::from_secs(3)),
        request: book(id).into(),
    };
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("anticorona.dump").to_str().unwrap().to_owned();
    let dumped = async {
        tokio::time::sleep(Duration::from_secs(1)).await; // tidy: paced, the load is under way
        let (dump, source) = (dump.clone(), source.clone());
        let dumps = move || run("pg_dump", &["--format=custom", "--file", &dump, &source]);
        tokio::task::spawn_blocking(dumps).await.unwrap();
    };
    let booking = town.booking(0);
    let (summary, ()) = tokio::join!(load.run(&booking), dumped);
    assert!(summary.count(201) > 0, "{summary}");
    for part in PARTS {
        town.kill(part);
    }

    let restored = new_database().await;
    run("pg_restore", &["--exit-on-error", "--no-owner", "--dbname", &restored, &dump]);
    town.also_set("DATABASE_URL", &restored);
    for (name, value) in new_settings {
        town.also_set(name, value);
    }
    for part in PARTS {
        town.start(part).await;
    }
    let kept = u64::try_from(bookings(&town.booking(0)).await.len()).unwrap();
    assert!(0 < kept && kept < summary.count(201), "{kept} of {} bookings", summary.count(201));
    goes_on(&town, id).await;
    let (taken, _) = taken_and_stock(&town.vaccine(), id).await;
    let list = read(&town.booking(0), "/bookings?size=1").await;
    assert_eq!(list["page"]["totalElements"], taken, "as the runbook compares them");
}

#[tokio::test]
async fn one_dump_of_postgres_under_load_is_one_moment() {
    dumped_and_restored(Ground::postgres().await, &[]).await;
}

/// The stream knows more than the dump, so it is left behind with what was lost.
#[tokio::test]
async fn one_dump_of_postgres_is_enough_though_events_go_over_nats() {
    let ground = Ground::postgres_and_nats().await;
    dumped_and_restored(ground, &[("EVENTS_URL", new_stream())]).await;
}
