//! Faults on purpose, for rehearsals.

use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::town::{ANA, Town};

#[tokio::test]
async fn nobody_can_make_a_ledger_fail_that_was_not_started_for_it() {
    let town = Town::with_doses(1).await;
    let refused = town.ask("POST /actuator/faults", r#"{"mode":"errors"}"#).await;
    assert_snapshot!(refused.in_short(), @"404 nothing at /actuator/faults");
    assert_eq!(town.taken().await, 0);
}

#[tokio::test]
async fn a_rehearsal_begins_and_ends() {
    let town = Town::rehearsing();
    town.ask("POST /vaccines", r#"{"vcName":"FIZER","stock":1}"#).await;
    let hold = format!("PUT /vaccines/1/reservations/{ANA}");
    town.ask("POST /actuator/faults", r#"{"mode":"errors"}"#).await;
    assert_eq!(town.ask(&hold, "").await.status, 500);
    town.ask("POST /actuator/faults", r#"{"mode":"slow","delayMs":100}"#).await;
    let asked = Instant::now();
    assert_eq!(town.ask(&hold, "").await.status, 204);
    assert!(asked.elapsed() >= Duration::from_millis(100));
    town.ask("POST /actuator/faults", r#"{"mode":"none"}"#).await;
    assert_eq!(town.taken().await, 1);
}

#[tokio::test]
async fn a_slow_store_costs_each_command_its_time() {
    let town = Town::rehearsing();
    town.ask("POST /vaccines", r#"{"vcName":"FIZER","stock":100}"#).await;
    town.ask("POST /actuator/faults", r#"{"storeDelayUs":5000}"#).await;
    let asked = Instant::now();
    let batch = crate::holds::many(20);
    assert_eq!(town.ask("POST /holds", batch).await.status, 200);
    assert!(asked.elapsed() >= Duration::from_millis(100), "{:?}", asked.elapsed());
}
