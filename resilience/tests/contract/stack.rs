//! The layers in their order.

use std::sync::Arc;

use futures_util::FutureExt;
use resilience::{
    admission::{Admission, AdmissionConfig},
    breaker::{Breaker, BreakerConfig},
    budget::{Budget, BudgetConfig},
    layer::Refusal,
    stack,
    time::{Clock, Tokio},
};
use tower::{Service, ServiceExt};

use crate::{
    policy::{Policy, Request, refusal},
    suite::{self, Strict},
};

#[tokio::test(start_paused = true)]
async fn the_way_in_keeps_the_contract() {
    let admission = Admission::new(AdmissionConfig::default(), Tokio::default()).unwrap();
    let held = || usize::try_from(admission.snapshot().in_flight).unwrap();
    let layered = |strict| stack::server(strict, Policy, admission.clone());
    suite::keeps_the_contract(layered, held).await;
}

#[tokio::test(start_paused = true)]
async fn the_way_out_keeps_the_contract() {
    let clock = Tokio::default();
    let budget = Arc::new(Budget::new(BudgetConfig::default()).unwrap());
    let breaker = Arc::new(Breaker::new(BreakerConfig::default()).unwrap());
    let held = || usize::from(breaker.snapshot(clock.now()).probes_out);
    let layered = |strict| {
        let endpoint = stack::endpoint(strict, Policy, Arc::clone(&breaker), clock);
        stack::client(endpoint, Policy, Arc::clone(&budget), clock)
    };
    suite::keeps_the_contract(layered, held).await;
}

#[tokio::test(start_paused = true)]
async fn what_hangs_inside_is_answered_in_time_and_holds_nothing() {
    let admission = Admission::new(AdmissionConfig::default(), Tokio::default()).unwrap();
    let (strict, books) = Strict::new(100);
    let mut service = stack::server(strict, Policy, admission.clone());
    let mut calls = Vec::new();
    for _ in 0..100 {
        let mut call = Box::pin(service.ready().await.unwrap().call(Request::new("hang")));
        assert!(call.as_mut().now_or_never().is_none());
        calls.push(call);
    }
    for mut call in calls {
        assert_eq!(refusal(call.as_mut().await), Refusal::TimedOut);
    }
    assert_eq!((admission.snapshot().in_flight, books.taken()), (0, 0));
}
