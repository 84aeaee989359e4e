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
mod state;

use std::{future::poll_fn, mem, sync::Arc, task::Poll, time::Duration};

use parking_lot::Mutex;
use tokio::time::timeout;

use crate::{
    admission::gate::{Arrival, Demand, Gate},
    config::GuardConfigError,
    deadline::Deadline,
    limiter::Sample,
    time::{Moment, Monotonic},
    wait_queue::{EntryId, Priority},
};

pub use crate::admission::{
    config::{AdmissionConfig, share},
    state::{AdmissionSnapshot, ShedError, ShedReason, WAIT_BOUNDS_MS},
};

/// Admits requests, or rejects them. Clones share everything.
///
/// ```
/// use std::time::Duration;
/// use platform_resilience::{
///     admission::Admission, deadline::Deadline, limiter::Sample, wait_queue::Priority,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), platform_resilience::admission::ShedError> {
/// let admission = Admission::new(Default::default()).expect("defaults are valid");
/// let deadline = Deadline::within(Duration::from_secs(3), admission.clock().now());
/// let admitted = admission.admit(Priority::Book, 1, deadline).await?;
/// // ... serve it ...
/// admitted.finish(Sample::Answered);
/// assert_eq!(admission.snapshot().in_flight, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Admission {
    gate: Arc<Mutex<Gate>>,
    clock: Monotonic,
}

impl Admission {
    /// Nothing is learned yet, and nothing is in flight.
    pub fn new(config: AdmissionConfig) -> Result<Self, GuardConfigError> {
        Ok(Self { gate: Arc::new(Mutex::new(Gate::new(config)?)), clock: Monotonic::default() })
    }

    /// Admits so many items (0 counts as 1) at once, or after waiting in the queue, or rejects them.
    ///
    /// Decides when first polled. Waits [`AdmissionConfig::codel_interval`] at most; dropped while it
    /// waits, it leaves the queue. Operators are always admitted, and are not counted in flight.
    pub async fn admit(
        &self,
        priority: Priority,
        items: u32,
        deadline: Deadline,
    ) -> Result<Admitted, ShedError> {
        let items = items.max(1);
        let demand = Demand { priority, items, deadline };
        let arrive =
            poll_fn(|cx| Poll::Ready(self.step(|gate, now| gate.arrive(demand, now, cx.waker()))));
        let at = match arrive.await? {
            Arrival::Admitted { at } => at,
            Arrival::Queued { id, wait_max } => {
                let queued = Queued { admission: self, id };
                let decision = poll_fn(|cx| self.step(|gate, now| gate.poll(id, now, cx.waker())));
                // Boxed, as most requests do not wait.
                let decision = Box::pin(timeout(wait_max, decision)).await;
                mem::forget(queued);
                decision
                    .unwrap_or_else(|_| self.step(|gate, now| gate.time_out(id, deadline, now)))?
            }
        };
        Ok(Admitted { admission: self.clone(), priority, items, at, sample: None })
    }

    /// The `Retry-After` for a client that is rejected for another reason and should wait at least so
    /// long: whole seconds, spread, and after all clients that were rejected before.
    pub fn retry_after(&self, wait: Duration, now: Moment) -> Duration {
        self.gate.lock().retry_after(wait, now)
    }

    /// The state and the counters now.
    pub fn snapshot(&self) -> AdmissionSnapshot {
        self.step(|gate, now| gate.snapshot(now))
    }

    /// The clock that deadlines are measured by.
    pub const fn clock(&self) -> &Monotonic {
        &self.clock
    }

    /// Runs a step of the gate under its lock, and wakes requests afterwards.
    fn step<T>(&self, step: impl FnOnce(&mut Gate, Moment) -> T) -> T {
        let now = self.clock.now();
        let mut gate = self.gate.lock();
        let result = step(&mut gate, now);
        let wakers = gate.take_wakers();
        drop(gate);
        wakers.wake();
        result
    }
}

/// A request in the queue, which it leaves when this is dropped.
struct Queued<'a> {
    admission: &'a Admission,
    id: EntryId,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.admission.step(|gate, now| gate.cancel(self.id, now));
    }
}

/// A request that was admitted; it is in flight until finished or dropped.
///
/// Dropped, it counts as cancelled; but after more time than the target, as overloaded: it was not
/// served in time, whether it was the timeout or the client that ended it.
#[derive(Debug)]
#[must_use = "dropped at once, it limits nothing"]
pub struct Admitted {
    admission: Admission,
    priority: Priority,
    items: u32,
    at: Moment,
    sample: Option<Sample>,
}

impl Admitted {
    /// The request is not in flight any more; `sample` is how it ended.
    pub fn finish(mut self, sample: Sample) {
        self.sample = Some(sample);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.priority != Priority::Operator {
            self.admission.step(|gate, now| gate.depart(self.items, self.sample, self.at, now));
        }
    }
}

#[cfg(test)]
mod tests;
