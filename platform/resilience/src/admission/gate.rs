//! The state machine of an admission. Takes the time as an argument; knows no lock and no clock.

use std::{
    mem,
    task::{Poll, Waker},
    time::Duration,
};

use fastrand::Rng;

use crate::{
    admission::{
        config::{AdmissionConfig, share},
        state::{AdmissionSnapshot, ShedError, ShedReason},
    },
    codel::Codel,
    config::GuardConfigError,
    deadline::{self, Deadline},
    limiter::{Limiter, Sample},
    throughput::{Throughput, retry_after},
    time::Moment,
    wait_queue::{DecidedEntry, EntryId, Priority, WaitQueue},
};

/// While nothing is served at all, one request in this time is admitted as a probe.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// What a request needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) priority: Priority,
    pub(super) items: u32,
    pub(super) deadline: Deadline,
}

/// What happens to a request that is not rejected at once.
#[derive(Debug)]
pub(super) enum Arrival {
    Admitted {
        at: Moment,
    },
    /// Queued, for so long at most.
    Queued {
        id: EntryId,
        wait_max: Duration,
    },
}

/// When a queued request was admitted, or that it is rejected.
pub(super) type Decision = Result<Moment, ShedError>;

#[derive(Debug)]
pub(super) struct Gate {
    config: AdmissionConfig,
    limiter: Limiter,
    throughput: Throughput,
    queue: WaitQueue<Waker>,
    probe_at: Moment,
    rng: Rng,
    /// What is counted since the start; the rest of it is filled in by [`Gate::snapshot`].
    counted: AdmissionSnapshot,
    wakers: Wakers,
}

/// Wakers to be woken or dropped when the lock is released: both may run foreign code.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    wake: Vec<Waker>,
    discard: Vec<Waker>,
}

impl Wakers {
    pub(super) fn wake(self) {
        self.wake.into_iter().for_each(Waker::wake);
        drop(self.discard);
    }
}

impl Gate {
    pub(super) fn new(config: AdmissionConfig) -> Result<Self, GuardConfigError> {
        config.validate()?;
        let codel = Codel::new(config.codel_target, config.codel_interval);
        Ok(Self {
            config,
            limiter: Limiter::new(config.limiter)?,
            throughput: Throughput::default(),
            queue: WaitQueue::new(config.waiting_max, codel),
            probe_at: Moment::default(),
            // Only clients of one process must be spread: each process may use the same numbers.
            rng: Rng::with_seed(0),
            counted: AdmissionSnapshot::default(),
            wakers: Wakers::default(),
        })
    }

    /// Admits, queues or rejects a request.
    pub(super) fn arrive(
        &mut self,
        demand: Demand,
        now: Moment,
        waker: &Waker,
    ) -> Result<Arrival, ShedError> {
        self.admit_or_queue(demand, now, waker).map_err(|reason| self.reject(reason, now))
    }

    fn admit_or_queue(
        &mut self,
        demand: Demand,
        now: Moment,
        waker: &Waker,
    ) -> Result<Arrival, ShedReason> {
        let Demand { priority, items, deadline } = demand;
        if priority != Priority::Operator {
            self.expect_in_time(priority, deadline, now)?;
        }
        let ahead = self.queue.items_ahead(priority);
        if priority == Priority::Operator || (ahead == 0 && self.try_acquire(priority, items, now))
        {
            self.counted.admitted[priority.index()] += 1;
            return Ok(Arrival::Admitted { at: now });
        }
        let wait_max = self.queue.wait_max(now);
        // Work that is done in batches ends in batches, so half of the time must be enough: a request
        // that is dropped in the end has waited for nothing.
        if self.throughput.time_for(ahead) > wait_max / 2 {
            return Err(ShedReason::Wait);
        }
        let id = self.queue.push(priority, items, waker.clone(), now).ok_or(ShedReason::Full)?;
        self.admit_waiting(now);
        Ok(Arrival::Queued { id, wait_max: wait_max.min(deadline.left(now)) })
    }

    /// Whether the request is expected to be served in time.
    fn expect_in_time(
        &mut self,
        priority: Priority,
        deadline: Deadline,
        now: Moment,
    ) -> Result<(), ShedReason> {
        let left = deadline.left(now);
        if left.is_zero() {
            return Err(ShedReason::Expired);
        }
        if self.limiter.in_flight() < share(priority, self.config.limiter.min) {
            return Ok(());
        }
        let wait = self.expected_wait(priority, now);
        if wait > left.saturating_sub(deadline::MARGIN) {
            return Err(ShedReason::Wait);
        }
        if wait <= self.wait_max(priority) || self.may_probe(now) {
            return Ok(());
        }
        Err(ShedReason::Wait)
    }

    /// How long a request that comes now would take. While nothing is in flight, nothing waits either.
    fn expected_wait(&self, priority: Priority, now: Moment) -> Duration {
        let ahead = self.queue.items_ahead(priority);
        self.throughput.expected_wait(self.limiter.in_flight().saturating_add(ahead), now)
    }

    fn wait_max(&self, priority: Priority) -> Duration {
        let whole = u32::try_from(self.config.wait_max.as_millis()).unwrap_or(u32::MAX);
        Duration::from_millis(share(priority, whole).into())
    }

    /// Whether this request finds out whether the stall lasts. Not needed to end an overload, but
    /// where a few requests that hang hold the whole limit.
    fn may_probe(&mut self, now: Moment) -> bool {
        let due = self.throughput.stalled(now) >= self.config.wait_max && now >= self.probe_at;
        if due {
            self.probe_at = now.after(PROBE_INTERVAL);
        }
        due
    }

    /// Takes room for the items, if there is any.
    fn try_acquire(&mut self, priority: Priority, items: u32, now: Moment) -> bool {
        let was_idle = self.limiter.in_flight() == 0;
        let acquired = self.limiter.try_acquire(items, share(priority, self.limiter.limit()));
        if acquired && was_idle {
            self.throughput.begin(now);
        }
        acquired
    }

    /// What was decided on a queued request by now; the waker replaces the one before.
    pub(super) fn poll(&mut self, id: EntryId, now: Moment, waker: &Waker) -> Poll<Decision> {
        if let Some(entry) = self.queue.take_decided(id) {
            return Poll::Ready(self.decided(id, entry, now));
        }
        if let Some(current) = self.queue.waker_mut(id)
            && !current.will_wake(waker)
        {
            self.wakers.discard.push(mem::replace(current, waker.clone()));
        }
        Poll::Pending
    }

    /// The wait of a queued request, or its deadline, is over.
    pub(super) fn time_out(&mut self, id: EntryId, deadline: Deadline, now: Moment) -> Decision {
        if let Some(entry) = self.queue.take_decided(id) {
            return self.decided(id, entry, now);
        }
        let expired = deadline.has_passed(now);
        if let Some(entry) = self.queue.remove(id, now) {
            self.wakers.discard.push(entry.waker);
            self.counted.record_wait(now.since(entry.queued_at));
        }
        if !expired {
            self.queue.record_drop(now);
        }
        self.admit_waiting(now); // It may have been in the way of a smaller request.
        Err(self.reject(if expired { ShedReason::Expired } else { ShedReason::Codel }, now))
    }

    /// A queued request was cancelled.
    pub(super) fn cancel(&mut self, id: EntryId, now: Moment) {
        if let Some(entry) = self.queue.remove(id, now) {
            self.wakers.discard.push(entry.waker);
            self.admit_waiting(now);
        } else if let Some(DecidedEntry { items, admitted_at: Some(at), .. }) =
            self.queue.take_decided(id)
        {
            self.depart(items, Some(Sample::Ignored), at, now);
        }
    }

    fn decided(&mut self, id: EntryId, entry: DecidedEntry, now: Moment) -> Decision {
        self.counted.record_wait(entry.admitted_at.unwrap_or(now).since(entry.queued_at));
        let Some(at) = entry.admitted_at else { return Err(self.reject(ShedReason::Codel, now)) };
        self.counted.admitted[id.priority.index()] += 1;
        Ok(at)
    }

    /// Items are not in flight any more: queued requests may be admitted. Without a sample, the
    /// request was dropped.
    pub(super) fn depart(&mut self, items: u32, sample: Option<Sample>, at: Moment, now: Moment) {
        let is_late = now.since(at) >= self.config.limiter.target;
        let dropped = if is_late { Sample::Overloaded } else { Sample::Ignored };
        let sample = sample.unwrap_or(dropped);
        self.limiter.learn(sample, at, now);
        if sample == Sample::Answered {
            self.throughput.record(items, self.limiter.in_flight(), now);
        }
        self.limiter.release(items);
        if self.limiter.in_flight() == 0 {
            self.throughput.end(now);
        }
        self.admit_waiting(now);
    }

    /// Drops overdue requests, and admits those that find room, in order.
    fn admit_waiting(&mut self, now: Moment) {
        while let Some(waker) = self.queue.drop_overdue(now).or_else(|| self.admit_front(now)) {
            self.wakers.wake.push(waker);
        }
    }

    fn admit_front(&mut self, now: Moment) -> Option<Waker> {
        let (priority, items) = self.queue.front()?;
        if self.try_acquire(priority, items, now) { self.queue.admit_front(now) } else { None }
    }

    fn reject(&mut self, reason: ShedReason, now: Moment) -> ShedError {
        self.counted.shed[reason.index()] += 1;
        ShedError { reason, retry_after: self.retry_after(Duration::ZERO, now) }
    }

    pub(super) fn retry_after(&mut self, wait: Duration, now: Moment) -> Duration {
        let expected = self.expected_wait(Priority::Read, now);
        retry_after(wait.max(expected), &mut self.rng).max(self.throughput.promise(now))
    }

    pub(super) fn snapshot(&self, now: Moment) -> AdmissionSnapshot {
        AdmissionSnapshot {
            limit: self.limiter.limit(),
            in_flight: self.limiter.in_flight(),
            waiting: self.queue.waiting_by_class(),
            throughput: self.throughput.rate(),
            expected_wait: self.expected_wait(Priority::Read, now),
            ..self.counted.clone()
        }
    }

    pub(super) fn take_wakers(&mut self) -> Wakers {
        mem::take(&mut self.wakers)
    }
}
