//! Cancelling gives the dose back once, whoever is down at that moment.

use crate::town::{Part, Town, ask, book, cancel, register, settled, taken_and_stock};

#[tokio::test]
async fn a_release_that_vaccine_does_not_hear_is_told_again_until_it_does() {
    let mut town = Town::apart(1).await;
    let id = register(&town.vaccine(), "FIZER", 3).await;
    for _ in 0..3 {
        assert_eq!(ask(&town.booking(0), book(id)).await.status, 201);
    }
    settled(&town.vaccine(), id, 3).await;

    town.kill(Part::Vaccine(0));
    for _ in 0..3 {
        let reply = ask(&town.booking(0), cancel(2)).await;
        assert_eq!(
            (reply.status, reply.json().unwrap()["status"].as_str().unwrap()),
            (200, "BOOKING_CANCELLED")
        );
    }
    town.kill(Part::Booking(0)); // What must be told survives this, too.
    town.start(Part::Vaccine(0)).await;
    assert_eq!(taken_and_stock(&town.vaccine(), id).await, (3, 3));
    town.start(Part::Booking(0)).await;
    settled(&town.vaccine(), id, 2).await;

    assert_eq!(ask(&town.gateway(), book(id)).await.status, 201, "the dose is free again");
    assert_eq!(ask(&town.gateway(), book(id)).await.status, 409, "once");
}

#[tokio::test]
async fn without_vaccine_booking_says_so_at_once_and_goes_on_when_it_returns() {
    let mut town = Town::apart(1).await;
    let id = register(&town.vaccine(), "FIZER", 3).await;
    town.kill(Part::Vaccine(0));
    let reply = ask(&town.gateway(), book(id)).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.retry_after_seconds.is_some(), "an honest 503 says when to come back");
    town.start(Part::Vaccine(0)).await;
    assert_eq!(ask(&town.gateway(), book(id)).await.status, 201);
    settled(&town.vaccine(), id, 1).await;
}
