//! An open load: requests come when they come, however long the answers take.
//!
//! A closed loop waits for each answer before it asks again, so a server that stalls is asked less,
//! and the people who would have come meanwhile are not in the figures ("coordinated omission").
//! Here every request has an intended start that nothing can move, and its latency counts from
//! there.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, Sleep, sleep_until},
};

use self::{
    line::{Idle, Job, Slot},
    measured::{Measured, Record},
    schedule::Schedule,
};
use crate::{
    client::{ANSWER_TIMEOUT, Connection, reply::Reply, request::Reconnect, target::Target},
    load::{
        Requests, Source, User,
        stop::{Gate, LASTING_MAX, Stop},
        summary::Outcome,
    },
};

mod line;
pub(crate) mod measured;
pub(crate) mod schedule;

/// How many requests may be in flight unless [`Open::in_flight_max`] says otherwise: with a file
/// for each, well below what systems allow a process.
pub const IN_FLIGHT_MAX: u16 = 8_192;

/// How long a connection may have nothing to do before it is opened anew: shorter than servers
/// wait for the next request, so that none is sent into a connection that is just being closed.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(5);

/// How many requests are handed out before the connections get their turn.
const BURST_MAX: u32 = 64;

/// A load that does not wait for answers.
#[derive(Debug, Clone)]
pub struct Open {
    /// When requests are to be sent.
    pub schedule: Schedule,
    /// How many requests may be in flight, each on a connection of its own. What comes while so
    /// many are is not sent and counts as [`Outcome::NotSent`].
    pub in_flight_max: u16,
    /// How long an answer may take from when its request was sent, at most
    /// [`ANSWER_TIMEOUT`].
    pub answered_within: Duration,
    /// How long after its intended start an accepting answer still counts as goodput.
    pub useful_within: Duration,
    /// Whether connections are kept.
    pub reconnect: Reconnect,
    /// When it is over before its schedule is.
    pub stop: Stop,
    /// What is sent. The [`User`] is the connection, counted from 0.
    pub request: Requests,
}

impl Open {
    /// That schedule to its end with kept connections, [`IN_FLIGHT_MAX`], [`ANSWER_TIMEOUT`], and
    /// every accepting answer useful. What is to be otherwise is set after that.
    pub fn new(schedule: Schedule, request: impl Into<Requests>) -> Self {
        Self {
            schedule,
            in_flight_max: IN_FLIGHT_MAX,
            answered_within: ANSWER_TIMEOUT,
            useful_within: Duration::MAX,
            reconnect: Reconnect::Never,
            stop: Stop::after(LASTING_MAX),
            request: request.into(),
        }
    }

    /// Runs until the schedule is over or [`Stop`] says so; then requests in flight are still
    /// answered, or time out.
    ///
    /// Every connection is a task of the current runtime; dropping the future ends them.
    pub async fn run(self, target: &Target) -> Measured {
        self.run_watched(target, |_| {}).await
    }

    /// As [`Self::run`], and shows each reply to `on_reply`, as [`crate::Load::run_watched`] does.
    pub async fn run_watched(
        self,
        target: &Target,
        on_reply: impl Fn(&Reply) + Send + Sync + 'static,
    ) -> Measured {
        let began = Instant::now();
        let run = Arc::new(Run {
            began,
            source: Source::new(self.request, target, self.reconnect),
            target: target.clone(),
            answered_within: self.answered_within,
            reconnect: self.reconnect,
            idle: Idle::default(),
            record: Mutex::new(Record::new(self.useful_within)),
            on_reply,
        });
        let gate = Gate::open(self.stop, began);
        let mut connections = JoinSet::new();
        let mut pace = Pace { began, alarm: pin!(sleep_until(began)), burst: 0 };
        for intended in self.schedule.arrivals() {
            pace.wait(intended).await;
            let Some(number) = gate.pass() else { break };
            let job = Job { number, intended };
            run.record().offered(intended);
            if run.idle.hand(job) {
                continue;
            }
            match u16::try_from(connections.len()) {
                Ok(user) if user < self.in_flight_max => {
                    let (run, slot) = (Arc::clone(&run), Slot::with(job));
                    connections.spawn(async move { run.connection(User(user), &slot).await });
                }
                Ok(_) | Err(_) => run.record().not_sent(intended),
            }
        }
        run.idle.close();
        connections.join_all().await;
        run.record().measured(began.elapsed())
    }
}

/// Waits for intended starts.
struct Pace<'a> {
    began: Instant,
    alarm: Pin<&'a mut Sleep>,
    burst: u32,
}

impl Pace<'_> {
    /// Returns at once for what is due, but lets the connections have a turn now and then.
    async fn wait(&mut self, intended: Duration) {
        let at = self.began + intended;
        if at > Instant::now() {
            self.alarm.as_mut().reset(at);
            self.alarm.as_mut().await;
            self.burst = 0;
        } else if self.burst == BURST_MAX {
            yield_now().await;
            self.burst = 0;
        } else {
            self.burst += 1;
        }
    }
}

/// What the connections of a running load share.
struct Run<OnReply> {
    began: Instant,
    target: Target,
    answered_within: Duration,
    reconnect: Reconnect,
    source: Source,
    idle: Idle,
    record: Mutex<Record>,
    on_reply: OnReply,
}

impl<OnReply: Fn(&Reply)> Run<OnReply> {
    async fn connection(&self, user: User, slot: &Arc<Slot>) {
        let mut connection = Connection::new(&self.target).answered_within(self.answered_within);
        let mut last_used = self.began;
        while let Some(job) = slot.next().await {
            let now = Instant::now();
            if now.duration_since(last_used) > IDLE_MAX {
                connection.close();
            }
            self.exchange(&mut connection, user, job, now).await;
            last_used = Instant::now();
            if !self.idle.rest(slot) {
                return;
            }
        }
    }

    async fn exchange(&self, connection: &mut Connection, user: User, job: Job, now: Instant) {
        let intended = self.began + job.intended;
        let request = self.source.request(user, job.number, &self.target, self.reconnect);
        let ended = connection.exchange(&request).await;
        let took = intended.elapsed();
        let mut record = self.record();
        record.sent(now.duration_since(intended));
        match ended {
            Ok(reply) => {
                record.replied(Outcome::of(reply), job.intended, took);
                drop(record);
                (self.on_reply)(reply);
            }
            Err(error) => record.failed(error, job.intended),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
