//! The seed's load test with the real siege, verbatim but for the host.

use std::process::Command;

use crate::town::{Town, bookings, register, settled};

/// What siege puts up with unless it is told otherwise.
pub(crate) const FAILURES_MAX: u32 = 1_024;

/// What siege says at its end.
pub(crate) struct Summary {
    pub(crate) availability: f64,
    pub(crate) transactions: i64,
    pub(crate) successful: i64,
    pub(crate) failed: i64,
    pub(crate) longest_seconds: f64,
}

/// So many users on the bookings behind that port, for ten seconds. Siege gives up
/// after so many failures, 1,024 unless it is told otherwise.
pub(crate) fn siege(port: u16, users: u16, failures_max: u32) -> Summary {
    let home = tempfile::tempdir().unwrap(); // siege keeps its settings there.
    let settings = home.path().join("siege.conf");
    std::fs::write(&settings, format!("json_output = true\nfailures = {failures_max}\n")).unwrap();
    let output = Command::new("siege")
        .arg(format!("-c{users}"))
        .args(["-t10S", "-v", "--content-type", "application/json"])
        .arg(format!(
            "http://127.0.0.1:{port}/bookings POST {{\"vaccineId\":1, \"vcName\":\"FIZER\", \
             \"userId\":5, \"status\":\"BOOCKED\"}}"
        ))
        .arg("-R")
        .arg(&settings)
        .env("HOME", home.path())
        .output()
        .expect(
            "siege is not installed: `cargo xtask test` installs it, \
             `cargo xtask test --embedded-only` does without",
        );
    assert!(output.status.success(), "siege: {}", output.status);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let number = |name: &str| -> f64 {
        let line = said.lines().find(|line| line.contains(&format!("\"{name}\":")));
        let line = line.unwrap_or_else(|| panic!("siege did not say {name}:\n{said}"));
        line.split(':').nth(1).unwrap().trim().trim_end_matches(',').parse().unwrap()
    };
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "whole numbers")]
    let count = |name: &str| number(name) as i64;
    Summary {
        availability: number("availability"),
        transactions: count("transactions"),
        successful: count("successful_transactions"),
        failed: count("failed_transactions"),
        longest_seconds: number("longest_transaction"),
    }
}

async fn everybody_is_served(users: u16) {
    let town = Town::together().await;
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    assert_eq!(id, 1);
    let summary = siege(town.booking_port(), users, FAILURES_MAX);
    assert!((summary.availability - 100.0).abs() < f64::EPSILON, "{}", summary.availability);
    assert_eq!(summary.failed, 0);
    // Its users count without a lock, and now and then one goes uncounted.
    assert!(summary.successful >= summary.transactions, "every answer is 201");
    assert!(summary.transactions > 0);

    // siege leaves at the end without waiting for its last answers: at most one per user.
    let booked = i64::try_from(bookings(&town.booking(0)).await.len()).unwrap();
    let unheard = booked - summary.successful;
    assert!((0..=i64::from(users)).contains(&unheard), "{unheard} bookings that siege did not see");
    settled(&town.vaccine(), id, booked).await;
    println!("siege -c{users}: {} bookings in 10 s, 100.00 %", summary.successful);
}

#[tokio::test]
async fn siege_with_100_users_is_served_completely() {
    everybody_is_served(100).await;
}

#[tokio::test]
async fn siege_with_200_users_is_served_completely() {
    everybody_is_served(200).await;
}
