//! Asks once more where that is safe, affordable, and still in time.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    budget::Budget,
    deadline::{Deadline, MARGIN},
    layer::take_ready,
    time::{Clock, Moment},
};

/// What must be left of the time for asking again to make sense.
pub const TIME_MIN: Duration = MARGIN.saturating_mul(2);

/// What the layer must know about requests and answers.
pub trait Retryable<Request, Response, Error> {
    /// A copy for asking again, of a request that does the same when it is done twice; else `None`.
    fn copy(&self, request: &Request) -> Option<Request>;

    /// The request's deadline.
    fn deadline(&self, request: &Request, now: Moment) -> Deadline;

    /// Whether asking again may help after this answer; then the copy may be marked, so that
    /// another endpoint is asked.
    fn again(&self, answer: &Result<Response, Error>, copy: &mut Request) -> bool;
}

/// Puts [`WithRetry`] around services; all of them share the budget.
#[derive(Clone, Debug)]
pub struct RetryLayer<P, C> {
    policy: P,
    budget: Arc<Budget>,
    clock: C,
}

impl<P, C> RetryLayer<P, C> {
    /// Within that budget.
    pub const fn new(policy: P, budget: Arc<Budget>, clock: C) -> Self {
        Self { policy, budget, clock }
    }
}

impl<S, P: Clone, C: Clone> Layer<S> for RetryLayer<P, C> {
    type Service = WithRetry<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        WithRetry { inner, shared: self.clone() }
    }
}

/// A service that is asked twice, at most.
#[derive(Clone, Debug)]
pub struct WithRetry<S, P, C> {
    inner: S,
    shared: RetryLayer<P, C>,
}

impl<Request, S, P, C> Service<Request> for WithRetry<S, P, C>
where
    S: Service<Request> + Clone,
    P: Retryable<Request, S::Response, S::Error> + Clone,
    C: Clock,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Twice<Request, S, P, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let now = self.shared.clock.now();
        self.shared.budget.call(now);
        let copy = self.shared.policy.copy(&request);
        let deadline = self.shared.policy.deadline(&request, now);
        let again = copy.map(|copy| (self.inner.clone(), copy));
        let state = State::Asking { answer: inner.call(request) };
        Twice { state, again, deadline, shared: self.shared.clone() }
    }
}

pin_project! {
    /// The answer, or else the second one.
    pub struct Twice<Request, S, P, C>
    where
        S: Service<Request>,
    {
        #[pin]
        state: State<Request, S>,
        // For asking again: a service that is not ready yet, and the copy.
        again: Option<(S, Request)>,
        deadline: Deadline,
        shared: RetryLayer<P, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<Request, S>
    where
        S: Service<Request>,
    {
        Asking {
            #[pin]
            answer: S::Future,
        },
        GettingReady { call: Option<(S, Request)> },
    }
}

impl<Request, S, P, C> Future for Twice<Request, S, P, C>
where
    S: Service<Request>,
    P: Retryable<Request, S::Response, S::Error>,
    C: Clock,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Asking { answer } => {
                    let answer = ready!(answer.poll(cx));
                    let Some((service, mut copy)) = this.again.take() else {
                        return Poll::Ready(answer);
                    };
                    let RetryLayer { policy, budget, clock } = this.shared;
                    // First whether it is wanted, as it almost never is: that needs no clock.
                    if !policy.again(&answer, &mut copy) {
                        return Poll::Ready(answer);
                    }
                    let now = clock.now();
                    // The budget last: only what will be spent is taken from it.
                    if this.deadline.left(now) < TIME_MIN || !budget.try_retry(now) {
                        return Poll::Ready(answer);
                    }
                    this.state.set(State::GettingReady { call: Some((service, copy)) });
                }
                StateProjection::GettingReady { call } => {
                    let Some((service, _)) = call else { return Poll::Pending };
                    ready!(service.poll_ready(cx))?;
                    let Some((mut service, copy)) = call.take() else { return Poll::Pending };
                    this.state.set(State::Asking { answer: service.call(copy) });
                }
            }
        }
    }
}

impl<Request, S: Service<Request>, P, C> std::fmt::Debug for Twice<Request, S, P, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let may_ask_again = self.again.is_some();
        f.debug_struct("Twice").field("may_ask_again", &may_ask_again).finish_non_exhaustive()
    }
}
