//! Admission: which requests are admitted now, which wait in a queue, and which are rejected.
//!
//! - A request that finds room within the learned limit, with no request waiting that goes first, is
//!   admitted at once: no allocation, one short lock.
//! - A request that would wait longer than makes sense (for it, or for any request) is rejected at
//!   once.
//! - All others wait in a short queue, which drops overdue requests from its front.
//!
//! Each class may use only its [share] of the limit and of the longest wait, so that the classes
//! that go first still find room where those behind would take everything.

mod config;
mod gate;
mod shed;
mod snapshot;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use crate::{
    admission::gate::{Decision, Demand, Gate},
    config::GuardConfigError,
    deadline::Deadline,
    limiter::Sample,
    sync::lock,
    time::{Clock, Moment, Monotonic},
    wait_queue::{EntryId, Priority},
};

pub use crate::admission::{
    config::{AdmissionConfig, share},
    shed::{ShedError, ShedReason},
    snapshot::{AdmissionSnapshot, WAIT_BOUNDS},
};

/// Admits requests, or rejects them. Clones share everything. `C` is the clock of the deadlines, and
/// must run as Tokio's does.
///
/// ```
/// use std::time::Duration;
/// use platform_resilience::{
///     admission::Admission, deadline::Deadline, limiter::Sample, wait_queue::Priority,
///     time::{Clock, Monotonic},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), platform_resilience::admission::ShedError> {
/// let clock = Monotonic::default();
/// let admission = Admission::new(Default::default(), clock).expect("defaults are valid");
/// let deadline = Deadline::within(Duration::from_secs(3), clock.now());
/// let admitted = admission.admit(Priority::Book, 1, deadline).await?;
/// // ... serve it ...
/// admitted.finish(Sample::Answered);
/// assert_eq!(admission.snapshot().in_flight, 0);
/// # Ok(())
/// # }
/// ```
pub struct Admission<C = Monotonic> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    gate: Mutex<Gate>,
    clock: C,
}

impl<C: Clock> Shared<C> {
    /// Runs a step of the gate under its lock, and wakes requests afterwards.
    fn step<T>(&self, step: impl FnOnce(&mut Gate, Moment) -> T) -> T {
        let now = self.clock.now();
        let mut gate = lock(&self.gate);
        let result = step(&mut gate, now);
        let wakers = gate.take_wakers();
        drop(gate);
        wakers.wake();
        result
    }
}

impl<C: Clock> Admission<C> {
    /// Nothing is learned yet, and nothing is in flight.
    pub fn new(config: AdmissionConfig, clock: C) -> Result<Self, GuardConfigError> {
        Ok(Self { shared: Arc::new(Shared { gate: Mutex::new(Gate::new(config)?), clock }) })
    }

    /// Admits so many items (0 counts as 1) at once, or after waiting in the queue, or rejects them.
    ///
    /// Decides when first polled. Waits [`AdmissionConfig::codel_interval`] at most; dropped while it
    /// waits, it leaves the queue. Operators are always admitted, and are not counted in flight.
    pub fn admit(&self, priority: Priority, items: u32, deadline: Deadline) -> Admit<C> {
        let demand = Demand { priority, items: items.max(1), deadline };
        let request = AdmissionRequest { shared: Arc::clone(&self.shared), demand, id: None };
        Admit { request: Some(request), timer: None }
    }

    /// The `Retry-After` for a client that is rejected for another reason and should wait at least so
    /// long: whole seconds, spread, and after all clients that were rejected before.
    pub fn retry_after(&self, wait: Duration, now: Moment) -> Duration {
        lock(&self.shared.gate).retry_after(wait, now)
    }

    /// The state and the counters now.
    pub fn snapshot(&self) -> AdmissionSnapshot {
        self.shared.step(|gate, now| gate.snapshot(now))
    }

    /// The clock that deadlines are measured by.
    pub fn clock(&self) -> &C {
        &self.shared.clock
    }
}

/// Waits to be admitted: see [`Admission::admit`].
#[must_use = "futures do nothing unless polled"]
pub struct Admit<C: Clock = Monotonic> {
    request: Option<AdmissionRequest<C>>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A request, with its entry in the queue while it has one.
struct AdmissionRequest<C: Clock> {
    shared: Arc<Shared<C>>,
    demand: Demand,
    id: Option<EntryId>,
}

impl<C: Clock> Future for Admit<C> {
    type Output = Result<Admitted<C>, ShedError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(mut request) = this.request.take() else {
            unreachable!("polled after it was ready")
        };
        let demand = request.demand;
        let mut decision = request.shared.step(|gate, now| match request.id.take() {
            None => gate.arrive(demand, now, cx.waker()),
            Some(id) => gate.poll(id, now, cx.waker()),
        });
        if let Decision::Waiting { id, wait_max } = decision {
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(wait_max)));
            if timer.as_mut().poll(cx).is_pending() {
                request.id = Some(id);
                this.request = Some(request);
                return Poll::Pending;
            }
            decision = request.shared.step(|gate, now| gate.time_out(id, demand.deadline, now));
        }
        match decision {
            Decision::Admitted { at } => Poll::Ready(Ok(Admitted { request, at, finished: false })),
            Decision::Rejected(shed) => Poll::Ready(Err(shed)),
            Decision::Waiting { .. } => unreachable!("a request that timed out is decided"),
        }
    }
}

impl<C: Clock> Drop for AdmissionRequest<C> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.shared.step(|gate, now| gate.cancel(id, now));
        }
    }
}

/// A request that was admitted; it is in flight until finished or dropped.
///
/// Dropped, it counts as cancelled; but after more time than the target, as overloaded: it was not
/// served in time, whether it was the timeout or the client that ended it.
#[must_use = "dropped at once, it limits nothing"]
pub struct Admitted<C: Clock = Monotonic> {
    request: AdmissionRequest<C>,
    at: Moment,
    finished: bool,
}

impl<C: Clock> Admitted<C> {
    /// The request is not in flight any more; `sample` is how it ended.
    pub fn finish(mut self, sample: Sample) {
        self.end(Some(sample));
    }

    /// When it was admitted.
    pub const fn at(&self) -> Moment {
        self.at
    }

    fn end(&mut self, sample: Option<Sample>) {
        self.finished = true;
        let Demand { priority, items, .. } = self.request.demand;
        if priority == Priority::Operator {
            return;
        }
        self.request.shared.step(|gate, now| {
            let late = gate.is_late(now.since(self.at));
            let cancelled = if late { Sample::Overloaded } else { Sample::Ignored };
            gate.depart(items, sample.unwrap_or(cancelled), self.at, now);
        });
    }
}

impl<C: Clock> Drop for Admitted<C> {
    fn drop(&mut self) {
        if !self.finished {
            self.end(None);
        }
    }
}

// === impl Clone, Debug ===

impl<C> Clone for Admission<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C> fmt::Debug for Admission<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl<C: Clock> fmt::Debug for Admit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admit").field("waits", &self.timer.is_some()).finish_non_exhaustive()
    }
}

impl<C: Clock> fmt::Debug for Admitted<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
