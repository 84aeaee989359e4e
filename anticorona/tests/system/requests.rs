//! The requests that most tests send, and polling until a response is as expected.

use std::time::{Duration, Instant};

use drill::{CONVERGE_WITHIN, Request, Response, Target};
use serde_json::{Value, json};

/// Sends a request, and fails without a response.
pub(crate) async fn send(target: &Target, request: Request) -> Response {
    let sent = drill::send(target, &request).await;
    sent.unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.path))
}

/// Reads JSON.
pub(crate) async fn get(target: &Target, path: &str) -> Value {
    let response = send(target, Request::get(path)).await;
    assert_eq!(response.status, 200, "GET {path}: {}", response.text());
    response.json().unwrap()
}

/// Registers a vaccine; its id.
pub(crate) async fn register_vaccine(vaccine: &Target, stock: i64) -> i64 {
    drill::register_vaccine(vaccine, stock).await.unwrap()
}

/// A booking request of user 5.
pub(crate) fn book(vaccine: i64) -> Request {
    Request::post_json("/bookings", &json!({"vaccineId": vaccine, "userId": 5}))
}

/// A cancellation.
pub(crate) fn cancel(booking: i64) -> Request {
    let body = json!({"status": "BOOKING_CANCELLED"});
    Request::patch_json(&format!("/bookings/{booking}"), &body)
}

/// The items on a page.
pub(crate) fn items<'a>(page: &'a Value, collection: &str) -> &'a [Value] {
    page["_embedded"][collection].as_array().unwrap()
}

/// The path and query of a link, without the variables of a template.
pub(crate) fn path(link: &Value) -> String {
    let (_, rest) = link["href"].as_str().unwrap().split_once("://").unwrap();
    let (url, variables) = rest.split_once('{').unwrap_or((rest, ""));
    assert_eq!(link["templated"].as_bool().unwrap_or_default(), !variables.is_empty(), "{link}");
    url[url.find('/').unwrap()..].to_owned()
}

/// Every booking that booking knows: its id, and whether it is neither cancelled nor completed.
pub(crate) async fn bookings(booking: &Target) -> Vec<(i64, bool)> {
    let mut all = Vec::new();
    let mut next = Some("/bookings?size=1000".to_owned());
    while let Some(url) = next {
        let page = get(booking, &url).await;
        let entry =
            |item: &Value| (item["bookingId"].as_i64().unwrap(), item["status"] == "BOOKED");
        all.extend(items(&page, "bookings").iter().map(entry));
        next = page["_links"].get("next").map(path);
    }
    all
}

/// How many bookings are neither cancelled nor completed.
pub(crate) async fn active_bookings(booking: &Target) -> i64 {
    let active = bookings(booking).await.iter().filter(|(_, is_active)| *is_active).count();
    i64::try_from(active).unwrap()
}

/// Doses held or booked, and doses that exist.
pub(crate) async fn taken_and_stock(vaccine: &Target, id: i64) -> (i64, i64) {
    let vaccine = get(vaccine, &format!("/vaccines/{id}")).await;
    (vaccine["bookQty"].as_i64().unwrap(), vaccine["stock"].as_i64().unwrap())
}

/// Polls until the response is as expected: what follows from events is visible later.
pub(crate) async fn eventually(
    target: &Target,
    path: &str,
    is_expected: impl Fn(&Value) -> bool,
) -> Value {
    let start = Instant::now();
    loop {
        let response = send(target, Request::get(path)).await;
        let body = response.json().unwrap();
        if response.status == 200 && is_expected(&body) {
            return body;
        }
        assert!(start.elapsed() < CONVERGE_WITHIN, "GET {path}: {} {body}", response.status);
        tokio::time::sleep(Duration::from_millis(20)).await; // tidy: paced, polls until it is as expected
    }
}

/// Polls until exactly that many doses are taken, and never more than there are. A dose that is taken
/// without a booking is leaked.
pub(crate) async fn wait_until_taken(vaccine: &Target, id: i64, expected: i64) -> Duration {
    let start = Instant::now();
    loop {
        let (taken, stock) = taken_and_stock(vaccine, id).await;
        assert!(taken <= stock, "oversold: {taken} of {stock}");
        if taken == expected {
            return start.elapsed();
        }
        assert!(start.elapsed() < CONVERGE_WITHIN, "{taken} doses are taken, not {expected}");
        tokio::time::sleep(Duration::from_millis(100)).await; // tidy: paced, polls until it is as expected
    }
}
