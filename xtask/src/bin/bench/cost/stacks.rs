//! Our layers, one by one and as whole stacks, around the same service as others'.

use std::{
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use drill::Broken;
use resilience::{
    balance::{self, Busy, Load},
    breaker::{Answer, Breaker},
    budget::{Budget, BudgetConfig},
    deadline::{CAP, Deadline},
    dice::Dice,
    layer::{
        Refusal, Refuse,
        admission::Admittable,
        breaker::{Breakable, WithBreaker},
        deadline::Timed,
        retry::Retryable,
    },
    limiter::Sample,
    line::Priority,
    stack,
    time::{Clock, Coarse, Moment},
};
use tower::Service;

use crate::cost::{
    breakers,
    contest::{Contestant, Fate},
    gates::{self, Time},
    services::{Always, Ask, contestant},
};

/// What our refusals are to their caller.
const REFUSED: u32 = 503;

pub(super) fn contestants() -> Result<Vec<Contestant>, Broken> {
    let mut all = Vec::new();
    for fate in [Fate::LetThrough, Fate::Refused] {
        let breaker = stack::endpoint(Always, Policy, breakers::ours(fate)?, Coarse);
        all.extend([contestant("our breaker", fate, breaker), server(fate)?, client(fate)?]);
    }
    Ok(all)
}

fn server(fate: Fate) -> Result<Contestant, Broken> {
    let (admission, filled) = gates::ours(fate)?;
    let mut contestant =
        contestant("our server stack", fate, stack::server(Always, Policy, admission));
    contestant.caller = Box::new(gates::keeping(filled, contestant.caller));
    Ok(contestant)
}

fn client(fate: Fate) -> Result<Contestant, Broken> {
    let clock = Time::default();
    let budget = Arc::new(Budget::new(BudgetConfig::default())?);
    let endpoints = [Endpoint::new(fate)?, Endpoint::new(fate)?];
    let choice = Choice { shared: Arc::new((endpoints, Dice::new(0))) };
    Ok(contestant("our client stack", fate, stack::client(choice, Policy, budget, clock)))
}

/// The choice of an endpoint, as whoever owns the connections makes it.
#[derive(Clone)]
struct Choice {
    shared: Arc<([Endpoint; 2], Dice)>,
}

struct Endpoint {
    breaker: Arc<Breaker>,
    load: Arc<Load>,
    service: WithBreaker<Always, Policy, Coarse>,
}

impl Endpoint {
    fn new(fate: Fate) -> Result<Self, Broken> {
        let breaker = breakers::ours(fate)?;
        let service = stack::endpoint(Always, Policy, Arc::clone(&breaker), Coarse);
        Ok(Self { breaker, load: Arc::default(), service })
    }
}

impl Service<Ask> for Choice {
    type Response = u32;
    type Error = u32;
    type Future = Chosen;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), u32>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Ask) -> Chosen {
        let now = Coarse.now();
        let (endpoints, dice) = &*self.shared;
        let load =
            |endpoint: &Endpoint| endpoint.breaker.admits(now).then(|| endpoint.load.weight(now));
        let chosen = balance::pick(endpoints, None, dice.roll(), load);
        // Where all refuse, any of them says so and until when.
        let endpoint = &endpoints[chosen.unwrap_or(0)];
        Chosen { _busy: endpoint.load.begin(), answer: endpoint.service.clone().call(request) }
    }
}

/// The answer of the endpoint, which is busy until then.
struct Chosen {
    _busy: Busy,
    answer: <WithBreaker<Always, Policy, Coarse> as Service<Ask>>::Future,
}

impl Future for Chosen {
    type Output = Result<u32, u32>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context)
    }
}

/// What our layers must know.
#[derive(Clone, Copy, Debug)]
struct Policy;

impl Refuse<u32, u32> for Policy {
    fn refuse(&self, refusal: Refusal) -> Result<u32, u32> {
        black_box(refusal);
        Err(REFUSED)
    }
}

impl Timed<Ask> for Policy {
    fn deadline(&self, _: &Ask, now: Moment) -> Deadline {
        Deadline::within(CAP, now)
    }

    fn stamp(&self, request: &mut Ask, deadline: Deadline, _: Moment) {
        request.deadline = Some(deadline);
    }
}

impl Admittable<Ask, u32, u32> for Policy {
    fn priority(&self, _: &Ask) -> Priority {
        Priority::Book
    }

    fn items(&self, _: &Ask) -> u32 {
        1
    }

    fn deadline(&self, request: &Ask, now: Moment) -> Deadline {
        kept(request, now)
    }

    fn sample(&self, answer: &Result<u32, u32>) -> Sample {
        if answer.is_ok() { Sample::Answered } else { Sample::Ignored }
    }
}

impl Breakable<Ask, u32, u32> for Policy {
    fn deadline(&self, request: &Ask, now: Moment) -> Deadline {
        kept(request, now)
    }

    fn judge(&self, answer: &Result<u32, u32>) -> (Answer, Option<Duration>) {
        (if answer.is_ok() { Answer::Success } else { Answer::Failure }, None)
    }
}

impl Retryable<Ask, u32, u32> for Policy {
    fn copy(&self, request: &Ask) -> Option<Ask> {
        Some(*request)
    }

    fn deadline(&self, request: &Ask, now: Moment) -> Deadline {
        kept(request, now)
    }

    fn again(&self, answer: &Result<u32, u32>, _: &mut Ask) -> bool {
        // What the breaker refused is not asked again.
        !matches!(answer, Ok(_) | Err(REFUSED))
    }
}

fn kept(request: &Ask, now: Moment) -> Deadline {
    request.deadline.unwrap_or_else(|| Deadline::within(CAP, now))
}
