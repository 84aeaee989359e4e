//! Bookings are listed in the order of their numbers, page by page.

use insta::assert_snapshot;
use serde_json::Value;

use crate::town::{SEED, Town};

async fn with_bookings(many: usize) -> Town {
    let town = Town::open();
    for _ in 0..many {
        assert_eq!(town.ask("POST /bookings", SEED).await.status, 201);
    }
    town
}

async fn ids(town: &Town, line: &str) -> Vec<Value> {
    let list = town.ask(line, "").await.json();
    let bookings = list["_embedded"]["bookings"].as_array().unwrap();
    bookings.iter().map(|booking| booking["bookingId"].clone()).collect()
}

#[tokio::test]
async fn an_empty_list_is_one_empty_page() {
    let town = Town::open();
    assert_snapshot!(town.ask("GET /bookings", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"bookings":[]},"_links":{"first":{"href":"http://booking.test/bookings?page=0&size=20"},"self":{"href":"http://booking.test/bookings?page=0&size=20"},"last":{"href":"http://booking.test/bookings?page=0&size=20"}},"page":{"size":20,"totalElements":0,"totalPages":0,"number":0}}
    "#);
}

#[tokio::test]
async fn a_list_holds_its_bookings_with_their_links() {
    let town = with_bookings(1).await;
    assert_snapshot!(town.ask("GET /bookings", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"bookings":[{"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}]},"_links":{"first":{"href":"http://booking.test/bookings?page=0&size=20"},"self":{"href":"http://booking.test/bookings?page=0&size=20"},"last":{"href":"http://booking.test/bookings?page=0&size=20"}},"page":{"size":20,"totalElements":1,"totalPages":1,"number":0}}
    "#);
}

#[tokio::test]
async fn pages_lead_to_each_other() {
    let town = with_bookings(5).await;
    assert_eq!(ids(&town, "GET /bookings?size=2").await, [1, 2]);
    assert_eq!(ids(&town, "GET /bookings?size=2&page=1").await, [3, 4]);
    assert_eq!(ids(&town, "GET /bookings?size=2&page=2").await, [5]);
    let middle = town.ask("GET /bookings?page=1&size=2", "").await.json();
    assert_snapshot!(middle["_links"], @r#"{"first":{"href":"http://booking.test/bookings?page=0&size=2"},"last":{"href":"http://booking.test/bookings?page=2&size=2"},"next":{"href":"http://booking.test/bookings?page=2&size=2"},"prev":{"href":"http://booking.test/bookings?page=0&size=2"},"self":{"href":"http://booking.test/bookings?page=1&size=2"}}"#);
    assert_snapshot!(middle["page"], @r#"{"number":1,"size":2,"totalElements":5,"totalPages":3}"#);
}

#[tokio::test]
async fn behind_the_last_page_there_is_an_empty_one() {
    let town = with_bookings(1).await;
    assert_eq!(ids(&town, "GET /bookings?page=1").await, [0; 0]);
    assert_eq!(ids(&town, "GET /bookings?page=4294967295&size=4294967295").await, [0; 0]);
}

#[tokio::test]
async fn a_page_has_20_bookings_unless_asked_otherwise_and_1000_at_the_most() {
    let town = with_bookings(21).await;
    assert_eq!(ids(&town, "GET /bookings").await.len(), 20);
    assert_eq!(ids(&town, "GET /bookings?size=21").await.len(), 21);
    let large = town.ask("GET /bookings?size=1001", "").await.json();
    assert_eq!(large["page"]["size"], 1_000);
}
