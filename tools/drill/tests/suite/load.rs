//! What a load sends, when it ends, and what it counts.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use drill::{Load, Outcome, Reconnect, Request, Requests, Response, Stop, Target};

use crate::server::{Answer, Server, answer, status};

fn load(stop: Stop) -> Load {
    Load { users: 4, reconnect: Reconnect::Never, stop, request: Request::get("/").into() }
}

async fn healthy() -> Server {
    Server::start(|_, _| status(200, "", "ok")).await
}

#[tokio::test]
async fn it_sends_the_given_number() {
    let server = healthy().await;
    let summary = load(Stop::requests(50)).run(&server.target).await;
    assert_eq!((summary.sent, summary.count(200)), (50, 50));
    assert_eq!((server.requests().len(), server.connections()), (50, 4));
    assert_eq!(summary.latency.len(), 50);
}

#[tokio::test]
async fn it_ends_after_its_duration() {
    let server = healthy().await;
    let lasting = Duration::from_millis(20);
    let summary = load(Stop::after(lasting)).run(&server.target).await;
    assert!(summary.sent > 0 && summary.elapsed >= lasting, "{summary}");
    assert_eq!(summary.sent, summary.count(200));
}

#[tokio::test]
async fn it_ends_when_the_condition_is_true() {
    let server = healthy().await;
    let replies = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&replies);
    let stop = Stop::requests(10_000).or_when(move || seen.load(SeqCst) >= 10);
    let count = move |_: &Response| {
        replies.fetch_add(1, SeqCst);
    };
    let summary = load(stop).run_watched(&server.target, count).await;
    assert!((10..10 + 4).contains(&summary.sent), "{summary}");
}

#[tokio::test]
async fn it_connects_for_each_request_on_demand() {
    let server = healthy().await;
    let load = Load { reconnect: Reconnect::EachRequest, ..load(Stop::requests(20)) };
    let summary = load.run(&server.target).await;
    assert_eq!((summary.count(200), server.connections()), (20, 20));
    assert!(server.requests()[0].contains("connection: close\r\n"));
}

#[tokio::test]
async fn every_request_may_differ() {
    let server = healthy().await;
    let make = |number| Request::get(&format!("/{number}"));
    let load = Load { request: Requests::made(make), ..load(Stop::requests(8)) };
    load.run(&server.target).await;
    let requests = server.requests();
    let numbers: BTreeSet<_> = requests.iter().filter_map(|request| number_of(request)).collect();
    assert_eq!(numbers, (0..8).collect());
}

fn number_of(request: &str) -> Option<u64> {
    request.split_whitespace().nth(1)?.rsplit_once('/')?.1.parse().ok()
}

#[tokio::test]
async fn every_response_is_observed() {
    let server = Server::start(|number, _| match number {
        0..6 => status(201, "", &format!("{{\"id\":{number}}}")),
        _ => status(409, "", "{}"),
    })
    .await;
    let ids = Arc::new(Mutex::new(BTreeSet::new()));
    let booked = Arc::clone(&ids);
    let collect = move |reply: &Response| {
        if reply.status == 201 {
            let id = reply.json().expect("JSON")["id"].as_u64().expect("a number");
            booked.lock().expect("no panic").insert(id);
        }
    };
    let summary = load(Stop::requests(10)).run_watched(&server.target, collect).await;
    assert_eq!((summary.count(201), summary.count(409)), (6, 4));
    assert_eq!(*ids.lock().expect("no panic"), (0..6).collect());
}

#[tokio::test]
async fn a_failed_assertion_on_a_response_reaches_the_test() {
    let server = healthy().await;
    let target = server.target.clone();
    let mut run = tokio::task::JoinSet::new();
    run.spawn(async move {
        load(Stop::requests(9)).run_watched(&target, |reply| assert_eq!(reply.status, 201)).await
    });
    let ended = run.join_next().await.expect("one task");
    assert!(ended.expect_err("the assertion").is_panic());
}

/// Every outcome, by the number of the request.
fn mixed(number: usize, _: &str) -> Answer {
    match number {
        0..5 => status(201, "", ""),
        5..8 => status(409, "", ""),
        8 => status(503, "retry-after: 1\r\n", ""),
        9 => status(429, "retry-after: 1\r\n", ""),
        10 => status(503, "", ""),
        11 => answer("").then_close(),
        _ => answer("HTTP/1.1 200 X\r\ncontent-le").then_close(),
    }
}

#[tokio::test]
async fn the_count_is_that_of_siege_and_retry_after_is_counted_apart() {
    let server = Server::start(mixed).await;
    let summary = load(Stop::requests(13)).run(&server.target).await;
    assert_eq!(summary.sent, 13);
    assert_eq!((summary.transactions(), summary.successful(), summary.failed()), (9, 5, 4));
    assert_eq!((summary.count(503), summary.retry_later()), (1, 2));
    assert_eq!(summary.count(Outcome::Socket), 2);
    assert!(summary.to_string().contains("Status 503, retry later:"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_does_not_make_the_loop_spin() {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = socket.local_addr().expect("a bound port");
    let target = Target::parse(&format!("http://{address}")).expect("loopback");
    let summary = load(Stop::after(Duration::from_secs(1))).run(&target).await;
    // Four users, one attempt every 20 ms.
    assert!((4..=4 * 50).contains(&summary.sent), "{summary}");
    assert_eq!((summary.count(Outcome::Socket), summary.failed()), (summary.sent, summary.sent));
    let cause = summary.first_error.expect("a cause").to_string();
    assert_eq!(cause, format!("cannot connect to {target}"));
}
