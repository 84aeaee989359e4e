//! The simulation: a store, the requests to it, and their outcomes.

use std::{cell::RefCell, ops::Range, rc::Rc, time::Duration};

use platform_resilience::{
    admission::{Admission, AdmissionConfig},
    deadline::Deadline,
    limiter::Sample,
    time::Monotonic,
    wait_queue::Priority,
};
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::LocalSet,
    time::{sleep, sleep_until, timeout},
};

/// The most that one commit takes.
const BATCH_MAX: usize = 1_024;

/// The time of each request.
const TIME: Duration = Duration::from_secs(3);

/// How long a commit takes.
#[derive(Clone, Copy)]
pub(crate) struct Store {
    pub(crate) each_commit: Duration,
    pub(crate) each_item: Duration,
}

/// Requests of one class, so many a second, from and until then (milliseconds).
pub(crate) struct Load {
    class: Priority,
    rate: u64,
    from: u64,
    until: u64,
}

impl Load {
    pub(crate) fn new(class: Priority, rate: u64, from: u64, until: u64) -> Self {
        Self { class, rate, from, until }
    }
}

/// A request and its outcome.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) class: Priority,
    pub(crate) outcome: Outcome,
}

/// How a request ended, after how long.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    Served(Duration),
    Rejected(Duration),
    Late,
}

/// All requests of a run.
pub(crate) struct Run(Vec<Arrival>);

impl Run {
    pub(crate) fn all(&self, from: u64, until: u64) -> impl Iterator<Item = &Arrival> {
        let span = Duration::from_millis(from)..Duration::from_millis(until);
        self.0.iter().filter(move |arrival| span.contains(&arrival.at))
    }

    pub(crate) fn served(&self, from: u64, until: u64) -> usize {
        self.all(from, until).filter(|one| matches!(one.outcome, Outcome::Served(_))).count()
    }

    pub(crate) fn rejected(&self, from: u64, until: u64) -> usize {
        self.all(from, until).filter(|one| !matches!(one.outcome, Outcome::Served(_))).count()
    }

    pub(crate) fn count(&self, what: fn(Outcome) -> bool) -> usize {
        self.0.iter().filter(|arrival| what(arrival.outcome)).count()
    }

    pub(crate) fn latencies(&self) -> Vec<Duration> {
        let served = |one: &Arrival| match one.outcome {
            Outcome::Served(after) => Some(after),
            Outcome::Rejected(_) | Outcome::Late => None,
        };
        self.0.iter().filter_map(served).collect()
    }

    pub(crate) fn rejections(&self) -> Vec<Duration> {
        let rejected = |one: &Arrival| match one.outcome {
            Outcome::Rejected(after) => Some(after),
            Outcome::Served(_) | Outcome::Late => None,
        };
        self.0.iter().filter_map(rejected).collect()
    }
}

pub(crate) fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

pub(crate) fn run(store: Store, loads: &[Load]) -> Run {
    run_with_stall(store, loads, Duration::ZERO..Duration::ZERO)
}

/// As [`run`], but the store begins no commit in that span.
pub(crate) fn run_with_stall(store: Store, loads: &[Load], stall: Range<Duration>) -> Run {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let all = Rc::new(RefCell::new(Vec::new()));
    LocalSet::new().block_on(&runtime, async {
        let admission = Admission::new(AdmissionConfig::default()).unwrap();
        let clock = *admission.clock();
        let (queue, commits) = mpsc::channel(100_000);
        let store = tokio::task::spawn_local(commit(store, commits, stall, clock));
        let mut requests = tokio::task::JoinSet::new();
        let begin = tokio::time::Instant::now();
        for tick in 0..loads.iter().map(|load| load.until).max().unwrap_or(0) {
            sleep_until(begin + Duration::from_millis(tick)).await; // tidy: paced, in simulated time
            for load in loads.iter().filter(|load| (load.from..load.until).contains(&tick)) {
                let since = tick - load.from;
                for _ in load.rate * since / 1_000..load.rate * (since + 1) / 1_000 {
                    let request = request(admission.clone(), load.class, queue.clone());
                    let all = Rc::clone(&all);
                    requests.spawn_local(async move {
                        let arrival = request.await;
                        all.borrow_mut().push(arrival);
                    });
                }
            }
        }
        while requests.join_next().await.is_some() {}
        drop(queue);
        store.await.unwrap();
        let left = admission.snapshot();
        assert_eq!((left.in_flight, left.waiting), (0, [0; 4]));
    });
    Run(all.take())
}

async fn request(
    admission: Admission,
    class: Priority,
    queue: mpsc::Sender<oneshot::Sender<()>>,
) -> Arrival {
    let clock = *admission.clock();
    let now = clock.now();
    let deadline = Deadline::within(TIME, now);
    let served = timeout(TIME, async {
        let admitted = admission.admit(class, 1, deadline).await?;
        let (reply, replied) = oneshot::channel();
        queue.send(reply).await.unwrap();
        replied.await.unwrap();
        admitted.finish(Sample::Answered);
        Ok::<_, platform_resilience::admission::ShedError>(())
    });
    let outcome = served.await;
    let took = clock.now().since(now);
    let outcome = match outcome {
        Ok(Ok(())) => Outcome::Served(took),
        Ok(Err(_)) => Outcome::Rejected(took),
        Err(_) => Outcome::Late,
    };
    Arrival { at: Duration::from_nanos(now.as_nanos()), class, outcome }
}

async fn commit(
    store: Store,
    mut queue: mpsc::Receiver<oneshot::Sender<()>>,
    stall: Range<Duration>,
    clock: Monotonic,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let now = Duration::from_nanos(clock.now().as_nanos());
        if stall.contains(&now) {
            sleep(stall.end.saturating_sub(now)).await; // tidy: paced, in simulated time
        }
        batch.retain(|reply| !reply.is_closed());
        let items = u32::try_from(batch.len()).unwrap();
        sleep(store.each_commit + store.each_item * items).await; // tidy: paced, in simulated time
        for reply in batch.drain(..) {
            let _cancelled = reply.send(());
        }
    }
}
