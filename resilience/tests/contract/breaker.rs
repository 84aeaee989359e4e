//! The circuit breaker's layer.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use resilience::{
    breaker::{Breaker, BreakerConfig, State},
    layer::{Refusal, breaker::BreakerLayer, deadline::DeadlineLayer},
    time::{Clock, Tokio},
};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use crate::{
    policy::{Policy, Request, refusal},
    suite::{self, Strict},
};

fn breaker() -> Arc<Breaker> {
    Arc::new(Breaker::new(BreakerConfig::default()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn keeps_the_contract() {
    let (breaker, clock) = (breaker(), Tokio::default());
    let layer = BreakerLayer::new(Policy, Arc::clone(&breaker), clock);
    let held = || usize::from(breaker.snapshot(clock.now()).probes_out);
    suite::keeps_the_contract(|strict| layer.layer(strict), held).await;
    assert_eq!(breaker.state(clock.now()), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_circuit_and_an_open_one_asks_nobody() {
    let clock = Tokio::default();
    let (strict, books) = Strict::new(1);
    let mut one = BreakerLayer::new(Policy, breaker(), clock).layer(strict);
    let mut two = one.clone();
    for _ in 0..5 {
        one.ready().await.unwrap().call(Request::new("fail")).await.unwrap_err();
    }
    let refused = refusal(two.ready().await.unwrap().call(Request::new("get")).await);
    assert!(matches!(refused, Refusal::Open { .. }), "{refused}");
    assert_eq!((books.called(), books.taken()), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_gives_its_place_back() {
    let clock = Tokio::default();
    let breaker = breaker();
    let (strict, _) = Strict::new(64);
    let mut service = BreakerLayer::new(Policy, Arc::clone(&breaker), clock).layer(strict);
    for _ in 0..5 {
        service.ready().await.unwrap().call(Request::new("fail")).await.unwrap_err();
    }
    advance(Duration::from_millis(1_500)).await;
    for _ in 0..32 {
        let mut call = Box::pin(service.ready().await.unwrap().call(Request::new("hang")));
        assert!(call.as_mut().now_or_never().is_none(), "let through");
        assert_eq!(breaker.snapshot(clock.now()).probes_out, 1);
    }
    assert_eq!(breaker.snapshot(clock.now()).probes_out, 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_given_up_at_the_deadline_is_a_time_out_and_who_leaves_before_is_nothing() {
    let clock = Tokio::default();
    let breaker = breaker();
    let (strict, _) = Strict::new(64);
    let inner = BreakerLayer::new(Policy, Arc::clone(&breaker), clock).layer(strict);
    let mut service = DeadlineLayer::new(Policy, clock).layer(inner);
    for _ in 0..9 {
        let mut call = Box::pin(service.ready().await.unwrap().call(Request::new("hang")));
        assert!(call.as_mut().now_or_never().is_none());
        advance(Duration::from_millis(500)).await;
    }
    assert_eq!(breaker.state(clock.now()), State::Closed);
    for _ in 0..2 {
        let call = service.ready().await.unwrap().call(Request::new("hang"));
        assert_eq!(refusal(call.await), Refusal::TimedOut);
    }
    assert_eq!(breaker.snapshot(clock.now()).totals.timeout, 2);
    assert_eq!(breaker.state(clock.now()), State::Open);
}
