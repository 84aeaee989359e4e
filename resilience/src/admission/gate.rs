//! The decisions behind an admission. Takes the time and wakes the waiting; reads no clock.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    task::Waker,
    time::Duration,
};

use crate::{
    admission::{
        AdmissionConfig, Reason, Shed,
        counts::{Counts, Snapshot},
        share,
    },
    codel::Codel,
    deadline::Deadline,
    drain::{self, Drain},
    limiter::{InvalidLimits, Limiter, Sample},
    line::{Key, Line, Place, Priority, Standing},
    time::Moment,
};

/// The counts of the four classes that wait share a word, with so many bits each.
const CLASS_BITS: u32 = 16;

/// While nothing is served at all, one request in this time is let in to find out.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// So many are woken for each time the line is locked.
const WAKE_MAX: usize = 16;

/// What somebody asks for who wants to get in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) priority: Priority,
    pub(super) items: u32,
    pub(super) deadline: Deadline,
}

/// What becomes of somebody who arrives, or who looks again.
#[derive(Debug)]
pub(super) enum Arrival {
    /// In, since then.
    Admitted { at: Moment },
    /// Not let in.
    Refused(Shed),
    /// In the line, for so long at most; the waker is kept.
    Waiting { key: Key, patience: Duration },
}

pub(super) struct Gate {
    config: AdmissionConfig,
    limiter: Limiter,
    drain: Drain,
    line: Mutex<Line<Waker>>,
    /// How many of each class wait: what the line knows, for those who do not lock it.
    waiting: AtomicU64,
    probe_at: AtomicU64,
    seed: AtomicU64,
    counts: Counts,
}

impl Gate {
    pub(super) fn new(config: AdmissionConfig) -> Result<Self, InvalidLimits> {
        let codel = Codel::new(config.codel_target, config.codel_interval);
        Ok(Self {
            config,
            limiter: Limiter::new(config.limiter)?,
            drain: Drain::new(),
            line: Mutex::new(Line::new(config.waiting_max, codel)),
            waiting: AtomicU64::new(0),
            probe_at: AtomicU64::new(0),
            seed: AtomicU64::new(0),
            counts: Counts::default(),
        })
    }

    pub(super) fn arrive(&self, claim: Claim, now: Moment, waker: &Waker) -> Arrival {
        let Claim { priority, items, deadline } = claim;
        if priority == Priority::Operator {
            self.counts.admitted(priority.index());
            return Arrival::Admitted { at: now };
        }
        if let Err(reason) = self.worth_it(priority, deadline, now) {
            return self.refuse(reason, now);
        }
        if self.first_in_line(priority) && self.enter(priority, items, now) {
            return self.admitted(priority, now);
        }
        self.line_up(claim, now, waker)
    }

    /// Whether the wait would be worth its while, as far as can be told.
    fn worth_it(&self, priority: Priority, deadline: Deadline, now: Moment) -> Result<(), Reason> {
        let left = deadline.left(now);
        if left.is_zero() {
            return Err(Reason::Expired);
        }
        let in_flight = self.limiter.in_flight();
        if in_flight == 0 {
            // Before it is in flight: others must not take the idle time for a stall.
            self.drain.begin(now);
            return Ok(());
        }
        if in_flight < share(priority, self.limiter.config().min) {
            return Ok(());
        }
        let wait = self.drain.expected_wait(self.ahead(priority, in_flight), now);
        if wait > left.saturating_sub(self.config.margin) {
            return Err(Reason::Wait);
        }
        if wait <= self.wait_max(priority) || self.may_probe(now) {
            return Ok(());
        }
        Err(Reason::Wait)
    }

    fn wait_max(&self, priority: Priority) -> Duration {
        let whole = u32::try_from(self.config.wait_max.as_millis()).unwrap_or(u32::MAX);
        Duration::from_millis(share(priority, whole).into())
    }

    /// The items that are served before somebody who comes now.
    fn ahead(&self, priority: Priority, in_flight: u32) -> u32 {
        // Those who wait are counted as one item each: the line is short, and not worth a lock here.
        let word = self.waiting.load(Relaxed) & up_to(priority);
        let waiting = (0..4).map(|class| (word >> (class * CLASS_BITS)) & 0xffff).sum::<u64>();
        in_flight.saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX))
    }

    /// Somebody has to find out whether it still stalls. Not needed to get out of an overload, but
    /// where a few that hang hold everything.
    fn may_probe(&self, now: Moment) -> bool {
        if self.drain.stalled(now) < self.config.wait_max {
            return false;
        }
        let at = self.probe_at.load(Relaxed);
        let next = now.after(PROBE_EVERY).as_nanos();
        now.as_nanos() >= at && self.probe_at.compare_exchange(at, next, Relaxed, Relaxed).is_ok()
    }

    /// Whether nobody waits who goes before, or at the same time.
    fn first_in_line(&self, priority: Priority) -> bool {
        self.waiting.load(SeqCst) & up_to(priority) == 0
    }

    /// Takes room for the items, if there is any.
    fn enter(&self, priority: Priority, items: u32, now: Moment) -> bool {
        match self.limiter.take(items, share(priority, self.limiter.limit())) {
            Some(0) => {
                self.drain.begin(now);
                true
            }
            Some(_) => true,
            None => false,
        }
    }

    fn line_up(&self, claim: Claim, now: Moment, waker: &Waker) -> Arrival {
        let Claim { priority, items, deadline } = claim;
        let mut line = self.line();
        let patience = line.patience(now);
        // Work that is done in batches comes free in batches, so half of the time must do: whoever
        // is cut in the end has waited for nothing.
        if self.drain.time_for(line.items_before(priority)) > patience / 2 {
            drop(line);
            return self.refuse(Reason::Wait, now);
        }
        let Some(key) = line.join(priority, items, waker.clone(), now) else {
            drop(line);
            return self.refuse(Reason::Full, now);
        };
        self.publish(&line);
        drop(line);
        // Whoever left between the first look and the joining did not see anybody waiting.
        self.call(now);
        match self.look(key, now, None) {
            Arrival::Waiting { key, .. } => {
                Arrival::Waiting { key, patience: patience.min(deadline.left(now)) }
            }
            arrival => arrival,
        }
    }

    /// How a place stands. A new waker takes the place of the old one.
    pub(super) fn look(&self, key: Key, now: Moment, waker: Option<&Waker>) -> Arrival {
        let mut line = self.line();
        let place = line.place(&key);
        if place.standing == Standing::Waiting {
            if let Some(waker) = waker {
                place.owner.clone_from(waker);
            }
            return Arrival::Waiting { key, patience: Duration::ZERO };
        }
        let place = line.leave(key, now);
        drop(line);
        self.left(&place, now)
    }

    /// Patience, or the time of the request, is over.
    pub(super) fn give_up(&self, key: Key, deadline: Deadline, now: Moment) -> Arrival {
        let expired = deadline.has_passed(now);
        let mut line = self.line();
        let place = if expired { line.leave(key, now) } else { line.lose_patience(key, now) };
        self.publish(&line);
        drop(line);
        if place.standing != Standing::Waiting {
            return self.left(&place, now);
        }
        self.call(now); // It may have been in the way of somebody smaller.
        self.counts.waited(now.since(place.joined));
        self.refuse(if expired { Reason::Expired } else { Reason::Codel }, now)
    }

    /// Nobody wants the place any more.
    pub(super) fn abandon(&self, key: Key, now: Moment) {
        let mut line = self.line();
        let place = line.leave(key, now);
        self.publish(&line);
        drop(line);
        match place.standing {
            Standing::Waiting => self.call(now),
            Standing::Called(at) => self.depart(place.items, Sample::Ignored, at, now),
            Standing::Cut => {}
        }
    }

    /// Somebody called or cut has noticed.
    fn left(&self, place: &Place<Waker>, now: Moment) -> Arrival {
        match place.standing {
            Standing::Called(at) => {
                self.counts.waited(at.since(place.joined));
                self.admitted(place.priority, at)
            }
            Standing::Cut | Standing::Waiting => {
                self.counts.waited(now.since(place.joined));
                self.refuse(Reason::Codel, now)
            }
        }
    }

    /// Items are not in flight any more: whoever waits may go in their place.
    pub(super) fn depart(&self, items: u32, sample: Sample, at: Moment, now: Moment) {
        self.limiter.learn(sample, at, now);
        if sample == Sample::Answered {
            self.drain.served(items, self.limiter.in_flight(), now);
        }
        if self.limiter.give_back(items) == 0 {
            self.drain.end(now);
        }
        if self.waiting.load(SeqCst) != 0 {
            self.call(now);
        }
    }

    /// Cuts who has waited for too long, and calls who finds room, in order.
    fn call(&self, now: Moment) {
        loop {
            let mut wakers: [Option<Waker>; WAKE_MAX] = Default::default();
            let mut line = self.line();
            let woken = wakers.iter_mut().map_while(|waker| {
                *waker = Some(self.next(&mut line, now)?);
                Some(())
            });
            let woken = woken.count();
            self.publish(&line);
            drop(line);
            // Not under the lock: waking may run foreign code.
            wakers.into_iter().flatten().for_each(Waker::wake);
            if woken < WAKE_MAX {
                return;
            }
        }
    }

    /// Whoever is to be woken next.
    fn next(&self, line: &mut Line<Waker>, now: Moment) -> Option<Waker> {
        if let Some(place) = line.cut(now) {
            return Some(place.owner.clone());
        }
        let (priority, items) = line.head()?;
        if !self.enter(priority, items, now) {
            return None;
        }
        line.call(now).map(|place| place.owner.clone())
    }

    fn admitted(&self, priority: Priority, at: Moment) -> Arrival {
        self.counts.admitted(priority.index());
        Arrival::Admitted { at }
    }

    fn refuse(&self, reason: Reason, now: Moment) -> Arrival {
        self.counts.shed(reason);
        Arrival::Refused(Shed { reason, retry_after: self.retry_after(now) })
    }

    pub(super) fn retry_after(&self, now: Moment) -> Duration {
        let spread = drain::retry_after(self.expected_wait(now), self.seed.fetch_add(1, Relaxed));
        spread.max(self.drain.promise(now))
    }

    fn expected_wait(&self, now: Moment) -> Duration {
        match self.limiter.in_flight() {
            0 => Duration::ZERO,
            in_flight => self.drain.expected_wait(self.ahead(Priority::Read, in_flight), now),
        }
    }

    /// Whether an answer after that time would be a late one.
    pub(super) fn is_late(&self, latency: Duration) -> bool {
        latency >= self.limiter.config().target
    }

    pub(super) fn snapshot(&self, now: Moment) -> Snapshot {
        let line = self.line();
        let waiting = Priority::ALL.map(|priority| line.waiting_of(priority));
        drop(line);
        Snapshot {
            limit: self.limiter.limit(),
            in_flight: self.limiter.in_flight(),
            waiting,
            drain_rate: self.drain.rate(),
            expected_wait: self.expected_wait(now),
            ..self.counts.snapshot()
        }
    }

    fn line(&self) -> MutexGuard<'_, Line<Waker>> {
        // Nothing panics while it is locked; if something did, the line would still be a line.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, line: &Line<Waker>) {
        let word = Priority::ALL.iter().rev().fold(0, |word, priority| {
            word << CLASS_BITS | u64::try_from(line.waiting_of(*priority)).unwrap_or(u64::MAX)
        });
        self.waiting.store(word, SeqCst);
    }
}

/// The counts of all classes that go before this one, and of itself.
fn up_to(priority: Priority) -> u64 {
    match priority {
        Priority::Operator => 0xffff,
        Priority::Settle => 0xffff_ffff,
        Priority::Book => 0xffff_ffff_ffff,
        Priority::Read => u64::MAX,
    }
}
