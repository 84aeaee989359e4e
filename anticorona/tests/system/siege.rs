//! The reference's load test with the real siege, verbatim except for the host.

use drill::{Siege, SiegeSummary, Target};

use crate::{
    requests::{bookings, register_vaccine, wait_until_taken},
    test_system::TestSystem,
};

/// How often a test is run whose siege hung.
const RUNS_MAX: u32 = 3;

/// Every request was a transaction that succeeded.
pub(crate) fn assert_fully_available(summary: &SiegeSummary) {
    assert!((summary.availability - 100.0).abs() < f64::EPSILON, "{}", summary.availability);
    assert_eq!(summary.failed, 0);
    // Siege's users count without a lock, and now and then a success is not counted.
    assert!(summary.successful >= summary.transactions, "every response is 201");
}

/// The bookings that were made: those that siege counted, and at most one more for each user, since siege
/// ends without waiting for its last responses.
pub(crate) async fn bookings_of_siege(booking: &Target, users: u16, successful: i64) -> i64 {
    let booked = i64::try_from(bookings(booking).await.len()).unwrap();
    let uncounted = booked - successful;
    assert!(
        (0..=i64::from(users)).contains(&uncounted),
        "siege did not count {uncounted} bookings"
    );
    booked
}

/// Runs a test again whose siege hung at its end, so that what it did is not known.
pub(crate) async fn again_if_siege_hung(test: impl AsyncFn() -> Option<()>) {
    for _ in 0..RUNS_MAX {
        if test().await.is_some() {
            return;
        }
        println!("siege hung at its end");
    }
    panic!("siege hung {RUNS_MAX} times");
}

async fn serves_every_request_of(users: u16) -> Option<()> {
    let system = TestSystem::in_one_process().await;
    let id = register_vaccine(&system.vaccine(), 1_000_000).await;
    let summary = Siege::reference(users, id).run(&system.booking(0)).await.unwrap()?;
    assert_fully_available(&summary);
    assert!(summary.transactions > 0);
    let booked = bookings_of_siege(&system.booking(0), users, summary.successful).await;
    wait_until_taken(&system.vaccine(), id, booked).await;
    println!("siege -c{users}: {} bookings in 10 s, 100.00 %", summary.successful);
    Some(())
}

#[tokio::test]
async fn every_request_of_siege_with_100_users_is_served() {
    again_if_siege_hung(async || serves_every_request_of(100).await).await;
}

#[tokio::test]
async fn every_request_of_siege_with_200_users_is_served() {
    again_if_siege_hung(async || serves_every_request_of(200).await).await;
}
