//! Lets requests in by an [`Admission`].

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    admission::{Admission, Admit, Admitted},
    deadline::Deadline,
    layer::{Refuse, take_ready},
    limiter::Sample,
    line::Priority,
    time::{Clock, Moment},
};

/// What the layer must know about requests and answers.
pub trait Admittable<Request, Response, Error>: Refuse<Response, Error> {
    /// Who goes first.
    fn priority(&self, request: &Request) -> Priority;

    /// How many items it carries.
    fn items(&self, request: &Request) -> u32;

    /// Its deadline.
    fn deadline(&self, request: &Request, now: Moment) -> Deadline;

    /// What an answer says about the load: only what was truly served is
    /// [`Answered`](Sample::Answered), not what was turned away inside.
    fn sample(&self, answer: &Result<Response, Error>) -> Sample;
}

/// Puts [`WithAdmission`] around services; all of them share the admission.
#[derive(Clone, Debug)]
pub struct AdmissionLayer<P, C> {
    policy: P,
    admission: Admission<C>,
}

impl<P, C> AdmissionLayer<P, C> {
    /// By that admission.
    pub const fn new(policy: P, admission: Admission<C>) -> Self {
        Self { policy, admission }
    }
}

impl<S, P: Clone, C> Layer<S> for AdmissionLayer<P, C> {
    type Service = WithAdmission<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        WithAdmission { inner, policy: self.policy.clone(), admission: self.admission.clone() }
    }
}

/// A service that is asked only for what its admission lets in.
#[derive(Debug)]
pub struct WithAdmission<S, P, C> {
    inner: S,
    policy: P,
    admission: Admission<C>,
}

impl<S: Clone, P: Clone, C> Clone for WithAdmission<S, P, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            policy: self.policy.clone(),
            admission: self.admission.clone(),
        }
    }
}

impl<Request, S, P, C> Service<Request> for WithAdmission<S, P, C>
where
    S: Service<Request> + Clone,
    P: Admittable<Request, S::Response, S::Error> + Clone,
    C: Clock,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = IfAdmitted<Request, S, P, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let inner = take_ready(&mut self.inner);
        let deadline = self.policy.deadline(&request, self.admission.clock().now());
        let (priority, items) = (self.policy.priority(&request), self.policy.items(&request));
        let admit = self.admission.admit(priority, items, deadline);
        let state = State::Waiting { admit, call: Some((inner, request)) };
        IfAdmitted { state, policy: self.policy.clone() }
    }
}

pin_project! {
    /// The answer of the service, or a refusal.
    pub struct IfAdmitted<Request, S, P, C>
    where
        S: Service<Request>,
        C: Clock,
    {
        #[pin]
        state: State<Request, S, C>,
        policy: P,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<Request, S, C>
    where
        S: Service<Request>,
        C: Clock,
    {
        Waiting {
            #[pin]
            admit: Admit<C>,
            call: Option<(S, Request)>,
        },
        Serving {
            #[pin]
            answer: S::Future,
            admitted: Option<Admitted<C>>,
        },
    }
}

impl<Request, S, P, C> Future for IfAdmitted<Request, S, P, C>
where
    S: Service<Request>,
    P: Admittable<Request, S::Response, S::Error>,
    C: Clock,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Waiting { admit, call } => {
                    let admitted = match ready!(admit.poll(cx)) {
                        Ok(admitted) => Some(admitted),
                        Err(shed) => return Poll::Ready(this.policy.refuse(shed.into())),
                    };
                    let Some((mut inner, request)) = call.take() else { return Poll::Pending };
                    let answer = inner.call(request);
                    this.state.set(State::Serving { answer, admitted });
                }
                StateProjection::Serving { answer, admitted } => {
                    let answer = ready!(answer.poll(cx));
                    if let Some(admitted) = admitted.take() {
                        admitted.finish(this.policy.sample(&answer));
                    }
                    return Poll::Ready(answer);
                }
            }
        }
    }
}

impl<Request, S, P, C> std::fmt::Debug for IfAdmitted<Request, S, P, C>
where
    S: Service<Request>,
    C: Clock,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let served = matches!(self.state, State::Serving { .. });
        f.debug_struct("IfAdmitted").field("served", &served).finish_non_exhaustive()
    }
}
