//! Fault injection, for drills.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use tokio::select;

use crate::{
    app::{ANA, VaccineApp},
    holds::many_holds,
};

#[tokio::test]
async fn faults_cannot_be_injected_unless_the_service_was_started_with_them() {
    let app = VaccineApp::with_doses(1).await;
    let refused = app.request("POST /actuator/faults", r#"{"mode":"errors"}"#).await;
    assert_snapshot!(refused.in_short(), @"404 not-found; nothing at /actuator/faults");
    assert_eq!(app.taken().await, 0);
}

#[tokio::test]
async fn faults_begin_and_end() {
    let app = VaccineApp::start_with_faults().register(1).await;
    let hold = format!("PUT /vaccines/1/reservations/{ANA}");
    app.request("POST /actuator/faults", r#"{"mode":"errors"}"#).await;
    assert_eq!(app.request(&hold, "").await.status, 500);
    app.request("POST /actuator/faults", r#"{"mode":"slow","delayMs":100}"#).await;
    let sent = Instant::now();
    assert_eq!(app.request(&hold, "").await.status, 204);
    assert!(sent.elapsed() >= Duration::from_millis(100));
    app.request("POST /actuator/faults", r#"{"mode":"none"}"#).await;
    assert_eq!(app.taken().await, 1);
}

#[tokio::test]
async fn a_slow_store_delays_each_command() {
    let app = VaccineApp::start_with_faults().register(100).await;
    app.request("POST /actuator/faults", r#"{"storeDelayUs":5000}"#).await;
    let sent = Instant::now();
    assert_eq!(app.request("POST /holds", many_holds(20)).await.status, 200);
    assert!(sent.elapsed() >= Duration::from_millis(100), "{:?}", sent.elapsed());
}

#[tokio::test]
async fn a_batch_that_is_being_decided_counts_as_many_items_as_it_has_blocks() {
    let app = VaccineApp::start_with_faults().register(200).await;
    let slow = app.request("POST /actuator/faults", r#"{"storeDelayUs":10000}"#).await;
    assert_eq!(slow.status, 200, "{slow:?}");
    let counted = async {
        loop {
            let metrics = app.request("GET /actuator/prometheus", "").await;
            if metrics.body().lines().any(|line| line == "anticorona_admission_in_flight 200") {
                return;
            }
        }
    };
    select! {
        () = counted => {}
        held = app.request("POST /holds", many_holds(200)) => panic!("counted otherwise: {held:?}"),
    }
}
