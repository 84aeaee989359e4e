//! Clients that each want one booking, retry as the responses ask, and stop after a time.
//!
//! A client has one `Idempotency-Key`, so that a retry continues the same attempt. It retries after
//! Retry-After, or after a moment if there was no response or one that it does not know. It ends with
//! "booked", "sold out", or its timeout.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    audit::Acknowledged,
    observations::{Observations, Recorder},
    open::schedule::Schedule,
    pool::Pool,
    progress::Progress,
    request::{Prepared, Reconnect, Request},
    response::{RESPONSE_TIMEOUT, Response},
    target::Target,
};

/// How many requests are in flight at most; further clients wait, and that time counts.
const IN_FLIGHT_MAX: usize = 4_096;

const CLIENTS_MAX: usize = 1_000_000;

/// The pause before a retry without Retry-After.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Retries of clients with the same Retry-After are spread over this.
const SPREAD_MS: u64 = 500;

/// Clients of one drill.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    /// When each client starts, and so how many there are.
    pub(crate) schedule: Schedule,
    /// How long after its start a client stops.
    pub(crate) timeout: Duration,
    /// Whether each client sends every request twice at the same time, with the same key.
    pub(crate) sends_twice: bool,
    /// What they book.
    pub(crate) vaccine: i64,
}

/// How the clients ended.
#[derive(Debug, Default)]
pub(crate) struct ClientResults {
    pub(crate) clients: u64,
    pub(crate) booked: u64,
    pub(crate) sold_out: u64,
    /// Clients without a final response.
    pub(crate) timed_out: u64,
    pub(crate) acknowledged: Acknowledged,
    /// The longest time from a client's start to its final response.
    pub(crate) longest_wait: Duration,
    /// When each client started, since the beginning, in order.
    pub(crate) started_at: Vec<Duration>,
    /// When each client had its final response, since the beginning, in order.
    pub(crate) finished_at: Vec<Duration>,
    /// Every single response.
    pub(crate) observations: Observations,
}

/// The final response to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Final {
    Booked(i64),
    SoldOut,
}

impl Clients {
    /// Runs them all. Client n sends to the n-th of the entries, in turn, and stays with it.
    pub(crate) async fn run(self, entries: &[Target], progress: &Progress) -> ClientResults {
        let run = Arc::new(Run {
            key: uuid::Uuid::now_v7().simple().to_string(),
            pools: entries.iter().map(|entry| Pool::new(entry, RESPONSE_TIMEOUT)).collect(),
            recorder: Recorder::start(),
            turns: Semaphore::new(IN_FLIGHT_MAX),
            results: Mutex::default(),
            progress: progress.clone(),
            clients: self,
        });
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for (number, at) in (0..).zip(run.clients.schedule.arrivals().take(CLIENTS_MAX)) {
            sleep_until(began + at).await;
            run.results.lock().started_at.push(at);
            let client = Client { number, start: began + at, run: Arc::clone(&run) };
            clients.spawn(async move {
                let last = client.last_response().await;
                client.finish(last, began.elapsed());
            });
            while clients.try_join_next().is_some() {}
        }
        clients.join_all().await;
        let results = std::mem::take(&mut *run.results.lock());
        ClientResults { observations: run.recorder.take(), ..results }
    }
}

impl ClientResults {
    /// When the last client had its final response, since the beginning.
    pub(crate) fn last_finished_at(&self) -> Duration {
        self.finished_at.last().copied().unwrap_or_default()
    }
}

/// What the clients share.
struct Run {
    clients: Clients,
    /// The beginning of every `Idempotency-Key`.
    key: String,
    pools: Vec<Pool>,
    recorder: Recorder,
    turns: Semaphore,
    results: Mutex<ClientResults>,
    progress: Progress,
}

struct Client {
    number: u64,
    start: Instant,
    run: Arc<Run>,
}

impl Client {
    async fn last_response(&self) -> Option<Final> {
        let Run { clients, key, .. } = &*self.run;
        let body = json!({"vaccineId": clients.vaccine, "userId": self.number + 1});
        let request = Request::post_json("/bookings", &body)
            .header("idempotency-key", &format!("{key}-{}", self.number));
        let pool = &self.run.pools[self.entry()];
        let request = request.prepare(&pool.target, Reconnect::Never);
        if !clients.sends_twice {
            return self.send(pool, &request).await;
        }
        let both = tokio::join!(self.send(pool, &request), self.send(pool, &request));
        if let (Some(one), Some(other)) = both
            && one != other
        {
            let what = format!("client {} received {one:?} and {other:?}", self.number);
            self.run.results.lock().acknowledged.record_conflict(what);
        }
        both.0.or(both.1)
    }

    /// Sends until there is a final response, or the next retry would come after the timeout.
    async fn send(&self, pool: &Pool, request: &Prepared) -> Option<Final> {
        let Run { recorder, turns, progress, clients, .. } = &*self.run;
        loop {
            let ended = {
                // The semaphore is never closed; an error would only lift the limit.
                let _turn = turns.acquire().await;
                pool.exchange(request, Response::clone).await
            };
            recorder.record(ended.as_ref());
            progress.count_response();
            let pause = match ended {
                Ok(response) => match (response.status, response.retry_after_seconds) {
                    (201, _) => {
                        let booking = response.json().ok()?["bookingId"].as_i64()?;
                        return Some(Final::Booked(booking));
                    }
                    (409, _) => return Some(Final::SoldOut),
                    (_, Some(seconds)) => Duration::from_secs(seconds) + self.spread(),
                    (_, None) => RETRY_PAUSE,
                },
                Err(_) => RETRY_PAUSE,
            };
            if Instant::now() + pause > self.start + clients.timeout {
                return None;
            }
            sleep(pause).await;
        }
    }

    fn finish(&self, last: Option<Final>, at: Duration) {
        let mut results = self.run.results.lock();
        results.clients += 1;
        match last {
            Some(Final::Booked(booking)) => {
                results.booked += 1;
                results.acknowledged.record(self.number, self.entry(), booking);
            }
            Some(Final::SoldOut) => results.sold_out += 1,
            None => {
                results.timed_out += 1;
                return;
            }
        }
        results.longest_wait = results.longest_wait.max(self.start.elapsed());
        results.finished_at.push(at);
    }

    /// The index of its entry.
    fn entry(&self) -> usize {
        usize::try_from(self.number).unwrap_or(0) % self.run.pools.len()
    }

    fn spread(&self) -> Duration {
        Duration::from_millis(fastrand::Rng::with_seed(self.number).u64(..SPREAD_MS))
    }
}
