//! Bookings go on while those who follow are down; when they are back, they catch up.

use std::time::{Duration, Instant};

use drill::{Load, Reconnect, Request, Stop};

use crate::town::{Ground, Part, Town, ask, book, cancel, eventually, read, register, settled};

const BOOKINGS: u64 = 10_000;

async fn catch_up(mut town: Town) {
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    town.kill(Part::Injection);
    town.kill(Part::Mypage);
    let load = Load {
        users: 100,
        reconnect: Reconnect::Never,
        stop: Stop::requests(BOOKINGS).or_after(Duration::from_mins(2)),
        request: book(id).into(),
    };
    let summary = load.run(&town.booking(0)).await;
    assert_eq!((summary.count(201), summary.sent), (BOOKINGS, BOOKINGS), "{summary}");
    assert_eq!(ask(&town.gateway(), cancel(1)).await.status, 200);

    let start = Instant::now();
    town.start(Part::Injection).await;
    town.start(Part::Mypage).await;
    let complete = |page: &serde_json::Value| page["page"]["totalElements"] == BOOKINGS;
    eventually(&town.injection(), "/injections?size=1", complete).await;
    eventually(&town.mypage(), "/mypages?size=1", complete).await;
    println!("{BOOKINGS} bookings: injection and mypage had caught up after {:?}", start.elapsed());
    // Nothing twice, nothing else.
    let cancelled = |page: &serde_json::Value| page["page"]["totalElements"] == 1;
    eventually(&town.injection(), "/cancellations", cancelled).await;
    for (part, collection) in [(town.injection(), "injections"), (town.mypage(), "mypages")] {
        let last = read(&part, &format!("/{collection}?size=1000&page=9")).await;
        assert_eq!(last["page"]["totalElements"], BOOKINGS);
        assert_eq!(last["_embedded"][collection].as_array().unwrap().len(), 1_000);
    }
    settled(&town.vaccine(), id, i64::try_from(BOOKINGS).unwrap() - 1).await;
}

#[tokio::test]
async fn who_was_down_catches_up_embedded() {
    catch_up(Town::apart(1).await).await;
}

#[tokio::test]
async fn who_was_down_catches_up_on_postgres_and_nats() {
    catch_up(Town::apart_on(Ground::postgres_and_nats().await, 1, 1).await).await;
}

#[tokio::test]
async fn bookings_go_on_when_the_bus_cannot_be_reached() {
    let ground = Ground::embedded().with("EVENTS_URL", "nats://127.0.0.1:9");
    let town = Town::on(ground, &[Part::Together]).await;
    let id = register(&town.vaccine(), "FIZER", 3).await;
    for _ in 0..3 {
        assert_eq!(ask(&town.gateway(), book(id)).await.status, 201);
    }
    assert_eq!(ask(&town.gateway(), book(id)).await.status, 409);
}

#[tokio::test]
async fn what_citizens_see_is_put_together_anew() {
    let mut town = Town::apart(1).await;
    let id = register(&town.vaccine(), "FIZER", 5).await;
    for _ in 0..5 {
        assert_eq!(ask(&town.gateway(), book(id)).await.status, 201);
    }
    let all = |page: &serde_json::Value| page["page"]["totalElements"] == 5;
    eventually(&town.mypage(), "/mypages", all).await;
    assert_eq!(town.terminate(Part::Mypage).await, Some(0));
    town.rebuild_mypage();
    town.start(Part::Mypage).await;
    eventually(&town.mypage(), "/mypages", all).await;
    let missing = ask(&town.mypage(), Request::get("/mypages/6")).await;
    assert_eq!(missing.status, 404);
}
