//! Gives each request its deadline, and the caller an answer by then.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service};

use crate::{
    deadline::Deadline,
    layer::{Refusal, Refuse, take_ready},
    time::{Clock, Moment},
};

/// What the layer must know about requests.
pub trait Timed<Request> {
    /// The request's deadline: from a header where it enters, from where it was kept further on.
    fn deadline(&self, request: &Request, now: Moment) -> Deadline;

    /// Keeps the deadline with the request: for those inside, or as a header for the next hop (less
    /// a [`MARGIN`](crate::deadline::MARGIN)).
    fn stamp(&self, request: &mut Request, deadline: Deadline, now: Moment);
}

/// Puts [`WithDeadline`] around services.
#[derive(Clone, Debug)]
pub struct DeadlineLayer<P, C> {
    policy: P,
    clock: C,
}

impl<P, C> DeadlineLayer<P, C> {
    /// With that policy and clock.
    pub const fn new(policy: P, clock: C) -> Self {
        Self { policy, clock }
    }
}

impl<S, P: Clone, C: Clone> Layer<S> for DeadlineLayer<P, C> {
    type Service = WithDeadline<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        WithDeadline { inner, policy: self.policy.clone(), clock: self.clock.clone() }
    }
}

/// A service that answers by the deadline of each request.
#[derive(Clone, Debug)]
pub struct WithDeadline<S, P, C> {
    inner: S,
    policy: P,
    clock: C,
}

impl<Request, S, P, C> Service<Request> for WithDeadline<S, P, C>
where
    S: Service<Request> + Clone,
    P: Timed<Request> + Refuse<S::Response, S::Error> + Clone,
    C: Clock,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ByDeadline<S::Future, P, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        // The clone goes back even when nothing is called: readiness that was not used must not
        // stay reserved.
        let mut inner = take_ready(&mut self.inner);
        let now = self.clock.now();
        let deadline = self.policy.deadline(&request, now);
        let answer = if deadline.has_passed(now) {
            None
        } else {
            self.policy.stamp(&mut request, deadline, now);
            Some(inner.call(request))
        };
        let (policy, clock) = (self.policy.clone(), self.clock.clone());
        ByDeadline { answer, timer: None, deadline, policy, clock }
    }
}

pin_project! {
    /// The answer, or a refusal once the deadline has passed.
    #[derive(Debug)]
    pub struct ByDeadline<F, P, C> {
        #[pin]
        answer: Option<F>,
        // Made when the answer is not there at once.
        #[pin]
        timer: Option<Sleep>,
        deadline: Deadline,
        policy: P,
        clock: C,
    }
}

impl<F, P, C, Response, Error> Future for ByDeadline<F, P, C>
where
    F: Future<Output = Result<Response, Error>>,
    P: Refuse<Response, Error>,
    C: Clock,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(answer) = this.answer.as_mut().as_pin_mut() else {
            return Poll::Ready(this.policy.refuse(Refusal::Expired));
        };
        if let Poll::Ready(answered) = answer.poll(cx) {
            return Poll::Ready(answered);
        }
        if this.timer.is_none() {
            this.timer.set(Some(sleep(this.deadline.left(this.clock.now()))));
        }
        match this.timer.as_pin_mut().map(|timer| timer.poll(cx)) {
            Some(Poll::Ready(())) => {
                // Gone before the caller knows: what it holds is free for the next one.
                this.answer.set(None);
                Poll::Ready(this.policy.refuse(Refusal::TimedOut))
            }
            _ => Poll::Pending,
        }
    }
}
