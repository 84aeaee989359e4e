//! The deadline's layer.

use futures_util::FutureExt;
use resilience::{
    layer::{Refusal, deadline::DeadlineLayer},
    time::{Clock, Tokio},
};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

use crate::{
    policy::{Policy, Request, TIME, refusal},
    suite,
};

#[tokio::test(start_paused = true)]
async fn keeps_the_contract() {
    let layer = DeadlineLayer::new(Policy, Tokio::default());
    suite::keeps_the_contract(|strict| layer.layer(strict), || 0).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_late_gets_an_answer_and_the_work_is_given_up() {
    let clock = Tokio::default();
    let (strict, books) = suite::Strict::new(1);
    let mut service = DeadlineLayer::new(Policy, clock).layer(strict);
    let began = clock.now();
    let mut answer = Box::pin(service.ready().await.unwrap().call(Request::new("hang")));
    assert_eq!(refusal(answer.as_mut().await), Refusal::TimedOut);
    assert_eq!(clock.now().since(began), TIME);
    assert_eq!(books.taken(), 0, "given up before the caller knows");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_time_left_costs_nothing() {
    let (mock, mut handle) = mock::pair();
    let mut service = DeadlineLayer::new(Policy, Tokio::default()).layer(mock);
    let late = service.ready().await.unwrap().call(Request::new("late"));
    assert_eq!(refusal(late.await), Refusal::Expired);
    let answer = service.ready().await.unwrap().call(Request::new("get"));
    let (request, respond) = handle.next_request().now_or_never().flatten().unwrap();
    assert_eq!(request.what, "get", "the late one was never asked for");
    assert!(request.deadline.is_some(), "those inside know the deadline");
    respond.send_response("here");
    assert_eq!(answer.await.unwrap(), "here");
}
