//! Bookings are made while the services that follow them are down; when those are back, they catch up.

use std::{
    fmt,
    time::{Duration, Instant},
};

use booking::domain::Bookings;
use drill::{Load, Reconnect, Request, ServiceProcess, Stop};
use injection::domain::Appointments;
use platform_service::Service;
use platform_store::{Aggregate, AggregateStore, Database, Notifier, database::open_blocking};
use serde_json::{Value, json};
use testkit::store::prune;

use crate::{
    environment,
    requests::{book, cancel, eventually, get, items, register_vaccine, send, wait_until_taken},
    test_system::{BOOKING, INJECTION, MYPAGE, TestSystem},
};

const BOOKINGS: u64 = 10_000;

fn lists(count: u64) -> impl Fn(&Value) -> bool {
    move |page| page["page"]["totalElements"] == count
}

async fn catch_up(mut system: TestSystem) {
    let id = register_vaccine(&system.vaccine(), 1_000_000).await;
    system.kill(INJECTION);
    system.kill(MYPAGE);
    let load = Load {
        users: 100,
        reconnect: Reconnect::Never,
        stop: Stop::requests(BOOKINGS).or_after(Duration::from_mins(2)),
        request: book(id).into(),
    };
    let summary = load.run(&system.booking(0)).await;
    assert_eq!((summary.count(201), summary.sent), (BOOKINGS, BOOKINGS), "{summary}");
    assert_eq!(send(&system.gateway(), cancel(1)).await.status, 200);

    let start = Instant::now();
    system.start_service(INJECTION).await;
    system.start_service(MYPAGE).await;
    eventually(&system.injection(), "/injections?size=1", lists(BOOKINGS)).await;
    eventually(&system.mypage(), "/mypages?size=1", lists(BOOKINGS)).await;
    println!("injection and mypage consumed {BOOKINGS} bookings within {:?}", start.elapsed());
    // Nothing twice, and nothing else.
    let one_is_cancelled = |page: &Value| items(page, "cancellations").len() == 1;
    eventually(&system.injection(), "/cancellations", one_is_cancelled).await;
    for (service, collection) in [(system.injection(), "injections"), (system.mypage(), "mypages")]
    {
        let last = get(&service, &format!("/{collection}?size=1000&page=9")).await;
        assert_eq!(last["page"]["totalElements"], BOOKINGS);
        assert_eq!(items(&last, collection).len(), 1_000);
        assert!(last["_links"].get("next").is_none(), "it is the last page");
    }
    wait_until_taken(&system.vaccine(), id, i64::try_from(BOOKINGS).unwrap() - 1).await;
}

#[tokio::test]
async fn followers_that_were_down_catch_up_over_http() {
    catch_up(TestSystem::in_processes(1).await).await;
}

#[tokio::test]
async fn followers_that_were_down_catch_up_on_postgres_and_nats() {
    let environment = environment::postgres_and_nats().await;
    catch_up(TestSystem::in_processes_of(environment, 1, 1).await).await;
}

#[tokio::test]
async fn bookings_are_made_while_the_message_broker_is_unreachable() {
    let environment = environment::sqlite().with_setting("EVENTS_URL", "nats://127.0.0.1:9");
    let system = TestSystem::start(environment, &[ServiceProcess::ALL]).await;
    let id = register_vaccine(&system.vaccine(), 3).await;
    for _ in 0..3 {
        assert_eq!(send(&system.gateway(), book(id)).await.status, 201);
    }
    assert_eq!(send(&system.gateway(), book(id)).await.status, 409);
}

#[tokio::test]
async fn the_views_of_mypage_are_rebuilt_from_the_events() {
    let mut system = TestSystem::in_processes(1).await;
    let id = register_vaccine(&system.vaccine(), 5).await;
    for _ in 0..5 {
        assert_eq!(send(&system.gateway(), book(id)).await.status, 201);
    }
    eventually(&system.mypage(), "/mypages", lists(5)).await;
    assert_eq!(system.terminate(MYPAGE).await, Some(0));
    system.rebuild_mypage();
    system.start_service(MYPAGE).await;
    eventually(&system.mypage(), "/mypages", lists(5)).await;
    let missing = send(&system.mypage(), Request::get("/mypages/6")).await;
    assert_eq!(missing.status, 404);
}

/// Deletes all events of a service that does not run, but for the last one.
fn prune_events<A>(system: &TestSystem, service: &Service, process: ServiceProcess)
where
    A: Aggregate<Reply: fmt::Debug>,
{
    let database = Database::Sqlite(system.data(process).join(format!("{}.sqlite", service.name)));
    let (connection, _) = open_blocking(&database, service.name, service.migrations).unwrap();
    let mut store = AggregateStore::<A>::new(connection, Notifier::default());
    assert_ne!(prune(&mut store, i64::MAX, i64::MAX.cast_unsigned()), 0);
}

#[tokio::test]
async fn the_views_of_mypage_are_rebuilt_after_the_events_were_pruned() {
    let mut system = TestSystem::in_processes(1).await;
    let id = register_vaccine(&system.vaccine(), 5).await;
    for _ in 0..4 {
        assert_eq!(send(&system.gateway(), book(id)).await.status, 201);
    }
    assert_eq!(send(&system.gateway(), cancel(2)).await.status, 200);
    for injection in [1, 3] {
        let path = format!("/injections/{injection}");
        eventually(&system.injection(), "/injections", lists(4)).await;
        let complete = Request::patch_json(&path, &json!({"status": "INJECTION_COMPLETED"}));
        assert_eq!(send(&system.gateway(), complete).await.status, 200);
    }
    let statuses = ["INJECTION_COMPLETED", "BOOKING_CANCELLED", "INJECTION_COMPLETED", "BOOKED"];
    let views = |page: &Value| {
        let mut views = items(page, "mypages").to_vec();
        views.sort_by_key(|view| view["bookId"].as_i64());
        for view in &mut views {
            view.as_object_mut().unwrap().remove("_links");
        }
        views
    };
    let is_complete = |page: &Value| views(page).iter().map(|it| &it["status"]).eq(&statuses);
    let before = views(&eventually(&system.mypage(), "/mypages", is_complete).await);
    for process in [BOOKING, INJECTION, MYPAGE] {
        assert_eq!(system.terminate(process).await, Some(0));
    }
    prune_events::<Bookings>(&system, &booking::SERVICE, BOOKING);
    prune_events::<Appointments>(&system, &injection::SERVICE, INJECTION);
    system.rebuild_mypage();
    for process in [BOOKING, INJECTION, MYPAGE] {
        system.start_service(process).await;
    }
    let after = views(&eventually(&system.mypage(), "/mypages", is_complete).await);
    assert_eq!(after, before);
}
