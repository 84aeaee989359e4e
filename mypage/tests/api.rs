//! What citizens see, over HTTP.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use insta::assert_snapshot;
use serde_json::json;

#[path = "api/town.rs"]
mod town;

use town::{BOOKINGS, Town, booked, cancelled, completed, event};

#[tokio::test]
async fn a_booking_is_seen_as_soon_as_it_was_heard_of() {
    let town = Town::open();
    assert_snapshot!(town.ask("GET /mypages/1").await, @r#"
    404 Not Found
    content-type: application/problem+json

    {"type":"urn:anticorona:no-such-booking","title":"There is no such booking","status":404,"detail":"a booking is shown here a moment after it was made"}
    "#);
    town.say(&[booked(1, 1)]).await;
    assert_snapshot!(town.ask("GET /mypages/1").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","asOf":"2026-11-24T08:00:01Z","_links":{"self":{"href":"http://mypage.test/mypages/1"},"mypage":{"href":"http://mypage.test/mypages/1"}}}
    "#);
}

#[tokio::test]
async fn the_status_is_the_last_one_and_says_since_when() {
    let town = Town::open();
    let mut seen = Vec::new();
    for events in [
        vec![booked(1, 1)],
        vec![cancelled(2, 1)],
        vec![booked(3, 1)],
        vec![completed(1, 1)],
        vec![cancelled(4, 1)],
    ] {
        town.say(&events).await;
        let seen_now = town.ask("GET /mypages/1").await.json();
        seen.push(format!("{} since {}", seen_now["status"], seen_now["asOf"]));
    }
    assert_snapshot!(seen.join("\n"), @r#"
    "BOOKED" since "2026-11-24T08:00:01Z"
    "BOOKING_CANCELLED" since "2026-11-24T08:00:02Z"
    "BOOKING_CANCELLED" since "2026-11-24T08:00:02Z"
    "INJECTION_COMPLETED" since "2026-11-24T08:00:11Z"
    "INJECTION_COMPLETED" since "2026-11-24T08:00:11Z"
    "#);
}

#[tokio::test]
async fn who_was_vaccinated_is_seen_even_before_the_booking_was_heard_of() {
    let town = Town::open();
    town.say(&[completed(1, 1)]).await;
    let early = town.ask("GET /mypages/1").await.json();
    assert_eq!((&early["status"], &early["vcName"]), (&json!("INJECTION_COMPLETED"), &json!("")));
    town.say(&[booked(1, 1)]).await;
    let later = town.ask("GET /mypages/1").await.json();
    assert_eq!(
        (&later["status"], &later["vcName"]),
        (&json!("INJECTION_COMPLETED"), &json!("FIZER"))
    );
}

#[tokio::test]
async fn a_citizen_finds_their_bookings_page_by_page() {
    let town = Town::open();
    town.say(&(1..=6).map(|number| booked(number, number)).collect::<Vec<_>>()).await;
    let first = town.ask("GET /mypages/search/findByUserId?userId=5&size=2").await;
    assert_snapshot!(first, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"mypages":[{"bookId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","asOf":"2026-11-24T08:00:01Z","_links":{"self":{"href":"http://mypage.test/mypages/1"},"mypage":{"href":"http://mypage.test/mypages/1"}}},{"bookId":3,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","asOf":"2026-11-24T08:00:03Z","_links":{"self":{"href":"http://mypage.test/mypages/3"},"mypage":{"href":"http://mypage.test/mypages/3"}}}]},"_links":{"first":{"href":"http://mypage.test/mypages/search/findByUserId?userId=5&page=0&size=2"},"self":{"href":"http://mypage.test/mypages/search/findByUserId?userId=5&page=0&size=2"},"next":{"href":"http://mypage.test/mypages/search/findByUserId?userId=5&page=1&size=2"},"last":{"href":"http://mypage.test/mypages/search/findByUserId?userId=5&page=1&size=2"}},"page":{"size":2,"totalElements":3,"totalPages":2,"number":0}}
    "#);

    let (mut path, mut pages) = (first.link("self"), Vec::new());
    while let Some(here) = path {
        let page = town.ask(&format!("GET {here}")).await;
        pages.push(page.numbers("mypages", "bookId"));
        assert_eq!(page.numbers("mypages", "userId"), vec![5; pages.last().unwrap().len()]);
        path = page.link("next");
    }
    assert_eq!(pages, [vec![1, 3], vec![5]]);
    let last = town.ask(&format!("GET {}", first.link("last").unwrap())).await;
    assert_eq!(last.numbers("mypages", "bookId"), [5]);
    let back = town.ask(&format!("GET {}", last.link("prev").unwrap())).await;
    assert_eq!(back.numbers("mypages", "bookId"), [1, 3]);

    let nobody = town.ask("GET /mypages/search/findByUserId?userId=7").await;
    assert_eq!(nobody.numbers("mypages", "bookId"), Vec::<i64>::new());
}

#[tokio::test]
async fn all_bookings_come_page_by_page_as_they_were_heard_of() {
    let town = Town::open();
    town.say(&[booked(1, 2), booked(2, 3), booked(3, 1)]).await;
    let (mut path, mut pages) = (Some("/mypages?size=2".to_owned()), Vec::new());
    while let Some(here) = path {
        let page = town.ask(&format!("GET {here}")).await;
        pages.push(page.numbers("mypages", "bookId"));
        path = page.link("next");
    }
    assert_eq!(pages, [vec![2, 3], vec![1]]);
}

#[tokio::test]
async fn what_comes_again_or_too_early_changes_nothing() {
    let town = Town::open();
    let mut positions = Vec::new();
    for events in [
        vec![booked(2, 2)],
        vec![booked(1, 1), booked(1, 1)],
        vec![cancelled(1, 1)],
        vec![booked(2, 2), cancelled(4, 2), cancelled(3, 1)],
    ] {
        positions.push(town.say(&events).await.json()["sequence"].as_u64().unwrap());
    }
    assert_eq!(positions, [0, 1, 1, 3]);
    assert_eq!(town.ask("GET /mypages/1").await.json()["status"], "BOOKING_CANCELLED");
    assert_eq!(town.ask("GET /mypages/2").await.json()["status"], "BOOKED");
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_put_aside() {
    let town = Town::open();
    let unreadable = event(BOOKINGS, 1, "Booked", &json!({"bookingId": "seven"}));
    let newer = event(BOOKINGS, 2, "Moved", &json!({}));
    assert_eq!(town.say(&[unreadable, newer, booked(3, 3)]).await.json()["sequence"], 3);
    let parked = town.ask("GET /events/parked").await.json();
    assert_eq!((&parked["total"], &parked["events"][0]["sequence"]), (&json!(1), &json!(1)));
    assert_eq!(town.ask("GET /mypages").await.numbers("mypages", "bookId"), [3]);
}

#[tokio::test]
async fn a_rebuild_forgets_and_hears_again_from_the_beginning() {
    let events = [booked(1, 1), booked(2, 2), cancelled(3, 2)];
    let town = Town::open();
    town.say(&events).await;
    town.say(&[completed(1, 1)]).await;
    let before = town.ask("GET /mypages").await.to_string();
    assert_eq!(town.heard().await, 3);

    let town = town.rebuilt().await;
    assert_eq!(town.ask("GET /mypages/1").await.status, 404);
    assert_eq!(town.heard().await, 0);
    assert_eq!(town.say(&events[2..]).await.json()["sequence"], 0);

    town.say(&events).await;
    town.say(&[completed(1, 1)]).await;
    assert_eq!(town.ask("GET /mypages").await.to_string(), before);
}

#[tokio::test]
async fn wrong_requests_are_refused_with_their_field() {
    let town = Town::open();
    let story = town
        .story(&[
            "GET /mypages/one",
            "GET /mypages/0",
            "GET /mypages?page=-1",
            "GET /mypages?size=0",
            "GET /mypages/search/findByUserId",
            "GET /mypages/search/findByUserId?userId=five",
            "GET /mypages/search/findByUserId?userId=5&size=many",
        ])
        .await;
    assert_snapshot!(story, @"
    GET /mypages/one: 404 not-found; nothing at /mypages/one
    GET /mypages/0: 404 no-such-booking; a booking is shown here a moment after it was made
    GET /mypages?page=-1: 422 invalid-field; page: must be a whole number, counted from 0
    GET /mypages?size=0: 422 invalid-field; size: must be a whole number from 1
    GET /mypages/search/findByUserId: 422 invalid-field; userId: must be the number of a user
    GET /mypages/search/findByUserId?userId=five: 422 invalid-field; userId: must be the number of a user
    GET /mypages/search/findByUserId?userId=5&size=many: 422 invalid-field; size: must be a whole number from 1
    ");
}

#[tokio::test]
async fn it_can_only_be_read() {
    let town = Town::open();
    town.say(&[booked(1, 1)]).await;
    for line in [
        "POST /mypages",
        "PUT /mypages/1",
        "PATCH /mypages/1",
        "DELETE /mypages/1",
        "POST /mypages/search/findByUserId",
    ] {
        let refused = town.ask(line).await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, Some("GET,HEAD")));
    }
}
