//! Admission: who gets in now, who waits a moment, and who is told to come back.
//!
//! - Who finds room within the learned limit, and nobody waiting who goes first, is in: a few
//!   atomics, no lock, no allocation.
//! - Who would wait longer than makes sense (for this request, or for anybody) is refused at once.
//! - Who is left waits in a short line, which is cut at its head once it stands.
//!
//! Each class may use only its [share] of the limit and of the longest wait, so that
//! whatever goes first still finds room where those behind it would take everything.

mod counts;
mod gate;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use thiserror::Error;
use tokio::time::{Sleep, sleep};

pub use crate::admission::counts::{Snapshot, WAIT_BOUNDS};
use crate::{
    admission::gate::{Arrival, Claim, Gate},
    codel,
    deadline::{self, Deadline},
    limiter::{InvalidLimits, LimiterConfig, Sample},
    line::{Key, Priority},
    time::{Clock, Moment, Monotonic},
};

/// What an [`Admission`] aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// The limit on the items in flight. Up to its minimum, nobody is refused for the expected
    /// wait: by a few requests, a system that is slow and one that is overloaded look the same.
    pub limiter: LimiterConfig,
    /// How many requests may wait in the line.
    pub waiting_max: usize,
    /// The longest expected wait, line and work together, with which anybody is let in.
    pub wait_max: Duration,
    /// What must be left of a request's time after its expected wait.
    pub margin: Duration,
    /// How long one may wait in a line that stands.
    pub codel_target: Duration,
    /// After how long without being empty a line stands.
    pub codel_interval: Duration,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            limiter: LimiterConfig::default(),
            waiting_max: 256,
            wait_max: Duration::from_millis(500),
            margin: deadline::MARGIN,
            codel_target: codel::TARGET,
            codel_interval: codel::INTERVAL,
        }
    }
}

/// The most that may be configured as [`AdmissionConfig::waiting_max`].
pub const WAITING_MAX: usize = 32_767;

/// A configuration under which an admission could not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidAdmission {
    /// The limits do not fit.
    #[error(transparent)]
    Limits(#[from] InvalidLimits),
    /// The line is longer than it can be.
    #[error("at most {WAITING_MAX} may wait, not {0}")]
    WaitingMax(usize),
    /// The times of the line are not in order.
    #[error(
        "a line that stands (codel_target) must not be more patient than one that does not (codel_interval)"
    )]
    Codel,
}

/// Refused: nothing was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{reason}; come back in {} s", retry_after.as_secs())]
pub struct Shed {
    /// Why.
    pub reason: Reason,
    /// When to come back: whole seconds, spread so that not all come back together.
    pub retry_after: Duration,
}

/// Why somebody is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// As many wait as may.
    #[error("the line is full")]
    Full,
    /// The expected wait is longer than the time left, or than anybody should wait.
    #[error("the wait would be too long")]
    Wait,
    /// It has waited for too long in the line.
    #[error("the line does not move")]
    Codel,
    /// No time is left.
    #[error("the deadline has passed")]
    Expired,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Wait, Self::Codel, Self::Expired];

    /// Its place among them.
    pub const fn index(self) -> usize {
        match self {
            Self::Full => 0,
            Self::Wait => 1,
            Self::Codel => 2,
            Self::Expired => 3,
        }
    }

    /// A word for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Wait => "wait",
            Self::Codel => "codel",
            Self::Expired => "expired",
        }
    }
}

/// The part of `whole` that a class may use: looking leaves an eighth to others, beginning
/// something new a sixteenth.
pub const fn share(priority: Priority, whole: u32) -> u32 {
    match priority {
        Priority::Operator | Priority::Settle => whole,
        Priority::Book => whole - whole / 16,
        Priority::Read => whole - whole / 8,
    }
}

/// Lets requests in, or not. Clones share everything. `C` is the clock of the deadlines, and must
/// run as Tokio's does.
///
/// ```
/// use std::time::Duration;
/// use resilience::{
///     admission::Admission, deadline::Deadline, limiter::Sample, line::Priority,
///     time::{Clock, Monotonic},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), resilience::admission::Shed> {
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
    gate: Gate,
    clock: C,
}

impl<C: Clock> Admission<C> {
    /// Nothing is learned yet, nobody in flight.
    pub fn new(config: AdmissionConfig, clock: C) -> Result<Self, InvalidAdmission> {
        if config.waiting_max > WAITING_MAX {
            return Err(InvalidAdmission::WaitingMax(config.waiting_max));
        }
        if config.codel_target > config.codel_interval {
            return Err(InvalidAdmission::Codel);
        }
        Ok(Self { shared: Arc::new(Shared { gate: Gate::new(config)?, clock }) })
    }

    /// Lets in so many items (0 counts as 1) at once, or after a moment in the line, or not at all.
    ///
    /// Decides when first polled. Waits [`AdmissionConfig::codel_interval`] at most; dropped while
    /// it waits, it leaves the line. Operators are let in always, and count for nothing else.
    pub fn admit(&self, priority: Priority, items: u32, deadline: Deadline) -> Admit<C> {
        let claim = Claim { priority, items: items.max(1), deadline };
        let applicant = Applicant { shared: Arc::clone(&self.shared), claim, key: None };
        Admit { applicant: Some(applicant), patience: None }
    }

    /// What to tell somebody who is sent away for another reason: whole seconds, spread, and after
    /// all who were told to come back before.
    pub fn retry_after(&self, now: Moment) -> Duration {
        self.shared.gate.retry_after(now)
    }

    /// How it stands now.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.gate.snapshot(self.shared.clock.now())
    }

    /// The clock that deadlines are measured by.
    pub fn clock(&self) -> &C {
        &self.shared.clock
    }
}

pin_project! {
    /// Waits to be let in: see [`Admission::admit`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Admit<C: Clock = Monotonic> {
        applicant: Option<Applicant<C>>,
        #[pin]
        patience: Option<Sleep>,
    }
}

/// Somebody who wants to get in, with the place in the line, if there is one.
struct Applicant<C: Clock> {
    shared: Arc<Shared<C>>,
    claim: Claim,
    key: Option<Key>,
}

impl<C: Clock> Future for Admit<C> {
    type Output = Result<Admitted<C>, Shed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(applicant) = this.applicant else { unreachable!("polled after it was ready") };
        let Shared { gate, clock } = &*applicant.shared;
        let arrival = match applicant.key.take() {
            None => gate.arrive(applicant.claim, clock.now(), cx.waker()),
            Some(key) => gate.look(key, clock.now(), Some(cx.waker())),
        };
        let arrival = match arrival {
            Arrival::Waiting { key, patience } => {
                if this.patience.is_none() {
                    this.patience.set(Some(sleep(patience)));
                }
                if this.patience.as_pin_mut().is_none_or(|patience| patience.poll(cx).is_pending())
                {
                    applicant.key = Some(key);
                    return Poll::Pending;
                }
                gate.give_up(key, applicant.claim.deadline, clock.now())
            }
            arrival => arrival,
        };
        match (arrival, this.applicant.take()) {
            (Arrival::Admitted { at }, Some(applicant)) => {
                Poll::Ready(Ok(Admitted { applicant, at, finished: false }))
            }
            (Arrival::Refused(shed), _) => Poll::Ready(Err(shed)),
            (Arrival::Waiting { .. } | Arrival::Admitted { .. }, _) => Poll::Pending,
        }
    }
}

impl<C: Clock> Drop for Applicant<C> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.shared.gate.abandon(key, self.shared.clock.now());
        }
    }
}

/// Was let in, and is in flight until finished or dropped.
///
/// Dropped, it counts as cancelled; but where it had taken longer than the target already, as
/// overloaded: whoever left then was not served in time, whether by a time-out or by impatience.
#[must_use = "dropped at once, it limits nothing"]
pub struct Admitted<C: Clock = Monotonic> {
    applicant: Applicant<C>,
    at: Moment,
    finished: bool,
}

impl<C: Clock> Admitted<C> {
    /// Is not in flight any more, and this is what became of it.
    pub fn finish(mut self, sample: Sample) {
        self.end(sample, self.applicant.shared.clock.now());
    }

    /// Since when it is in.
    pub const fn at(&self) -> Moment {
        self.at
    }

    fn end(&mut self, sample: Sample, now: Moment) {
        self.finished = true;
        let Applicant { shared, claim, .. } = &self.applicant;
        if claim.priority != Priority::Operator {
            shared.gate.depart(claim.items, sample, self.at, now);
        }
    }
}

impl<C: Clock> Drop for Admitted<C> {
    fn drop(&mut self) {
        if !self.finished {
            let now = self.applicant.shared.clock.now();
            let late = self.applicant.shared.gate.is_late(now.since(self.at));
            self.end(if late { Sample::Overloaded } else { Sample::Ignored }, now);
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
        f.debug_struct("Admit").field("waits", &self.patience.is_some()).finish_non_exhaustive()
    }
}

impl<C: Clock> fmt::Debug for Admitted<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
