//! `checkAndBookStock`, as the first clients use it: each GET takes a dose.

use insta::assert_snapshot;

use crate::town::Town;

const PATH: &str = "/vaccines/checkAndBookStock?vaccineId=1";

#[tokio::test]
async fn each_get_takes_a_dose_while_there_is_one() {
    let town = Town::with_doses(2).await;
    assert_snapshot!(town.ask(&format!("GET {PATH}"), "").await, @"
    200 OK
    deprecation: @1795392000
    cache-control: no-store
    content-type: application/json

    true
    ");
    assert_eq!(town.ask(&format!("GET {PATH}"), "").await.body, "true");
    assert_eq!(town.taken().await, 2);
    let sold_out = town.ask(&format!("GET {PATH}"), "").await;
    assert_snapshot!(sold_out, @"
    200 OK
    deprecation: @1795392000
    cache-control: no-store
    content-type: application/json

    false
    ");
    assert_eq!(sold_out.header("link"), None);
    assert_eq!(town.taken().await, 2);
}

#[tokio::test]
async fn what_it_took_stands_until_it_is_given_back_where_the_link_says() {
    let town = Town::with_doses(1).await;
    let taken = town.ask(&format!("GET {PATH}"), "").await;
    let link = taken.header("link").unwrap().to_owned();
    let path = link.strip_prefix('<').and_then(|link| link.strip_suffix(r#">; rel="item""#));
    let path = path.unwrap();
    assert_eq!(town.ask(&format!("GET {path}"), "").await.json()["state"], "booked");
    assert_eq!(town.ask(&format!("DELETE {path}"), "").await.status, 204);
    assert_eq!(town.taken().await, 0);
}

#[tokio::test]
async fn only_a_get_takes_a_dose() {
    let town = Town::with_doses(5).await;
    for method in ["HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let answer = town.ask(&format!("{method} {PATH}"), "").await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(town.taken().await, 0, "{method} took a dose");
    }
}

/// RFC 9110, section 15.5.6: who answers 405 says which methods there are.
#[tokio::test]
async fn a_head_is_told_what_is_possible() {
    let town = Town::with_doses(5).await;
    assert!(town.ask(&format!("HEAD {PATH}"), "").await.header("allow").is_some());
}

#[tokio::test]
async fn a_vaccine_that_is_not_named_is_not_taken() {
    let town = Town::with_doses(5).await;
    let queries =
        ["?vaccineId=2", "?vaccineId=-1", "", "?vaccineId=", "?vaccineId=one", "?vaccineId=1.5"];
    let lines = queries.map(|query| format!("GET /vaccines/checkAndBookStock{query}"));
    assert_snapshot!(town.story(&lines).await, @"
    GET /vaccines/checkAndBookStock?vaccineId=2: 404 there is no such vaccine
    GET /vaccines/checkAndBookStock?vaccineId=-1: 404 there is no such vaccine
    GET /vaccines/checkAndBookStock: 422 vaccineId: must be the number of a vaccine
    GET /vaccines/checkAndBookStock?vaccineId=: 422 vaccineId: must be the number of a vaccine
    GET /vaccines/checkAndBookStock?vaccineId=one: 422 vaccineId: must be the number of a vaccine
    GET /vaccines/checkAndBookStock?vaccineId=1.5: 422 vaccineId: must be the number of a vaccine
    ");
    assert_eq!(town.taken().await, 0);
}
