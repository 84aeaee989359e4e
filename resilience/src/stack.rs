//! The order of the layers, and why.
//!
//! Where requests come in, from the outside:
//!
//! 1. **Deadline**: whatever waits or works further in is given up when nobody waits for it any
//!    more, and the caller has an answer by then.
//! 2. **Admission**: before any work, as work that is thrown away is what overload feeds on. Inside
//!    the deadline, as the time in the line counts too.
//! 3. The service.
//!
//! Where calls go out, from the outside:
//!
//! 1. **Deadline**: of both tries together; the next hop is told what is left.
//! 2. **Retry**: outside the choice of an endpoint, so that the second try asks another one, and
//!    outside the breakers, so that each try is judged for itself.
//! 3. **Choice of an endpoint** (the caller's own service, by [`balance`](crate::balance)).
//! 4. **Breaker** of that endpoint: one that is down must not stop calls to its neighbours. Next to
//!    the connection, so that it hears of that endpoint only, and never of what was refused before.
//! 5. The connection.
//!
//! Who owns the connection loop may ask the cores in the same order without these layers.

use std::sync::Arc;

use tower::{Layer, Service};

use crate::{
    admission::Admission,
    breaker::Breaker,
    budget::Budget,
    layer::{
        admission::{AdmissionLayer, Admittable, WithAdmission},
        breaker::{Breakable, BreakerLayer, WithBreaker},
        deadline::{DeadlineLayer, Timed, WithDeadline},
        retry::{RetryLayer, Retryable, WithRetry},
    },
    time::Clock,
};

/// Where requests come in: deadline, admission, the service.
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use resilience::{
///     admission::Admission, deadline::Deadline, limiter::Sample, line::Priority, stack,
///     layer::{Refusal, Refuse, admission::Admittable, deadline::Timed},
///     time::{Moment, Monotonic},
/// };
/// use tower::{ServiceExt, service_fn};
///
/// /// A request is the milliseconds that it has, an answer is a status.
/// #[derive(Clone)]
/// struct Policy;
///
/// impl Refuse<u16, Infallible> for Policy {
///     fn refuse(&self, _: Refusal) -> Result<u16, Infallible> { Ok(503) }
/// }
/// impl Timed<u64> for Policy {
///     fn deadline(&self, ms: &u64, now: Moment) -> Deadline {
///         Deadline::within(Duration::from_millis(*ms), now)
///     }
///     fn stamp(&self, _: &mut u64, _: Deadline, _: Moment) {}
/// }
/// impl Admittable<u64, u16, Infallible> for Policy {
///     fn priority(&self, _: &u64) -> Priority { Priority::Book }
///     fn items(&self, _: &u64) -> u32 { 1 }
///     fn deadline(&self, ms: &u64, now: Moment) -> Deadline { Timed::deadline(self, ms, now) }
///     fn sample(&self, _: &Result<u16, Infallible>) -> Sample { Sample::Answered }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let admission = Admission::new(Default::default(), Monotonic::default()).expect("valid");
/// let service = service_fn(|_: u64| async { Ok(201) });
/// let service = stack::server(service, Policy, admission);
/// assert_eq!(service.clone().oneshot(1_000).await, Ok(201));
/// assert_eq!(service.oneshot(0).await, Ok(503));
/// # }
/// ```
pub fn server<Request, S, P, C>(
    service: S,
    policy: P,
    admission: Admission<C>,
) -> WithDeadline<WithAdmission<S, P, C>, P, C>
where
    S: Service<Request> + Clone,
    P: Timed<Request> + Admittable<Request, S::Response, S::Error> + Clone,
    C: Clock,
{
    let clock = admission.clock().clone();
    let admitted = AdmissionLayer::new(policy.clone(), admission).layer(service);
    DeadlineLayer::new(policy, clock).layer(admitted)
}

/// Where calls go out: deadline, retry, and the service that chooses an [`endpoint`].
pub fn client<Request, S, P, C>(
    endpoints: S,
    policy: P,
    budget: Arc<Budget>,
    clock: C,
) -> WithDeadline<WithRetry<S, P, C>, P, C>
where
    S: Service<Request> + Clone,
    P: Timed<Request> + Retryable<Request, S::Response, S::Error> + Clone,
    C: Clock,
{
    let retried = RetryLayer::new(policy.clone(), budget, clock.clone()).layer(endpoints);
    DeadlineLayer::new(policy, clock).layer(retried)
}

/// One endpoint to choose: its breaker, and its connection.
pub fn endpoint<Request, S, P, C>(
    connection: S,
    policy: P,
    breaker: Arc<Breaker>,
    clock: C,
) -> WithBreaker<S, P, C>
where
    S: Service<Request> + Clone,
    P: Breakable<Request, S::Response, S::Error> + Clone,
    C: Clock,
{
    BreakerLayer::new(policy, breaker, clock).layer(connection)
}
