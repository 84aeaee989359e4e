//! Appointments: ready, completed and cancelled.

use injection::SERVICE;
use insta::assert_snapshot;
use serde_json::json;
use testkit::{EventRecorder, TestApp, event};

use super::{COMPLETED, SOUTH, booked, cancelled, data, start_with_three, status, with_three};

#[tokio::test]
async fn a_booking_has_an_appointment() {
    let app = start_with_three().await;
    assert_snapshot!(app.request("GET /injections/2", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"injectionId":2,"bookingId":2,"vaccineId":1,"userId":102,"status":"INJECTION_READY","_links":{"self":{"href":"http://injection.test/injections/2"},"injection":{"href":"http://injection.test/injections/2"}}}
    "#);
}

#[tokio::test]
async fn an_injection_is_completed_by_patch_or_put() {
    let app = start_with_three().await;
    let whole = json!({
        "injectionId": 2, "bookingId": 2, "vaccineId": "1", "userId": 102, "more": "is ignored",
        "status": "INJECTION_COMPLETED",
    });
    let transcript = app
        .transcript(&[
            ("PATCH /injections/1", COMPLETED),
            ("PUT /injections/2", &whole.to_string()),
            ("PUT /injections/3", r#"{"status":"INJECTION_READY"}"#),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    PATCH /injections/1 {"status":"INJECTION_COMPLETED"}: 200 {"injectionId":1,"bookingId":1,"vaccineId":1,"userId":101,"status":"INJECTION_COMPLETED","_links":{"self":{"href":"http://injection.test/injections/1"},"injection":{"href":"http://injection.test/injections/1"}}}
    PUT /injections/2 {"bookingId":2,"injectionId":2,"more":"is ignored","status":"INJECTION_COMPLETED","userId":102,"vaccineId":"1"}: 200 {"injectionId":2,"bookingId":2,"vaccineId":1,"userId":102,"status":"INJECTION_COMPLETED","_links":{"self":{"href":"http://injection.test/injections/2"},"injection":{"href":"http://injection.test/injections/2"}}}
    PUT /injections/3 {"status":"INJECTION_READY"}: 200 {"injectionId":3,"bookingId":3,"vaccineId":1,"userId":103,"status":"INJECTION_READY","_links":{"self":{"href":"http://injection.test/injections/3"},"injection":{"href":"http://injection.test/injections/3"}}}
    "#);
    let mut statuses = Vec::new();
    for id in 1..=3 {
        statuses.push(status(&app, id).await);
    }
    assert_eq!(statuses, ["INJECTION_COMPLETED", "INJECTION_COMPLETED", "INJECTION_READY"]);
}

#[tokio::test]
async fn completed_and_cancelled_are_final() {
    let app = start_with_three().await;
    app.publish(&[cancelled(4, 2)]).await;
    let transcript = app
        .transcript(&[
            ("PATCH /injections/1", COMPLETED),
            ("PATCH /injections/1", COMPLETED),
            ("PUT /injections/1", COMPLETED),
            ("PATCH /injections/2", COMPLETED),
            ("PATCH /injections/4", COMPLETED),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    PATCH /injections/1 {"status":"INJECTION_COMPLETED"}: 200 {"injectionId":1,"bookingId":1,"vaccineId":1,"userId":101,"status":"INJECTION_COMPLETED","_links":{"self":{"href":"http://injection.test/injections/1"},"injection":{"href":"http://injection.test/injections/1"}}}
    PATCH /injections/1 {"status":"INJECTION_COMPLETED"}: 409 injection-completed; it was completed before
    PUT /injections/1 {"status":"INJECTION_COMPLETED"}: 409 injection-completed; it was completed before
    PATCH /injections/2 {"status":"INJECTION_COMPLETED"}: 409 booking-cancelled; its booking was cancelled
    PATCH /injections/4 {"status":"INJECTION_COMPLETED"}: 404 no-such-injection; there is no such injection
    "#);
}

#[tokio::test]
async fn a_completion_is_published_once() {
    let vaccine = EventRecorder::start();
    let app = TestApp::start(&SERVICE, &[("VACCINE_URL", vaccine.url())]);
    let mut app = with_three(app).await;
    for _ in 0..3 {
        app.request("PATCH /injections/2", COMPLETED).await;
    }
    app.restart().await;
    app.request("PUT /injections/2", COMPLETED).await;
    app.request("PUT /injections/3", COMPLETED).await;
    let published = vaccine.events(2).await;
    let published: Vec<_> = published
        .iter()
        .map(|event| format!("{} {} {}", event.sequence, event.r#type, event.data))
        .collect();
    assert_snapshot!(published.join("\n"), @r#"
    1 anticorona.Completed.v1 {"reservationId":"00000000-0000-0000-0000-000000000002","injectionId":2,"bookingId":2,"vaccineId":1,"userId":102,"status":"INJECTION_COMPLETED"}
    2 anticorona.Completed.v1 {"reservationId":"00000000-0000-0000-0000-000000000003","injectionId":3,"bookingId":3,"vaccineId":1,"userId":103,"status":"INJECTION_COMPLETED"}
    "#);
}

#[tokio::test]
async fn appointments_are_listed_page_by_page() {
    let app = start_with_three().await;
    app.publish(&[booked(4, 4), booked(5, 5)]).await;
    assert_snapshot!(app.request("GET /injections?page=1&size=2", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"injections":[{"injectionId":3,"bookingId":3,"vaccineId":1,"userId":103,"status":"INJECTION_READY","_links":{"self":{"href":"http://injection.test/injections/3"},"injection":{"href":"http://injection.test/injections/3"}}},{"injectionId":4,"bookingId":4,"vaccineId":1,"userId":104,"status":"INJECTION_READY","_links":{"self":{"href":"http://injection.test/injections/4"},"injection":{"href":"http://injection.test/injections/4"}}}]},"_links":{"first":{"href":"http://injection.test/injections?size=2"},"prev":{"href":"http://injection.test/injections?cursor=before-3&size=2"},"self":{"href":"http://injection.test/injections?page=1&size=2"},"next":{"href":"http://injection.test/injections?cursor=after-4&size=2"},"last":{"href":"http://injection.test/injections?cursor=before-9223372036854775807&size=2"},"profile":{"href":"http://injection.test/profile/injections"},"search":{"href":"http://injection.test/injections/search"}},"page":{"size":2,"totalElements":5,"totalPages":3,"number":1}}
    "#);
    let (mut path, mut pages) = (Some("/injections?size=2".to_owned()), Vec::new());
    while let Some(here) = path {
        let page = app.request(&format!("GET {here}"), "").await;
        pages.push(page.numbers("injections", "injectionId"));
        path = page.link("next");
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
}

#[tokio::test]
async fn the_search_of_appointments_is_linked_and_cancellations_have_none() {
    let app = start_with_three().await;
    let list = app.request("GET /injections?sort=id,desc", "").await;
    assert_eq!(list.numbers("injections", "injectionId"), [3, 2, 1]);
    let searches = app.request(&format!("GET {}", list.link("search").unwrap()), "").await;
    let search = searches.link("findByBookingId").unwrap();
    assert_eq!(search, "/injections/search/findByBookingId{?bookingId,page,size,sort}");
    assert_eq!(app.request("GET /cancellations", "").await.link("search"), None);
    assert_eq!(app.request("GET /cancellations/search", "").await.status, 404);
}

#[tokio::test]
async fn the_appointments_of_a_booking_number_are_found() {
    let app = start_with_three().await;
    let mut of_the_south = data(2, "BOOKED");
    of_the_south["reservationId"] = json!("00000000-0000-0000-0001-000000000002");
    app.publish(&[event(SOUTH, 1, "Booked", &of_the_south)]).await;
    let found = app.request("GET /injections/search/findByBookingId?bookingId=2", "").await;
    assert_eq!(found.numbers("injections", "injectionId"), [2, 4]);
    assert_eq!(found.numbers("injections", "bookingId"), [2, 2]);
    let itself = app.request(&format!("GET {}", found.link("self").unwrap()), "").await;
    assert_eq!(itself.numbers("injections", "injectionId"), [2, 4]);
    assert_snapshot!(
        app.request("GET /injections/search/findByBookingId?bookingId=9", "").await,
        @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"injections":[]},"_links":{"first":{"href":"http://injection.test/injections/search/findByBookingId?bookingId=9&size=20"},"self":{"href":"http://injection.test/injections/search/findByBookingId?bookingId=9&page=0&size=20"},"last":{"href":"http://injection.test/injections/search/findByBookingId?bookingId=9&cursor=before-9223372036854775807&size=20"},"profile":{"href":"http://injection.test/profile/injections"},"search":{"href":"http://injection.test/injections/search"}},"page":{"size":20,"number":0}}
    "#
    );
}

#[tokio::test]
async fn cancellations_have_a_list_of_their_own() {
    let app = start_with_three().await;
    app.publish(&[cancelled(4, 3), cancelled(5, 9), cancelled(6, 1)]).await;
    let transcript = app
        .transcript(&[
            ("GET /cancellations?size=2", ""),
            ("GET /cancellations/3", ""),
            ("GET /cancellations/2", ""),
            ("GET /cancellations/5", ""),
            ("GET /injections/4", ""),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    GET /cancellations?size=2: 200 {"_embedded":{"cancellations":[{"bookingId":1,"vaccineId":1,"userId":101,"_links":{"self":{"href":"http://injection.test/cancellations/1"},"cancellation":{"href":"http://injection.test/cancellations/1"}}},{"bookingId":3,"vaccineId":1,"userId":103,"_links":{"self":{"href":"http://injection.test/cancellations/3"},"cancellation":{"href":"http://injection.test/cancellations/3"}}}]},"_links":{"first":{"href":"http://injection.test/cancellations?size=2"},"self":{"href":"http://injection.test/cancellations?page=0&size=2"},"next":{"href":"http://injection.test/cancellations?cursor=after-3&size=2"},"last":{"href":"http://injection.test/cancellations?cursor=before-9223372036854775807&size=2"},"profile":{"href":"http://injection.test/profile/cancellations"}},"page":{"size":2,"number":0}}
    GET /cancellations/3: 200 {"bookingId":3,"vaccineId":1,"userId":103,"_links":{"self":{"href":"http://injection.test/cancellations/3"},"cancellation":{"href":"http://injection.test/cancellations/3"}}}
    GET /cancellations/2: 404 not-found; there is no such cancellation
    GET /cancellations/5: 404 not-found; there is no such cancellation
    GET /injections/4: 200 {"injectionId":4,"bookingId":9,"vaccineId":1,"userId":109,"status":"INJECTION_CANCELLED","_links":{"self":{"href":"http://injection.test/injections/4"},"injection":{"href":"http://injection.test/injections/4"}}}
    "#);
}

#[tokio::test]
async fn nobody_may_store_an_appointment_on_the_way() {
    let app = start_with_three().await;
    for line in ["GET /injections", "GET /injections/1", "GET /cancellations"] {
        let reply = app.request(line, "").await;
        assert_eq!(reply.status, 200, "{line}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{line}");
    }
}

#[tokio::test]
async fn a_completion_that_is_meant_for_another_state_is_refused() {
    let app = start_with_three().await;
    let read = app.request("GET /injections/1", "").await.header("etag").unwrap().to_owned();
    let headers = [("content-type", "application/json"), ("if-match", read.as_str())];
    for expected in [200, 412] {
        let reply = app.request_with(&headers, "PATCH /injections/1", COMPLETED).await;
        assert_eq!(reply.status, expected);
    }
}
