//! The seed's load test with the real siege, verbatim but for the host.

use drill::Siege;

use crate::town::{Town, bookings, register, settled};

async fn everybody_is_served(users: u16) {
    let town = Town::together().await;
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    let summary = Siege::of_the_seed(users, id).run(&town.booking(0)).unwrap();
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
