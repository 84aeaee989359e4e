//! The world: callers, a service that calls a server, and the server; one event after the other.
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

use resilience::{
    admission::{Admission, AdmissionConfig, Admit, Admitted, Shed},
    breaker::{Answer, Breaker, BreakerConfig, Permit},
    budget::{Budget, BudgetConfig},
    deadline::Deadline,
    limiter::{LimiterConfig, Sample},
    line::Priority,
    time::{Clock, Moment, Tokio},
};

use super::{
    dice::Dice,
    scenario::{Fault, Scenario, ms},
};

pub(crate) const OPEN_MAX: Duration = ms(2_000);
pub(crate) const CODEL_INTERVAL: Duration = ms(100);
pub(crate) const TIME_LIMIT: Duration = ms(3_000);
pub(crate) const PROBES_MAX: u16 = 5;

type Id = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival,
    /// Somebody who waits at the service's door, or the server's, looks again.
    Look(Id),
    /// An attempt (by its number) has taken too long.
    TimeUp(Id, u32),
    /// An attempt is answered after all.
    Late(Id, u32),
    Retry(Id),
    Committed,
    Onset,
    Jump,
    End,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Served,
    /// Told to come back, by the service.
    Shed,
    /// Told to come back, since the circuit is open.
    Refused,
    /// Told to come back, by the server.
    Overload,
    Failed,
    TimedOut,
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) born: Moment,
    pub(crate) at: Moment,
    pub(crate) outcome: Outcome,
}

/// A request on its way.
struct Request {
    born: Moment,
    deadline: Deadline,
    attempt: u32,
    door: Option<Pin<Box<Admit<Tokio>>>>,
    inside: Option<Admitted<Tokio>>,
    permit: Option<Permit>,
    server_door: Option<Pin<Box<Admit<Tokio>>>>,
    server_inside: Option<Admitted<Tokio>>,
}

struct Bell {
    id: Id,
    rung: Arc<Mutex<VecDeque<Id>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.lock().unwrap().push_back(self.id);
    }
}

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    clock: Tokio,
    /// When nothing happened any more.
    pub(crate) over: Moment,
    pub(crate) service: Admission<Tokio>,
    pub(crate) server: Admission<Tokio>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) budget: Budget,
    pub(crate) ended: Vec<Ended>,
    pub(crate) born: u64,
    pub(crate) calls: Vec<Moment>,
    pub(crate) retries: Vec<Moment>,
    /// What should never be.
    pub(crate) wrong: Vec<String>,
    dice: Dice,
    agenda: BinaryHeap<Reverse<(Duration, u64, Happening)>>,
    scheduled: u64,
    requests: BTreeMap<Id, Request>,
    rung: Arc<Mutex<VecDeque<Id>>>,
    queue: VecDeque<(Id, u32)>,
    batch: Vec<(Id, u32)>,
    /// Probes that were let through: generation, request, attempt.
    probes: Vec<(u32, Id, u32)>,
}

fn admission(clock: Tokio) -> Admission<Tokio> {
    let limiter = LimiterConfig { min: 4, initial: 64, max: 1_024, ..LimiterConfig::default() };
    let config = AdmissionConfig {
        limiter,
        waiting_max: 64,
        codel_interval: CODEL_INTERVAL,
        ..AdmissionConfig::default()
    };
    Admission::new(config, clock).unwrap()
}

impl World {
    pub(crate) fn new(scenario: Scenario, dice: Dice, seed: u64) -> Self {
        let clock = Tokio::default();
        let config = BreakerConfig {
            open_max: OPEN_MAX,
            half_open_calls: PROBES_MAX,
            seed,
            ..BreakerConfig::default()
        };
        Self {
            scenario,
            clock,
            over: Moment::default(),
            service: admission(clock),
            server: admission(clock),
            breaker: Arc::new(Breaker::new(config).unwrap()),
            budget: Budget::new(BudgetConfig::default()).unwrap(),
            ended: Vec::new(),
            born: 0,
            calls: Vec::new(),
            retries: Vec::new(),
            wrong: Vec::new(),
            dice,
            agenda: BinaryHeap::new(),
            scheduled: 0,
            requests: BTreeMap::new(),
            rung: Arc::default(),
            queue: VecDeque::new(),
            batch: Vec::new(),
            probes: Vec::new(),
        }
    }

    /// Lets everything happen, and waits until nothing happens any more.
    pub(crate) async fn run(&mut self) {
        let Scenario { onset, end, jump, .. } = self.scenario;
        self.at(Duration::ZERO, Happening::Arrival);
        self.at(onset, Happening::Onset);
        self.at(end, Happening::End);
        if !jump.is_zero() {
            self.at((onset + end) / 2, Happening::Jump);
        }
        while let Some(Reverse((at, _, happening))) = self.agenda.pop() {
            let wait = at.saturating_sub(self.elapsed());
            if !wait.is_zero() {
                tokio::time::advance(wait).await;
            }
            if happening == Happening::Jump {
                tokio::time::advance(jump).await;
                self.jumped();
            }
            self.happen(happening);
            self.answer_bells();
        }
        self.over = self.clock.now();
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().since(Moment::default())
    }

    pub(crate) fn left_over(&self) -> usize {
        self.requests.len() + self.batch.len()
    }

    fn at(&mut self, at: Duration, happening: Happening) {
        self.scheduled += 1;
        self.agenda.push(Reverse((at, self.scheduled, happening)));
    }

    fn after(&mut self, wait: Duration, happening: Happening) {
        self.at(self.elapsed() + wait, happening);
    }

    /// The rest of the story is told from after the jump.
    fn jumped(&mut self) {
        let jump = self.scenario.jump;
        self.scenario.end += jump;
        self.scenario.last += jump;
        let agenda = std::mem::take(&mut self.agenda);
        for Reverse((at, number, happening)) in agenda {
            // Deadlines pass in the jump; the world's own plans move with it.
            let planned = matches!(happening, Happening::Arrival | Happening::End);
            self.agenda.push(Reverse((if planned { at + jump } else { at }, number, happening)));
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival => self.arrive(),
            Happening::Look(id) => self.look(id),
            Happening::TimeUp(id, attempt) => self.reply(id, attempt, Answer::Timeout, None),
            Happening::Late(id, attempt) => self.serve(id, attempt),
            Happening::Retry(id) => self.attempt(id),
            Happening::Committed => self.committed(),
            Happening::Onset => self.onset(),
            Happening::End => self.commit(),
            Happening::Jump => {}
        }
    }

    fn answer_bells(&mut self) {
        loop {
            let rung = self.rung.lock().unwrap().pop_front();
            let Some(id) = rung else { return };
            self.look(id);
        }
    }

    fn waker(&self, id: Id) -> Waker {
        Waker::from(Arc::new(Bell { id, rung: Arc::clone(&self.rung) }))
    }

    // --- The service ---

    fn arrive(&mut self) {
        let at = self.elapsed();
        if at < self.scenario.last {
            let mean = self.scenario.server.pace() * 100 / self.scenario.percent(at);
            let twice = u64::try_from(mean.as_nanos()).unwrap() * 2;
            let gap = Duration::from_nanos(self.dice.between(0, twice));
            self.after(gap, Happening::Arrival);
        }
        let (id, born) = (self.born, self.clock.now());
        self.born += 1;
        let deadline = Deadline::within(TIME_LIMIT, born);
        let request = Request {
            born,
            deadline,
            attempt: 0,
            door: Some(Box::pin(self.service.admit(Priority::Book, 1, deadline))),
            inside: None,
            permit: None,
            server_door: None,
            server_inside: None,
        };
        self.requests.insert(id, request);
        self.look(id);
    }

    fn look(&mut self, id: Id) {
        self.look_at_door(id);
        self.look_at_server_door(id);
    }

    fn look_at_door(&mut self, id: Id) {
        let waker = self.waker(id);
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Some(door) = request.door.as_mut() else { return };
        match door.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.wait_at_door(id),
            Poll::Ready(Err(Shed { .. })) => {
                request.door = None;
                self.end(id, Outcome::Shed);
            }
            Poll::Ready(Ok(inside)) => {
                request.door = None;
                request.inside = Some(inside);
                let now = self.clock.now();
                self.budget.call(now);
                self.calls.push(now);
                self.attempt(id);
            }
        }
    }

    fn wait_at_door(&mut self, id: Id) {
        let Some(request) = self.requests.get(&id) else { return };
        if self.clock.now().since(request.born) > TIME_LIMIT + ms(1) {
            self.wrong.push(format!("{id} waits beyond its deadline"));
        }
        self.after(CODEL_INTERVAL + ms(1), Happening::Look(id));
    }

    fn attempt(&mut self, id: Id) {
        let now = self.clock.now();
        let Some(request) = self.requests.get_mut(&id) else { return };
        match self.breaker.enter(now) {
            Err(_) => self.end(id, Outcome::Refused),
            Ok(permit) => {
                let probe = permit.is_probe();
                request.attempt += 1;
                request.permit = Some(permit);
                let attempt = request.attempt;
                let left = request.deadline.left(now);
                self.after(
                    left.min(self.scenario.retries.attempt_timeout),
                    Happening::TimeUp(id, attempt),
                );
                if probe {
                    self.count_probes(id, attempt);
                }
                self.send(id, attempt);
            }
        }
    }

    /// Half-open has no more probes out than it may, and they are those that are held.
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
            self.wrong.push(format!("{} probes are out, {held} held", snapshot.probes_out));
        }
    }

    fn send(&mut self, id: Id, attempt: u32) {
        match self.scenario.fault(self.elapsed()) {
            Some(Fault::Dead) => return self.reply(id, attempt, Answer::Failure, None),
            Some(Fault::Errors(percent)) if self.dice.percent(percent) => {
                return self.reply(id, attempt, Answer::Failure, None);
            }
            _ => {}
        }
        let Some(request) = self.requests.get_mut(&id) else { return };
        let door = self.server.admit(Priority::Book, 1, request.deadline);
        request.server_door = Some(Box::pin(door));
        self.look_at_server_door(id);
    }

    /// The service hears what came of an attempt, and tries again or answers.
    fn reply(&mut self, id: Id, attempt: u32, answer: Answer, retry_after: Option<Duration>) {
        let now = self.clock.now();
        let Some(request) = self.requests.get_mut(&id) else { return };
        if request.attempt != attempt {
            return;
        }
        let Some(permit) = request.permit.take() else { return };
        permit.record(answer, retry_after, now);
        // The connection is closed: the server's handler is dropped.
        (request.server_door, request.server_inside) = (None, None);
        let failed = matches!(answer, Answer::Failure | Answer::Timeout);
        let left = request.deadline.left(now) > ms(100);
        let retries = self.scenario.retries;
        let again = failed && left && attempt <= retries.max;
        if again && (!retries.within_budget || self.budget.try_retry(now)) {
            self.retries.push(now);
            let pause = ms(self.dice.between(10, 50));
            return self.after(pause, Happening::Retry(id));
        }
        let outcome = match answer {
            Answer::Success => Outcome::Served,
            Answer::Failure | Answer::Cancelled => Outcome::Failed,
            Answer::Timeout => Outcome::TimedOut,
            Answer::Overload => Outcome::Overload,
        };
        self.end(id, outcome);
    }

    fn end(&mut self, id: Id, outcome: Outcome) {
        let Some(mut request) = self.requests.remove(&id) else { return };
        let sample = match outcome {
            Outcome::Served => Sample::Answered,
            Outcome::Overload | Outcome::TimedOut => Sample::Overloaded,
            Outcome::Shed | Outcome::Refused | Outcome::Failed => Sample::Ignored,
        };
        if let Some(inside) = request.inside.take() {
            inside.finish(sample);
        }
        self.ended.push(Ended { born: request.born, at: self.clock.now(), outcome });
    }

    // --- The server ---

    fn look_at_server_door(&mut self, id: Id) {
        let waker = self.waker(id);
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Some(door) = request.server_door.as_mut() else { return };
        let attempt = request.attempt;
        match door.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.after(CODEL_INTERVAL + ms(1), Happening::Look(id)),
            Poll::Ready(Err(shed)) => {
                request.server_door = None;
                self.reply(id, attempt, Answer::Overload, Some(shed.retry_after));
            }
            Poll::Ready(Ok(inside)) => {
                request.server_door = None;
                request.server_inside = Some(inside);
                match self.scenario.fault(self.elapsed()) {
                    Some(Fault::Silent) => {}
                    Some(Fault::Slow(extra)) => self.after(extra, Happening::Late(id, attempt)),
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
            // Whoever has left, or is too late, costs nothing.
            let waits = self.requests.get(&id).is_some_and(|request| {
                request.attempt == attempt
                    && request.server_inside.is_some()
                    && !request.deadline.has_passed(now)
            });
            if waits {
                self.batch.push((id, attempt));
            }
        }
        if !self.batch.is_empty() {
            let items = u64::try_from(self.batch.len()).unwrap();
            self.after(self.scenario.server.batch(items), Happening::Committed);
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
        if let Some(inside) = request.server_inside.take() {
            inside.finish(Sample::Answered);
            self.reply(id, attempt, Answer::Success, None);
        }
    }

    /// A server that dies breaks its connections.
    fn onset(&mut self) {
        if self.scenario.fault(self.elapsed()) == Some(Fault::Dead) {
            let broken: Vec<_> = self.requests.iter().map(|(id, one)| (*id, one.attempt)).collect();
            for (id, attempt) in broken {
                self.reply(id, attempt, Answer::Failure, None);
            }
        }
    }
}
