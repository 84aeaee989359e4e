//! Layers around a service that is always ready: how that is called, and another crate's breaker.

use std::{
    future::{self, Ready},
    hint::black_box,
    task::{Context, Poll, Waker},
    thread,
};

use drill::Broken;
use resilience::deadline::Deadline;
use tower::Service;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use crate::cost::{
    breakers,
    contest::{Contestant, Fate, failure, finish, one_by_one, work},
};

/// How a service is called.
const SERVICE: &str = "service";

pub(super) fn contestants() -> Result<Vec<Contestant>, Broken> {
    let mut all = vec![contestant("no protection", Fate::LetThrough, Always)];
    for fate in [Fate::LetThrough, Fate::Refused] {
        all.push(tower_resilience(fate)?);
    }
    Ok(all)
}

fn tower_resilience(fate: Fate) -> Result<Contestant, Broken> {
    let layer = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(breakers::RING)
        .minimum_number_of_calls(20)
        .wait_duration_in_open(breakers::OPEN_FOR)
        .build()?;
    let mut service = layer.layer_fn(Always);
    if fate == Fate::Refused {
        for _ in 0..breakers::FAILURES {
            drop(black_box(ask(&mut service, Ask { number: None, deadline: None })));
        }
    }
    Ok(contestant("tower-resilience", fate, service))
}

/// The service, called from wherever it is wanted.
pub(super) fn contestant<S>(name: &'static str, fate: Fate, service: S) -> Contestant
where
    S: Service<Ask> + Clone + Send + Sync + 'static,
{
    let caller = move || {
        let mut service = service.clone();
        one_by_one(move |number| {
            black_box(ask(&mut service, Ask { number: Some(number), deadline: None })).is_ok()
        })
    };
    Contestant { name, called: SERVICE, fate, caller: Box::new(caller) }
}

/// One call, as tower wants it.
fn ask<S: Service<Ask> + Clone>(service: &mut S, request: Ask) -> Result<S::Response, S::Error> {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match service.poll_ready(&mut context) {
            Poll::Ready(Ok(())) => return finish(service.call(request)),
            Poll::Ready(Err(error)) => return Err(error),
            // A clone need not sleep until it asks again.
            Poll::Pending => *service = service.clone(),
        }
        thread::yield_now();
    }
}

/// A request; without a number, one that fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    number: Option<u32>,
    pub(super) deadline: Option<Deadline>,
}

/// Answers at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Always;

impl Service<Ask> for Always {
    type Response = u32;
    type Error = u32;
    type Future = Ready<Result<u32, u32>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), u32>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Ask) -> Self::Future {
        future::ready(request.number.map_or_else(failure, work))
    }
}
