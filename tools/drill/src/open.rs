//! An open load: requests start on schedule, however long the responses take.
//!
//! A closed loop waits for each response before it sends again, so a server that stalls is sent less,
//! and the clients that would have arrived meanwhile are missing from the figures ("coordinated
//! omission"). Here every request has an intended start that nothing can move, and its latency counts
//! from there.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use self::{measurement::Measurement, schedule::Schedule};
use crate::{
    load::{
        Requests, Source,
        stop::{DURATION_MAX, Gate, Stop},
        summary::{Outcome, micros},
    },
    pool::Pool,
    request::Reconnect,
    response::RESPONSE_TIMEOUT,
    target::Target,
};

pub(crate) mod measurement;
pub(crate) mod schedule;

/// The default of [`OpenLoad::in_flight_max`]: with a file for each, well below what systems allow a
/// process.
const IN_FLIGHT_MAX: u16 = 8_192;

/// A load that does not wait for responses.
#[derive(Debug, Clone)]
pub struct OpenLoad {
    /// The intended starts of the requests.
    pub schedule: Schedule,
    /// How many requests may be in flight, each on a connection of its own. A request above that is
    /// not sent and counts as [`Outcome::NotSent`].
    pub in_flight_max: u16,
    /// The time limit of a response, from when its request was sent, at most [`RESPONSE_TIMEOUT`].
    pub response_timeout: Duration,
    /// How long after its intended start an accepting response still counts as goodput.
    pub useful_within: Duration,
    /// Whether connections are kept.
    pub reconnect: Reconnect,
    /// An end before that of the schedule.
    pub stop: Stop,
    /// What is sent.
    pub request: Requests,
}

impl OpenLoad {
    /// That schedule to its end with kept connections, at most 8,192 requests in flight,
    /// [`RESPONSE_TIMEOUT`], and every accepting response useful.
    pub fn new(schedule: Schedule, request: impl Into<Requests>) -> Self {
        Self {
            schedule,
            in_flight_max: IN_FLIGHT_MAX,
            response_timeout: RESPONSE_TIMEOUT,
            useful_within: Duration::MAX,
            reconnect: Reconnect::Never,
            stop: Stop::after(DURATION_MAX),
            request: request.into(),
        }
    }

    /// Runs to the end of the schedule or until [`Stop`]; requests in flight are completed, or time
    /// out.
    ///
    /// Every request is a task of the current runtime; dropping the future ends them.
    pub async fn run(self, target: &Target) -> Measurement {
        let began = Instant::now();
        let run = Arc::new(Run {
            began,
            source: self.request.prepare(target, self.reconnect),
            pool: Pool::new(target, self.response_timeout),
            useful_within: self.useful_within,
            measurement: Mutex::default(),
        });
        let gate = Gate::open(self.stop, began);
        let mut in_flight = JoinSet::new();
        for intended in self.schedule.arrivals() {
            // A start that has passed waits only now and then, for the requests in flight to continue.
            sleep_until(began + intended).await;
            let Some(number) = gate.pass() else { break };
            while in_flight.try_join_next().is_some() {}
            if in_flight.len() < usize::from(self.in_flight_max) {
                let run = Arc::clone(&run);
                in_flight.spawn(async move { run.exchange(number, intended).await });
            } else {
                run.measurement.lock().not_sent(intended);
            }
        }
        in_flight.join_all().await;
        let mut measurement = std::mem::take(&mut *run.measurement.lock());
        measurement.summary.elapsed = began.elapsed();
        measurement
    }
}

/// What the requests of a running load share.
struct Run {
    began: Instant,
    source: Source,
    pool: Pool,
    useful_within: Duration,
    measurement: Mutex<Measurement>,
}

impl Run {
    async fn exchange(&self, number: u64, intended: Duration) {
        let start = self.began + intended;
        let late = start.elapsed();
        let request = (self.source)(number);
        let ended = self.pool.exchange(&request, Outcome::of).await;
        let took = start.elapsed();
        let mut measurement = self.measurement.lock();
        measurement.lateness.saturating_record(micros(late));
        match ended {
            Ok(outcome) => {
                measurement.responded(outcome, intended, took, took <= self.useful_within);
            }
            Err(error) => measurement.failed(error, intended),
        }
    }
}
