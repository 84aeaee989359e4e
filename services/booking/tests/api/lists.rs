//! Bookings are listed in the order of their numbers, page by page.

use insta::assert_snapshot;

use crate::app::{BookingApp, REFERENCE_BODY};

async fn with_bookings(count: usize) -> BookingApp {
    let app = BookingApp::start();
    for _ in 0..count {
        assert_eq!(app.request("POST /bookings", REFERENCE_BODY).await.status, 201);
    }
    app
}

async fn ids(app: &BookingApp, line: &str) -> Vec<i64> {
    app.request(line, "").await.numbers("bookings", "bookingId")
}

#[tokio::test]
async fn an_empty_list_is_one_empty_page() {
    let app = BookingApp::start();
    assert_snapshot!(app.request("GET /bookings", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"bookings":[]},"_links":{"first":{"href":"http://booking.test/bookings?size=20"},"self":{"href":"http://booking.test/bookings?page=0&size=20"},"last":{"href":"http://booking.test/bookings?cursor=before-9223372036854775807&size=20"},"profile":{"href":"http://booking.test/profile/bookings"}},"page":{"size":20,"totalElements":0,"totalPages":0,"number":0}}
    "#);
}

#[tokio::test]
async fn a_list_contains_its_bookings_with_their_links() {
    let app = with_bookings(1).await;
    assert_snapshot!(app.request("GET /bookings", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"bookings":[{"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}]},"_links":{"first":{"href":"http://booking.test/bookings?size=20"},"self":{"href":"http://booking.test/bookings?page=0&size=20"},"last":{"href":"http://booking.test/bookings?cursor=before-9223372036854775807&size=20"},"profile":{"href":"http://booking.test/profile/bookings"}},"page":{"size":20,"totalElements":1,"totalPages":1,"number":0}}
    "#);
}

#[tokio::test]
async fn pages_link_to_each_other() {
    let app = with_bookings(5).await;
    let mut page = app.request("GET /bookings?size=2", "").await;
    let mut pages = vec![page.numbers("bookings", "bookingId")];
    while let Some(next) = page.link("next") {
        page = app.request(&format!("GET {next}"), "").await;
        pages.push(page.numbers("bookings", "bookingId"));
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
    let previous = page.link("prev").unwrap();
    assert_eq!(ids(&app, &format!("GET {previous}")).await, [3, 4]);
    let last = page.link("last").unwrap();
    assert_eq!(ids(&app, &format!("GET {last}")).await, [4, 5]);
}

#[tokio::test]
async fn a_page_may_be_requested_by_its_number() {
    let app = with_bookings(5).await;
    assert_eq!(ids(&app, "GET /bookings?size=2&page=1").await, [3, 4]);
    assert_eq!(ids(&app, "GET /bookings?size=2&page=2").await, [5]);
    let middle = app.request("GET /bookings?page=1&size=2", "").await.json();
    assert_snapshot!(middle["_links"], @r#"{"first":{"href":"http://booking.test/bookings?size=2"},"last":{"href":"http://booking.test/bookings?cursor=before-9223372036854775807&size=2"},"next":{"href":"http://booking.test/bookings?cursor=after-4&size=2"},"prev":{"href":"http://booking.test/bookings?cursor=before-3&size=2"},"profile":{"href":"http://booking.test/profile/bookings"},"self":{"href":"http://booking.test/bookings?page=1&size=2"}}"#);
    assert_snapshot!(middle["page"], @r#"{"number":1,"size":2,"totalElements":5,"totalPages":3}"#);
}

#[tokio::test]
async fn a_list_may_be_read_from_its_end() {
    let app = with_bookings(5).await;
    let mut page = app.request("GET /bookings?sort=id,desc&size=2", "").await;
    let mut pages = vec![page.numbers("bookings", "bookingId")];
    while let Some(next) = page.link("next") {
        page = app.request(&format!("GET {next}"), "").await;
        pages.push(page.numbers("bookings", "bookingId"));
    }
    assert_eq!(pages, [vec![5, 4], vec![3, 2], vec![1]]);
    let previous = page.link("prev").unwrap();
    assert_eq!(ids(&app, &format!("GET {previous}")).await, [3, 2]);
    let last = page.link("last").unwrap();
    assert_eq!(ids(&app, &format!("GET {last}")).await, [2, 1]);
    assert_eq!(ids(&app, "GET /bookings?sort=id,desc&size=2&page=1").await, [3, 2]);
    assert_eq!(ids(&app, "GET /bookings?sort=id&size=2&page=1").await, [3, 4]);
}

#[tokio::test]
async fn a_list_cannot_be_sorted_by_what_has_no_index() {
    let refused = BookingApp::start().request("GET /bookings?sort=userId,desc", "").await;
    assert_snapshot!(refused.in_short(), @"400 not-sortable; sort: there is no index by `userId`; sortable fields: id");
}

#[tokio::test]
async fn behind_the_last_page_there_is_an_empty_one() {
    let app = with_bookings(1).await;
    assert_eq!(ids(&app, "GET /bookings?page=1").await, [0; 0]);
    assert_eq!(ids(&app, "GET /bookings?cursor=after-9007199254740991").await, [0; 0]);
}

#[tokio::test]
async fn a_page_number_far_from_the_beginning_is_refused() {
    let app = with_bookings(1).await;
    let reply = app.request("GET /bookings?page=4294967295&size=4294967295", "").await;
    assert_snapshot!(reply.in_short(), @"400 page-too-deep; page: at most 10000 items may come before a page that is requested by number; follow the `next` links, which carry a cursor");
}

#[tokio::test]
async fn a_page_has_20_bookings_unless_requested_otherwise_and_at_most_1000() {
    let app = with_bookings(21).await;
    assert_eq!(ids(&app, "GET /bookings").await.len(), 20);
    assert_eq!(ids(&app, "GET /bookings?size=21").await.len(), 21);
    let large = app.request("GET /bookings?size=1001", "").await.json();
    assert_eq!(large["page"]["size"], 1_000);
}
