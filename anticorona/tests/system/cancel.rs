//! A cancellation releases its dose once, whichever service is down at that moment.

use crate::{
    requests::{book, cancel, register_vaccine, send, taken_and_stock, wait_until_taken},
    test_system::{BOOKING, TestSystem, VACCINE},
};

#[tokio::test]
async fn a_release_is_published_until_vaccine_has_consumed_it() {
    let mut system = TestSystem::in_processes(1).await;
    let id = register_vaccine(&system.vaccine(), 3).await;
    for _ in 0..3 {
        assert_eq!(send(&system.booking(0), book(id)).await.status, 201);
    }
    wait_until_taken(&system.vaccine(), id, 3).await;

    system.kill(VACCINE);
    for _ in 0..3 {
        let response = send(&system.booking(0), cancel(2)).await;
        let status = response.json().unwrap()["status"].clone();
        assert_eq!((response.status, status.as_str()), (200, Some("BOOKING_CANCELLED")));
    }
    system.kill(BOOKING); // The event in its outbox is not lost.
    system.start_service(VACCINE).await;
    assert_eq!(taken_and_stock(&system.vaccine(), id).await, (3, 3));
    system.start_service(BOOKING).await;
    wait_until_taken(&system.vaccine(), id, 2).await;

    assert_eq!(send(&system.gateway(), book(id)).await.status, 201, "the dose is free again");
    assert_eq!(send(&system.gateway(), book(id)).await.status, 409, "once");
}

#[tokio::test]
async fn without_vaccine_a_booking_is_refused_with_retry_after_and_works_again_after_its_restart() {
    let mut system = TestSystem::in_processes(1).await;
    let id = register_vaccine(&system.vaccine(), 3).await;
    system.kill(VACCINE);
    let response = send(&system.gateway(), book(id)).await;
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(response.retry_after_seconds.is_some(), "503 has Retry-After");
    system.start_service(VACCINE).await;
    assert_eq!(send(&system.gateway(), book(id)).await.status, 201);
    wait_until_taken(&system.vaccine(), id, 1).await;
}
