//! The model: clients, a service that calls a server, and the server; one event after the other.
//!
//! ```text
//! callers ─▶ admission ─▶ retry budget ─▶ breaker ─▶ (fault) ─▶ admission ─▶ batches
//! ```

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use fastrand::Rng;
use platform_resilience::{
    admission::{Admission, AdmissionConfig, Admitted, ShedError},
    breaker::{Breaker, BreakerConfig, CallOutcome, Permit},
    deadline::Deadline,
    limiter::{LimiterConfig, Sample},
    retry_budget::RetryBudget,
    time::{Moment, Monotonic},
    wait_queue::Priority,
};

use super::scenario::{Fault, OPEN_MAX, Scenario, ms};

pub(crate) const CODEL_INTERVAL: Duration = ms(100);
pub(crate) const TIME_LIMIT: Duration = ms(3_000);
pub(crate) const PROBES_MAX: u16 = 5;

type Id = u64;

type Admit = Pin<Box<dyn Future<Output = Result<Admitted, ShedError>>>>;

fn admit(admission: &Admission, deadline: Deadline) -> Admit {
    let admission = admission.clone();
    Box::pin(async move { admission.admit(Priority::Book, 1, deadline).await })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    /// A queued request of the service or the server is polled again.
    Poll(Id),
    /// An attempt (by its number) has timed out.
    Timeout(Id, u32),
    /// The answer to an attempt, of a slow server.
    Late(Id, u32),
    Retry(Id),
    Committed,
    Onset,
    Jump,
    End,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Served,
    /// Rejected by the admission of the service.
    Shed,
    /// The circuit is open.
    CircuitOpen,
    /// Rejected by the admission of the server.
    Overload,
    Failed,
    TimedOut,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) arrived_at: Moment,
    pub(crate) at: Moment,
    pub(crate) outcome: Outcome,
}

/// A request that has not ended.
struct Request {
    arrived_at: Moment,
    deadline: Deadline,
    attempt: u32,
    admit: Option<Admit>,
    admitted: Option<Admitted>,
    permit: Option<Permit>,
    server_admit: Option<Admit>,
    server_admitted: Option<Admitted>,
}

struct RequestWaker {
    id: Id,
    woken: Arc<Mutex<VecDeque<Id>>>,
}

impl Wake for RequestWaker {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push_back(self.id);
    }
}

pub(crate) struct Model {
    pub(crate) scenario: Scenario,
    clock: Monotonic,
    /// When the last event was handled.
    pub(crate) finished_at: Moment,
    pub(crate) service: Admission,
    pub(crate) server: Admission,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) budget: RetryBudget,
    pub(crate) ended: Vec<Ended>,
    pub(crate) arrived: u64,
    pub(crate) calls: Vec<Moment>,
    pub(crate) retries: Vec<Moment>,
    /// Invariants that were violated on the way.
    pub(crate) violations: Vec<String>,
    rng: Rng,
    schedule: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    scheduled: u64,
    requests: BTreeMap<Id, Request>,
    woken: Arc<Mutex<VecDeque<Id>>>,
    queue: VecDeque<(Id, u32)>,
    batch: Vec<(Id, u32)>,
    /// Permitted probes: generation, request, attempt.
    probes: Vec<(u32, Id, u32)>,
}

fn admission() -> Admission {
    let limiter = LimiterConfig { min: 4, initial: 64, max: 1_024, ..LimiterConfig::default() };
    let config = AdmissionConfig {
        limiter,
        waiting_max: 64,
        codel_interval: CODEL_INTERVAL,
        ..AdmissionConfig::default()
    };
    Admission::new(config).unwrap()
}

impl Model {
    pub(crate) fn new(scenario: Scenario, rng: Rng, seed: u64) -> Self {
        let clock = Monotonic::default();
        let config = BreakerConfig {
            open_max: OPEN_MAX,
            half_open_calls: PROBES_MAX,
            seed,
            ..BreakerConfig::default()
        };
        Self {
            scenario,
            clock,
            finished_at: Moment::default(),
            service: admission(),
            server: admission(),
            breaker: Arc::new(Breaker::new(config).unwrap()),
            budget: RetryBudget::default(),
            ended: Vec::new(),
            arrived: 0,
            calls: Vec::new(),
            retries: Vec::new(),
            violations: Vec::new(),
            rng,
            schedule: BinaryHeap::new(),
            scheduled: 0,
            requests: BTreeMap::new(),
            woken: Arc::default(),
            queue: VecDeque::new(),
            batch: Vec::new(),
            probes: Vec::new(),
        }
    }

    /// Handles events until none is left.
    pub(crate) async fn run(&mut self) {
        let Scenario { onset, end, jump, .. } = self.scenario;
        self.at(Duration::ZERO, Event::Arrival);
        self.at(onset, Event::Onset);
        self.at(end, Event::End);
        if !jump.is_zero() {
            self.at((onset + end) / 2, Event::Jump);
        }
        while let Some(Reverse((at, _, event))) = self.schedule.pop() {
            let wait = at.saturating_sub(self.elapsed());
            if !wait.is_zero() {
                tokio::time::advance(wait).await;
            }
            if event == Event::Jump {
                tokio::time::advance(jump).await;
                self.jumped();
            }
            self.handle(event);
            self.poll_woken();
        }
        self.finished_at = self.clock.now();
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().since(Moment::default())
    }

    pub(crate) fn left_over(&self) -> usize {
        self.requests.len() + self.batch.len()
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.schedule.push(Reverse((at, self.scheduled, event)));
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.elapsed() + wait, event);
    }

    /// Moves what is planned behind the jump.
    fn jumped(&mut self) {
        let jump = self.scenario.jump;
        self.scenario.end += jump;
        self.scenario.last += jump;
        let schedule = std::mem::take(&mut self.schedule);
        for Reverse((at, number, event)) in schedule {
            // Timers expire in the jump; arrivals and the end move with it.
            let planned = matches!(event, Event::Arrival | Event::End);
            self.schedule.push(Reverse((if planned { at + jump } else { at }, number, event)));
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Poll(id) => self.poll(id),
            Event::Timeout(id, attempt) => self.reply(id, attempt, CallOutcome::Timeout, None),
            Event::Late(id, attempt) => self.serve(id, attempt),
            Event::Retry(id) => self.attempt(id),
            Event::Committed => self.committed(),
            Event::Onset => self.onset(),
            Event::End => self.commit(),
            Event::Jump => {}
        }
    }

    fn poll_woken(&mut self) {
        loop {
            let woken = self.woken.lock().unwrap().pop_front();
            let Some(id) = woken else { return };
            self.poll(id);
        }
    }

    fn waker(&self, id: Id) -> Waker {
        Waker::from(Arc::new(RequestWaker { id, woken: Arc::clone(&self.woken) }))
    }

    // --- The service ---

    fn arrive(&mut self) {
        let at = self.elapsed();
        if at < self.scenario.last {
            let mean = self.scenario.server.pace() * 100 / self.scenario.percent(at);
            let twice = u64::try_from(mean.as_nanos()).unwrap() * 2;
            let gap = Duration::from_nanos(self.rng.u64(0..=twice));
            self.after(gap, Event::Arrival);
        }
        let (id, arrived_at) = (self.arrived, self.clock.now());
        self.arrived += 1;
        let deadline = Deadline::within(TIME_LIMIT, arrived_at);
        let request = Request {
            arrived_at,
            deadline,
            attempt: 0,
            admit: Some(admit(&self.service, deadline)),
            admitted: None,
            permit: None,
            server_admit: None,
            server_admitted: None,
        };
        self.requests.insert(id, request);
        self.poll(id);
    }

    fn poll(&mut self, id: Id) {
        self.poll_admit(id);
        self.poll_server_admit(id);
    }

    fn poll_admit(&mut self, id: Id) {
        let waker = self.waker(id);
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Some(admit) = request.admit.as_mut() else { return };
        match admit.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.poll_again(id),
            Poll::Ready(Err(_)) => {
                request.admit = None;
                self.end(id, Outcome::Shed);
            }
            Poll::Ready(Ok(admitted)) => {
                request.admit = None;
                request.admitted = Some(admitted);
                let now = self.clock.now();
                self.budget.record_call(now);
                self.calls.push(now);
                self.attempt(id);
            }
        }
    }

    fn poll_again(&mut self, id: Id) {
        let Some(request) = self.requests.get(&id) else { return };
        if self.clock.now().since(request.arrived_at) > TIME_LIMIT + ms(1) {
            self.violations.push(format!("{id} lasts beyond its deadline"));
        }
        self.after(CODEL_INTERVAL + ms(1), Event::Poll(id));
    }

    fn attempt(&mut self, id: Id) {
        let now = self.clock.now();
        let Some(request) = self.requests.get_mut(&id) else { return };
        match self.breaker.enter(now) {
            Err(_) => self.end(id, Outcome::CircuitOpen),
            Ok(permit) => {
                let probe = permit.is_probe();
                request.attempt += 1;
                request.permit = Some(permit);
                let attempt = request.attempt;
                let left = request.deadline.left(now);
                self.after(
                    left.min(self.scenario.retries.attempt_timeout),
                    Event::Timeout(id, attempt),
                );
                if probe {
                    self.count_probes(id, attempt);
                }
                self.send(id, attempt);
            }
        }
    }

    /// Half-open has no more probes out than configured, and exactly those that hold a permit.
    fn count_probes(&mut self, id: Id, attempt: u32) {
        let snapshot = self.breaker.snapshot(self.clock.now());
        self.probes.push((snapshot.generation, id, attempt));
        let requests = &self.requests;
        self.probes.retain(|(generation, id, attempt)| {
            let holds = |one: &Request| one.attempt == *attempt && one.permit.is_some();
            *generation == snapshot.generation && requests.get(id).is_some_and(holds)
        });
        let held = self.probes.len();
        if snapshot.probes_out > PROBES_MAX || usize::from(snapshot.probes_out) != held {
            self.violations.push(format!("{} probes are out, {held} held", snapshot.probes_out));
        }
    }

    fn send(&mut self, id: Id, attempt: u32) {
        match self.scenario.fault(self.elapsed()) {
            Some(Fault::Dead) => return self.reply(id, attempt, CallOutcome::Failure, None),
            Some(Fault::Errors(percent)) if self.rng.u64(..100) < percent => {
                return self.reply(id, attempt, CallOutcome::Failure, None);
            }
            _ => {}
        }
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.server_admit = Some(admit(&self.server, request.deadline));
        self.poll_server_admit(id);
    }

    /// An attempt has ended: the service retries or answers.
    fn reply(&mut self, id: Id, attempt: u32, outcome: CallOutcome, retry_after: Option<Duration>) {
        let now = self.clock.now();
        let Some(request) = self.requests.get_mut(&id) else { return };
        if request.attempt != attempt {
            return;
        }
        let Some(permit) = request.permit.take() else { return };
        permit.record(outcome, retry_after, now);
        // The connection is closed: the server's handler is dropped.
        (request.server_admit, request.server_admitted) = (None, None);
        let failed = matches!(outcome, CallOutcome::Failure | CallOutcome::Timeout);
        let left = request.deadline.left(now) > ms(100);
        let retries = self.scenario.retries;
        let retry = failed && left && attempt <= retries.max;
        if retry && (!retries.within_budget || self.budget.try_retry(now)) {
            self.retries.push(now);
            let pause = ms(self.rng.u64(10..=50));
            return self.after(pause, Event::Retry(id));
        }
        let outcome = match outcome {
            CallOutcome::Success => Outcome::Served,
            CallOutcome::Failure | CallOutcome::Cancelled => Outcome::Failed,
            CallOutcome::Timeout => Outcome::TimedOut,
            CallOutcome::Overload => Outcome::Overload,
        };
        self.end(id, outcome);
    }

    fn end(&mut self, id: Id, outcome: Outcome) {
        let Some(mut request) = self.requests.remove(&id) else { return };
        let sample = match outcome {
            Outcome::Served => Sample::Answered,
            Outcome::Overload | Outcome::TimedOut => Sample::Overloaded,
            Outcome::Shed | Outcome::CircuitOpen | Outcome::Failed => Sample::Ignored,
        };
        if let Some(admitted) = request.admitted.take() {
            admitted.finish(sample);
        }
        self.ended.push(Ended { arrived_at: request.arrived_at, at: self.clock.now(), outcome });
    }

    // --- The server ---

    fn poll_server_admit(&mut self, id: Id) {
        let waker = self.waker(id);
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Some(admit) = request.server_admit.as_mut() else { return };
        let attempt = request.attempt;
        match admit.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.after(CODEL_INTERVAL + ms(1), Event::Poll(id)),
            Poll::Ready(Err(shed)) => {
                request.server_admit = None;
                self.reply(id, attempt, CallOutcome::Overload, Some(shed.retry_after));
            }
            Poll::Ready(Ok(admitted)) => {
                request.server_admit = None;
                request.server_admitted = Some(admitted);
                match self.scenario.fault(self.elapsed()) {
                    Some(Fault::Silent) => {}
                    Some(Fault::Slow(extra)) => self.after(extra, Event::Late(id, attempt)),
                    _ => {
                        self.queue.push_back((id, attempt));
                        self.commit();
                    }
                }
            }
        }
    }

    /// Begins a batch, if none is under way.
    fn commit(&mut self) {
        let stalled = self.scenario.fault(self.elapsed()) == Some(Fault::Stalled);
        if stalled || !self.batch.is_empty() {
            return;
        }
        let now = self.clock.now();
        while self.batch.len() < usize::try_from(self.scenario.server.batch_max).unwrap() {
            let Some((id, attempt)) = self.queue.pop_front() else { break };
            // Cancelled and late requests are not served.
            let waits = self.requests.get(&id).is_some_and(|request| {
                request.attempt == attempt
                    && request.server_admitted.is_some()
                    && !request.deadline.has_passed(now)
            });
            if waits {
                self.batch.push((id, attempt));
            }
        }
        if !self.batch.is_empty() {
            let items = u64::try_from(self.batch.len()).unwrap();
            self.after(self.scenario.server.batch(items), Event::Committed);
        }
    }

    fn committed(&mut self) {
        for (id, attempt) in std::mem::take(&mut self.batch) {
            self.serve(id, attempt);
        }
        self.commit();
    }

    fn serve(&mut self, id: Id, attempt: u32) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if request.attempt != attempt {
            return;
        }
        if let Some(admitted) = request.server_admitted.take() {
            admitted.finish(Sample::Answered);
            self.reply(id, attempt, CallOutcome::Success, None);
        }
    }

    /// A server that dies closes its connections.
    fn onset(&mut self) {
        if self.scenario.fault(self.elapsed()) == Some(Fault::Dead) {
            let broken: Vec<_> = self.requests.iter().map(|(id, one)| (*id, one.attempt)).collect();
            for (id, attempt) in broken {
                self.reply(id, attempt, CallOutcome::Failure, None);
            }
        }
    }
}
