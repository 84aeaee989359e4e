//! The admission's layer.

use std::time::Duration;

use futures_util::FutureExt;
use resilience::{
    admission::{Admission, AdmissionConfig, Reason},
    layer::{Refusal, admission::AdmissionLayer},
    limiter::LimiterConfig,
    time::Tokio,
};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

use crate::{
    policy::{Policy, Request, refusal},
    suite::{self, Strict},
};

fn admission(limit: u32, waiting_max: usize) -> Admission<Tokio> {
    let limiter = LimiterConfig { min: limit, initial: limit, ..LimiterConfig::default() };
    let config = AdmissionConfig { limiter, waiting_max, ..AdmissionConfig::default() };
    Admission::new(config, Tokio::default()).unwrap()
}

fn held(admission: &Admission<Tokio>) -> usize {
    let snapshot = admission.snapshot();
    snapshot.waiting.iter().sum::<usize>() + usize::try_from(snapshot.in_flight).unwrap()
}

#[tokio::test(start_paused = true)]
async fn keeps_the_contract() {
    let admission = admission(8, 8);
    let layer = AdmissionLayer::new(Policy, admission.clone());
    suite::keeps_the_contract(|strict| layer.layer(strict), || held(&admission)).await;
}

#[tokio::test(start_paused = true)]
async fn keeps_the_contract_in_the_line_too() {
    let admission = admission(1, 8);
    let layer = AdmissionLayer::new(Policy, admission.clone());
    let (strict, books) = Strict::new(8);
    let mut service = layer.layer(strict);
    let mut first = Box::pin(service.ready().await.unwrap().call(Request::new("hang")));
    assert!(first.as_mut().now_or_never().is_none());
    let mut waits = Box::pin(service.ready().await.unwrap().call(Request::new("get")));
    assert!(waits.as_mut().now_or_never().is_none());
    assert_eq!((held(&admission), books.called()), (2, 1));
    drop(waits);
    assert_eq!((held(&admission), books.taken()), (1, 1));
    let mut next = Box::pin(service.ready().await.unwrap().call(Request::new("get")));
    assert!(next.as_mut().now_or_never().is_none());
    drop((first, service));
    assert_eq!(next.await.unwrap(), "get");
    assert_eq!((held(&admission), books.taken()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_limit() {
    let (mock, mut handle) = mock::pair();
    let mut one = AdmissionLayer::new(Policy, admission(1, 0)).layer(mock);
    let mut two = one.clone();
    let mut first = Box::pin(one.ready().await.unwrap().call(Request::new("get")));
    assert!(first.as_mut().now_or_never().is_none());
    let second = two.ready().await.unwrap().call(Request::new("get"));
    let shed = refusal(second.await);
    assert!(matches!(shed, Refusal::Shed(shed) if shed.reason == Reason::Full), "{shed}");
    handle.next_request().await.unwrap().1.send_response("here");
    assert_eq!(first.await.unwrap(), "here");
}

/// A load shedder that asks `poll_ready` refuses whatever comes while a task's turn is used up.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_waited_for_and_nobody_is_refused_for_it() {
    let (mock, mut handle) = mock::pair();
    handle.allow(0);
    let admission = admission(8, 8);
    let mut service = AdmissionLayer::new(Policy, admission.clone()).layer(mock);
    assert!(service.ready().now_or_never().is_none());
    assert_eq!(admission.snapshot().shed, [0; 4]);
    handle.allow(1);
    let answer = service.ready().await.unwrap().call(Request::new("get"));
    handle.next_request().now_or_never();
    drop(answer);
    assert_eq!(held(&admission), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_given_up_late_counts_as_late_and_who_leaves_early_for_nothing() {
    let limiter = LimiterConfig { min: 1, initial: 32, ..LimiterConfig::default() };
    let config = AdmissionConfig { limiter, ..AdmissionConfig::default() };
    for (after, limit) in [(200, 32), (300, 26)] {
        let admission = Admission::new(config, Tokio::default()).unwrap();
        let (strict, _) = Strict::new(64);
        let mut service = AdmissionLayer::new(Policy, admission.clone()).layer(strict);
        let mut calls = Vec::new();
        for _ in 0..32 {
            let mut call = Box::pin(service.ready().await.unwrap().call(Request::new("hang")));
            assert!(call.as_mut().now_or_never().is_none());
            calls.push(call);
        }
        advance(Duration::from_millis(after)).await;
        drop(calls);
        assert_eq!(admission.snapshot().limit, limit, "left after {after} ms");
    }
}
