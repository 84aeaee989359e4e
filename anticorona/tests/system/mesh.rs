//! A mesh between booking and vaccine, with the settings of the overlay `istio`: what was promised of
//! outages holds as it does without one, and the mesh adds no request of its own.

use drill::{Request, Target};
use serde_json::{Value, json};

use crate::{
    envoy::Envoy,
    outage::{Seen, Trouble, VACCINE, breaker_opened_and_closed, under_load},
    town::{Ground, Part, Town, ask, bookings, read, register, settled},
};

const BOOKING: Part = Part::Booking(0);

/// What we ask of vaccine ourselves between the two looks at its counters: the trouble and its end.
/// A look is counted once it is answered, so the first one is seen by the second.
const OURS: u64 = 3;

/// Everything that vaccine was asked, whether or not somebody waited for the answer.
async fn asked(vaccine: &Target) -> u64 {
    let metrics = ask(vaccine, Request::get("/actuator/prometheus")).await.text().into_owned();
    let is_counted = |line: &&str| {
        line.starts_with("anticorona_http_requests_total{")
            || line.starts_with("anticorona_http_requests_abandoned_total ")
    };
    let counts = metrics.lines().filter(is_counted).map(|line| line.rsplit_once(' ').unwrap().1);
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

/// Vaccine, and booking behind the mesh.
async fn behind_the_mesh() -> (Town, Envoy, i64) {
    let mut town = Town::on(Ground::embedded().with_faults(), &[VACCINE]).await;
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    let envoy = Envoy::before(&town.vaccine()).await;
    town.also_set("VACCINE_URL", &envoy.url);
    town.start(BOOKING).await;
    (town, envoy, id)
}

/// Whoever was told of a booking has one, and every dose is accounted for.
async fn nothing_is_lost(town: &Town, id: i64, seen: &Seen) {
    let kept = bookings(&town.booking(0)).await.into_iter().filter(|&(_, stands)| stands).count();
    let told = seen.told_of_bookings();
    assert!(kept >= told, "{told} people were told of {kept} bookings");
    settled(&town.vaccine(), id, i64::try_from(kept).unwrap()).await;
}

/// Vaccine goes on, and is in trouble: every request that reaches it is one that booking made.
async fn in_trouble(fault: Value) {
    let (mut town, envoy, id) = behind_the_mesh().await;
    let before = asked(&town.vaccine()).await;
    let seen = under_load(&mut town, id, Trouble::Fault(fault)).await;
    seen.refuses_promptly();
    seen.is_well_again();
    breaker_opened_and_closed(&town.booking(0)).await;

    assert_eq!(town.terminate(BOOKING).await, Some(0), "nobody asks any more");
    let counted = envoy.counted().await;
    let reached = asked(&town.vaccine()).await - before - OURS;
    println!("{counted:?}, and {reached} reached vaccine");
    assert_eq!(counted.repeated, 0, "the mesh repeats nothing");
    assert_eq!(counted.to_vaccine, counted.from_booking, "it passes on what it gets");
    // A request whose caller gave up at once may end on its way.
    assert!(reached <= counted.to_vaccine, "vaccine was asked more often than booking has asked");
    assert!(reached * 10 >= counted.to_vaccine * 9, "what reached vaccine was counted");

    town.start(BOOKING).await;
    nothing_is_lost(&town, id, &seen).await;
}

#[tokio::test]
async fn a_slow_vaccine_behind_envoy_is_asked_no_more_than_without_it() {
    in_trouble(json!({"mode": "slow", "delayMs": 5_000})).await;
}

#[tokio::test]
async fn a_failing_vaccine_behind_envoy_is_asked_no_more_than_without_it() {
    in_trouble(json!({"mode": "errors"})).await;
}

/// It comes back where it was, as a container does that is started again: the mesh leaves it out for
/// a while, and citizens are told when to come back meanwhile.
#[tokio::test]
async fn a_vaccine_killed_behind_envoy_leaves_nobody_without_an_answer() {
    let (mut town, envoy, id) = behind_the_mesh().await;
    let seen = under_load(&mut town, id, Trouble::Killed).await;
    seen.refuses_promptly();
    breaker_opened_and_closed(&town.booking(0)).await;
    let events = read(&town.booking(0), "/actuator/circuitbreakerevents").await.to_string();
    assert!(events.contains("too many failures in a row"), "as without a mesh: {events}");
    assert_eq!(envoy.counted().await.repeated, 0, "the mesh repeats nothing");
    nothing_is_lost(&town, id, &seen).await;
}
