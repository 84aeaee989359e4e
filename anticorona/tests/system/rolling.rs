//! A new version, process by process, while a hundred people are booking: nobody notices.

use std::time::{Duration, Instant};

use chassis::process::DRAIN_MAX;
use drill::{Siege, Target};

use crate::{
    service::Service,
    town::{Ground, Part, Town, bookings, register, settled},
};

/// As many as the smaller siege has.
const USERS: u16 = 100;

/// The steps of an end, as Kubernetes takes them, in a fifth of the manifest's time: the Service
/// still leads to the process for a while, since nodes hear of it one by one; the pause that the
/// manifest puts before SIGTERM lasts longer.
const STILL_LED_TO: Duration = Duration::from_millis(400);
const THEN_UNTIL_SIGTERM: Duration = Duration::from_millis(600);

/// First the new process, then the end of the old one.
async fn replaced(town: &mut Town, service: &Service, old: Part, new: Part) {
    let target = |town: &Town, part| match part {
        Part::Booking(n) => town.booking(n),
        other => panic!("{other:?} is not behind this Service"),
    };
    service.add(&target(town, new)).await;
    tokio::time::sleep(STILL_LED_TO).await; // tidy: paced, nodes hear of the end one by one
    service.remove(&target(town, old));
    tokio::time::sleep(THEN_UNTIL_SIGTERM).await; // tidy: paced, the manifest's preStop
    let asked = Instant::now();
    assert_eq!(town.terminate(old).await, Some(0), "{}", town.log(old));
    assert!(asked.elapsed() < DRAIN_MAX, "{old:?} took {:?} to end", asked.elapsed());
    println!("{old:?} ended in order after {:?}", asked.elapsed());
}

#[tokio::test]
async fn siege_with_100_users_notices_nothing_of_a_rolling_restart_on_postgres() {
    let (first, spare) = ([0, 1, 2].map(Part::Booking), Part::Booking(3));
    let mut town = Town::apart_on(Ground::postgres().await, 1, 4).await;
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    let service = Service::new().await;
    for n in 0..3 {
        service.add(&town.booking(n)).await;
    }
    let address = Target::parse(&format!("http://127.0.0.1:{}", service.port())).unwrap();
    let siege = Siege::of_the_seed(USERS, id);
    let siege = tokio::task::spawn_blocking(move || siege.run(&address).unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await; // tidy: paced, the siege is under way

    // Whoever has just ended is started again as the next one's successor.
    let mut new = spare;
    for old in first {
        replaced(&mut town, &service, old, new).await;
        town.start(old).await;
        new = old;
    }
    assert!(!siege.is_finished(), "the siege goes on longer than the restart");

    let summary = siege.await.unwrap();
    assert!((summary.availability - 100.0).abs() < f64::EPSILON, "{}", summary.availability);
    assert_eq!(summary.failed, 0);
    assert!(summary.successful >= summary.transactions, "every answer is 201");
    println!("{} bookings while three of three processes were replaced", summary.successful);

    // siege leaves at the end without waiting for its last answers: at most one per user.
    let booked = i64::try_from(bookings(&town.booking(3)).await.len()).unwrap();
    let unheard = booked - summary.successful;
    assert!((0..=i64::from(USERS)).contains(&unheard), "{unheard} bookings that siege did not see");
    settled(&town.vaccine(), id, booked).await;
}
