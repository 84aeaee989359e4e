//! A change that is meant for one state of a vaccine is refused in any other.

use testkit::Reply;

use crate::app::{ANA, VaccineApp};

async fn change(app: &VaccineApp, line: &str, tag: &str, body: &str) -> Reply {
    app.request_with(&[("content-type", "application/json"), ("if-match", tag)], line, body).await
}

async fn tag(app: &VaccineApp) -> String {
    app.request("GET /vaccines/1", "").await.header("etag").unwrap().to_owned()
}

#[tokio::test]
async fn of_two_managers_who_read_the_same_stock_the_second_is_refused() {
    let app = VaccineApp::with_doses(100).await;
    let read = tag(&app).await;
    let first = change(&app, "PATCH /vaccines/1", &read, r#"{"stock":150}"#).await;
    assert_eq!(first.status, 200);
    for (line, body) in [
        ("PATCH /vaccines/1", r#"{"stock":120}"#),
        ("PUT /vaccines/1", r#"{"vcName":"FIZER","stock":120}"#),
        ("DELETE /vaccines/1", ""),
    ] {
        let second = change(&app, line, &read, body).await;
        assert_eq!(second.status, 412, "{line}");
        assert_eq!(
            second.in_short(),
            "412 precondition-failed; If-Match: read it again, and send its new ETag"
        );
    }
    assert_eq!(app.request("GET /vaccines/1", "").await.json()["stock"], 150);
    let current = tag(&app).await;
    assert_eq!(first.header("etag"), Some(current.as_str()));
    assert_eq!(change(&app, "DELETE /vaccines/1", &current, "").await.status, 204);
    assert_eq!(change(&app, "DELETE /vaccines/1", "*", "").await.status, 404);
}

#[tokio::test]
async fn many_changes_at_once_that_are_meant_for_one_state_have_one_effect() {
    let app = VaccineApp::with_doses(100).await;
    let read = tag(&app).await;
    let to = |body: &'static str| change(&app, "PATCH /vaccines/1", &read, body);
    let (a, b, c, d) = tokio::join!(
        to(r#"{"stock":101}"#),
        to(r#"{"stock":102}"#),
        to(r#"{"stock":103}"#),
        to(r#"{"stock":104}"#)
    );
    let mut statuses = [a, b, c, d].map(|reply| reply.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412]);
}

#[tokio::test]
async fn neither_a_booked_dose_nor_another_host_changes_the_tag() {
    let app = VaccineApp::with_doses(100).await;
    let before = tag(&app).await;
    let https = app.request_with(&[("x-forwarded-proto", "https")], "GET /vaccines/1", "").await;
    assert_eq!(https.header("etag"), Some(before.as_str()));
    assert_eq!(https.header("vary"), Some("accept, x-forwarded-proto"));
    assert_eq!(https.header("cache-control"), None);
    app.request(&format!("PUT /vaccines/1/reservations/{ANA}"), "").await;
    // Otherwise no stock could be changed while bookings are made.
    let changed = change(&app, "PATCH /vaccines/1", &before, r#"{"stock":7}"#).await;
    assert_eq!((changed.status.as_u16(), changed.json()["bookQty"].as_i64()), (200, Some(1)));
    assert_ne!(tag(&app).await, before);
    assert_eq!(change(&app, "PATCH /vaccines/1", "*", r#"{"stock":8}"#).await.status, 200);
}
