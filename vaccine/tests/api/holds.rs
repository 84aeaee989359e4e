//! Doses are held and given back, one by one and many at once.

use contracts::vaccine::HOLDS_MAX;
use insta::assert_snapshot;
use serde_json::json;
use uuid::Uuid;
use vaccine::domain::{Done, Name, Pool, PoolId, Stock};

use crate::town::{ANA, BO, NORTH, SOUTH, Town};

#[tokio::test]
async fn a_dose_is_held_once_and_given_back_once_however_often_it_is_asked() {
    let town = Town::with_doses(1).await;
    let ana = format!("/vaccines/1/reservations/{ANA}");
    let bo = format!("/vaccines/1/reservations/{BO}");
    let story = town
        .story(&[
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
    assert_snapshot!(story, @r#"
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 200 {"reservationId":"00000000-0000-0000-0000-00000000000a","vaccineId":1,"state":"held"}
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000b: 409 every dose is held or booked
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000b: 404 there is no such reservation
    GET /vaccines/1: 200 {"vaccineId":1,"vcName":"FIZER","stock":1,"bookQty":1,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 200 {"reservationId":"00000000-0000-0000-0000-00000000000a","vaccineId":1,"state":"released"}
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 409 the reservation was released before
    GET /vaccines/1: 200 {"vaccineId":1,"vcName":"FIZER","stock":1,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    "#);
}

#[tokio::test]
async fn a_dose_that_was_given_back_before_it_was_asked_for_stays_given_back() {
    let town = Town::with_doses(1).await;
    let ana = format!("/vaccines/1/reservations/{ANA}");
    let story = town.story(&[format!("DELETE {ana}"), format!("PUT {ana}")]).await;
    assert_snapshot!(story, @"
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 409 the reservation was released before
    ");
    assert_eq!(town.taken().await, 0);
}

#[tokio::test]
async fn a_reservation_belongs_to_one_vaccine() {
    let town = Town::with_doses(1).await;
    town.ask("POST /vaccines", r#"{"vcName":"MODERNA","stock":1}"#).await;
    let one = format!("/vaccines/1/reservations/{ANA}");
    let two = format!("/vaccines/2/reservations/{ANA}");
    let story = town
        .story(&[
            format!("PUT {one}"),
            format!("PUT {two}"),
            format!("GET {two}"),
            format!("DELETE {two}"),
            format!("PUT /vaccines/3/reservations/{BO}"),
            format!("DELETE /vaccines/3/reservations/{BO}"),
            format!("PUT /vaccines/2/reservations/{BO}"),
        ])
        .await;
    assert_snapshot!(story, @"
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    PUT /vaccines/2/reservations/00000000-0000-0000-0000-00000000000a: 409 the reservation id is taken by another one
    GET /vaccines/2/reservations/00000000-0000-0000-0000-00000000000a: 404 there is no such reservation
    DELETE /vaccines/2/reservations/00000000-0000-0000-0000-00000000000a: 404 there is no such reservation
    PUT /vaccines/3/reservations/00000000-0000-0000-0000-00000000000b: 404 there is no such vaccine
    DELETE /vaccines/3/reservations/00000000-0000-0000-0000-00000000000b: 404 there is no such vaccine
    PUT /vaccines/2/reservations/00000000-0000-0000-0000-00000000000b: 204
    ");
    assert_eq!(town.taken().await, 1);
}

fn holds(holder: &str, holds: &[(&str, i64)]) -> String {
    let hold = |(id, vaccine): &(&str, i64)| json!({"reservationId": id, "vaccineId": vaccine});
    let holds: Vec<_> = holds.iter().map(hold).collect();
    json!({"holder": holder, "holds": holds}).to_string()
}

/// As many holds of vaccine 1.
pub(crate) fn many(count: usize) -> String {
    let id = |number: usize| Uuid::from_u128(number.try_into().unwrap()).to_string();
    let ids: Vec<_> = (0..count).map(id).collect();
    holds(NORTH, &ids.iter().map(|id| (id.as_str(), 1)).collect::<Vec<_>>())
}

#[tokio::test]
async fn many_holds_get_an_outcome_each() {
    let town = Town::with_doses(1).await;
    let spent = "00000000-0000-0000-0000-00000000000c";
    town.ask(&format!("DELETE /vaccines/1/reservations/{spent}"), "").await;
    let asked = [(ANA, 1), (BO, 1), (ANA, 1), (BO, 2), (spent, 1), (ANA, 2)];
    assert_snapshot!(town.ask("POST /holds", holds(NORTH, &asked)).await, @r#"
    200 OK
    content-type: application/json

    {"outcomes":[{"outcome":"held","vcName":"FIZER"},{"outcome":"sold-out"},{"outcome":"held","vcName":"FIZER"},{"outcome":"no-such-vaccine"},{"outcome":"released"},{"outcome":"conflict"}]}
    "#);
    assert_snapshot!(town.ask("POST /holds", holds(SOUTH, &[(ANA, 1)])).await.in_short(), @r#"200 {"outcomes":[{"outcome":"conflict"}]}"#);
    assert_snapshot!(town.ask("POST /holds", holds(NORTH, &[])).await.in_short(), @r#"200 {"outcomes":[]}"#);
    assert_eq!(town.taken().await, 1);
}

#[tokio::test]
async fn too_many_holds_at_once_are_refused_whole() {
    let town = Town::with_doses(1_000).await;
    assert_snapshot!(town.ask("POST /holds", many(HOLDS_MAX + 1)).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"at most 512 in one request","field":"holds"}
    "#);
    assert_eq!(town.taken().await, 0);
    assert_eq!(town.ask("POST /holds", many(HOLDS_MAX)).await.status, 200);
    assert_eq!(town.taken().await, i64::try_from(HOLDS_MAX).unwrap());
}

#[tokio::test]
async fn a_holder_can_ask_what_it_has_not_settled_yet() {
    let town = Town::with_doses(9).await;
    town.ask("POST /holds", holds(NORTH, &[(ANA, 1)])).await;
    town.ask("POST /holds", holds(SOUTH, &[(BO, 1)])).await;
    let story = town
        .story(&[
            format!("GET /holds?holder={NORTH}&heldForMs=0"),
            format!("GET /holds?holder={SOUTH}&heldForMs=0"),
            format!("GET /holds?holder={NORTH}&heldForMs=600000"),
            format!("GET /holds?holder={ANA}&heldForMs=0"),
            format!("DELETE /vaccines/1/reservations/{ANA}"),
            format!("GET /holds?holder={NORTH}&heldForMs=0"),
            "GET /holds?heldForMs=0".to_owned(),
        ])
        .await;
    assert_snapshot!(story, @r#"
    GET /holds?holder=00000000-0000-0000-0000-000000000001&heldForMs=0: 200 {"reservationIds":["00000000-0000-0000-0000-00000000000a"]}
    GET /holds?holder=00000000-0000-0000-0000-000000000002&heldForMs=0: 200 {"reservationIds":["00000000-0000-0000-0000-00000000000b"]}
    GET /holds?holder=00000000-0000-0000-0000-000000000001&heldForMs=600000: 200 {"reservationIds":[]}
    GET /holds?holder=00000000-0000-0000-0000-00000000000a&heldForMs=0: 200 {"reservationIds":[]}
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 204
    GET /holds?holder=00000000-0000-0000-0000-000000000001&heldForMs=0: 200 {"reservationIds":[]}
    GET /holds?heldForMs=0: 200 {"reservationIds":["00000000-0000-0000-0000-00000000000b"]}
    "#);
}

#[tokio::test]
async fn a_ledger_that_cannot_keep_anything_asks_to_come_back() {
    // More taken than there is: the tables refuse it.
    let town = Town::deciding_by(|ledger, _| {
        let (name, stock) = (Name::parse("FIZER").unwrap(), Stock::parse(1).unwrap());
        ledger.pools.put(PoolId(1), Pool { name, stock, taken: 2 });
        Ok(Done::Removed)
    });
    assert_snapshot!(town.ask("DELETE /vaccines/1", "").await, @r#"
    503 Service Unavailable
    retry-after: in a moment
    content-type: application/problem+json

    {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"the ledger could not write"}
    "#);
    let hold = town.ask(&format!("PUT /vaccines/1/reservations/{ANA}"), "").await;
    assert_eq!(hold.status, 503);
    let batch = town.ask("POST /holds", holds(NORTH, &[(ANA, 1), (BO, 1)])).await;
    assert_snapshot!(batch.in_short(), @r#"200 {"outcomes":[{"outcome":"failed"},{"outcome":"failed"}]}"#);
    assert_eq!(town.ask("GET /vaccines/1", "").await.status, 404);
}
