//! What an open load sends, when, and how it measures the responses.

use std::{collections::BTreeSet, time::Duration};

use drill::{
    Load, OpenLoad, Outcome, Reconnect, Request, Requests, Schedule, Stop, Summary, Target,
};
use tokio::time::{Instant, advance, sleep};

use crate::server::{Server, status};

const SECOND: Duration = Duration::from_secs(1);

fn open(per_second: f64, lasting: Duration) -> OpenLoad {
    OpenLoad::new(Schedule::constant(per_second, lasting), Request::get("/"))
}

async fn healthy() -> Server {
    Server::start(|_, _| status(200, "", "ok")).await
}

/// A server that answers at once, but nothing in its third second.
async fn stalling() -> Server {
    let began = Instant::now();
    Server::start(move |_, _| {
        let answer = status(200, "", "ok");
        let since = began.elapsed();
        match since.as_secs() {
            2 => answer.delayed((3 * SECOND).saturating_sub(since)),
            _ => answer,
        }
    })
    .await
}

fn p99_ms(summary: &Summary) -> f64 {
    summary.percentile_ms(99.0)
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_in_the_latencies_of_an_open_load_and_not_of_a_closed_one() {
    let server = stalling().await;
    let measured = open(200.0, 10 * SECOND).run(&server.target).await;
    assert_eq!(measured.summary.count(200), 2_000);
    // A tenth came during the stall and waited half of it on average; the last tenth of those
    // waited 900 ms and more.
    let p99 = p99_ms(&measured.summary);
    assert!((850.0..=1_000.0).contains(&p99), "{p99} ms");
    let stalled = measured.seconds[2].accepted_ms(50.0).expect("answers");
    assert!((450.0..=550.0).contains(&stalled), "{stalled} ms");

    // What is measured against: one user sees the stall once in thousands of answers.
    let server = stalling().await;
    let load = Load {
        users: 1,
        reconnect: Reconnect::Never,
        stop: Stop::requests(2_000).or_after(10 * SECOND),
        request: Request::get("/").into(),
    };
    let summary = load.run(&server.target).await;
    assert!(p99_ms(&summary) < 10.0, "{summary}");
}

#[tokio::test(start_paused = true)]
async fn a_late_generator_is_late_in_the_latencies_too() {
    let server = healthy().await;
    let hang = async {
        sleep(SECOND / 2).await; // tidy: paced, the clock is paused
        advance(SECOND / 4).await;
    };
    let load = open(100.0, SECOND);
    let (measured, ()) = tokio::join!(load.run(&server.target), hang);
    assert_eq!(measured.summary.count(200), 100);
    for longest in [measured.lateness_ms(100.0), measured.summary.percentile_ms(100.0)] {
        assert!((230.0..260.0).contains(&longest), "{longest} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_sent_on_schedule_and_counted_in_their_seconds() {
    let server = healthy().await;
    let schedule = Schedule::constant(10.0, SECOND).then(Schedule::constant(50.0, 2 * SECOND));
    let began = Instant::now();
    let measured = OpenLoad::new(schedule, Request::get("/")).run(&server.target).await;
    let offered: Vec<_> = measured.seconds.iter().map(|second| second.offered).collect();
    assert_eq!(offered, [10, 50, 50]);
    assert_eq!(server.requests().len(), 110);
    assert!((2_900..3_100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn requests_above_the_limit_in_flight_are_counted_and_not_sent() {
    let server = Server::start(|_, _| status(200, "", "").delayed(SECOND)).await;
    let load = OpenLoad { in_flight_max: 3, ..open(10.0, 3 * SECOND) };
    let measured = load.run(&server.target).await;
    let summary = &measured.summary;
    assert_eq!((summary.sent, server.connections()), (30, 3));
    assert_eq!(summary.count(200) + summary.count(Outcome::NotSent), 30, "{summary}");
    assert_eq!(summary.count(200), u64::try_from(server.requests().len()).expect("few"));
    assert!((8..=10).contains(&summary.count(200)), "{summary}");
    assert_eq!(measured.seconds[0].not_sent, 7);
    assert!(summary.to_string().contains("Not sent:"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn connections_are_as_few_as_the_response_times_allow() {
    let server = healthy().await;
    open(100.0, SECOND).run(&server.target).await;
    assert!(server.connections() <= 2, "{}", server.connections());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_for_long_is_replaced() {
    let server = healthy().await;
    let schedule = Schedule::constant(1.0, SECOND)
        .then(Schedule::constant(0.0, 8 * SECOND))
        .then(Schedule::constant(1.0, SECOND));
    let measured = OpenLoad::new(schedule, Request::get("/")).run(&server.target).await;
    assert_eq!((measured.summary.count(200), server.connections()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_takes_too_long_times_out() {
    let server = Server::start(|_, _| status(200, "", "").delayed(5 * SECOND)).await;
    let load = OpenLoad { response_timeout: 3 * SECOND, ..open(1.0, SECOND) };
    let began = Instant::now();
    let measured = load.run(&server.target).await;
    assert_eq!(measured.summary.count(Outcome::Socket), 1);
    assert_eq!(began.elapsed().as_secs(), 3);
    let cause = measured.summary.first_error.expect("a cause").to_string();
    assert_eq!(cause, "no complete response within 3 s");
}

#[tokio::test(start_paused = true)]
async fn it_ends_before_its_schedule_at_its_stop() {
    let server = healthy().await;
    let load = OpenLoad { stop: Stop::requests(7), ..open(10.0, 10 * SECOND) };
    assert_eq!(load.run(&server.target).await.summary.count(200), 7);
}

#[tokio::test(start_paused = true)]
async fn every_request_may_differ() {
    let server = healthy().await;
    let make =
        |number| Request::post_json("/", "{}").header("idempotency-key", &format!("k{number}"));
    let request = Requests::made(make);
    let load = OpenLoad { request, ..open(8.0, SECOND) };
    load.run(&server.target).await;
    let requests = server.requests();
    let keys = requests.iter().filter_map(|request| request.split("idempotency-key: k").nth(1));
    let numbers: BTreeSet<_> = keys.filter_map(|rest| rest.lines().next()).collect();
    assert_eq!(numbers, BTreeSet::from(["0", "1", "2", "3", "4", "5", "6", "7"]));
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_a_failure_of_each_request() {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = socket.local_addr().expect("a bound port");
    let target = Target::parse(&format!("http://{address}")).expect("loopback");
    let measured = open(20.0, SECOND).run(&target).await;
    assert_eq!(measured.summary.count(Outcome::Socket), 20);
    assert_eq!((measured.seconds[0].failed, measured.seconds[0].goodput), (20, 0));
}
