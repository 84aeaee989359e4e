//! The retry's layer.

use std::{sync::Arc, time::Duration};

use resilience::{
    budget::{Budget, BudgetConfig},
    layer::retry::RetryLayer,
    time::Tokio,
};
use tokio::{join, time::advance};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock::{self, Handle, Mock};

use crate::{
    policy::{Policy, Request, TIME},
    suite,
};

type Asked = Handle<Request, &'static str>;

fn retrying(
    config: BudgetConfig,
) -> (impl Service<Request, Response = &'static str, Error = tower::BoxError> + Clone, Asked) {
    let (mock, handle): (Mock<_, _>, _) = mock::pair();
    let budget = Arc::new(Budget::new(config).unwrap());
    (RetryLayer::new(Policy, budget, Tokio::default()).layer(mock), handle)
}

#[tokio::test(start_paused = true)]
async fn keeps_the_contract() {
    let budget = Arc::new(Budget::new(BudgetConfig::default()).unwrap());
    let layer = RetryLayer::new(Policy, budget, Tokio::default());
    suite::keeps_the_contract(|strict| layer.layer(strict), || 0).await;
}

#[tokio::test(start_paused = true)]
async fn what_may_be_done_twice_is_asked_twice_and_the_second_time_elsewhere() {
    let (mut service, mut asked) = retrying(BudgetConfig::default());
    let answer = service.ready().await.unwrap().call(Request::new("put"));
    let (answer, ()) = join!(answer, async {
        let (first, respond) = asked.next_request().await.unwrap();
        assert!(!first.elsewhere);
        respond.send_error("down");
        let (second, respond) = asked.next_request().await.unwrap();
        assert!(second.elsewhere);
        respond.send_response("here");
    });
    assert_eq!(answer.unwrap(), "here");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_a_third_time() {
    let (mut service, mut asked) = retrying(BudgetConfig::default());
    let answer = service.ready().await.unwrap().call(Request::new("put"));
    let (answer, ()) = join!(answer, async {
        asked.next_request().await.unwrap().1.send_error("down");
        asked.next_request().await.unwrap().1.send_error("down too");
    });
    assert_eq!(answer.unwrap_err().to_string(), "down too");
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_done_twice_is_asked_once() {
    let (mut service, mut asked) = retrying(BudgetConfig::default());
    let answer = service.ready().await.unwrap().call(Request::new("post"));
    let (answer, ()) = join!(answer, async {
        asked.next_request().await.unwrap().1.send_error("down");
    });
    assert_eq!(answer.unwrap_err().to_string(), "down");
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_or_without_time_nobody_is_asked_again() {
    let none = BudgetConfig { percent: 0, per_second: 0, ..BudgetConfig::default() };
    for (config, took) in [(none, Duration::ZERO), (BudgetConfig::default(), TIME * 19 / 20)] {
        let (mut service, mut asked) = retrying(config);
        let answer = service.ready().await.unwrap().call(Request::new("put"));
        let (answer, ()) = join!(answer, async {
            let (_, respond) = asked.next_request().await.unwrap();
            advance(took).await;
            respond.send_error("down");
        });
        assert_eq!(answer.unwrap_err().to_string(), "down");
    }
}
