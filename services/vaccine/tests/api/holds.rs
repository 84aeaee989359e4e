//! Holds, one by one and in blocks.

use std::fmt::Write;

use contracts::vaccine::HOLDS_MAX;
use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::event;
use uuid::Uuid;

use crate::app::{ANA, BO, NORTH, SOUTH, VaccineApp};

#[tokio::test]
async fn a_dose_is_held_once_and_released_once_even_if_requests_are_repeated() {
    let app = VaccineApp::with_doses(1).await;
    let ana = format!("/vaccines/1/reservations/{ANA}");
    let bo = format!("/vaccines/1/reservations/{BO}");
    let replies = app
        .replies(&[
            format!("PUT {ana}"),
            format!("PUT {ana}"),
            format!("GET {ana}"),
            format!("PUT {bo}"),
            format!("GET {bo}"),
            "GET /vaccines/1".to_owned(),
            format!("DELETE {ana}"),
            format!("DELETE {ana}"),
            format!("GET {ana}"),
            format!("PUT {ana}"),
            "GET /vaccines/1".to_owned(),
        ])
        .await;
    assert_snapshot!(replies, @r#"
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 200 {"reservationId":"00000000-0000-0000-0000-00000000000a","vaccineId":1,"state":"held"}
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000b: 409 sold-out; every dose is held or booked
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000b: 404 no-such-reservation; there is no such reservation
    GET /vaccines/1: 200 {"vaccineId":1,"vcName":"FIZER","stock":1,"bookQty":1,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 200 {"reservationId":"00000000-0000-0000-0000-00000000000a","vaccineId":1,"state":"released"}
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 409 reservation-released; the reservation was released before
    GET /vaccines/1: 200 {"vaccineId":1,"vcName":"FIZER","stock":1,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    "#);
}

#[tokio::test]
async fn a_reservation_that_was_released_before_its_hold_stays_released() {
    let app = VaccineApp::with_doses(1).await;
    let ana = format!("/vaccines/1/reservations/{ANA}");
    let replies = app.replies(&[format!("DELETE {ana}"), format!("PUT {ana}")]).await;
    assert_snapshot!(replies, @"
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 409 reservation-released; the reservation was released before
    ");
    assert_eq!(app.taken().await, 0);
}

#[tokio::test]
async fn a_reservation_belongs_to_one_vaccine() {
    let app = VaccineApp::with_doses(1).await;
    app.request("POST /vaccines", r#"{"vcName":"MODERNA","stock":1}"#).await;
    let one = format!("/vaccines/1/reservations/{ANA}");
    let two = format!("/vaccines/2/reservations/{ANA}");
    let replies = app
        .replies(&[
            format!("PUT {one}"),
            format!("PUT {two}"),
            format!("GET {two}"),
            format!("DELETE {two}"),
            format!("PUT /vaccines/3/reservations/{BO}"),
            format!("DELETE /vaccines/3/reservations/{BO}"),
            format!("PUT /vaccines/2/reservations/{BO}"),
        ])
        .await;
    assert_snapshot!(replies, @"
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    PUT /vaccines/2/reservations/00000000-0000-0000-0000-00000000000a: 409 reservation-conflict; the reservation id is taken by another one
    GET /vaccines/2/reservations/00000000-0000-0000-0000-00000000000a: 404 no-such-reservation; there is no such reservation
    DELETE /vaccines/2/reservations/00000000-0000-0000-0000-00000000000a: 404 no-such-reservation; there is no such reservation
    PUT /vaccines/3/reservations/00000000-0000-0000-0000-00000000000b: 404 no-such-vaccine; there is no such vaccine
    DELETE /vaccines/3/reservations/00000000-0000-0000-0000-00000000000b: 404 no-such-vaccine; there is no such vaccine
    PUT /vaccines/2/reservations/00000000-0000-0000-0000-00000000000b: 204
    ");
    assert_eq!(app.taken().await, 1);
}

/// Blocks of one dose.
fn holds(owner: &str, holds: &[(&str, i64)]) -> String {
    let hold = |(id, vaccine): &(&str, i64)| json!({"first": id, "vaccineId": vaccine, "count": 1});
    blocks(owner, &holds.iter().map(hold).collect::<Vec<_>>())
}

fn blocks(owner: &str, blocks: &[Value]) -> String {
    json!({"owner": owner, "blocks": blocks}).to_string()
}

/// A block of vaccine 1.
fn block(first: u128, count: u32, ahead: u32) -> Value {
    json!({"first": Uuid::from_u128(first), "vaccineId": 1, "count": count, "ahead": ahead})
}

/// The body with so many holds of vaccine 1.
pub(crate) fn many_holds(count: usize) -> String {
    let block = |number: usize| block(number.try_into().unwrap(), 1, 0);
    blocks(NORTH, &(0..count).map(block).collect::<Vec<_>>())
}

#[tokio::test]
async fn each_of_many_blocks_has_its_outcome() {
    let app = VaccineApp::with_doses(1).await;
    let released = "00000000-0000-0000-0000-00000000000c";
    app.request(&format!("DELETE /vaccines/1/reservations/{released}"), "").await;
    let batch = [(ANA, 1), (BO, 1), (ANA, 1), (BO, 2), (released, 1), (ANA, 2)];
    assert_snapshot!(app.request("POST /holds", holds(NORTH, &batch)).await, @r#"
    200 OK
    content-type: application/json

    {"outcomes":[{"outcome":"held","vcName":"FIZER","count":1},{"outcome":"sold-out"},{"outcome":"held","vcName":"FIZER","count":1},{"outcome":"no-such-vaccine"},{"outcome":"conflict"},{"outcome":"conflict"}]}
    "#);
    assert_snapshot!(app.request("POST /holds", holds(SOUTH, &[(ANA, 1)])).await.in_short(), @r#"200 {"outcomes":[{"outcome":"conflict"}]}"#);
    assert_snapshot!(app.request("POST /holds", holds(NORTH, &[])).await.in_short(), @r#"200 {"outcomes":[]}"#);
    assert_eq!(app.taken().await, 1);
}

#[tokio::test]
async fn a_block_gets_what_is_free_of_what_it_wants_now_and_a_share_of_the_rest() {
    let app = VaccineApp::with_doses(643).await;
    let mut first = block(1, 3, 20);
    first["inHand"] = json!(4);
    let batch = blocks(NORTH, &[first.clone(), first]);
    assert_snapshot!(app.request("POST /holds", batch).await.in_short(), @r#"200 {"outcomes":[{"outcome":"held","vcName":"FIZER","count":9},{"outcome":"held","vcName":"FIZER","count":9}]}"#);
    assert_eq!(app.taken().await, 9, "a repeated block has the same outcome");
    let rest =
        app.request("POST /holds", blocks(NORTH, &[block(100, 512, 0), block(700, 0, 9)])).await;
    assert_snapshot!(rest.in_short(), @r#"200 {"outcomes":[{"outcome":"held","vcName":"FIZER","count":512},{"outcome":"held","vcName":"FIZER","count":1}]}"#);
    let last = app
        .request("POST /holds", blocks(NORTH, &[block(1_000, 500, 9), block(2_000, 0, 9)]))
        .await;
    assert_snapshot!(last.in_short(), @r#"200 {"outcomes":[{"outcome":"held","vcName":"FIZER","count":121},{"outcome":"held","vcName":"FIZER","count":0}]}"#);
    assert_eq!(app.taken().await, 643);
    let first = "GET /vaccines/1/reservations/00000000-0000-0000-0000-000000000001";
    let last = "GET /vaccines/1/reservations/00000000-0000-0000-0000-000000000009";
    let unknown = "GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a";
    assert_snapshot!(app.replies(&[first, last, unknown].map(str::to_owned)).await, @r#"
    GET /vaccines/1/reservations/00000000-0000-0000-0000-000000000001: 200 {"reservationId":"00000000-0000-0000-0000-000000000001","vaccineId":1,"state":"held"}
    GET /vaccines/1/reservations/00000000-0000-0000-0000-000000000009: 200 {"reservationId":"00000000-0000-0000-0000-000000000009","vaccineId":1,"state":"held"}
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 404 no-such-reservation; there is no such reservation
    "#);
}

#[tokio::test]
async fn of_two_blocks_of_one_request_with_a_reservation_in_common_the_second_is_refused() {
    let app = VaccineApp::with_doses(9).await;
    let both = blocks(NORTH, &[block(10, 3, 0), block(12, 3, 0)]);
    assert_snapshot!(app.request("POST /holds", both).await.in_short(), @r#"200 {"outcomes":[{"outcome":"held","vcName":"FIZER","count":3},{"outcome":"conflict"}]}"#);
    assert_eq!(app.taken().await, 3);
}

#[tokio::test]
async fn a_request_that_wants_too_much_is_refused_whole() {
    let app = VaccineApp::with_doses(100_000).await;
    assert_snapshot!(app.request("POST /holds", many_holds(HOLDS_MAX + 1)).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"at most 512 in one request","field":"blocks"}
    "#);
    let mut refused = String::new();
    for wrong in [
        vec![block(1, 513, 0)],
        vec![block(1, u32::MAX, 0)],
        vec![block(1, 512, 0), block(1_000, 513, 0)],
        vec![block(1, 1, 0), block(2, 1, 1_025)],
        vec![json!({"first": ANA, "vaccineId": 1, "count": 1, "inHand": 1_025})],
        vec![block(0xfffe, 2, 1)],
        vec![block(1, 1, 0), json!({"first": ANA, "vaccineId": 1, "count": -1})],
        vec![json!({"first": ANA, "vaccineId": 1, "count": 1, "ahead": 4_294_967_296_i64})],
        vec![json!({"first": ANA, "vaccineId": 1})],
    ] {
        let reply = app.request("POST /holds", blocks(NORTH, &wrong)).await;
        writeln!(refused, "{}", reply.in_short()).unwrap();
    }
    assert_snapshot!(refused, @"
    422 invalid-field; blocks[0].count: at most 512
    422 invalid-field; blocks[0].count: at most 512
    422 invalid-field; blocks[1].count: at most 512
    422 invalid-field; blocks[1].ahead: at most 1024
    422 invalid-field; blocks[0].inHand: at most 1024
    422 invalid-field; blocks[0].first: the last 16 bits leave too few numbers for the block
    422 invalid-field; blocks[1].count: invalid value: integer `-1`, expected a whole number from 0 to 4294967295 at line 1 column 105
    422 invalid-field; blocks[0].ahead: invalid value: integer `4294967296`, expected a whole number from 0 to 4294967295 at line 1 column 30
    422 invalid-field; blocks[0].count: missing field `count` at line 1 column 73
    ");
    assert_eq!(app.taken().await, 0);
    let largest = [block(1, 300, 1_024), block(10_000, 212, 1_024), block(20_000, 0, 1_024)];
    assert_eq!(app.request("POST /holds", blocks(NORTH, &largest)).await.status, 200);
    assert_eq!(app.request("POST /holds", many_holds(HOLDS_MAX)).await.status, 200);
}

#[tokio::test]
async fn an_aborted_attempt_takes_no_dose_and_is_listed_until_its_owner_has_recorded_it() {
    let app = VaccineApp::with_doses(1).await;
    app.request("POST /holds", holds(NORTH, &[(ANA, 1)])).await;
    let aborts = json!({"owner": NORTH, "reservationIds": [ANA, BO]}).to_string();
    assert_snapshot!(app.request("POST /aborts", aborts).await.in_short(), @r#"200 {"refused":[]}"#);
    assert_eq!(app.taken().await, 0);
    let late = app.request("POST /holds", holds(NORTH, &[(ANA, 1), (BO, 1)])).await;
    assert_snapshot!(late.in_short(), @r#"200 {"outcomes":[{"outcome":"conflict"},{"outcome":"conflict"}]}"#);
    let listed = |owner| format!("GET /holds?owner={owner}&heldForMs=0");
    let before = app.replies(&[listed(NORTH), listed(SOUTH)]).await;
    let recorded = |sequence, id: &str| {
        event(NORTH, sequence, "ReservationAborted", &json!({"reservationId": id}))
    };
    app.publish(&[recorded(1, ANA), recorded(2, BO)]).await;
    let after = app.replies(&[listed(NORTH)]).await;
    assert_snapshot!([before, after].join("\n"), @r#"
    GET /holds?owner=00000000-0000-0000-0000-000000000001&heldForMs=0: 200 {"reservationIds":[],"aborted":["00000000-0000-0000-0000-00000000000a","00000000-0000-0000-0000-00000000000b"]}
    GET /holds?owner=00000000-0000-0000-0000-000000000002&heldForMs=0: 200 {"reservationIds":[],"aborted":[]}

    GET /holds?owner=00000000-0000-0000-0000-000000000001&heldForMs=0: 200 {"reservationIds":[],"aborted":[]}
    "#);
}

#[tokio::test]
async fn a_booking_is_not_aborted_and_named() {
    let app = VaccineApp::with_doses(1).await;
    let booked = json!({
        "reservationId": ANA,
        "bookingId": 1, "vaccineId": 1, "vcName": "FIZER", "userId": 5, "status": "BOOKED",
    });
    app.publish(&[event(NORTH, 1, "Booked", &booked)]).await;
    let aborts = json!({"owner": NORTH, "reservationIds": [ANA, BO]}).to_string();
    assert_snapshot!(app.request("POST /aborts", aborts).await.in_short(), @r#"200 {"refused":["00000000-0000-0000-0000-00000000000a"]}"#);
    assert_eq!(app.taken().await, 1);
}

#[tokio::test]
async fn too_many_aborts_in_one_request_are_refused_whole() {
    let app = VaccineApp::with_doses(1).await;
    let ids: Vec<_> = (0..=HOLDS_MAX).map(|_| BO).collect();
    let body = json!({"owner": NORTH, "reservationIds": ids}).to_string();
    assert_snapshot!(app.request("POST /aborts", body).await.in_short(), @"422 invalid-field; reservationIds: at most 512");
}

#[tokio::test]
async fn holds_are_listed_until_their_owner_resolves_them() {
    let app = VaccineApp::with_doses(9).await;
    app.request("POST /holds", holds(NORTH, &[(ANA, 1)])).await;
    app.request("POST /holds", holds(SOUTH, &[(BO, 1)])).await;
    let replies = app
        .replies(&[
            format!("GET /holds?owner={NORTH}&heldForMs=0"),
            format!("GET /holds?owner={SOUTH}&heldForMs=0"),
            format!("GET /holds?owner={NORTH}&heldForMs=600000"),
            format!("GET /holds?owner={ANA}&heldForMs=0"),
            format!("DELETE /vaccines/1/reservations/{ANA}"),
            format!("GET /holds?owner={NORTH}&heldForMs=0"),
            "GET /holds?heldForMs=0".to_owned(),
        ])
        .await;
    assert_snapshot!(replies, @r#"
    GET /holds?owner=00000000-0000-0000-0000-000000000001&heldForMs=0: 200 {"reservationIds":["00000000-0000-0000-0000-00000000000a"],"aborted":[]}
    GET /holds?owner=00000000-0000-0000-0000-000000000002&heldForMs=0: 200 {"reservationIds":["00000000-0000-0000-0000-00000000000b"],"aborted":[]}
    GET /holds?owner=00000000-0000-0000-0000-000000000001&heldForMs=600000: 200 {"reservationIds":[],"aborted":[]}
    GET /holds?owner=00000000-0000-0000-0000-00000000000a&heldForMs=0: 200 {"reservationIds":[],"aborted":[]}
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    GET /holds?owner=00000000-0000-0000-0000-000000000001&heldForMs=0: 200 {"reservationIds":[],"aborted":[]}
    GET /holds?heldForMs=0: 200 {"reservationIds":["00000000-0000-0000-0000-00000000000b"],"aborted":[]}
    "#);
}

/// More doses taken than there are: the database rejects what this ledger decides.
#[tokio::test]
async fn a_command_that_the_database_rejects_is_unavailable_and_changes_nothing() {
    let app = VaccineApp::start_unguarded().register(0).await;
    let hold = app.request(&format!("PUT /vaccines/1/reservations/{ANA}"), "").await;
    assert_snapshot!(hold, @r#"
    503 Service Unavailable
    retry-after: (seconds)
    content-type: application/problem+json

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"the store rejected the command"}
    "#);
    let released = app.request(&format!("DELETE /vaccines/1/reservations/{ANA}"), "").await;
    assert_eq!(released.status, 503);
    let batch = app.request("POST /holds", holds(NORTH, &[(ANA, 1), (BO, 1)])).await;
    assert_snapshot!(batch.in_short(), @r#"200 {"outcomes":[{"outcome":"failed"},{"outcome":"failed"}]}"#);
    assert_eq!(app.taken().await, 0);
}

#[tokio::test]
async fn unresolved_holds_are_listed_by_vaccine() {
    let app = VaccineApp::with_doses(9).await;
    app.request("POST /holds", blocks(NORTH, &[block(10, 2, 0)])).await;
    let listed = async |of: &str| {
        let reply = app.request(&format!("GET /holds?heldForMs=0&vaccineId={of}"), "").await;
        reply.json()["reservationIds"].as_array().unwrap().len()
    };
    assert_eq!((listed("1").await, listed("2").await), (2, 0));
}
