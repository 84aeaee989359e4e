//! Asks a service only while its circuit [`Breaker`] is closed.

use std::{
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    breaker::{Answer, Breaker, Permit},
    deadline::Deadline,
    layer::{Refusal, Refuse, take_ready},
    time::{Clock, Moment},
};

/// A call that is given up this close to its deadline was given up for its deadline: a timer and a
/// coarse clock may differ by so much.
const TICK: Duration = Duration::from_millis(10);

/// What the layer must know about requests and answers.
pub trait Breakable<Request, Response, Error>: Refuse<Response, Error> {
    /// The deadline by which the call is given up from outside, as [`Answer::Timeout`].
    fn deadline(&self, request: &Request, now: Moment) -> Deadline;

    /// What an answer says about the health of the service, and when it asks to come back.
    fn judge(&self, answer: &Result<Response, Error>) -> (Answer, Option<Duration>);
}

/// Puts [`WithBreaker`] around services; all of them share the breaker.
#[derive(Clone, Debug)]
pub struct BreakerLayer<P, C> {
    policy: P,
    breaker: Arc<Breaker>,
    clock: C,
}

impl<P, C> BreakerLayer<P, C> {
    /// By that breaker.
    pub const fn new(policy: P, breaker: Arc<Breaker>, clock: C) -> Self {
        Self { policy, breaker, clock }
    }
}

impl<S, P: Clone, C: Clone> Layer<S> for BreakerLayer<P, C> {
    type Service = WithBreaker<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { policy, breaker, clock } = self.clone();
        WithBreaker { inner, policy, breaker, clock }
    }
}

/// A service that is left alone while it does not answer.
#[derive(Clone, Debug)]
pub struct WithBreaker<S, P, C> {
    inner: S,
    policy: P,
    breaker: Arc<Breaker>,
    clock: C,
}

impl<Request, S, P, C> Service<Request> for WithBreaker<S, P, C>
where
    S: Service<Request> + Clone,
    P: Breakable<Request, S::Response, S::Error> + Clone,
    C: Clock,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = IfClosed<S::Future, Request, P, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        let now = self.clock.now();
        let (policy, request_type) = (self.policy.clone(), PhantomData);
        let state = match self.breaker.enter(now) {
            Err(refused) => State::Open { retry_after: refused.retry_after },
            Ok(permit) => {
                let deadline = self.policy.deadline(&request, now);
                let call = Call { permit: Some(permit), deadline, clock: self.clock.clone() };
                State::Closed { answer: inner.call(request), call }
            }
        };
        IfClosed { state, policy, request_type }
    }
}

/// A call that was let through, until it is judged.
#[derive(Debug)]
struct Call<C: Clock> {
    permit: Option<Permit>,
    deadline: Deadline,
    clock: C,
}

impl<C: Clock> Call<C> {
    fn record(&mut self, answer: Answer, retry_after: Option<Duration>) {
        let now = self.clock.now();
        if let Some(permit) = self.permit.take() {
            permit.record(answer, retry_after, now);
        }
    }
}

impl<C: Clock> Drop for Call<C> {
    fn drop(&mut self) {
        let now = self.clock.now();
        if let Some(permit) = self.permit.take()
            && self.deadline.left(now) <= TICK
        {
            permit.record(Answer::Timeout, None, now);
        }
    }
}

pin_project! {
    /// The answer of the service, or a refusal.
    #[derive(Debug)]
    pub struct IfClosed<F, Request, P, C: Clock> {
        #[pin]
        state: State<F, C>,
        policy: P,
        request_type: PhantomData<fn(Request)>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[derive(Debug)]
    enum State<F, C: Clock> {
        Open { retry_after: Duration },
        Closed {
            #[pin]
            answer: F,
            call: Call<C>,
        },
    }
}

impl<F, Request, P, C, Response, Error> Future for IfClosed<F, Request, P, C>
where
    F: Future<Output = Result<Response, Error>>,
    P: Breakable<Request, Response, Error>,
    C: Clock,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.state.project() {
            StateProjection::Open { retry_after } => {
                Poll::Ready(this.policy.refuse(Refusal::Open { retry_after: *retry_after }))
            }
            StateProjection::Closed { answer, call } => {
                let answer = ready!(answer.poll(cx));
                let (judged, retry_after) = this.policy.judge(&answer);
                call.record(judged, retry_after);
                Poll::Ready(answer)
            }
        }
    }
}
