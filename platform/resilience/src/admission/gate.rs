//! The state machine of an admission. Takes the time as an argument; knows no lock and no clock.

use std::{mem, task::Waker, time::Duration};

use fastrand::Rng;

use crate::{
    admission::{
        config::{AdmissionConfig, share},
        shed::{ShedError, ShedReason},
        snapshot::AdmissionSnapshot,
    },
    codel::Codel,
    config::GuardConfigError,
    deadline::{self, Deadline},
    limiter::{Limiter, Sample},
    throughput::{Throughput, retry_after},
    time::Moment,
    wait_queue::{Entry, EntryId, EntryState, Priority, WaitQueue},
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

#[derive(Debug)]
pub(super) enum Decision {
    Admitted {
        at: Moment,
    },
    Rejected(ShedError),
    /// Queued, for so long at most.
    Waiting {
        id: EntryId,
        wait_max: Duration,
    },
}

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
    pub(super) fn arrive(&mut self, demand: Demand, now: Moment, waker: &Waker) -> Decision {
        let Demand { priority, items, deadline } = demand;
        if priority == Priority::Operator {
            return self.admit(priority, now);
        }
        if let Err(reason) = self.expect_in_time(priority, deadline, now) {
            return self.reject(reason, now);
        }
        if self.queue.items_ahead(priority) == 0 && self.try_acquire(priority, items, now) {
            return self.admit(priority, now);
        }
        let wait_max = self.queue.wait_max(now);
        // Work that is done in batches ends in batches, so half of the time must be enough: a request
        // that is dropped in the end has waited for nothing.
        if self.throughput.time_for(self.queue.items_ahead(priority)) > wait_max / 2 {
            return self.reject(ShedReason::Wait, now);
        }
        let Some(id) = self.queue.push(priority, items, waker.clone(), now) else {
            return self.reject(ShedReason::Full, now);
        };
        self.admit_waiting(now);
        match self.poll(id, now, waker) {
            Decision::Waiting { id, .. } => {
                Decision::Waiting { id, wait_max: wait_max.min(deadline.left(now)) }
            }
            decision @ (Decision::Admitted { .. } | Decision::Rejected(_)) => decision,
        }
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

    /// How long a request that comes now would take; zero while nothing is in flight.
    fn expected_wait(&self, priority: Priority, now: Moment) -> Duration {
        match self.limiter.in_flight() {
            0 => Duration::ZERO,
            in_flight => {
                let ahead = in_flight.saturating_add(self.queue.items_ahead(priority));
                self.throughput.expected_wait(ahead, now)
            }
        }
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
    pub(super) fn poll(&mut self, id: EntryId, now: Moment, waker: &Waker) -> Decision {
        if let Some(current) = self.queue.waker_mut(&id) {
            if !current.will_wake(waker) {
                self.wakers.discard.push(mem::replace(current, waker.clone()));
            }
            return Decision::Waiting { id, wait_max: Duration::ZERO };
        }
        let (entry, _) = self.queue.remove(id, now);
        self.decided(entry, now)
    }

    /// The wait of a queued request, or its deadline, is over.
    pub(super) fn time_out(&mut self, id: EntryId, deadline: Deadline, now: Moment) -> Decision {
        let expired = deadline.has_passed(now);
        let (entry, waker) =
            if expired { self.queue.remove(id, now) } else { self.queue.time_out(id, now) };
        self.wakers.discard.extend(waker);
        if entry.state != EntryState::Waiting {
            return self.decided(entry, now);
        }
        self.admit_waiting(now); // It may have been in the way of a smaller request.
        self.counted.record_wait(now.since(entry.queued_at));
        self.reject(if expired { ShedReason::Expired } else { ShedReason::Codel }, now)
    }

    /// A queued request was cancelled.
    pub(super) fn cancel(&mut self, id: EntryId, now: Moment) {
        let (entry, waker) = self.queue.remove(id, now);
        self.wakers.discard.extend(waker);
        match entry.state {
            EntryState::Waiting => self.admit_waiting(now),
            EntryState::Admitted { at } => self.depart(entry.items, Sample::Ignored, at, now),
            EntryState::Dropped => {}
        }
    }

    fn decided(&mut self, entry: Entry, now: Moment) -> Decision {
        match entry.state {
            EntryState::Admitted { at } => {
                self.counted.record_wait(at.since(entry.queued_at));
                self.admit(entry.priority, at)
            }
            EntryState::Dropped | EntryState::Waiting => {
                self.counted.record_wait(now.since(entry.queued_at));
                self.reject(ShedReason::Codel, now)
            }
        }
    }

    /// Items are not in flight any more: queued requests may be admitted.
    pub(super) fn depart(&mut self, items: u32, sample: Sample, at: Moment, now: Moment) {
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
        while let Some(waker) = self.next_decided(now) {
            self.wakers.wake.push(waker);
        }
    }

    fn next_decided(&mut self, now: Moment) -> Option<Waker> {
        if let Some(waker) = self.queue.drop_overdue(now) {
            return Some(waker);
        }
        let front = self.queue.front()?;
        if self.try_acquire(front.priority, front.items, now) {
            self.queue.admit_front(now)
        } else {
            None
        }
    }

    fn admit(&mut self, priority: Priority, at: Moment) -> Decision {
        self.counted.admitted[priority.index()] += 1;
        Decision::Admitted { at }
    }

    fn reject(&mut self, reason: ShedReason, now: Moment) -> Decision {
        self.counted.shed[reason.index()] += 1;
        Decision::Rejected(ShedError { reason, retry_after: self.retry_after(Duration::ZERO, now) })
    }

    pub(super) fn retry_after(&mut self, wait: Duration, now: Moment) -> Duration {
        let expected = self.expected_wait(Priority::Read, now);
        retry_after(wait.max(expected), &mut self.rng).max(self.throughput.promise(now))
    }

    /// Whether an answer after that time would be later than the target.
    pub(super) fn is_late(&self, latency: Duration) -> bool {
        latency >= self.config.limiter.target
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
