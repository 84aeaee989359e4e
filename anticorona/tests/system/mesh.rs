//! A service mesh between booking and vaccine, with the settings of the overlay `istio`: booking survives
//! outages as without a mesh, and the mesh adds no requests.

use drill::{Request, Target};
use serde_json::{Value, json};

use crate::{
    environment,
    envoy::Envoy,
    outage::{Outage, assert_breaker_opened_and_closed, assert_nothing_is_lost, under_load},
    requests::{get, register_vaccine, send},
    test_system::{BOOKING, TestSystem, VACCINE},
};

/// Requests of the test itself between two readings of vaccine's metrics: the beginning and the end of the
/// faults, and the first reading, which is counted after its response.
const OWN_REQUESTS: u64 = 3;

/// All requests that vaccine received, answered or cancelled.
async fn received_requests(vaccine: &Target) -> u64 {
    let metrics = send(vaccine, Request::get("/actuator/prometheus")).await.text().into_owned();
    let is_counted = |line: &&str| {
        line.starts_with("anticorona_http_requests_total{")
            || line.starts_with("anticorona_http_requests_cancelled_total ")
    };
    let counts = metrics.lines().filter(is_counted).map(|line| line.rsplit_once(' ').unwrap().1);
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

/// Vaccine, and booking behind the mesh.
async fn start_behind_the_mesh() -> (TestSystem, Envoy, i64) {
    let mut system = TestSystem::start(environment::sqlite().with_faults(), &[VACCINE]).await;
    let id = register_vaccine(&system.vaccine(), 1_000_000).await;
    let envoy = Envoy::in_front_of(&system.vaccine()).await;
    system.set("VACCINE_URL", &envoy.url);
    system.start_service(BOOKING).await;
    (system, envoy, id)
}

/// Vaccine keeps running and fails: it receives no request that booking did not send.
async fn adds_no_requests(faults: Value) {
    let (mut system, envoy, id) = start_behind_the_mesh().await;
    let before = received_requests(&system.vaccine()).await;
    let results = under_load(&mut system, id, Outage::Faults(faults)).await;
    results.assert_prompt_refusals();
    results.assert_recovered();
    assert_breaker_opened_and_closed(&system.booking(0)).await;

    assert_eq!(system.terminate(BOOKING).await, Some(0), "no further requests");
    let counts = envoy.counts().await;
    let received = received_requests(&system.vaccine()).await - before - OWN_REQUESTS;
    println!("{counts:?}, and vaccine received {received}");
    assert_eq!(counts.retries, 0, "the mesh retries nothing");
    assert_eq!(counts.to_vaccine, counts.from_booking, "it forwards each request once");
    // A request that its caller cancels immediately may end on its way.
    assert!(received <= counts.to_vaccine, "vaccine received more requests than booking sent");
    assert!(received * 10 >= counts.to_vaccine * 9, "received requests are counted");

    system.start_service(BOOKING).await;
    assert_nothing_is_lost(&system, id, &results).await;
}

#[tokio::test]
async fn a_slow_vaccine_behind_envoy_receives_no_more_requests_than_without_it() {
    adds_no_requests(json!({"mode": "slow", "delayMs": 5_000})).await;
}

#[tokio::test]
async fn a_failing_vaccine_behind_envoy_receives_no_more_requests_than_without_it() {
    adds_no_requests(json!({"mode": "errors"})).await;
}

/// It restarts at the same address, as a container does: the mesh ejects it for a while, and clients receive
/// Retry-After meanwhile.
#[tokio::test]
async fn while_a_vaccine_behind_envoy_restarts_every_request_has_a_response() {
    let (mut system, envoy, id) = start_behind_the_mesh().await;
    let results = under_load(&mut system, id, Outage::Killed).await;
    results.assert_prompt_refusals();
    assert_breaker_opened_and_closed(&system.booking(0)).await;
    let events = get(&system.booking(0), "/actuator/circuitbreakerevents").await.to_string();
    assert!(events.contains("too many failures in a row"), "as without a mesh: {events}");
    assert_eq!(envoy.counts().await.retries, 0, "the mesh retries nothing");
    assert_nothing_is_lost(&system, id, &results).await;
}
