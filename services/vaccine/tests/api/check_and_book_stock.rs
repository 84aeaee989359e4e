//! `GET /vaccines/checkAndBookStock`, as the reference's clients use it: each GET takes a dose.

use insta::assert_snapshot;
use rusqlite::Connection;
use testkit::{Reply, TEST_TIMEOUT};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::app::VaccineApp;

const PATH: &str = "/vaccines/checkAndBookStock?vaccineId=1";

fn assert_deprecated(reply: &Reply) {
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("deprecation"), Some("@1795392000"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn each_get_takes_a_dose_while_there_is_one() {
    let app = VaccineApp::with_doses(2).await;
    for taken in 1..=2 {
        let reply = app.request(&format!("GET {PATH}"), "").await;
        assert_deprecated(&reply);
        assert_eq!((reply.body(), app.taken().await), ("true", taken));
    }
    let sold_out = app.request(&format!("GET {PATH}"), "").await;
    assert_deprecated(&sold_out);
    assert_eq!((sold_out.body(), sold_out.header("link")), ("false", None));
    assert_eq!(app.taken().await, 2);
}

#[tokio::test]
async fn a_dose_is_taken_until_it_is_released_at_the_link() {
    let app = VaccineApp::with_doses(1).await;
    let taken = app.request(&format!("GET {PATH}"), "").await;
    let link = taken.header("link").unwrap().to_owned();
    let path = link.strip_prefix('<').and_then(|link| link.strip_suffix(r#">; rel="item""#));
    let path = path.unwrap();
    assert_eq!(app.request(&format!("GET {path}"), "").await.json()["state"], "booked");
    assert_eq!(app.request(&format!("DELETE {path}"), "").await.status, 204);
    assert_eq!(app.taken().await, 0);
}

#[tokio::test]
async fn only_a_get_takes_a_dose() {
    let app = VaccineApp::with_doses(5).await;
    for method in ["HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
        let reply = app.request(&format!("{method} {PATH}"), "").await;
        let status = if method == "OPTIONS" { 204 } else { 405 };
        assert_eq!(reply.status, status, "{method}");
        assert_eq!(app.taken().await, 0, "{method} took a dose");
    }
}

/// RFC 9110, section 15.5.6: a 405 names the methods that are allowed.
#[tokio::test]
async fn a_head_is_refused_with_the_methods_that_are_allowed() {
    let app = VaccineApp::with_doses(5).await;
    assert!(app.request(&format!("HEAD {PATH}"), "").await.header("allow").is_some());
}

#[tokio::test]
async fn a_request_without_the_number_of_a_vaccine_takes_no_dose() {
    let app = VaccineApp::with_doses(5).await;
    let queries =
        ["?vaccineId=2", "?vaccineId=-1", "", "?vaccineId=", "?vaccineId=one", "?vaccineId=1.5"];
    let lines = queries.map(|query| format!("GET /vaccines/checkAndBookStock{query}"));
    assert_snapshot!(app.replies(&lines).await, @"
    GET /vaccines/checkAndBookStock?vaccineId=2: 404 no-such-vaccine; there is no such vaccine
    GET /vaccines/checkAndBookStock?vaccineId=-1: 422 invalid-field; vaccineId: must be the number of a vaccine
    GET /vaccines/checkAndBookStock: 422 invalid-field; vaccineId: must be the number of a vaccine
    GET /vaccines/checkAndBookStock?vaccineId=: 422 invalid-field; vaccineId: must be the number of a vaccine
    GET /vaccines/checkAndBookStock?vaccineId=one: 422 invalid-field; vaccineId: must be the number of a vaccine
    GET /vaccines/checkAndBookStock?vaccineId=1.5: 422 invalid-field; vaccineId: must be the number of a vaccine
    ");
    assert_eq!(app.taken().await, 0);
}

/// Waits until a metric has this value.
async fn metric(app: &VaccineApp, sample: &str) {
    let has_value = async {
        while !app.request("GET /actuator/prometheus", "").await.body().contains(sample) {}
    };
    timeout(TEST_TIMEOUT, has_value).await.unwrap_or_else(|_| panic!("{sample}"));
}

/// It could never release the dose itself: only the response names the reservation.
#[tokio::test]
async fn a_dose_whose_client_is_gone_is_released() {
    let app = VaccineApp::with_doses(1).await;
    let other_program = Connection::open(app.database()).unwrap();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap(); // The commit has to wait.
    let address = app.url().strip_prefix("http://").unwrap().to_owned();
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: vaccine.test\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    metric(&app, "anticorona_http_requests_in_flight 2").await; // The scrape is one of them.
    drop(client);
    metric(&app, "anticorona_http_requests_cancelled_total 1").await;
    other_program.execute_batch("ROLLBACK").unwrap();
    let released = async {
        // The reservation may have been taken before, or not at all if its commit had not begun.
        let query = "SELECT count(*) FROM reservations WHERE states = '2'";
        while other_program.query_row(query, [], |row| row.get(0)) != Ok(1) {
            app.taken().await;
        }
    };
    timeout(TEST_TIMEOUT, released).await.expect("the dose is released");
    assert_eq!(app.taken().await, 0);
}
