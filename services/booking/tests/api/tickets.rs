//! A client that prefers not to wait gets a ticket, and one URL that shows what came of it.

use std::collections::BTreeSet;

use booking::store::MIGRATIONS;
use contracts::vaccine::HoldOutcome;
use insta::assert_snapshot;
use platform_store::{Database, database::open_blocking};
use tempfile::TempDir;
use testkit::{Reply, TEST_TIMEOUT};
use tokio::time::timeout;

use crate::{
    app::BookingApp,
    vaccine::{FakeReply, FakeVaccine, HOLDS, held},
};

const BODY: &str = r#"{"vaccineId":1,"userId":5}"#;

/// The reply with a name instead of the id, which differs in every store.
fn shown(reply: &Reply) -> String {
    let id = reply.json()["ticketId"].as_str().unwrap().to_owned();
    reply.to_string().replace(&id, "TICKET")
}

/// The ticket after `vaccine` has answered this.
/// It ends as sold out when that was answered twice.
async fn served_with(outcome: HoldOutcome) -> Reply {
    let app = BookingApp::start();
    for _ in 0..2 {
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome.clone()]));
    }
    let accepted = app.enqueue("a", BODY).await;
    ended(&app, &accepted).await
}

/// The ticket of a reply, as soon as it has ended.
async fn ended(app: &BookingApp, accepted: &Reply) -> Reply {
    let ended = async {
        loop {
            let reply = app.ticket(accepted).await;
            if reply.json()["status"] != "WAITING" {
                return reply;
            }
        }
    };
    timeout(TEST_TIMEOUT, ended).await.expect("it ends in time")
}

#[tokio::test]
async fn a_ticket_has_a_location_and_a_status() {
    let app = BookingApp::start_with(FakeVaccine::unreachable());
    let accepted = app.enqueue("a", BODY).await;
    assert_snapshot!(shown(&accepted), @r#"
    202 Accepted
    location: http://booking.test/tickets/TICKET
    preference-applied: respond-async
    retry-after: (seconds)
    content-type: application/hal+json

    {"ticketId":"TICKET","vaccineId":1,"status":"WAITING","position":1,"_links":{"self":{"href":"http://booking.test/tickets/TICKET"},"ticket":{"href":"http://booking.test/tickets/TICKET"}}}
    "#);
    assert_eq!(app.ticket(&accepted).await.header("cache-control"), Some("no-store"));
    assert_snapshot!(shown(&app.ticket(&accepted).await), @r#"
    200 OK
    retry-after: (seconds)
    content-type: application/hal+json

    {"ticketId":"TICKET","vaccineId":1,"status":"WAITING","position":1,"_links":{"self":{"href":"http://booking.test/tickets/TICKET"},"ticket":{"href":"http://booking.test/tickets/TICKET"}}}
    "#);
}

#[tokio::test]
async fn a_waiting_ticket_shows_its_position() {
    let app = BookingApp::start_with(FakeVaccine::unreachable());
    for (key, position) in [("a", 1), ("b", 2), ("c", 3), ("b", 2)] {
        assert_eq!(app.enqueue(key, BODY).await.json()["position"], position, "{key}");
    }
}

#[tokio::test]
async fn a_ticket_ends_as_booked() {
    assert_snapshot!(shown(&served_with(held()).await), @r#"
    200 OK
    content-type: application/hal+json

    {"ticketId":"TICKET","vaccineId":1,"status":"BOOKED","bookingId":1,"_links":{"self":{"href":"http://booking.test/tickets/TICKET"},"ticket":{"href":"http://booking.test/tickets/TICKET"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
}

#[tokio::test]
async fn a_ticket_ends_as_sold_out() {
    assert_snapshot!(shown(&served_with(HoldOutcome::SoldOut).await), @r#"
    200 OK
    content-type: application/hal+json

    {"ticketId":"TICKET","vaccineId":1,"status":"SOLD_OUT","_links":{"self":{"href":"http://booking.test/tickets/TICKET"},"ticket":{"href":"http://booking.test/tickets/TICKET"}}}
    "#);
}

#[tokio::test]
async fn a_ticket_for_a_vaccine_that_does_not_exist_ends_as_that() {
    let reply = served_with(HoldOutcome::NoSuchVaccine).await;
    assert_eq!(reply.json()["status"], "NO_SUCH_VACCINE");
}

#[tokio::test]
async fn links_of_a_ticket_have_the_scheme_and_the_host_of_the_request() {
    let app = BookingApp::start();
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "a"),
        ("prefer", "respond-async"),
        ("x-forwarded-proto", "https"),
    ];
    let accepted = app.request_with(&headers, "POST /bookings", BODY).await;
    let location = accepted.header("location").unwrap();
    assert!(location.starts_with("https://booking.test/tickets/"), "{location}");
}

#[tokio::test]
async fn without_a_key_there_is_no_ticket() {
    let app = BookingApp::start();
    let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
    assert_snapshot!(app.request_with(&headers, "POST /bookings", BODY).await, @r#"
    400 Bad Request
    content-type: application/problem+json

    {"type":"urn:anticorona:malformed","title":"The request cannot be read","status":400,"detail":"with Prefer: respond-async there must be an Idempotency-Key","field":"Idempotency-Key"}
    "#);
    assert!(app.vaccine.requests(HOLDS).is_empty());
}

#[tokio::test]
async fn a_wrong_request_gets_no_ticket() {
    let app = BookingApp::start();
    assert_eq!(app.enqueue("a", r#"{"vaccineId":1}"#).await.status, 422);
    assert_eq!(app.enqueue("a", "{").await.status, 400);
    assert!(app.vaccine.requests(HOLDS).is_empty());
}

#[tokio::test]
async fn the_same_key_is_the_same_ticket_also_after_it_has_ended() {
    let app = BookingApp::start();
    let first = app.enqueue("a", BODY).await;
    app.vaccine.events(1).await;
    let again = app.enqueue("a", BODY).await;
    assert_eq!((again.status.as_u16(), &again.json()["status"]), (202, &"BOOKED".into()));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("retry-after"), None, "it does not wait any more");
    assert_eq!(app.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_request_whether_it_has_a_ticket_or_a_booking() {
    const OTHER: &str = r#"{"vaccineId":2,"userId":5}"#;
    let app = BookingApp::start_with(FakeVaccine::unreachable());
    app.enqueue("a", BODY).await;
    let mut replies = BTreeSet::new();
    replies.insert(app.enqueue("a", OTHER).await.to_string());
    replies.insert(app.book_with_key("a", OTHER).await.to_string());

    let app = BookingApp::start();
    app.book_with_key("a", BODY).await;
    replies.insert(app.enqueue("a", OTHER).await.to_string());
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert!(replies.first().unwrap().starts_with("422"), "{replies:?}");
}

#[tokio::test]
async fn a_key_that_has_its_booking_gets_it_instead_of_a_ticket() {
    let app = BookingApp::start();
    let booked = app.book_with_key("a", BODY).await;
    assert_eq!(app.enqueue("a", BODY).await.to_string(), booked.to_string());
}

#[tokio::test]
async fn a_ticket_and_its_key_lead_to_one_booking() {
    let app = BookingApp::start();
    let accepted = app.enqueue("a", BODY).await;
    app.vaccine.events(1).await;
    let booked = app.book_with_key("a", BODY).await.json();
    assert_eq!(app.ticket(&accepted).await.json()["bookingId"], booked["bookingId"]);
    assert_eq!(app.request("GET /bookings", "").await.json()["page"]["totalElements"], 1);
}

#[tokio::test]
async fn a_key_whose_ticket_has_ended_without_a_booking_gets_none_without_a_ticket_either() {
    for (outcome, status) in [(HoldOutcome::SoldOut, 409), (HoldOutcome::NoSuchVaccine, 404)] {
        let app = BookingApp::start();
        for _ in 0..2 {
            app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome.clone()]));
        }
        let accepted = app.enqueue("a", BODY).await;
        ended(&app, &accepted).await;
        let requests = app.vaccine.requests(HOLDS).len();
        assert_eq!(app.book_with_key("a", BODY).await.status, status);
        assert_eq!(app.vaccine.requests(HOLDS).len(), requests, "it is not requested again");
    }
}

#[tokio::test]
async fn an_unknown_ticket_is_not_found() {
    let app = BookingApp::start();
    let unknown = "GET /tickets/3f2504e0-4f89-81d3-9a0c-0305e82c3301";
    assert_snapshot!(app.request(unknown, "").await, @r#"
    404 Not Found
    content-type: application/problem+json

    {"type":"urn:anticorona:no-such-ticket","title":"There is no such ticket","status":404,"detail":"there is no such ticket"}
    "#);
    assert_eq!(app.request("GET /tickets/1", "").await.status, 404);
}

#[tokio::test]
async fn a_full_queue_means_retry_later() {
    let app = BookingApp::start_in(full_queue(), FakeVaccine::unreachable());
    assert_snapshot!(app.enqueue("a", BODY).await, @r#"
    503 Service Unavailable
    retry-after: (seconds)
    content-type: application/problem+json

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"too many tickets are waiting"}
    "#);
}

#[tokio::test]
async fn a_ninth_waiting_ticket_of_a_user_is_refused() {
    let app = BookingApp::start_with(FakeVaccine::unreachable());
    for key in 0..8 {
        assert_eq!(app.enqueue(&key.to_string(), BODY).await.status, 202);
    }
    assert_snapshot!(app.enqueue("8", BODY).await, @r#"
    429 Too Many Requests
    retry-after: (seconds)
    content-type: application/problem+json

    {"type":"urn:anticorona:too-many-tickets","title":"Too many tickets of this user are waiting","status":429,"detail":"8 tickets of this user are waiting; retry when one has ended"}
    "#);
    assert_eq!(app.enqueue("0", BODY).await.status, 202, "it has this ticket");
    let other = BODY.replace('5', "6");
    assert_eq!(app.enqueue("8", &other).await.status, 202, "another user has none");
}

/// The folder of a store whose queue is full.
fn full_queue() -> TempDir {
    let folder = TempDir::new().unwrap();
    let database = Database::Sqlite(folder.path().join("booking.sqlite"));
    let (mut connection, _) = open_blocking(&database, "booking", MIGRATIONS).unwrap();
    let insert = "
        INSERT INTO tickets
                    (number, id, fingerprint, vaccine, user_id, queued_at_ms)
             VALUES (1, zeroblob(16), zeroblob(16), 1, 6, 0),
                    (100000, x'01', zeroblob(16), 1, 5, 0)";
    connection.transaction(|tx| tx.run_script(insert)).unwrap();
    folder
}
